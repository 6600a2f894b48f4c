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

-- Every event that policy had a word on, of any kind: what was refused and by what, what was allowed, and what something in shadow
-- mode would have refused.
CREATE OR REPLACE VIEW {DB}.v_decisions AS
SELECT {CALLS_NAMES}, c.decision NOT IN ('none', 'allow') AS refused
FROM {DB}.calls AS c WHERE c.decision != 'none' OR notEmpty(c.shadow);

-- What policy said, one row a verdict: of a call what decided (allow, deny, limit, invalid), and `shadow` for each that would have
-- refused it.
CREATE OR REPLACE VIEW {DB}.v_verdicts AS
SELECT v.*, said.1 AS verdict, said.2 AS rule, said.3 AS reason
FROM {DB}.v_decisions AS v
ARRAY JOIN arrayConcat(
  if(v.decision = 'none', [], [(toString(v.decision), toString(v.decision_rule), v.decision_reason)]),
  arrayMap(name -> ('shadow', toString(name), ''), v.shadow)
) AS said;

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

-- Money -----------------------------------------------------------------------------------------------------------------------
-- Nano-dollars (10^-9 USD), integers. A call that may cost something and whose price nobody knows is unpriced, and never zero.

-- One row per amount: what a call cost when it was stored (rating 0), and what each later rating took from the old price and put
-- under the new one. Sums are what is owed now. Reaches back as far as calls do; for longer there is v_costs_1d, which agrees.
CREATE OR REPLACE VIEW {DB}.v_costs AS
SELECT c.ts AS ts, c.event_id AS event_id, toUInt64(0) AS rating, c.trace_id AS trace_id, c.session_id AS session_id, c.run_id AS run_id,
  c.env AS env, c.team AS team, c.project AS project, c.caller AS caller, c.agent AS agent, c.server AS server, c.tool AS tool, c.method AS method,
  c.tags AS tags, c.price_id AS price_id, toLowCardinality(toString(c.cost_source)) AS cost_source,
  c.cost_nano AS cost_nano, toInt64(1) AS calls, toInt64(c.cost_source = 'unpriced') AS unpriced
FROM {DB}.calls AS c WHERE c.kind = 'request' AND c.cost_source != 'none'
UNION ALL
SELECT a.ts, a.event_id, a.rating, a.trace_id, a.session_id, a.run_id,
  a.env, a.team, a.project, a.caller, a.agent, a.server, a.tool, a.method,
  a.tags, toLowCardinality(move.1), toLowCardinality(move.2), move.4, move.3, if(move.2 = 'unpriced', move.3, toInt64(0))
FROM {DB}.cost_adjustments AS a
ARRAY JOIN [(a.from_price_id, a.from_source, toInt64(-1), -a.from_nano), (a.price_id, a.cost_source, toInt64(1), a.cost_nano)] AS move
WHERE move.2 != 'none';

-- What each call costs now, and why. A call without a row has nothing to pay for. Filter by trace_id or ts: there is an index.
CREATE OR REPLACE VIEW {DB}.v_call_costs AS
SELECT event_id, ts, trace_id, sum(v.cost_nano) AS cost_nano,
  argMaxIf(v.price_id, v.rating, v.calls > 0) AS price_id,
  if(sum(v.calls) = 0, 'none', argMaxIf(toString(v.cost_source), v.rating, v.calls > 0)) AS cost_source,
  max(v.rating) AS rating
FROM {DB}.v_costs AS v GROUP BY event_id, ts, trace_id;

-- The same costs by day: lives as long as the daily rollups.
CREATE OR REPLACE VIEW {DB}.v_costs_1d AS
SELECT d, env, team, project, caller, agent, server, tool, tags_id, any(r.tags) AS tags, price_id, cost_source,
  sum(r.calls) AS calls, sum(r.cost_nano) AS cost_nano, if(cost_source = 'unpriced', calls, toInt64(0)) AS unpriced,
  sum(r.tokens) AS tokens, sum(r.upstream_us) AS upstream_us
FROM {DB}.cost_1d AS r GROUP BY d, env, team, project, caller, agent, server, tool, tags_id, price_id, cost_source;

