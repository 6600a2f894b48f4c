-- What the detectors look at: one figure of one series in one closed five-minute bucket, zero rows of known series included,
-- or an outage would be a hole instead of a zero. Made by the watch from the rollups; a bucket made twice is one row.
-- x: p95 (of the 15 minutes that end with the bucket, as is its n) and mid (mean of logs) as natural logarithm of us, size of bytes
-- per call, cost of nano-dollars per priced call; vol as calls, err as share of faults.
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
