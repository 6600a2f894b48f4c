-- Every caller by day: how much, how well, how many different tools.
CREATE TABLE IF NOT EXISTS {DB}.caller_1d (
  d Date CODEC(DoubleDelta, ZSTD(1)),
  env LowCardinality(String),
  caller LowCardinality(String),
  team LowCardinality(String),
  project LowCardinality(String),
  agent LowCardinality(String),
  {FIGURE_COLUMNS},
  tools AggregateFunction(uniqCombined(12), String),
  first_seen SimpleAggregateFunction(min, DateTime('UTC')),
  last_seen SimpleAggregateFunction(max, DateTime('UTC'))
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(d)
ORDER BY (d, caller, team, project, agent, env)
TTL d + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS}, ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.caller_1d_mv TO {DB}.caller_1d AS
SELECT toDate(ts, 'UTC') AS d, env, caller, team, project, agent,
  {FIGURES},
  uniqCombinedStateIf(12)(concat(server, '/', tool), tool != '') AS tools,
  min(toDateTime(ts, 'UTC')) AS first_seen,
  max(toDateTime(ts, 'UTC')) AS last_seen
FROM {DB}.calls AS c WHERE kind = 'request'
GROUP BY d, env, caller, team, project, agent;