-- Every price there ever was; in_force: it is in the config now.
CREATE OR REPLACE VIEW {DB}.v_prices AS
SELECT price_id, any(p.server) AS server, any(p.tool) AS tool, any(p.valid_from) AS valid_from, any(p.valid_to) AS valid_to,
  any(p.per_call_nano) AS per_call_nano, any(p.per_input_token_nano) AS per_input_token_nano, any(p.per_output_token_nano) AS per_output_token_nano,
  any(p.per_byte_in_nano) AS per_byte_in_nano, any(p.per_byte_out_nano) AS per_byte_out_nano, any(p.per_second_nano) AS per_second_nano,
  any(p.per_month_nano) AS per_month_nano, any(p.split_by) AS split_by, any(p.formula) AS formula, any(p.bill_on) AS bill_on,
  any(p.reported) AS reported, any(p.priced) AS priced, max(p.loaded_at) AS loaded_at,
  toUInt8(max(p.book = (SELECT argMax(b.book, b.loaded_at) FROM {DB}.prices AS b))) AS in_force
FROM {DB}.prices AS p WHERE price_id != '' GROUP BY price_id;

-- Prices of a month of a server, split among those who used it in that month (UTC), to the last nano-dollar: everybody gets the
-- whole part of his share, and what is left goes one by one to the largest remainders. A price that holds for part of a month
-- counts for that part. A month nobody used the server is a row without anybody: its price is due all the same. A price without
-- valid_from counts from the first month of use. The running month is due as a whole, split by the use so far.
CREATE OR REPLACE VIEW {DB}.v_fixed_costs AS
WITH due AS (
  SELECT price_id, server, split_by, month,
    dateDiff('second', toDateTime(month, 'UTC'), toDateTime(addMonths(month, 1), 'UTC')) AS month_s,
    greatest(0, dateDiff('second', greatest(p.valid_from, toDateTime64(month, 3, 'UTC')), least(p.valid_to, toDateTime64(addMonths(month, 1), 3, 'UTC')))) AS held_s,
    toInt64(intDiv(toInt128(p.per_month_nano) * held_s + intDiv(month_s, 2), month_s)) AS amount_nano
  FROM (SELECT * FROM {DB}.v_prices WHERE in_force = 1 AND per_month_nano > 0) AS p
  LEFT JOIN (SELECT server, min(d) AS first_day FROM {DB}.cost_1d GROUP BY server) AS u USING (server)
  ARRAY JOIN arrayMap(i -> addMonths(toStartOfMonth(if(toUnixTimestamp(p.valid_from) > 0, toDate(p.valid_from, 'UTC'), if(u.first_day = toDate(0), today(), u.first_day))), i),
    range(toUInt32(greatest(0, 1 + dateDiff('month', if(toUnixTimestamp(p.valid_from) > 0, toDate(p.valid_from, 'UTC'), if(u.first_day = toDate(0), today(), u.first_day)), toDate(now('UTC'))))))) AS month
  WHERE amount_nano > 0
), used AS (
  SELECT toStartOfMonth(d) AS month, server, price_id, env, team, project, caller, agent, tool, tags_id, any(r.tags) AS tags,
    toInt128(multiIf(due.split_by = 'duration', sum(r.upstream_us), due.split_by = 'tokens', sum(r.tokens), sum(r.calls))) AS weight
  FROM {DB}.cost_1d AS r INNER JOIN due ON due.server = r.server AND due.month = toStartOfMonth(r.d)
  GROUP BY month, server, due.price_id AS price_id, due.split_by, env, team, project, caller, agent, tool, tags_id
  HAVING weight > 0
), shares AS (
  SELECT due.month AS month, due.server AS server, due.price_id AS price_id, due.split_by AS split_by, due.amount_nano AS amount_nano,
    used.env AS env, used.team AS team, used.project AS project, used.caller AS caller, used.agent AS agent, used.tool AS tool, used.tags_id AS tags_id, used.tags AS tags,
    used.weight AS weight, sum(used.weight) OVER (PARTITION BY due.month, due.server, due.price_id) AS total,
    if(total = 0, due.amount_nano, toInt64(intDiv(due.amount_nano * used.weight, greatest(total, 1)))) AS whole_nano,
    if(total = 0, toInt128(0), (due.amount_nano * used.weight) % greatest(total, 1)) AS remainder
  FROM due LEFT JOIN used ON used.month = due.month AND used.server = due.server AND used.price_id = due.price_id
)
SELECT month, server, price_id, split_by, amount_nano, env, team, project, caller, agent, tool, tags_id, tags,
  toInt64(weight) AS used_amount, toUInt8(total = 0) AS unused,
  whole_nano + toInt64(row_number() OVER (PARTITION BY month, server, price_id ORDER BY remainder DESC, env, team, project, caller, agent, tool, tags_id)
    <= amount_nano - sum(whole_nano) OVER (PARTITION BY month, server, price_id)) AS cost_nano
