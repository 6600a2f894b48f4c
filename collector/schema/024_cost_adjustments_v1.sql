-- The ledger of re-rating: what a price that changed later adds to (or takes from) the cost of calls that are stored. Events are
-- never rewritten. Sum of calls.cost_nano and delta_nano is the cost; the rollups get the same deltas by their views.
-- One row per call and rating; rating ids grow, and the token of an insert names the rating and its slice of calls.
CREATE TABLE IF NOT EXISTS {DB}.cost_adjustments (
  ts DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
  event_id UUID,
  rating UInt64,
  delta_nano Int64,
  unpriced_delta Int8,
  price_id LowCardinality(String),
  cost_source LowCardinality(String),
  trace_id String,
  session_id String,
  run_id String,
  env LowCardinality(String),
  team LowCardinality(String),
  project LowCardinality(String),
  caller LowCardinality(String),
  agent LowCardinality(String),
  server LowCardinality(String),
  tool LowCardinality(String),
  method LowCardinality(String),
  tags Map(LowCardinality(String), String),
  rated_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC'),
  INDEX ix_ts ts TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (toStartOfFiveMinutes(ts), server, tool, ts)
TTL toDateTime(ts) + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};
