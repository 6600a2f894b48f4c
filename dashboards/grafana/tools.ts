/** Tools: rate, errors and duration of each, whose fault, since when, and example calls. For whoever is on call. */
import type { Board } from './board.ts'
import { graph, heatmap, series, TOOL_LINK, TRACE_LINK, table } from './panel.ts'
import { LAST_DAY, linkColumns, perSecond, picked } from './query.ts'

const CHOSEN = picked(['env', 'server', 'tool'])
const WHERE = `$__timeFilter(t) ${CHOSEN}`
const RAW = `${LAST_DAY} ${CHOSEN}`
/** Lines of a chart are for the dozen tools with most calls; all others are one choice away. */
const BUSIEST = `(server, tool, method) IN (SELECT server, tool, method FROM v_tool_5m WHERE ${WHERE} GROUP BY server, tool, method ORDER BY sum(calls) DESC, server, tool, method LIMIT 12)`
const NAME = `if(tool = '', trim(concat(server, ' ', method)), concat(server, ' ', tool))`
const ofEach = (value: string): string => `
  SELECT $__timeInterval(t) AS time, ${NAME} AS name, ${value} AS value
  FROM v_tool_5m AS v WHERE ${WHERE} AND ${BUSIEST} GROUP BY time, name ORDER BY time`
const mean = (column: string): string => `sum(${column}) / greatest(sum(v.calls), 1) / 1e6`

