-- What is usual: per series and slot of the week, made anew each night. slot counts five minutes from Monday 00:00 UTC.
CREATE TABLE IF NOT EXISTS {DB}.baselines (
  day Date,
  scope LowCardinality(String),
  metric LowCardinality(String),
  series LowCardinality(String),
  slot UInt16,
  center Float64,
  shift Float64,
  sigma Float64,
  samples UInt32,
  made_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
) ENGINE = ReplacingMergeTree(made_at)
PARTITION BY day
ORDER BY (scope, metric, series, slot)
TTL day + toIntervalDay(8)
{SETTINGS}, ttl_only_drop_parts = 1;
