-- One definition per figure. Dashboards, alerts, console and CLI read these views and never restate a rule.
-- Rules (schema/figures.ts): a call is an event of kind request; it failed unless its outcome is ok or input_required;
-- a fault is a failure that the client does not own. Up to a day: raw views. Longer: the rollup views, which agree exactly.

-- Every call, with what is derived from it.
CREATE OR REPLACE VIEW {DB}.v_calls AS
SELECT {CALLS_NAMES}, c.batch_id, c.ingested_at, {FAILED} AS failed, {FAULT} AS fault,
  if(c.tool = '', toString(c.method), concat(c.server, '/', c.tool)) AS name
FROM {DB}.calls AS c WHERE c.kind = 'request';

-- What servers asked clients (sampling, elicitation, roots, ping); tool is the one on whose behalf, '' when no call caused it.
-- duration_us is how long the client took. They are no calls: no other figure counts them.
CREATE OR REPLACE VIEW {DB}.v_server_requests AS
SELECT {CALLS_NAMES}, c.batch_id, c.ingested_at, {FAILED} AS failed, {FAULT} AS fault
FROM {DB}.calls AS c WHERE c.kind = 'server_request';

-- Every event that failed, of any kind: unreadable bodies and failed notifications too.
CREATE OR REPLACE VIEW {DB}.v_failures AS
SELECT {CALLS_NAMES}, {FAULT} AS fault
FROM {DB}.calls AS c WHERE {FAILED};

-- Failures by cause and hour: equal causes have equal fingerprints.
CREATE OR REPLACE VIEW {DB}.v_errors AS
SELECT toStartOfHour(f.ts) AS hour, f.error_fingerprint AS error_fingerprint, f.outcome AS outcome, f.owner AS owner, f.error_type AS error_type,
  f.kind AS kind, f.method AS method, f.server AS server, f.tool AS tool,
  count() AS failures, countIf(f.fault) AS faults, uniqCombined(12)(f.caller) AS callers,
  min(f.ts) AS first_ts, max(f.ts) AS last_ts, argMax(f.error_message, f.ts) AS error_message, argMax(f.trace_id, f.ts) AS trace_id
FROM {DB}.v_failures AS f
GROUP BY hour, error_fingerprint, outcome, owner, error_type, kind, method, server, tool;

-- Tools in five-minute steps. hist and overhead_hist add up with sumMap over any window.
CREATE OR REPLACE VIEW {DB}.v_tool_5m AS
SELECT *,
  if(calls = 0, 0., failed / calls) AS failed_share, if(calls = 0, 0., faults / calls) AS fault_share,
  {QUANTILE hist 0.5} AS p50_us, {QUANTILE hist 0.95} AS p95_us, {QUANTILE hist 0.99} AS p99_us,
  {QUANTILE overhead_hist 0.5} AS overhead_p50_us, {QUANTILE overhead_hist 0.99} AS overhead_p99_us
FROM (
  SELECT t, env, server, tool, method,
  {FIGURE_SUMS},
  sum(r.receive_us_sum) AS receive_us_sum, sum(r.authorise_us_sum) AS authorise_us_sum, sum(r.queue_us_sum) AS queue_us_sum,
  sum(r.connect_us_sum) AS connect_us_sum, sum(r.wait_us_sum) AS wait_us_sum, sum(r.transfer_us_sum) AS transfer_us_sum,
  sum(r.answer_us_sum) AS answer_us_sum, max(r.duration_us_max) AS duration_us_max, max(r.overhead_us_max) AS overhead_us_max,
  sumMap(r.hist) AS hist, sumMap(r.overhead_hist) AS overhead_hist
  FROM {DB}.tool_5m AS r GROUP BY t, env, server, tool, method
);

-- Tools over a window of your choice, by the same rules: SELECT * FROM v_tools(from = now() - 86400, to = now()).
CREATE OR REPLACE VIEW {DB}.v_tools AS
SELECT *,
  if(calls = 0, 0., failed / calls) AS failed_share, if(calls = 0, 0., faults / calls) AS fault_share,
  {QUANTILE hist 0.5} AS p50_us, {QUANTILE hist 0.95} AS p95_us, {QUANTILE hist 0.99} AS p99_us,
  {QUANTILE overhead_hist 0.5} AS overhead_p50_us, {QUANTILE overhead_hist 0.99} AS overhead_p99_us
