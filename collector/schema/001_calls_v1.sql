-- The truth: one row per event. Columns come from event/fields.ts; later additive fields are added by columns.ts.
-- Five-minute blocks first keep a trace and a session in the same granules; the minmax indexes serve filters on plain ts,
-- and on the start of the CLIENT span, which otel_traces makes from it.
CREATE TABLE IF NOT EXISTS {DB}.calls (
  {CALLS_COLUMNS},
  batch_id String CODEC(ZSTD(1)),
  ingested_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  INDEX ix_ts ts TYPE minmax GRANULARITY 1,
  INDEX ix_client_ts ts + toIntervalMicrosecond(receive_us + authorise_us + queue_us) TYPE minmax GRANULARITY 1,
  INDEX ix_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
  INDEX ix_session session_id TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX ix_run run_id TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX ix_caller caller TYPE set(128) GRANULARITY 1,
  INDEX ix_outcome outcome TYPE set(16) GRANULARITY 1,
  INDEX ix_duration duration_us TYPE minmax GRANULARITY 1,
  INDEX ix_ingested ingested_at TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (toStartOfFiveMinutes(ts), server, tool, ts)
TTL toDateTime(ts) + toIntervalDay({CALLS_DAYS})
{SETTINGS}, ttl_only_drop_parts = 1;
