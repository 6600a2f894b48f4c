-- Who changed what in the configuration of an installation, when, from what to what. A change told twice has the same id.
CREATE TABLE IF NOT EXISTS {DB}.config_changes (
  id String,
  ts DateTime64(3, 'UTC'),
  instance LowCardinality(String),
  who LowCardinality(String),
  via LowCardinality(String),
  section LowCardinality(String),
  name String,
  before String,
  after String,
  ingested_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
) ENGINE = ReplacingMergeTree(ingested_at)
ORDER BY id
TTL toDateTime(ts) + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};