FROM shares;

-- Spending by day of everything that can have a budget, and of all (scope all), over the last forty days. days: full days there
-- are to take the pace from.
CREATE OR REPLACE VIEW {DB}.v_spending AS
SELECT scope, value, d, cost_nano, unpriced, least(7, dateDiff('day', min(d) OVER (PARTITION BY scope, value), toDate(now('UTC')))) AS days
FROM (
  SELECT s.1 AS scope, s.2 AS value, d, sum(r.cost_nano) AS cost_nano, sumIf(r.calls, r.cost_source = 'unpriced') AS unpriced
  FROM {DB}.cost_1d AS r
  ARRAY JOIN [('all', ''), ('team', toString(r.team)), ('project', toString(r.project)), ('caller', toString(r.caller)), ('agent', toString(r.agent)),
    ('server', toString(r.server)), ('tool', concat(r.server, '/', r.tool))] AS s
  WHERE d >= toDate(now('UTC')) - 40 GROUP BY scope, value, d
);

-- The same scopes in the running month (UTC). fixed_nano: the share of the prices of a month, due as a whole.
-- forecast_nano: what is spent, and for the rest of the month the pace of the last seven full days (of fewer when the first cost
-- is younger; of the month so far when there is no full day): weekends weigh as they do, one loud hour does not.
CREATE OR REPLACE VIEW {DB}.v_month AS
SELECT scope, value, used_nano, fixed_nano, unpriced, used_nano + fixed_nano AS spent_nano, {FORECAST} AS forecast_nano
FROM (
  SELECT scope, value, sumIf(v.cost_nano, v.d >= toStartOfMonth(today_) AND v.fixed = 0) AS used_nano, sumIf(v.cost_nano, v.fixed = 1) AS fixed_nano,
    sumIf(v.unpriced, v.d >= toStartOfMonth(today_)) AS unpriced, sumIf(v.cost_nano, v.d >= today_ - 7 AND v.d < today_ AND v.fixed = 0) AS recent_nano,
    max(v.days) AS full_days, toDate(now('UTC')) AS today_,
    greatest(1, dateDiff('second', toDateTime(toStartOfMonth(today_), 'UTC'), now('UTC'))) AS elapsed_s,
    greatest(0, dateDiff('second', now('UTC'), toDateTime(addMonths(toStartOfMonth(today_), 1), 'UTC'))) AS rest_s
  FROM (
    SELECT scope, value, d, cost_nano, unpriced, days, 0 AS fixed FROM {DB}.v_spending
    UNION ALL
    SELECT s.1, s.2, f.month, sum(f.cost_nano), 0, 0, 1 FROM {DB}.v_fixed_costs AS f
    ARRAY JOIN [('all', ''), ('team', toString(f.team)), ('project', toString(f.project)), ('caller', toString(f.caller)), ('agent', toString(f.agent)),
      ('server', toString(f.server)), ('tool', concat(f.server, '/', f.tool))] AS s
    WHERE f.month = toStartOfMonth(now('UTC')) AND (f.unused = 0 OR s.1 IN ('all', 'server')) GROUP BY s.1, s.2, f.month
  ) AS v GROUP BY scope, value
);

