-- Lines that could not become rows: nothing a worker wrote disappears without a trace.
-- Keyed by place in the batch: the same line twice is one row even after the de-duplication window has moved on.
CREATE TABLE IF NOT EXISTS {DB}.dead_letters (
  batch_id String,
  row_no UInt32,
  instance LowCardinality(String),
  reason LowCardinality(String),
  error String,
  body String CODEC(ZSTD(3)),
  received_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
) ENGINE = ReplacingMergeTree
ORDER BY (batch_id, row_no)
TTL toDateTime(received_at) + toIntervalDay({CALLS_DAYS})
{SETTINGS};
