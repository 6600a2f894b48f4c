-- Every change of state of every alert: the state machine is rebuilt from it at start. Append only.
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
  silenced UInt8,
  epoch UInt64
) ENGINE = MergeTree
ORDER BY (ts, rule, fingerprint)
TTL toDateTime(ts) + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};

-- What was sent to whom. key is the idempotency key of the notification; one row per attempt.
CREATE TABLE IF NOT EXISTS {DB}.alert_deliveries (
  ts DateTime64(3, 'UTC'),
  key String,
  receiver LowCardinality(String),
  rule LowCardinality(String),
  fingerprints Array(String),
  status LowCardinality(String),
  attempt UInt16,
  http_status UInt16,
  error String
) ENGINE = MergeTree
ORDER BY (ts, key)
TTL toDateTime(ts) + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};