FROM (
  SELECT server, tool, method,
  {FIGURE_SUMS},
  max(r.duration_us_max) AS duration_us_max, max(r.overhead_us_max) AS overhead_us_max,
  sumMap(r.hist) AS hist, sumMap(r.overhead_hist) AS overhead_hist
  FROM {DB}.tool_5m AS r WHERE r.t >= toStartOfFiveMinutes({from:DateTime}) AND r.t < {to:DateTime}
  GROUP BY server, tool, method
);

-- Use by day. A key may have several rows until the store has merged them, so add up what you select: grouping here as well
-- would make every question over a month pay for it twice.
CREATE OR REPLACE VIEW {DB}.v_usage_1d AS
SELECT d, env, team, project, server, tool, method,
  {FIGURE_ROWS}
FROM {DB}.usage_1d AS r;

CREATE OR REPLACE VIEW {DB}.v_callers_1d AS
SELECT d, env, caller, team, project, agent,
  {FIGURE_SUMS},
  uniqCombinedMerge(12)(r.tools) AS tools, min(r.first_seen) AS first_seen, max(r.last_seen) AS last_seen
FROM {DB}.caller_1d AS r GROUP BY d, env, caller, team, project, agent;

CREATE OR REPLACE VIEW {DB}.v_sessions AS
SELECT session_id, min(r.started) AS started, max(r.ended) AS ended, max(r.env) AS env, max(r.team) AS team, max(r.project) AS project,
  max(r.agent) AS agent, max(r.caller) AS caller, max(r.client_name) AS client_name,
  {FIGURE_SUMS},
  uniqCombinedMerge(12)(r.tools) AS tools, uniqCombinedMerge(12)(r.traces) AS traces
FROM {DB}.sessions AS r GROUP BY session_id;

-- confidence: mean over the run's calls, in percent; confidence_min: its least certain call.
CREATE OR REPLACE VIEW {DB}.v_runs AS
SELECT run_id, min(r.started) AS started, max(r.ended) AS ended, max(r.run_source) AS run_source, max(r.env) AS env, max(r.team) AS team,
  max(r.project) AS project, max(r.agent) AS agent, max(r.caller) AS caller, max(r.client_name) AS client_name,
  sum(r.confidence_sum) / sum(r.calls) AS confidence, min(r.confidence_min) AS confidence_min,
  {FIGURE_SUMS},
  uniqCombinedMerge(12)(r.tools) AS tools, uniqCombinedMerge(12)(r.traces) AS traces
FROM {DB}.runs AS r GROUP BY run_id;

-- Events given up before they reached the store. The newest total of each worker counts.
CREATE OR REPLACE VIEW {DB}.v_losses AS
SELECT worker_id, reason, max(l.instance) AS instance, max(l.events) AS lost_events,
  min(l.first_reported) AS first_reported, max(l.first_reported) AS last_reported
FROM {DB}.losses AS l GROUP BY worker_id, reason;

-- Batches of a worker that have not come: on their way, dropped by a full spool (see v_losses), or stuck.
CREATE OR REPLACE VIEW {DB}.v_ingest_gaps AS
SELECT worker_id, instance, min(b.seq) AS first_seq, max(b.seq) AS last_seq, uniqExact(b.seq) AS batches,
  last_seq - first_seq + 1 - batches AS missing, max(b.received_at) AS last_received
FROM {DB}.ingest_batches AS b WHERE b.complete = 1 GROUP BY worker_id, instance;

CREATE OR REPLACE VIEW {DB}.v_dead_letters AS
SELECT batch_id, row_no, any(d.instance) AS instance, any(d.reason) AS reason, any(d.error) AS error, any(d.body) AS body, min(d.received_at) AS received_at
FROM {DB}.dead_letters AS d GROUP BY batch_id, row_no;

-- Intents without an event: calls that were forwarded and whose end nobody recorded. Young ones may still be running.
CREATE OR REPLACE VIEW {DB}.unfinished_calls AS
SELECT i.ts AS ts, i.event_id AS event_id, i.trace_id AS trace_id, i.session_id AS session_id, i.caller AS caller, i.team AS team, i.project AS project,
  i.agent AS agent, i.principal AS principal, i.instance AS instance, i.worker AS worker, i.method AS method, i.server AS server, i.tool AS tool,
  i.arguments_hash AS arguments_hash, dateDiff('second', i.ts, now64(6)) AS age_s
