-- What a tools/list answer held: events name it by list_id, so that each list is stored once and not with every call.
CREATE TABLE IF NOT EXISTS {DB}.tool_lists (
  list_id String,
  server LowCardinality(String),
  tool LowCardinality(String),
  hash String,
  tokens SimpleAggregateFunction(max, UInt32),
  first_seen SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
  last_seen SimpleAggregateFunction(max, DateTime64(6, 'UTC'))
) ENGINE = AggregatingMergeTree
ORDER BY (list_id, server, tool, hash)
TTL toDateTime(last_seen) + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};
