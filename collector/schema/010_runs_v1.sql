-- Agent runs: what one task of an agent did. A run over a week boundary has a row in each: views add them up.
CREATE TABLE IF NOT EXISTS {DB}.runs (
  run_id String,
  day SimpleAggregateFunction(min, Date),
  started SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
  ended SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
  run_source SimpleAggregateFunction(max, String),
  env SimpleAggregateFunction(max, String),
  team SimpleAggregateFunction(max, String),
  project SimpleAggregateFunction(max, String),
  agent SimpleAggregateFunction(max, String),
  caller SimpleAggregateFunction(max, String),
  client_name SimpleAggregateFunction(max, String),
  {FIGURE_COLUMNS},
  tools AggregateFunction(uniqCombined(12), String),
  traces AggregateFunction(uniqCombined(12), String),
  INDEX ix_started started TYPE minmax GRANULARITY 1
) ENGINE = AggregatingMergeTree
PARTITION BY toStartOfWeek(day)
ORDER BY run_id
TTL day + toIntervalDay({TRACES_DAYS})
{SETTINGS}, ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.runs_mv TO {DB}.runs AS
SELECT run_id,
  min(toDate(ts, 'UTC')) AS day,
  min(ts) AS started,
  max(ts + toIntervalMicrosecond(c.duration_us)) AS ended,
  max(toString(c.run_source)) AS run_source,
  max(toString(c.env)) AS env,
  max(toString(c.team)) AS team,
  max(toString(c.project)) AS project,
  max(toString(c.agent)) AS agent,
  max(toString(c.caller)) AS caller,
  max(toString(c.client_name)) AS client_name,
  {FIGURES},
  uniqCombinedStateIf(12)(concat(server, '/', tool), tool != '') AS tools,
  uniqCombinedState(12)(trace_id) AS traces
FROM {DB}.calls AS c WHERE kind = 'request' AND run_id != ''
GROUP BY run_id;
