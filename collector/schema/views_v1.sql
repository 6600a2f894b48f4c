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

CREATE OR REPLACE VIEW {DB}.v_usage_1d AS
SELECT d, env, team, project, server, tool, method,
  {FIGURE_SUMS}
FROM {DB}.usage_1d AS r GROUP BY d, env, team, project, server, tool, method;

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
