-- Findings. id is made of kind, series and start, so finding the same again updates the row; ended is 0 while it goes on.
-- evidence is the SQL that shows it; contributor says what differs (dimension=value), share how much of it that explains.
CREATE TABLE IF NOT EXISTS {DB}.anomalies (
  id String,
  kind LowCardinality(String),
  scope LowCardinality(String),
  series LowCardinality(String),
  server LowCardinality(String),
  tool LowCardinality(String),
  team LowCardinality(String),
  caller LowCardinality(String),
  started DateTime('UTC'),
  ended DateTime('UTC'),
  last_seen DateTime('UTC'),
  detected_at DateTime64(3, 'UTC'),
  method LowCardinality(String),
  value Float64,
  expected Float64,
  lower Float64,
  upper Float64,
  unit LowCardinality(String),
  score Float64,
  n UInt64,
  contributor String,
  contributor_share Float64,
  differs Array(Tuple(dimension String, value String, share Float64, usual Float64)),
  evidence String,
  traces Array(String),
  summary String,
  updated_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
) ENGINE = ReplacingMergeTree(updated_at)
ORDER BY (started, id)
TTL started + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};
