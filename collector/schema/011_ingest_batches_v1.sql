-- The ledger: which batches the store has. Outlives the de-duplication windows, so an old batch sent again is still known.
-- No partitions on purpose: a de-duplication token counts per partition, and only received_at could be the key.
CREATE TABLE IF NOT EXISTS {DB}.ingest_batches (
  worker_id LowCardinality(String),
  seq UInt32 CODEC(Delta(4), ZSTD(1)),
  complete UInt8,
  instance LowCardinality(String),
  rows UInt32,
  intents UInt32,
  dead UInt32,
  refused Array(UInt32),
  bytes UInt32,
  first_ts DateTime64(6, 'UTC'),
  last_ts DateTime64(6, 'UTC'),
  attempt UInt16,
  received_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
) ENGINE = ReplacingMergeTree(complete)
ORDER BY (worker_id, seq)
TTL toDateTime(received_at) + toIntervalDay({CALLS_DAYS})
{SETTINGS};
