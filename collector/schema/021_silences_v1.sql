-- Alerts that shall stay quiet for a while. matchers are (label, operator, value) with =, !=, =~, !~. One that was removed ends then.
CREATE TABLE IF NOT EXISTS {DB}.silences (
  id String,
  matchers Array(Tuple(name String, op String, value String)),
  starts_at DateTime64(3, 'UTC'),
  ends_at DateTime64(3, 'UTC'),
  created_by String,
  comment String,
  updated_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
) ENGINE = ReplacingMergeTree(updated_at)
ORDER BY id
{SETTINGS};
