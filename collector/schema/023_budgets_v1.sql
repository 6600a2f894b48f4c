-- Budgets of the config, as the collector read them. scope is one of team, project, caller, agent, server, tool.
CREATE TABLE IF NOT EXISTS {DB}.budgets (
  budget_id String,
  scope LowCardinality(String),
  value String,
  period LowCardinality(String),
  amount_nano Int64,
  warn_at Array(Float64),
  book String,
  loaded_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
) ENGINE = ReplacingMergeTree(loaded_at)
ORDER BY (budget_id, book)
{SETTINGS};
