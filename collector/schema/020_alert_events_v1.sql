-- Every change of state of every alert, append only: the state machine is rebuilt from it at start. A row whose from_state is its
-- to_state is no edge: it notes that the alert fell silent, or began to clear (clear_since), so that a restart goes on from there.
-- starts_at: since when it fires (or, while pending, holds); ends_at: 0 while it is not over; view, window: what its panel shows.
CREATE TABLE IF NOT EXISTS {DB}.alert_events (
  ts DateTime64(3, 'UTC'),
  rule LowCardinality(String),
  fingerprint String,
  labels Map(LowCardinality(String), String),
  annotations Map(LowCardinality(String), String),
  severity LowCardinality(String),
  from_state LowCardinality(String),
  to_state LowCardinality(String),
  value Float64,
  starts_at DateTime64(3, 'UTC'),
  ends_at DateTime64(3, 'UTC'),
  since DateTime64(3, 'UTC'),
  clear_since DateTime64(3, 'UTC'),
  silenced UInt8,
  silenced_by String,
  epoch UInt64
) ENGINE = MergeTree
ORDER BY (ts, rule, fingerprint)
TTL toDateTime(ts) + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};

-- Messages to receivers: the intention first (status queued, with what it says), then one row per attempt (sent, retry, failed).
-- key is the idempotency key. A key that is queued and neither sent nor failed is sent at the next start.
CREATE TABLE IF NOT EXISTS {DB}.alert_deliveries (
  ts DateTime64(3, 'UTC'),
  key String,
  receiver LowCardinality(String),
  group_key String,
  rule LowCardinality(String),
  fingerprints Array(String),
  resolved Array(String),
  status LowCardinality(String),
  attempt UInt16,
  http_status UInt16,
  error String,
  message String CODEC(ZSTD(3)),
  sender String
) ENGINE = MergeTree
ORDER BY (ts, key)
TTL toDateTime(ts) + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};

-- The rules in force and how their last evaluation went: ok, failed, skipped (what they look at is not there).
CREATE TABLE IF NOT EXISTS {DB}.alert_rules (
  rule String,
  kind LowCardinality(String),
  severity LowCardinality(String),
  about String,
  state LowCardinality(String),
  detail String,
  removed UInt8,
  updated_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(updated_at)
ORDER BY rule
{SETTINGS};

-- Service level objectives as last evaluated, one row a series. Burn rates are -1 where there were too few calls to say.
CREATE TABLE IF NOT EXISTS {DB}.slo_status (
  slo String,
  server String,
  tool String,
  team String,
  objective LowCardinality(String),
  target Float64,
  window_days UInt16,
  under Float64,
  total UInt64,
  bad UInt64,
  budget_left Float64,
  burn_5m Float64,
  burn_30m Float64,
  burn_1h Float64,
  burn_6h Float64,
  burn_3d Float64,
  removed UInt8,
  updated_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(updated_at)
ORDER BY (slo, server, tool, team)
TTL toDateTime(updated_at) + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};
