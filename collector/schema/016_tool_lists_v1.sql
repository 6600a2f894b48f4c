-- What a tools/list answer held: events name it by list_id, so that each list is stored once and not with every call.
-- A part is what one server had in it; equal parts have equal ids in whatever list. tokens counts the name the client saw.
-- A server that listed nothing has one row without a tool.
CREATE TABLE IF NOT EXISTS {DB}.tool_lists (
  list_id String,
  server LowCardinality(String),
  part_id String,
  tool LowCardinality(String),
  hash String,
  tokens SimpleAggregateFunction(max, UInt32),
  first_seen SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
  last_seen SimpleAggregateFunction(max, DateTime64(6, 'UTC'))
) ENGINE = AggregatingMergeTree
ORDER BY (list_id, server, part_id, tool, hash)
TTL toDateTime(last_seen) + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};

-- Which lists each session read: one row per caller, session, endpoint and list, however often it listed. A client without a
-- session is known by its run. list_id is '' when the answer was not read (too large, compressed); server is '' for the roof.
CREATE TABLE IF NOT EXISTS {DB}.tool_listings (
  caller LowCardinality(String),
  session String,
  server LowCardinality(String),
  list_id String,
  team SimpleAggregateFunction(max, String),
  project SimpleAggregateFunction(max, String),
  first_ts SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
  last_ts SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
  listings {COUNT}
) ENGINE = AggregatingMergeTree
ORDER BY (caller, session, server, list_id)
TTL toDateTime(last_ts) + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.tool_listings_mv TO {DB}.tool_listings AS
SELECT caller, if(c.session_id != '', c.session_id, c.run_id) AS session, server, list_id,
  max(toString(c.team)) AS team,
  max(toString(c.project)) AS project,
  min(ts) AS first_ts,
  max(ts) AS last_ts,
  count() AS listings
FROM {DB}.calls AS c WHERE kind = 'request' AND method = 'tools/list' AND outcome = 'ok'
GROUP BY caller, session, server, list_id;

-- What a token of input costs, by team; '' is everybody else. As the config says now: a change re-rates what is shown.
CREATE TABLE IF NOT EXISTS {DB}.context_prices (
  team LowCardinality(String),
  pico_per_token Int64,
  is_set UInt8,
  set_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(set_at)
ORDER BY team
{SETTINGS};
