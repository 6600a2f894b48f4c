-- What servers say their tools are: one row per definition ever seen. A new hash under an old name is a changed tool.
-- definition is the tool's JSON as listed (name, description, schemas, annotations): what a model reads, and pays for.
CREATE TABLE IF NOT EXISTS {DB}.tool_definitions (
  server LowCardinality(String),
  tool LowCardinality(String),
  hash String,
  tokens SimpleAggregateFunction(max, UInt32),
  bytes SimpleAggregateFunction(max, UInt32),
  read_only SimpleAggregateFunction(max, UInt8),
  destructive SimpleAggregateFunction(max, UInt8),
  definition SimpleAggregateFunction(max, String) CODEC(ZSTD(3)),
  server_version SimpleAggregateFunction(max, String),
  first_seen SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
  last_seen SimpleAggregateFunction(max, DateTime64(6, 'UTC'))
) ENGINE = AggregatingMergeTree
ORDER BY (server, tool, hash)
TTL toDateTime(last_seen) + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};
