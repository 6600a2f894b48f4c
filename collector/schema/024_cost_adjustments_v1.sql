-- The ledger of re-rating: what a price that changed later adds to (or takes from) the cost of calls that are stored. Events are
-- never rewritten: from_* is what the call cost before, the rest what it costs now, delta_* the difference. The rollups get the
-- same differences by their views. One row per call and rating; ratings grow, and the token of an insert names the rating and
-- its slice of calls. Lives as long as the calls it is about: sums over both are right for as long as there are any.
CREATE TABLE IF NOT EXISTS {DB}.cost_adjustments (
  ts DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
  event_id UUID,
  rating UInt64,
  delta_nano Int64,
  unpriced_delta Int8,
  cost_nano Int64,
  price_id LowCardinality(String),
  cost_source LowCardinality(String),
  from_nano Int64,
  from_price_id LowCardinality(String),
  from_source LowCardinality(String),
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
  tokens UInt64,
  upstream_us UInt64,
  rated_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC'),
  INDEX ix_ts ts TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (toStartOfFiveMinutes(ts), server, tool, ts)
TTL toDateTime(ts) + toIntervalDay({CALLS_DAYS})
{SETTINGS}, ttl_only_drop_parts = 1;

-- Which ratings there were: the calls of a time range that were stored in another. done is written when all of it is rated,
-- so a rating that was interrupted is gone on with. what: book (prices changed), late (stored meanwhile), asked (by a person).
CREATE TABLE IF NOT EXISTS {DB}.ratings (
  rating UInt64,
  done UInt8,
  what LowCardinality(String),
  book String,
  from_ts DateTime64(6, 'UTC'),
  to_ts DateTime64(6, 'UTC'),
  stored_from DateTime64(3, 'UTC'),
  stored_to DateTime64(3, 'UTC'),
  calls UInt64,
  changed UInt64,
  delta_nano Int64,
  written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
) ENGINE = ReplacingMergeTree(done)
ORDER BY rating
TTL toDateTime(written_at) + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};
