-- Written before a tools/call is forwarded (durability: strict). One without its event is a row of unfinished_calls.
CREATE TABLE IF NOT EXISTS {DB}.call_intents (
  ts DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
  event_id UUID,
  trace_id String,
  session_id String,
  caller LowCardinality(String),
  team LowCardinality(String),
  project LowCardinality(String),
  agent LowCardinality(String),
  principal LowCardinality(String),
  instance LowCardinality(String),
  worker LowCardinality(String),
  method LowCardinality(String),
  server LowCardinality(String),
  tool LowCardinality(String),
  arguments_hash String,
  batch_id String,
  INDEX ix_ts ts TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (toStartOfHour(ts), event_id)
TTL toDateTime(ts) + toIntervalDay({PAYLOADS_DAYS})
{SETTINGS}, ttl_only_drop_parts = 1;
