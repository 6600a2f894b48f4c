-- Arguments and results that a capture rule named, masked before they came here. Apart from calls: own lifetime, own grants.
CREATE TABLE IF NOT EXISTS {DB}.call_payloads (
  ts DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
  event_id UUID,
  trace_id String,
  span_id String,
  server LowCardinality(String),
  tool LowCardinality(String),
  part Enum8('arguments' = 1, 'result' = 2),
  body String CODEC(ZSTD(3)),
  batch_id String,
  INDEX ix_ts ts TYPE minmax GRANULARITY 1,
  INDEX ix_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (toStartOfHour(ts), trace_id, event_id, part)
TTL toDateTime(ts) + toIntervalDay({PAYLOADS_DAYS})
{SETTINGS}, ttl_only_drop_parts = 1, index_granularity = 1024;
