-- Events given up before they got here. Totals since the worker started: a report that comes twice changes nothing,
-- and every total ever reported stays, with the time it was first seen.
CREATE TABLE IF NOT EXISTS {DB}.losses (
  worker_id String,
  reason LowCardinality(String),
  events UInt64,
  instance SimpleAggregateFunction(max, String),
  first_reported SimpleAggregateFunction(min, DateTime64(3, 'UTC'))
) ENGINE = AggregatingMergeTree
ORDER BY (worker_id, reason, events)
TTL toDateTime(first_reported) + toIntervalDay({ROLLUPS_DAYS})
SETTINGS default_compression_codec = 'ZSTD(1)';
