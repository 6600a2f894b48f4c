/** Overview: is anything wrong, since when, and where to look next. For everybody. */
import type { Board } from './board.ts'
import { series, stat, TOOL_LINK, TRACE_LINK, table, to } from './panel.ts'
import { LAST_DAY, linkColumns, perSecond, picked, usd } from './query.ts'

const WHERE = `$__timeFilter(t) ${picked(['env', 'server', 'tool'])}`
const RAW = `${LAST_DAY} ${picked(['env', 'server', 'tool'])}`
const toTools = {
  title: 'Tools',
  url: to('weir-tools', '&${env:queryparam}&${server:queryparam}&${tool:queryparam}'),
}
const toHealth = { title: 'Proxy health', url: to('weir-health') }

export const overview: Board = {
  uid: 'weir-overview',
  title: 'Weir: overview',
  description:
    'Calls, failures, latency and cost over all servers; what moved, what fails, whether Weir itself is well.',
  variables: ['env', 'server', 'tool'],
  rows: [
    {
      title: 'Now',
      panels: [
        stat({
          title: 'Calls',
          description: 'Requests of clients in the range, from five-minute rollups.',
          unit: 'short',
          sql: `SELECT sum(calls) AS calls FROM v_tool_5m WHERE ${WHERE}`,
          links: [toTools],
        }),
        stat({
          title: 'Faults',
          description:
            'Share of calls that failed and whose failure the client does not own: server, Weir, config or capacity.',
          unit: 'percentunit',
          decimals: 2,
          bounds: { warn: 0.01, bad: 0.05 },
          none: 'no calls',
          sql: `SELECT if(sum(calls) = 0, NULL, sum(faults) / sum(calls)) AS faults FROM v_tool_5m WHERE ${WHERE}`,
          links: [toTools],
        }),
        stat({
          title: 'p95',
          description: 'Duration that 95 of 100 calls stayed within, from histograms (within 4.5 %).',
          unit: 's',
          none: 'no calls',
          sql: `
            SELECT if(sum(calls) = 0, NULL, quantileExactWeighted(0.95)(us, calls) / 1e6) AS p95
            FROM v_latency_5m WHERE part = 'duration' AND ${WHERE}`,
          links: [toTools],
        }),
        stat({
          title: 'Cost',
          description:
            'Cost of the calls in the range whose price is known; unpriced calls are beside it, not in it.',
          unit: 'currencyUSD',
          sql: `SELECT ${usd('sum(cost_nano)')} AS cost FROM v_tool_5m WHERE ${WHERE}`,
          links: [{ title: 'Cost', url: to('weir-cost') }],
        }),
        stat({
          title: 'Unpriced calls',
          description: 'Calls that could cost something and that no price names: unknown, not free.',
          unit: 'short',
          bounds: { warn: 1, bad: 1e9 },
          sql: `SELECT sum(unpriced) AS unpriced FROM v_tool_5m WHERE ${WHERE}`,
          links: [{ title: 'Cost', url: to('weir-cost') }],
        }),
        stat({
          title: 'Last batch',
          description:
            'Time since the store took the last batch from any proxy. Grows when nothing is called, too.',
          unit: 's',
          none: 'nothing yet',
          bounds: { warn: 300, bad: 3600 },
          sql: `SELECT if(count() = 0, NULL, greatest(0, dateDiff('second', max(last_received), now64(3)))) AS age FROM v_ingest_gaps`,
          links: [toHealth],
        }),
        stat({
          title: 'Alerts firing',
          description: 'Alerts of Weir that fire now, silenced ones included.',
          unit: 'short',
          bounds: { warn: 1, bad: 3 },
          sql: "SELECT countIf(state = 'firing') AS firing FROM v_alerts",
        }),
        stat({
          title: 'Open anomalies',
          description: 'Findings of the detectors that have not ended.',
          unit: 'short',
          bounds: { warn: 1, bad: 5 },
          sql: 'SELECT countIf(is_open) AS open FROM v_anomalies',
        }),
        stat({
          title: 'Events lost',
          description:
            'Events that proxies gave up before they reached the store, ever. Anything but zero is a gap in the record.',
          unit: 'short',
          bounds: { warn: 1, bad: 1000 },
          sql: 'SELECT sum(lost_events) AS lost FROM v_losses',
          links: [toHealth],
        }),
      ],
    },
    {
      title: 'Over time',
      panels: [
        series({
          title: 'Calls per second by outcome',
          description: 'Five-minute rollups; the newest step is divided by the time that has passed of it.',
          unit: 'reqps',
          stacked: true,
          sql: `
            SELECT $__timeInterval(t) AS time, ${perSecond('sum(v.ok + v.input_required)')} AS ok, ${perSecond('sum(v.failed - v.faults)')} AS client_failures,
              ${perSecond('sum(v.faults)')} AS faults
            FROM v_tool_5m AS v WHERE ${WHERE} GROUP BY time ORDER BY time`,
          links: [toTools],
        }),
        series({
          title: 'Failed calls by outcome',
          description: 'Share of all calls that ended with each outcome other than ok and input_required.',
          unit: 'percentunit',
          stacked: true,
          sql: `
            SELECT $__timeInterval(t) AS time, sum(tool_error) / sum(v.calls) AS tool_error, sum(rpc_error) / sum(v.calls) AS rpc_error,
              sum(upstream_error) / sum(v.calls) AS upstream_error, sum(timeout) / sum(v.calls) AS timeout, sum(cancelled) / sum(v.calls) AS cancelled,
              sum(denied) / sum(v.calls) AS denied, sum(limited) / sum(v.calls) AS limited, sum(invalid) / sum(v.calls) AS invalid,
              sum(unavailable) / sum(v.calls) AS unavailable
            FROM v_tool_5m AS v WHERE ${WHERE} GROUP BY time ORDER BY time`,
          links: [toTools],
        }),
        series({
          title: 'Duration',
          description: 'Percentiles of the whole call as its client saw it, from histograms (within 4.5 %).',
          unit: 's',
          sql: `
            SELECT $__timeInterval(t) AS time, quantileExactWeighted(0.5)(us, v.calls) / 1e6 AS p50, quantileExactWeighted(0.95)(us, v.calls) / 1e6 AS p95,
              quantileExactWeighted(0.99)(us, v.calls) / 1e6 AS p99
            FROM v_latency_5m AS v WHERE part = 'duration' AND ${WHERE} GROUP BY time ORDER BY time`,
          links: [toTools],
        }),
        series({
          title: 'Calls per second by server',
          description: 'Five-minute rollups. An empty name is what Weir answered itself.',
          unit: 'reqps',
          named: true,
          stacked: true,
          sql: `
            SELECT $__timeInterval(t) AS time, if(server = '', '(Weir)', toString(server)) AS name, ${perSecond('sum(v.calls)')} AS value
            FROM v_tool_5m AS v WHERE ${WHERE} GROUP BY time, name ORDER BY time`,
          links: [
            { title: 'Tools of this server', url: to('weir-tools', '&var-server=${__field.labels.name}') },
          ],
        }),
      ],
    },
    {
      title: 'Where',
      panels: [
        table({
          title: 'Moved most',
          description:
            'Tools whose calls, faults or mean duration differ most from the same time a week before; at least 20 calls in either.',
          none: 'no tool with 20 calls',
          sql: `
            SELECT server, tool, now_calls AS calls, was_calls AS calls_week_before,
              if(now_calls = 0, NULL, now_faults / now_calls) AS fault_share, if(was_calls = 0, NULL, was_faults / was_calls) AS fault_share_week_before,
              if(now_calls = 0, NULL, now_us / now_calls / 1e6) AS mean_s, if(was_calls = 0, NULL, was_us / was_calls / 1e6) AS mean_s_week_before
            FROM (
              SELECT server, tool, sumIf(calls, t >= $__fromTime) AS now_calls, sumIf(calls, week) AS was_calls,
                sumIf(faults, t >= $__fromTime) AS now_faults, sumIf(faults, week) AS was_faults,
                sumIf(duration_us_sum, t >= $__fromTime) AS now_us, sumIf(duration_us_sum, week) AS was_us
              FROM (
                SELECT *, t >= $__fromTime - INTERVAL 7 DAY AND t <= $__toTime - INTERVAL 7 DAY AS week FROM v_tool_5m
                WHERE ((t >= $__fromTime AND t <= $__toTime) OR (t >= $__fromTime - INTERVAL 7 DAY AND t <= $__toTime - INTERVAL 7 DAY))
                  ${picked(['env', 'server', 'tool'])}
              )
              WHERE tool != '' GROUP BY server, tool
            )
            WHERE now_calls >= 20 OR was_calls >= 20
            ORDER BY abs(log((now_calls + 10) / (was_calls + 10))) + abs(ifNull(fault_share, 0) - ifNull(fault_share_week_before, 0)) * 10
              + abs(log((ifNull(mean_s, 0) + 0.001) / (ifNull(mean_s_week_before, 0) + 0.001))) DESC, server, tool
            LIMIT 15`,
          columns: {
            tool: { link: TOOL_LINK },
            fault_share: { unit: 'percentunit' },
            fault_share_week_before: { unit: 'percentunit' },
            mean_s: { unit: 's' },
            mean_s_week_before: { unit: 's' },
          },
        }),
        table({
          title: 'What fails (last day of the range)',
          description: 'Failures by cause: equal error texts count as one. The trace is that of the newest.',
          none: 'nothing failed',
          sql: `
            SELECT sum(failures) AS failures, owner, outcome, server, tool, argMax(error_message, last_ts) AS message, max(last_ts) AS last,
              argMax(v.trace_id, last_ts) AS trace_id, ${linkColumns('max(last_ts)')}
            FROM v_errors AS v WHERE hour >= toStartOfHour(greatest($__fromTime, $__toTime - INTERVAL 1 DAY)) AND hour <= $__toTime ${picked(['server', 'tool'])}
            GROUP BY error_fingerprint, owner, outcome, server, tool ORDER BY failures DESC LIMIT 20`,
          columns: { trace_id: { link: TRACE_LINK }, tool: { link: TOOL_LINK } },
        }),
        table({
          title: 'Slowest calls (last day of the range)',
          description: 'The slowest twenty, each with its trace.',
          sql: `
            SELECT ts, server, tool, duration_us / 1e6 AS duration, upstream_us / 1e6 AS upstream, outcome, caller, trace_id, ${linkColumns('ts')}
            FROM v_calls WHERE ${RAW} ORDER BY duration_us DESC LIMIT 20`,
          columns: {
            duration: { unit: 's' },
            upstream: { unit: 's' },
            trace_id: { link: TRACE_LINK },
            tool: { link: TOOL_LINK },
          },
        }),
        table({
          title: 'Anomalies, alerts, budgets',
          description:
            'What the detectors found and has not ended, alerts that fire, budgets that are spent or will be by the end of their period.',
          none: 'all quiet',
          sql: `
            SELECT 'anomaly' AS what, started AS since, concat(kind, ' ', series) AS name, summary FROM v_anomalies WHERE is_open
            UNION ALL
            SELECT 'alert' AS what, starts_at AS since, rule AS name, annotations['summary'] AS summary FROM v_alerts WHERE state = 'firing'
            UNION ALL
            SELECT 'budget' AS what, toDateTime(period_start) AS since, concat(state, ' ', budget_id) AS name,
              concat(toString(round(spent_share * 100)), ' % spent') AS summary FROM v_budgets WHERE state != 'ok'
            ORDER BY since DESC LIMIT 50`,
        }),
      ],
    },
  ],
}