-- Budgets of the config in their running period (UTC; weeks from Monday), by the method of v_month; shares of monthly prices
-- count in budgets of a month. state: exceeded (it is spent), at_risk (the forecast is beyond it), ok. reached: the largest of
-- warn_at that is spent, 0 for none.
CREATE OR REPLACE VIEW {DB}.v_budgets AS
SELECT budget_id, scope, value, period, amount_nano, warn_at, period_start, period_end, spent_nano, forecast_nano, unpriced,
  if(amount_nano = 0, if(spent_nano > 0, 1., 0.), spent_nano / amount_nano) AS spent_share,
  arrayMax(arrayConcat([0.], arrayFilter(w -> w <= spent_share, warn_at))) AS reached,
  multiIf(spent_nano >= amount_nano AND spent_nano > 0, 'exceeded', forecast_nano > amount_nano, 'at_risk', 'ok') AS state
FROM (
  SELECT *, used_nano + fixed_nano AS spent_nano, {FORECAST} AS forecast_nano
  FROM (
    SELECT b.budget_id AS budget_id, b.scope AS scope, b.value AS value, b.period AS period, b.amount_nano AS amount_nano, b.warn_at AS warn_at,
      toDate(now('UTC')) AS today_,
      multiIf(b.period = 'day', today_, b.period = 'week', toMonday(today_), toStartOfMonth(today_)) AS period_start,
      multiIf(b.period = 'day', period_start + 1, b.period = 'week', period_start + 7, addMonths(period_start, 1)) AS period_end,
      greatest(1, dateDiff('second', toDateTime(period_start, 'UTC'), now('UTC'))) AS elapsed_s,
      greatest(0, dateDiff('second', now('UTC'), toDateTime(period_end, 'UTC'))) AS rest_s,
      if(b.period = 'month', any(m.fixed_nano), toInt64(0)) AS fixed_nano,
      sumIf(s.cost_nano, s.d >= period_start AND s.d < period_end) AS used_nano,
      sumIf(s.unpriced, s.d >= period_start AND s.d < period_end) AS unpriced,
      max(s.days) AS full_days,
      sumIf(s.cost_nano, s.d >= today_ - 7 AND s.d < today_) AS recent_nano
    FROM (
      SELECT budget_id, scope, value, period, amount_nano, warn_at FROM {DB}.budgets
      WHERE budget_id != '' AND book = (SELECT argMax(l.book, l.loaded_at) FROM {DB}.budgets AS l)
      LIMIT 1 BY budget_id
    ) AS b
    LEFT JOIN {DB}.v_spending AS s ON s.scope = b.scope AND s.value = b.value
    LEFT JOIN {DB}.v_month AS m ON m.scope = b.scope AND m.value = b.value
    GROUP BY budget_id, scope, value, period, amount_nano, warn_at
  )
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

-- Findings, each once, newest state. is_open: still going on. What it needs to be looked into stands in the row itself.
CREATE OR REPLACE VIEW {DB}.v_anomalies AS
SELECT id, started, argMax(a.kind, a.updated_at) AS kind, argMax(a.scope, a.updated_at) AS scope, argMax(a.series, a.updated_at) AS series,
  argMax(a.server, a.updated_at) AS server, argMax(a.tool, a.updated_at) AS tool, argMax(a.team, a.updated_at) AS team, argMax(a.caller, a.updated_at) AS caller,
  argMax(a.ended, a.updated_at) AS ended, ended = toDateTime(0, 'UTC') AS is_open, argMax(a.last_seen, a.updated_at) AS last_seen, min(a.detected_at) AS detected_at,
  argMax(a.method, a.updated_at) AS method, argMax(a.value, a.updated_at) AS value, argMax(a.expected, a.updated_at) AS expected,
  argMax(a.lower, a.updated_at) AS lower, argMax(a.upper, a.updated_at) AS upper, argMax(a.unit, a.updated_at) AS unit,
  argMax(a.score, a.updated_at) AS score, argMax(a.n, a.updated_at) AS n,
  argMax(a.contributor, a.updated_at) AS contributor, argMax(a.contributor_share, a.updated_at) AS contributor_share, argMax(a.differs, a.updated_at) AS differs,
  argMax(a.evidence, a.updated_at) AS evidence, argMax(a.traces, a.updated_at) AS traces, argMax(a.summary, a.updated_at) AS summary,
  max(a.updated_at) AS changed_at
FROM {DB}.anomalies AS a GROUP BY id, started;

-- Console: callers and servers over a time of your choice.

-- Callers over whole days: SELECT * FROM v_callers(from = today() - 30, to = today()).
CREATE OR REPLACE VIEW {DB}.v_callers AS
SELECT caller, team, project, agent,
  {FIGURE_SUMS},
  uniqCombinedMerge(12)(r.tools) AS tools, min(r.first_seen) AS first_seen, max(r.last_seen) AS last_seen
FROM {DB}.caller_1d AS r WHERE r.d >= {from:Date} AND r.d <= {to:Date} GROUP BY caller, team, project, agent;

-- Servers over a time: SELECT * FROM v_servers(from_us = …, to_us = …), microseconds since 1970.
-- A fault of a server is a failure that it or its capacity owns. A server is `down` when three or more of them came and nothing
-- went well since the last; `failing` when more than one call in twenty was one; else `fine`.
CREATE OR REPLACE VIEW {DB}.v_servers AS
SELECT server, multiIf(server_faults >= 3 AND last_fault > last_ok, 'down', server_faults * 20 > calls, 'failing', 'fine') AS state,
  calls, failed, server_faults, upstream[1] AS p50_upstream_us, upstream[2] AS p95_upstream_us, overhead_p50_us, protocol_versions, client_eras, transports,
  endpoints, clients, sessions, tools, last_seen, last_ok, last_fault, last_fault_message, last_fault_trace
FROM (
  SELECT v.server AS server, count() AS calls, countIf(v.failed) AS failed, countIf(v.fault AND v.owner IN ('upstream', 'capacity')) AS server_faults,
    arrayMap(x -> ifNotFinite(x, 0), quantilesExactIf(0.5, 0.95)(v.upstream_us, v.attempts > 0)) AS upstream,
    ifNotFinite(quantileExact(0.5)(v.overhead_us), 0) AS overhead_p50_us,
    arraySort(groupUniqArrayIf(toString(v.upstream_protocol_version), v.upstream_protocol_version != '')) AS protocol_versions,
    arraySort(groupUniqArrayIf(toString(v.era), v.era != 'unknown')) AS client_eras,
    arraySort(groupUniqArrayIf(toString(v.upstream_transport), v.upstream_transport != '')) AS transports,
    arraySort(groupUniqArrayIf(20)(toString(v.upstream_endpoint), v.upstream_endpoint != '')) AS endpoints,
    arraySort(groupUniqArrayIf(20)(toString(v.client_name), v.client_name != '')) AS clients,
    uniqExactIf(v.session_id, v.session_id != '') AS sessions, uniqExactIf(v.tool, v.tool != '') AS tools, max(v.ts) AS last_seen,
    maxIf(v.ts, NOT v.failed) AS last_ok, maxIf(v.ts, v.fault AND v.owner IN ('upstream', 'capacity')) AS last_fault,
    argMaxIf(v.error_message, v.ts, v.fault AND v.owner IN ('upstream', 'capacity')) AS last_fault_message,
    argMaxIf(v.trace_id, v.ts, v.fault AND v.owner IN ('upstream', 'capacity')) AS last_fault_trace
  FROM {DB}.v_calls AS v
  WHERE v.server != '' AND v.ts >= fromUnixTimestamp64Micro({from_us:Int64}) AND v.ts < fromUnixTimestamp64Micro({to_us:Int64})
  GROUP BY server
);

-- Who changed what in the configuration, when, from what to what: keys, callers, rules, limits, budgets, prices and everything else.
-- before and after are JSON without secrets; what may hold one is a fingerprint, # and hex digits. who is '' for an editor's work.
CREATE OR REPLACE VIEW {DB}.v_config_changes AS
SELECT ts, instance, who, via, section, name, multiIf(before = '', 'added', after = '', 'removed', 'changed') AS action, before, after, id
FROM {DB}.config_changes FINAL;
