-- Who used which tool, by day: the table reports and bills are made from.
CREATE TABLE IF NOT EXISTS {DB}.usage_1d (
  d Date CODEC(DoubleDelta, ZSTD(1)),
  env LowCardinality(String),
  team LowCardinality(String),
  project LowCardinality(String),
  server LowCardinality(String),
  tool LowCardinality(String),
  method LowCardinality(String),
  {FIGURE_COLUMNS}
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(d)
ORDER BY (d, team, project, server, tool, method, env)
TTL d + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS}, ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.usage_1d_mv TO {DB}.usage_1d AS
SELECT toDate(ts, 'UTC') AS d, env, team, project, server, tool, method,
  {FIGURES}
FROM {DB}.calls AS c WHERE kind = 'request'
GROUP BY d, env, team, project, server, tool, method;