FROM {DB}.call_intents AS i
WHERE i.event_id NOT IN (
  SELECT event_id FROM {DB}.calls WHERE ts >= (SELECT min(ts) - toIntervalHour(1) FROM {DB}.call_intents)
);

-- Alerts ----------------------------------------------------------------------------------------------------------------------
-- Every alert there ever was, as it stands now; state is pending, firing, nodata, resolved or inactive. since: when it came into it.
CREATE OR REPLACE VIEW {DB}.v_alerts AS
SELECT fingerprint, max(e.ts) AS ts, argMax(e.rule, (e.epoch, e.ts)) AS rule, argMax(e.labels, (e.epoch, e.ts)) AS labels,
  argMax(e.annotations, (e.epoch, e.ts)) AS annotations, argMax(e.severity, (e.epoch, e.ts)) AS severity,
  argMax(e.to_state, (e.epoch, e.ts)) AS state, argMax(e.value, (e.epoch, e.ts)) AS value,
  argMax(e.starts_at, (e.epoch, e.ts)) AS starts_at, argMax(e.ends_at, (e.epoch, e.ts)) AS ends_at,
  argMax(e.since, (e.epoch, e.ts)) AS since, argMax(e.clear_since, (e.epoch, e.ts)) AS clear_since,
  argMax(e.silenced, (e.epoch, e.ts)) AS silenced, argMax(e.silenced_by, (e.epoch, e.ts)) AS silenced_by,
  countIf(e.to_state = 'firing' AND e.from_state != 'firing') AS times_fired
FROM {DB}.alert_events AS e GROUP BY fingerprint;

-- The rules in force, and how their last evaluation went.
CREATE OR REPLACE VIEW {DB}.v_alert_rules AS
SELECT rule, argMax(r.kind, r.updated_at) AS kind, argMax(r.severity, r.updated_at) AS severity, argMax(r.about, r.updated_at) AS about,
  argMax(r.state, r.updated_at) AS state, argMax(r.detail, r.updated_at) AS detail, max(r.updated_at) AS evaluated_at
FROM {DB}.alert_rules AS r GROUP BY rule HAVING argMax(r.removed, r.updated_at) = 0;

-- Messages to receivers as they stand: queued (not yet out), sent, failed.
CREATE OR REPLACE VIEW {DB}.v_alert_deliveries AS
SELECT key, argMax(d.receiver, d.ts) AS receiver, anyIf(d.group_key, d.status = 'queued') AS group_key, argMax(d.rule, d.ts) AS rule,
  min(d.ts) AS queued_at, max(d.ts) AS ts, multiIf(countIf(d.status = 'sent') > 0, 'sent', countIf(d.status = 'failed') > 0, 'failed', 'queued') AS status,
  countIf(d.status != 'queued') AS attempts, argMax(d.http_status, (d.status != 'queued', d.ts)) AS http_status,
  argMax(d.error, (d.status != 'queued', d.ts)) AS error, anyIf(d.fingerprints, d.status = 'queued') AS fingerprints,
  anyIf(d.resolved, d.status = 'queued') AS resolved
FROM {DB}.alert_deliveries AS d GROUP BY key;

-- Silences that were not removed before they began; active says whether one holds now.
CREATE OR REPLACE VIEW {DB}.v_silences AS
SELECT id, argMax(s.matchers, s.updated_at) AS matchers, argMax(s.starts_at, s.updated_at) AS starts_at, argMax(s.ends_at, s.updated_at) AS ends_at,
  argMax(s.created_by, s.updated_at) AS created_by, argMax(s.comment, s.updated_at) AS comment, max(s.updated_at) AS updated_at,
  toUInt8(starts_at <= now64(3) AND ends_at > now64(3)) AS active
FROM {DB}.silences AS s GROUP BY id HAVING ends_at > starts_at;

