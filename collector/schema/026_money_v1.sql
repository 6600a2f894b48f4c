-- Money in what older versions made: the figures cost_nano and unpriced in every rollup, also of databases that were there before
-- them (their calls got the columns already). Then the same rollups from cost_adjustments, and costs by day with everything they
-- are attributed to. Runs learn how sure they are. Nothing here fails or doubles on a second run.
ALTER TABLE {DB}.tool_5m ADD COLUMN IF NOT EXISTS cost_nano {SIGNED_COUNT} AFTER upstream_messages, ADD COLUMN IF NOT EXISTS unpriced {SIGNED_COUNT} AFTER cost_nano;
ALTER TABLE {DB}.usage_1d ADD COLUMN IF NOT EXISTS cost_nano {SIGNED_COUNT} AFTER upstream_messages, ADD COLUMN IF NOT EXISTS unpriced {SIGNED_COUNT} AFTER cost_nano;
ALTER TABLE {DB}.caller_1d ADD COLUMN IF NOT EXISTS cost_nano {SIGNED_COUNT} AFTER upstream_messages, ADD COLUMN IF NOT EXISTS unpriced {SIGNED_COUNT} AFTER cost_nano;
ALTER TABLE {DB}.sessions ADD COLUMN IF NOT EXISTS cost_nano {SIGNED_COUNT} AFTER upstream_messages, ADD COLUMN IF NOT EXISTS unpriced {SIGNED_COUNT} AFTER cost_nano;
ALTER TABLE {DB}.runs ADD COLUMN IF NOT EXISTS cost_nano {SIGNED_COUNT} AFTER upstream_messages, ADD COLUMN IF NOT EXISTS unpriced {SIGNED_COUNT} AFTER cost_nano,
  ADD COLUMN IF NOT EXISTS confidence_min SimpleAggregateFunction(min, UInt8) DEFAULT 100 AFTER unpriced, ADD COLUMN IF NOT EXISTS confidence_sum {COUNT} AFTER confidence_min;

ALTER TABLE {DB}.tool_5m_mv MODIFY QUERY
SELECT toStartOfFiveMinutes(toDateTime(ts, 'UTC')) AS t, env, server, tool, method,
  {FIGURES},
  sum(c.receive_us) AS receive_us_sum,
  sum(c.authorise_us) AS authorise_us_sum,
  sum(c.queue_us) AS queue_us_sum,
  sum(c.connect_us) AS connect_us_sum,
  sum(c.wait_us) AS wait_us_sum,
  sum(c.transfer_us) AS transfer_us_sum,
  sum(c.answer_us) AS answer_us_sum,
  max(c.duration_us) AS duration_us_max,
  max(toUInt64(c.overhead_us)) AS overhead_us_max,
  sumMap(map(toInt16(ceil(log2(greatest(c.duration_us, 1)) * 8) - 1), toUInt64(1))) AS hist,
  sumMap(map(toInt16(ceil(log2(greatest(c.overhead_us, 1)) * 8) - 1), toUInt64(1))) AS overhead_hist
FROM {DB}.calls AS c WHERE kind = 'request'
GROUP BY t, env, server, tool, method;

ALTER TABLE {DB}.usage_1d_mv MODIFY QUERY
SELECT toDate(ts, 'UTC') AS d, env, team, project, server, tool, method,
  {FIGURES}
FROM {DB}.calls AS c WHERE kind = 'request'
GROUP BY d, env, team, project, server, tool, method;

ALTER TABLE {DB}.caller_1d_mv MODIFY QUERY
SELECT toDate(ts, 'UTC') AS d, env, caller, team, project, agent,
  {FIGURES},
  uniqCombinedStateIf(12)(concat(server, '/', tool), tool != '') AS tools,
  min(toDateTime(ts, 'UTC')) AS first_seen,
  max(toDateTime(ts, 'UTC')) AS last_seen
FROM {DB}.calls AS c WHERE kind = 'request'
GROUP BY d, env, caller, team, project, agent;

ALTER TABLE {DB}.sessions_mv MODIFY QUERY
SELECT session_id,
  min(toDate(ts, 'UTC')) AS day,
  min(ts) AS started,
  max(ts + toIntervalMicrosecond(c.duration_us)) AS ended,
  max(toString(c.env)) AS env,
  max(toString(c.team)) AS team,
  max(toString(c.project)) AS project,
  max(toString(c.agent)) AS agent,
  max(toString(c.caller)) AS caller,
  max(toString(c.client_name)) AS client_name,
  {FIGURES},
  uniqCombinedStateIf(12)(concat(server, '/', tool), tool != '') AS tools,
  uniqCombinedState(12)(trace_id) AS traces
FROM {DB}.calls AS c WHERE kind = 'request' AND session_id != ''
GROUP BY session_id;

ALTER TABLE {DB}.runs_mv MODIFY QUERY
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
  min(c.run_confidence) AS confidence_min,
  sum(c.run_confidence) AS confidence_sum,
  {FIGURES},
  uniqCombinedStateIf(12)(concat(server, '/', tool), tool != '') AS tools,
  uniqCombinedState(12)(trace_id) AS traces
