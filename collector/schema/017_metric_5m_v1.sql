-- What the detectors look at: one figure of one series in one closed five-minute bucket, zero rows of known series included,
-- or an outage would be a hole instead of a zero. Made by the watch from the rollups; a bucket made twice is one row.
-- x: latency and size as natural logarithms (us, bytes per call), cost likewise (nano-dollars per priced call), volume as calls.
CREATE TABLE IF NOT EXISTS {DB}.metric_5m (
  scope LowCardinality(String),
  metric LowCardinality(String),
  series LowCardinality(String),
  t DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
  n UInt64 CODEC(T64, ZSTD(1)),
  bad UInt64 CODEC(T64, ZSTD(1)),
  x Float64,
  made_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
) ENGINE = ReplacingMergeTree(made_at)
PARTITION BY toYYYYMM(t)
ORDER BY (scope, metric, series, t)
TTL t + toIntervalDay({TOOL_5M_DAYS})
{SETTINGS};
