-- Moments to draw on charts: a config was taken over, a deploy, a tool definition that changed, a price book.
CREATE TABLE IF NOT EXISTS {DB}.annotations (
  id String,
  ts DateTime64(3, 'UTC'),
  kind LowCardinality(String),
  title String,
  detail String,
  server LowCardinality(String),
  tool LowCardinality(String)
) ENGINE = ReplacingMergeTree
ORDER BY (ts, id)
TTL toDateTime(ts) + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS};
