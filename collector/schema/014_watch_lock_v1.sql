-- Who evaluates: of all collectors on one database, one at a time. The same trick as schema_lock, with a long lease; renewals merge away.
CREATE TABLE IF NOT EXISTS {DB}.watch_lock (
  epoch UInt64, freed UInt8, owner String, until DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(until) ORDER BY (epoch, freed, owner)
SETTINGS non_replicated_deduplication_window = 10000;