-- Service level objectives as last evaluated. budget_left: share of the errors allowed in the window that is still there, below 0
-- when there were more. A burn rate of 1 uses the budget up exactly at the end of the window; NULL: too few calls to say.
CREATE OR REPLACE VIEW {DB}.v_slos AS
SELECT slo, server, tool, team, argMax(s.objective, s.updated_at) AS objective, argMax(s.target, s.updated_at) AS target,
  argMax(s.window_days, s.updated_at) AS window_days, argMax(s.under, s.updated_at) AS under, argMax(s.total, s.updated_at) AS total,
  argMax(s.bad, s.updated_at) AS bad, if(total = 0, NULL, 1 - bad / total) AS good_share, argMax(s.budget_left, s.updated_at) AS budget_left,
  nullIf(argMax(s.burn_5m, s.updated_at), -1) AS burn_5m, nullIf(argMax(s.burn_30m, s.updated_at), -1) AS burn_30m,
  nullIf(argMax(s.burn_1h, s.updated_at), -1) AS burn_1h, nullIf(argMax(s.burn_6h, s.updated_at), -1) AS burn_6h,
  nullIf(argMax(s.burn_3d, s.updated_at), -1) AS burn_3d, max(s.updated_at) AS evaluated_at
FROM {DB}.slo_status AS s GROUP BY slo, server, tool, team HAVING argMax(s.removed, s.updated_at) = 0;
-- ---- Context: what tool definitions cost that clients read ----------------------------------------------------------------
-- A session (a run, where there is none) reads each part of a list once, however often it lists: a page is a part, and so is
-- what each server adds at the roof. Listed again after a change, the changed part is read again, whole. Tokens are those of
-- name, description and input schema, by bytes/4. Priced by what the config says now; without a price, cost is NULL.

-- Sessions that read the same lists on the same days, counted: what is added up from here on. lists: (list_id, server, day).
CREATE OR REPLACE VIEW {DB}.v_context_sessions AS
SELECT cityHash64(caller, team, project, lists) AS set_id, caller, team, project, lists, count() AS sessions
FROM (
  SELECT toString(l.caller) AS caller, max(l.team) AS team, max(l.project) AS project,
    arraySort(groupUniqArray((l.list_id, toString(l.server), toDate(l.first_ts, 'UTC')))) AS lists
  FROM {DB}.tool_listings AS l GROUP BY l.caller, l.session
) GROUP BY caller, team, project, lists;

-- What each such set of sessions read: one row per part, on the day it was read first. A row without part_id: a list that was not
-- read by Weir (then server is '' for the roof), or not told yet.
CREATE OR REPLACE VIEW {DB}.v_context_reads AS
SELECT s.set_id AS set_id, s.caller AS caller, s.team AS team, s.project AS project, if(p.part_id = '', s.list.2, p.server) AS server,
  p.part_id AS part_id, min(s.list.3) AS day, any(s.sessions) AS sessions
FROM (SELECT set_id, caller, team, project, sessions, arrayJoin(v.lists) AS list FROM {DB}.v_context_sessions AS v) AS s
LEFT JOIN (SELECT DISTINCT list_id, toString(t.server) AS server, part_id FROM {DB}.tool_lists AS t) AS p ON p.list_id = s.list.1
GROUP BY set_id, caller, team, project, server, part_id;

-- Prices in force, in 10^-12 USD a token, by team; '' is every team without its own.
CREATE OR REPLACE VIEW {DB}.v_context_prices AS
SELECT team, argMax(p.pico_per_token, p.set_at) AS pico_per_token
FROM {DB}.context_prices AS p GROUP BY team HAVING argMax(p.is_set, p.set_at) = 1;

-- Context cost by day (of the first reading, UTC), team, project, caller and server. Sessions at several servers count at each.
CREATE OR REPLACE VIEW {DB}.v_context_costs AS
WITH (SELECT mapFromArrays(groupArray(toString(q.team)), groupArray(q.pico_per_token)) FROM {DB}.v_context_prices AS q) AS prices
SELECT day, team, project, caller, server, sum(x.set_sessions) AS sessions, sum(x.set_unread) AS unread_sessions, sum(x.set_tokens) AS tokens,
  multiIf(mapContains(prices, team), prices[team], mapContains(prices, ''), prices[''], NULL) AS pico_per_token,
  toInt64(intDiv(toInt128(tokens) * pico_per_token + 500, 1000)) AS cost_nano
FROM (
  SELECT r.day AS day, r.team AS team, r.project AS project, r.caller AS caller, r.server AS server,
    any(r.sessions) AS set_sessions, maxIf(r.sessions, r.part_id = '') AS set_unread, sum(t.tokens * r.sessions) AS set_tokens
  FROM {DB}.v_context_reads AS r LEFT JOIN (
    SELECT part_id, sum(tool_tokens) AS tokens
    FROM (SELECT part_id, tool, max(p.tokens) AS tool_tokens FROM {DB}.tool_lists AS p GROUP BY part_id, tool) GROUP BY part_id
  ) AS t ON t.part_id = r.part_id
  GROUP BY r.set_id, day, team, project, caller, server
) AS x GROUP BY day, team, project, caller, server;