FROM {DB}.calls AS c WHERE kind = 'request' AND run_id != ''
GROUP BY run_id;

-- What calls cost, by day and everything a cost is attributed to: what exports, budgets and the split of monthly prices are made
-- from, for it outlives the calls. A re-rated call leaves its old price and stands under its new one. Only calls that may cost
-- something (cost_source is not none). tags_id stands for the tags in the key.
CREATE TABLE IF NOT EXISTS {DB}.cost_1d (
  d Date CODEC(DoubleDelta, ZSTD(1)),
  env LowCardinality(String),
  team LowCardinality(String),
  project LowCardinality(String),
  caller LowCardinality(String),
  agent LowCardinality(String),
  server LowCardinality(String),
  tool LowCardinality(String),
  tags_id UInt64,
  price_id LowCardinality(String),
  cost_source LowCardinality(String),
  tags SimpleAggregateFunction(any, Map(String, String)),
  calls {SIGNED_COUNT},
  cost_nano {SIGNED_COUNT},
  tokens {SIGNED_COUNT},
  upstream_us {SIGNED_COUNT}
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(d)
ORDER BY (d, team, project, server, tool, caller, agent, env, tags_id, price_id, cost_source)
TTL d + toIntervalDay({ROLLUPS_DAYS})
{SETTINGS}, ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.cost_1d_mv TO {DB}.cost_1d AS
SELECT toDate(ts, 'UTC') AS d, env, team, project, caller, agent, server, tool, {TAGS_ID} AS tags_id, price_id, toString(c.cost_source) AS cost_source,
  any(CAST(c.tags, 'Map(String, String)')) AS tags, toInt64(count()) AS calls, sum(c.cost_nano) AS cost_nano,
  sum(toInt64(c.tokens_in) + toInt64(c.tokens_out)) AS tokens, sum(toInt64(c.upstream_us)) AS upstream_us
FROM {DB}.calls AS c WHERE kind = 'request' AND c.cost_source != 'none'
GROUP BY d, env, team, project, caller, agent, server, tool, tags_id, price_id, cost_source;

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.cost_1d_adjusted_mv TO {DB}.cost_1d AS
SELECT toDate(ts, 'UTC') AS d, env, team, project, caller, agent, server, tool, {TAGS_ID} AS tags_id, move.1 AS price_id, move.2 AS cost_source,
  any(CAST(c.tags, 'Map(String, String)')) AS tags, sum(move.3) AS calls, sum(move.4) AS cost_nano,
  sum(move.3 * toInt64(c.tokens)) AS tokens, sum(move.3 * toInt64(c.upstream_us)) AS upstream_us
FROM {DB}.cost_adjustments AS c
ARRAY JOIN [(c.from_price_id, c.from_source, toInt64(-1), -c.from_nano), (c.price_id, c.cost_source, toInt64(1), c.cost_nano)] AS move
WHERE move.2 != 'none'
GROUP BY d, env, team, project, caller, agent, server, tool, tags_id, price_id, cost_source;

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.tool_5m_adjusted_mv TO {DB}.tool_5m AS
SELECT toStartOfFiveMinutes(toDateTime(ts, 'UTC')) AS t, env, server, tool, method, sum(a.delta_nano) AS cost_nano, sum(a.unpriced_delta) AS unpriced
FROM {DB}.cost_adjustments AS a GROUP BY t, env, server, tool, method;

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.usage_1d_adjusted_mv TO {DB}.usage_1d AS
SELECT toDate(ts, 'UTC') AS d, env, team, project, server, tool, method, sum(a.delta_nano) AS cost_nano, sum(a.unpriced_delta) AS unpriced
FROM {DB}.cost_adjustments AS a GROUP BY d, env, team, project, server, tool, method;

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.caller_1d_adjusted_mv TO {DB}.caller_1d AS
SELECT toDate(ts, 'UTC') AS d, env, caller, team, project, agent, sum(a.delta_nano) AS cost_nano, sum(a.unpriced_delta) AS unpriced,
  min(toDateTime(ts, 'UTC')) AS first_seen, max(toDateTime(ts, 'UTC')) AS last_seen
FROM {DB}.cost_adjustments AS a GROUP BY d, env, caller, team, project, agent;

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.sessions_adjusted_mv TO {DB}.sessions AS
SELECT session_id, min(toDate(ts, 'UTC')) AS day, min(ts) AS started, max(ts) AS ended, sum(a.delta_nano) AS cost_nano, sum(a.unpriced_delta) AS unpriced
FROM {DB}.cost_adjustments AS a WHERE session_id != '' GROUP BY session_id;

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.runs_adjusted_mv TO {DB}.runs AS
SELECT run_id, min(toDate(ts, 'UTC')) AS day, min(ts) AS started, max(ts) AS ended, sum(a.delta_nano) AS cost_nano, sum(a.unpriced_delta) AS unpriced
FROM {DB}.cost_adjustments AS a WHERE run_id != '' GROUP BY run_id;
