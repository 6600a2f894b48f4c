-- What servers say their tools are: one row per definition ever seen. A new hash under an old name is a changed tool.
-- hash is of the definition as canonical JSON (name, title, description, schemas, annotations), bytes its length, tokens what
-- a model reads of it (name, description, input schema). latest holds the text as it was masked last, and the server's version.
CREATE TABLE IF NOT EXISTS {DB}.tool_definitions (
  server LowCardinality(String),
  tool LowCardinality(String),
  hash String,
  tokens SimpleAggregateFunction(max, UInt32),
  bytes SimpleAggregateFunction(max, UInt32),
  read_only SimpleAggregateFunction(max, UInt8),
  destructive SimpleAggregateFunction(max, UInt8),
  first_seen SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
  last_seen SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
  latest SimpleAggregateFunction(max, Tuple(ts DateTime64(6, 'UTC'), definition String, server_version String)) CODEC(ZSTD(3))
) ENGINE = AggregatingMergeTree
ORDER BY (server, tool, hash)
TTL toDateTime(last_seen) + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};