-- Each tool that was listed in a window of whole UTC days, by team: sessions that read it, what they read, and its calls by that
-- team and by all: SELECT * FROM v_tool_contexts(from = now() - 86400 * 7, to = now()) has today and seven days before it.
CREATE OR REPLACE VIEW {DB}.v_tool_contexts AS
WITH (SELECT mapFromArrays(groupArray(toString(q.team)), groupArray(q.pico_per_token)) FROM {DB}.v_context_prices AS q) AS prices
SELECT x.team AS team, x.server AS server, x.tool AS tool, x.hash AS hash, x.tokens AS tokens, x.sessions AS sessions, x.context_tokens AS context_tokens,
  multiIf(mapContains(prices, x.team), prices[x.team], mapContains(prices, ''), prices[''], NULL) AS pico_per_token,
  toInt64(intDiv(toInt128(x.context_tokens) * pico_per_token + 500, 1000)) AS cost_nano,
  u.calls AS calls, a.calls AS calls_of_all
FROM (
  SELECT team, server, tool, argMax(y.set_hash, y.set_day) AS hash, argMax(y.set_tokens, y.set_day) AS tokens, sum(y.set_sessions) AS sessions,
    sum(y.set_context) AS context_tokens
  FROM (
    SELECT r.team AS team, r.server AS server, t.tool AS tool, argMax(t.hash, r.day) AS set_hash, argMax(t.tool_tokens, r.day) AS set_tokens,
      max(r.day) AS set_day, any(r.sessions) AS set_sessions, sum(t.tool_tokens * r.sessions) AS set_context
    FROM {DB}.v_context_reads AS r INNER JOIN (
      SELECT part_id, toString(p.tool) AS tool, any(p.hash) AS hash, max(p.tokens) AS tool_tokens FROM {DB}.tool_lists AS p WHERE p.tool != '' GROUP BY part_id, tool
    ) AS t ON t.part_id = r.part_id
    WHERE r.day >= toDate({from:DateTime}, 'UTC') AND r.day <= toDate({to:DateTime}, 'UTC')
    GROUP BY r.set_id, team, server, tool
  ) AS y GROUP BY team, server, tool
) AS x
LEFT JOIN (
  SELECT toString(c.team) AS team, toString(c.server) AS server, toString(c.tool) AS tool, sum(c.calls) AS calls FROM {DB}.usage_1d AS c
  WHERE c.method = 'tools/call' AND c.d >= toDate({from:DateTime}, 'UTC') AND c.d <= toDate({to:DateTime}, 'UTC') GROUP BY team, server, tool
) AS u ON u.team = x.team AND u.server = x.server AND u.tool = x.tool
LEFT JOIN (
  SELECT toString(c.server) AS server, toString(c.tool) AS tool, sum(c.calls) AS calls FROM {DB}.usage_1d AS c
  WHERE c.method = 'tools/call' AND c.d >= toDate({from:DateTime}, 'UTC') AND c.d <= toDate({to:DateTime}, 'UTC') GROUP BY server, tool
) AS a ON a.server = x.server AND a.tool = x.tool;

-- Listed and never called by anybody in a window of whole UTC days: what leaving the tool out would have saved. A team without a price adds tokens only.
CREATE OR REPLACE VIEW {DB}.v_unused_tools AS
SELECT server, tool, argMax(x.tokens, x.sessions) AS tokens, sum(x.sessions) AS sessions, sum(x.calls) AS calls, sum(x.context_tokens) AS context_tokens,
  sum(x.cost_nano) AS cost_nano, sumIf(x.context_tokens, x.cost_nano IS NULL) AS unpriced_tokens, groupArray(x.team) AS teams
FROM {DB}.v_tool_contexts(from = {from:DateTime}, to = {to:DateTime}) AS x
WHERE x.calls_of_all = 0
GROUP BY server, tool;

