-- What is usual, made anew each night: one row per series and figure. centers has a place for every five minutes of the week
-- (from Monday 00:00 UTC; NaN = never seen); it is empty while the series is learning, that is younger than three weeks.
-- sigma holds at `traffic` calls per 15 minutes; less traffic means a wider one. Errors: shift = the usual rate, no centers.
CREATE TABLE IF NOT EXISTS {DB}.baselines (
  day Date,
  scope LowCardinality(String),
  metric LowCardinality(String),
  series LowCardinality(String),
  since DateTime('UTC'),
  centers Array(Float32),
  shift Float64,
  sigma Float64,
  traffic Float64,
  samples UInt32,
  made_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
) ENGINE = ReplacingMergeTree(made_at)
PARTITION BY day
ORDER BY (scope, metric, series)
TTL day + toIntervalDay(8)
{SETTINGS}, ttl_only_drop_parts = 1;

-- Which caller ever used which tool, and since when: what makes "new tool for a caller" a look-up instead of a scan.
CREATE TABLE IF NOT EXISTS {DB}.caller_tools (
  caller LowCardinality(String),
  server LowCardinality(String),
  tool LowCardinality(String),
  calls SimpleAggregateFunction(sum, UInt64),
  first_seen SimpleAggregateFunction(min, DateTime('UTC')),
  last_seen SimpleAggregateFunction(max, DateTime('UTC'))
) ENGINE = AggregatingMergeTree
ORDER BY (caller, server, tool)
TTL last_seen + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.caller_tools_mv TO {DB}.caller_tools AS
SELECT caller, server, tool, count() AS calls, min(toDateTime(ts, 'UTC')) AS first_seen, max(toDateTime(ts, 'UTC')) AS last_seen
FROM {DB}.calls WHERE kind = 'request' AND tool != '' AND caller != ''
GROUP BY caller, server, tool;

-- In which hours (UTC, one bit each) a caller was active on which day, and how long the tool lists were that it saw
-- (list_items_min is 4294967295 where lists is 0).
CREATE TABLE IF NOT EXISTS {DB}.caller_habits_1d (
  d Date,
  caller LowCardinality(String),
  server LowCardinality(String),
  team SimpleAggregateFunction(max, String),
  hours SimpleAggregateFunction(groupBitOr, UInt32),
  calls SimpleAggregateFunction(sum, UInt64),
  lists SimpleAggregateFunction(sum, UInt64),
  list_items_min SimpleAggregateFunction(min, UInt32),
  list_items_max SimpleAggregateFunction(max, UInt32)
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(d)
ORDER BY (d, caller, server)
TTL d + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS}, ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.caller_habits_1d_mv TO {DB}.caller_habits_1d AS
SELECT toDate(ts, 'UTC') AS d, caller, server, max(toString(c.team)) AS team,
  groupBitOr(toUInt32(bitShiftLeft(toUInt32(1), toHour(ts, 'UTC')))) AS hours, countIf(c.tool != '') AS calls,
  countIf(c.method = 'tools/list' AND c.outcome = 'ok') AS lists,
  min(if(c.method = 'tools/list' AND c.outcome = 'ok', c.list_items, 4294967295)) AS list_items_min,
  maxIf(c.list_items, c.method = 'tools/list' AND c.outcome = 'ok') AS list_items_max
FROM {DB}.calls AS c WHERE kind = 'request' AND caller != ''
GROUP BY d, caller, server;