export const tools: Board = {
  uid: 'weir-tools',
  title: 'Weir: tools',
  description:
    'Rate, errors and duration of every tool, from five-minute rollups at any range; single calls of the last day.',
  variables: ['env', 'server', 'tool'],
  rows: [
    {
      title: 'Rate, errors, duration',
      panels: [
        series({
          title: 'Calls per second',
          description: 'The twelve tools with most calls in the range.',
          unit: 'reqps',
          named: true,
          sql: ofEach(perSecond('sum(v.calls)')),
          w: 8,
        }),
        series({
          title: 'Fault share',
          description:
            'Failures that the client does not own, of all calls of the tool. The dashed lines are 1 % and 5 %.',
          unit: 'percentunit',
          named: true,
          bounds: { warn: 0.01, bad: 0.05 },
          sql: ofEach('sum(faults) / sum(v.calls)'),
          w: 8,
        }),
        series({
          title: 'p95 duration',
          description: 'From histograms, within 4.5 %.',
          unit: 's',
          named: true,
          sql: `
            SELECT $__timeInterval(t) AS time, ${NAME} AS name, quantileExactWeighted(0.95)(us, v.calls) / 1e6 AS value
            FROM v_latency_5m AS v WHERE part = 'duration' AND ${WHERE} AND ${BUSIEST} GROUP BY time, name ORDER BY time`,
          w: 8,
        }),
        table({
          title: 'Tools',
          description:
            'Every tool and method of the range with its figures. A click narrows the board to it.',
          sql: `
            SELECT server, if(c.tool = '', toString(c.method), toString(c.tool)) AS name, c.calls AS calls, faults / c.calls AS fault_share,
              failed / c.calls AS failed_share, p50, p95, p99, longest, retries, c.tool AS tool
            FROM (
              SELECT server, tool, method, sum(v.calls) AS calls, sum(faults) AS faults, sum(failed) AS failed, max(duration_us_max) / 1e6 AS longest,
                greatest(toInt64(sum(upstream_messages)) - toInt64(sum(v.calls)), 0) AS retries
              FROM v_tool_5m AS v WHERE ${WHERE} GROUP BY server, tool, method
            ) AS c
            LEFT JOIN (
              SELECT server, tool, method, quantileExactWeighted(0.5)(us, v.calls) / 1e6 AS p50, quantileExactWeighted(0.95)(us, v.calls) / 1e6 AS p95,
                quantileExactWeighted(0.99)(us, v.calls) / 1e6 AS p99
              FROM v_latency_5m AS v WHERE part = 'duration' AND ${WHERE} GROUP BY server, tool, method
            ) AS l ON l.server = c.server AND l.tool = c.tool AND l.method = c.method
            ORDER BY calls DESC, server, name LIMIT 500`,
          w: 24,
          columns: {
            name: { link: TOOL_LINK },
            tool: { hidden: true },
            fault_share: { unit: 'percentunit' },
            failed_share: { unit: 'percentunit' },
            p50: { unit: 's' },
            p95: { unit: 's' },
            p99: { unit: 's' },
            longest: { unit: 's' },
          },
        }),
      ],
    },
    {
      title: 'Objectives',
      panels: [
        table({
          title: 'Service level objectives',
          description:
            'As last evaluated: share of good calls, what is left of the budget of errors, and how fast it burns (1: used up at the end of the window).',
          none: 'no objectives are configured',
          w: 24,
          h: 6,
          sql: `
            SELECT slo, server, tool, team, objective, target, window_days, good_share, budget_left, burn_5m, burn_1h, burn_6h, burn_3d, total, evaluated_at
            FROM v_slos WHERE 1 = 1 ${picked(['server', 'tool'])} ORDER BY budget_left, slo, server, tool LIMIT 200`,
          columns: {
            target: { unit: 'percentunit' },
            good_share: { unit: 'percentunit' },
            budget_left: { unit: 'percentunit' },
          },
        }),
      ],
    },
    {
      title: 'Duration, taken apart',
      panels: [
        series({
          title: 'Percentiles, and slow calls',
          description:
            'Lines from histograms over the whole range; dots are the slowest calls of its last day, each leads to its trace.',
          unit: 's',
          dots: true,
          sql: [
            `
            SELECT $__timeInterval(t) AS time, quantileExactWeighted(0.5)(us, v.calls) / 1e6 AS p50, quantileExactWeighted(0.95)(us, v.calls) / 1e6 AS p95,
              quantileExactWeighted(0.99)(us, v.calls) / 1e6 AS p99
            FROM v_latency_5m AS v WHERE part = 'duration' AND ${WHERE} GROUP BY time ORDER BY time`,
            `
            SELECT time, name, trace_id, value FROM (
              SELECT ts AS time, name, trace_id, duration_us / 1e6 AS value FROM v_calls WHERE ${RAW} ORDER BY duration_us DESC LIMIT 30
            ) ORDER BY time`,
          ],
        }),
        heatmap({
          title: 'Calls by duration',
          description:
            'Calls per step and duration, in octaves. From histograms, so it costs the same at any range.',
          unit: 's',
          sql: `
            SELECT $__timeInterval(t) AS time, toString(exp2(ceil(log2(us))) / 1e6) AS le, sum(v.calls) AS value
            FROM v_latency_5m AS v WHERE part = 'duration' AND ${WHERE} GROUP BY time, le ORDER BY time, toFloat64(le)`,
        }),
        series({
          title: 'Where the time goes',
          description:
            'Mean time of a call in each phase: upload of the client, identity and policy, waiting for capacity, connecting, waiting for the server, its answer, passing it on.',
          unit: 's',
          stacked: true,
          sql: `
            SELECT $__timeInterval(t) AS time, ${mean('receive_us_sum')} AS receive, ${mean('authorise_us_sum')} AS authorise, ${mean('queue_us_sum')} AS queue,
              ${mean('connect_us_sum')} AS connect, ${mean('wait_us_sum')} AS wait, ${mean('transfer_us_sum')} AS transfer, ${mean('answer_us_sum')} AS answer
            FROM v_tool_5m AS v WHERE ${WHERE} GROUP BY time ORDER BY time`,
        }),
        series({
          title: "Weir's own share",
          description: 'Duration less upload, queue and upstream. What Weir itself costs each call.',
          unit: 's',
          bounds: { warn: 0.005, bad: 0.05 },
          sql: `
            SELECT $__timeInterval(t) AS time, quantileExactWeighted(0.5)(us, v.calls) / 1e6 AS p50, quantileExactWeighted(0.99)(us, v.calls) / 1e6 AS p99
            FROM v_latency_5m AS v WHERE part = 'overhead' AND ${WHERE} GROUP BY time ORDER BY time`,
        }),
      ],
    },
    {
      title: 'Failures',
      panels: [
        series({
          title: 'Failed calls per second by outcome',
          description:
            'timeout: the server was too slow; unavailable: it could not be reached; invalid, denied, limited: refused by Weir.',
          unit: 'reqps',
          stacked: true,
          sql: `
            SELECT $__timeInterval(t) AS time, ${['tool_error', 'rpc_error', 'upstream_error', 'timeout', 'cancelled', 'denied', 'limited', 'invalid', 'unavailable'].map((outcome) => `${perSecond(`sum(v.${outcome})`)} AS ${outcome}`).join(', ')}
            FROM v_tool_5m AS v WHERE ${WHERE} GROUP BY time ORDER BY time`,
        }),
        series({
          title: 'Upstream messages per call',
          description: 'Above one: calls were sent again, or one call asked several servers.',
          unit: 'short',
          sql: `
            SELECT $__timeInterval(t) AS time, sum(upstream_messages) / sum(v.calls) AS messages
            FROM v_tool_5m AS v WHERE ${WHERE} AND server != '' GROUP BY time ORDER BY time`,
        }),
        table({
          title: 'Causes (last day of the range)',
          description:
            'Equal error texts are one cause. Owner says whose fault it is; the trace is that of the newest.',
          none: 'nothing failed',
          w: 24,
          sql: `
            SELECT sum(failures) AS failures, owner, outcome, error_type, server, tool, argMax(error_message, last_ts) AS message,
              min(first_ts) AS first, max(last_ts) AS last, argMax(v.trace_id, last_ts) AS trace_id, ${linkColumns('max(last_ts)')}
            FROM v_errors AS v WHERE hour >= toStartOfHour(greatest($__fromTime, $__toTime - INTERVAL 1 DAY)) AND hour <= $__toTime ${picked(['server', 'tool'])}
            GROUP BY error_fingerprint, owner, outcome, error_type, server, tool ORDER BY failures DESC LIMIT 100`,
          columns: { trace_id: { link: TRACE_LINK } },
        }),
      ],
    },
    {
      title: 'Single calls',
      panels: [
        table({
          title: 'Slowest hundred (last day of the range)',
          description: 'With the phases that took the time, and the trace.',
          w: 14,
          h: 12,
          sql: `
            SELECT ts, name, outcome, duration_us / 1e6 AS duration, wait_us / 1e6 AS wait, transfer_us / 1e6 AS transfer, queue_us / 1e6 AS queue,
              overhead_us / 1e6 AS overhead, caller, trace_id, ${linkColumns('ts')}
            FROM v_calls WHERE ${RAW} ORDER BY duration_us DESC LIMIT 100`,
          columns: {
            duration: { unit: 's', gauge: true },
            wait: { unit: 's' },
            transfer: { unit: 's' },
            queue: { unit: 's' },
            overhead: { unit: 's' },
            trace_id: { link: TRACE_LINK },
          },
        }),
        graph({
          title: 'Who calls what (last day of the range)',
          description:
            'Agents (or callers without one) and the servers they call; numbers are calls and the share that failed.',
          w: 10,
          h: 12,
          sql: [
            `
            SELECT id, title, sum(n) AS mainstat, if(sum(n) = 0, 0, sum(bad) / sum(n)) AS arc__failed, 1 - arc__failed AS arc__ok FROM (
              SELECT concat('who:', if(agent = '', caller, agent)) AS id, if(agent = '', caller, agent) AS title, count() AS n, countIf(failed) AS bad
              FROM v_calls WHERE ${RAW} AND server != '' GROUP BY id, title
              UNION ALL
              SELECT concat('server:', server) AS id, toString(server) AS title, count() AS n, countIf(failed) AS bad
              FROM v_calls WHERE ${RAW} AND server != '' GROUP BY id, title
            ) GROUP BY id, title ORDER BY mainstat DESC, id LIMIT 100`,
            `
            SELECT concat(source, '>', target) AS id, concat('who:', if(agent = '', caller, agent)) AS source, concat('server:', server) AS target, count() AS mainstat
            FROM v_calls WHERE ${RAW} AND server != '' GROUP BY source, target ORDER BY mainstat DESC, id LIMIT 300`,
          ],
        }),
      ],
    },
  ],
}