-- Every definition ever seen, with the time it was listed last.
CREATE OR REPLACE VIEW {DB}.v_tool_versions AS
SELECT d.server AS server, d.tool AS tool, d.hash AS hash, d.tokens AS tokens, d.bytes AS bytes, d.read_only AS read_only, d.destructive AS destructive,
  d.definition AS definition, d.server_version AS server_version, d.first_seen AS first_seen, greatest(d.last_seen, s.last_seen) AS last_seen,
  row_number() OVER (PARTITION BY d.server, d.tool ORDER BY d.first_seen, d.hash) AS version
FROM (
  SELECT toString(t.server) AS server, toString(t.tool) AS tool, t.hash AS hash, max(t.tokens) AS tokens, max(t.bytes) AS bytes,
    max(t.read_only) AS read_only, max(t.destructive) AS destructive, (max(t.latest) AS newest).2 AS definition, newest.3 AS server_version,
    min(t.first_seen) AS first_seen, max(t.last_seen) AS last_seen
  FROM {DB}.tool_definitions AS t GROUP BY server, tool, hash
) AS d LEFT JOIN (
  SELECT toString(p.server) AS server, toString(p.tool) AS tool, p.hash AS hash, max(l.last_ts) AS last_seen
  FROM (SELECT DISTINCT list_id, server, tool, hash FROM {DB}.tool_lists) AS p
  INNER JOIN (SELECT list_id, max(q.last_ts) AS last_ts FROM {DB}.tool_listings AS q GROUP BY list_id) AS l ON l.list_id = p.list_id
  GROUP BY server, tool, hash
) AS s ON s.server = d.server AND s.tool = d.tool AND s.hash = d.hash;

-- What each tool is now: the definition listed last. first_seen is of the tool, since of this definition.
CREATE OR REPLACE VIEW {DB}.v_tool_definitions AS
SELECT server, tool, argMax(v.hash, (v.last_seen, v.version)) AS hash, argMax(v.tokens, (v.last_seen, v.version)) AS tokens,
  argMax(v.bytes, (v.last_seen, v.version)) AS bytes, argMax(v.read_only, (v.last_seen, v.version)) AS read_only,
  argMax(v.destructive, (v.last_seen, v.version)) AS destructive, argMax(v.definition, (v.last_seen, v.version)) AS definition,
  argMax(v.server_version, (v.last_seen, v.version)) AS server_version, count() AS versions, min(v.first_seen) AS first_seen,
  argMax(v.first_seen, (v.last_seen, v.version)) AS since, max(v.last_seen) AS last_seen
FROM {DB}.v_tool_versions AS v GROUP BY server, tool;

-- Definitions that changed under an old name, when the new one was seen first. A return to an older one is no row.
CREATE OR REPLACE VIEW {DB}.v_tool_changes AS
SELECT ts, server, tool, version, hash, hash_before, tokens, tokens_before, definition, definition_before, server_version
FROM (
  SELECT v.first_seen AS ts, v.server AS server, v.tool AS tool, v.version AS version, v.hash AS hash, v.tokens AS tokens, v.definition AS definition,
    v.server_version AS server_version,
    lagInFrame(v.hash) OVER w AS hash_before, lagInFrame(v.tokens) OVER w AS tokens_before, lagInFrame(v.definition) OVER w AS definition_before
  FROM {DB}.v_tool_versions AS v
  WINDOW w AS (PARTITION BY v.server, v.tool ORDER BY v.version ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
) WHERE version > 1;
-- Grafana: the histograms of tool_5m taken apart, so that any percentile of any group is one aggregate:
-- quantileExactWeighted(0.95)(us, calls). us is the middle of its bucket; part is 'duration' or 'overhead'.
CREATE OR REPLACE VIEW {DB}.v_latency_5m AS
SELECT t, env, server, tool, method, part, exp2((bucket + 0.5) / 8) AS us, calls
FROM (
  SELECT r.t AS t, r.env AS env, r.server AS server, r.tool AS tool, r.method AS method, 'duration' AS part, bucket, sum(n) AS calls
  FROM {DB}.tool_5m AS r ARRAY JOIN mapKeys(r.hist) AS bucket, mapValues(r.hist) AS n
  GROUP BY t, env, server, tool, method, bucket
  UNION ALL
  SELECT r.t AS t, r.env AS env, r.server AS server, r.tool AS tool, r.method AS method, 'overhead' AS part, bucket, sum(n) AS calls
  FROM {DB}.tool_5m AS r ARRAY JOIN mapKeys(r.overhead_hist) AS bucket, mapValues(r.overhead_hist) AS n
  GROUP BY t, env, server, tool, method, bucket
);
