/** Traces and workflows: what an agent did, step by step, and where it went in circles. For developers. */
import type { Board } from './board.ts'
import { series, TOOL_LINK, TRACE_LINK, table, waterfall } from './panel.ts'
import { LAST_DAY, linkColumns, picked, usd } from './query.ts'

const ALL = ['env', 'team', 'project', 'server', 'tool', 'caller', 'agent'] as const
const RAW = `${LAST_DAY} ${picked(ALL)}`
/** Runs and sessions have no server or tool of their own. */
const WHO = picked(['env', 'team', 'project', 'caller', 'agent'])
const SPANS = "arrayMap(k -> map('key', k, 'value', m[k]), mapKeys(m))"
const asTags = (column: string): string => SPANS.replaceAll(/\bm\b/g, column)

export const trace: Board = {
  uid: 'weir-trace',
  title: 'Weir: trace and workflow',
  description: 'One trace as a waterfall; runs, sessions, loops and repeated calls of the chosen agents.',
  variables: [...ALL],
  texts: {
    trace_id: { label: 'Trace', value: '' },
    run_id: { label: 'Run', value: '' },
    console: { label: 'Console', value: 'http://127.0.0.1:7333' },
  },
  rows: [
    {
      title: 'Trace $trace_id',
      panels: [
        waterfall({
          title: 'Waterfall',
          description:
            "Spans of the trace: Weir's own and what agents and servers sent over OTLP. Choose one in a table below, or paste its id above.",
          none: 'no trace chosen, or it is older than the store keeps',
          sql: `
            SELECT TraceId AS traceID, SpanId AS spanID, ParentSpanId AS parentSpanID, SpanName AS operationName, ServiceName AS serviceName,
              toUnixTimestamp64Nano(Timestamp) / 1e6 AS startTime, Duration / 1e6 AS duration, ${asTags('SpanAttributes')} AS tags,
              ${asTags('ResourceAttributes')} AS serviceTags, StatusMessage AS statusMessage, SpanKind AS kind,
              if(StatusCode = 'Error', 2, 0) AS statusCode
            FROM otel_traces
            WHERE \${trace_id:singlequote} != '' AND TraceId = \${trace_id:singlequote}
              AND Timestamp >= (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = \${trace_id:singlequote})
              AND Timestamp <= (SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE TraceId = \${trace_id:singlequote})
            ORDER BY startTime LIMIT 2000`,
        }),
        table({
          title: 'Its calls',
          description:
            'The calls of the trace with phases, sizes and cost. Arguments and results, where a rule keeps them, are in the console.',
          none: 'no trace chosen',
          w: 24,
          h: 7,
          sql: `
            SELECT v.ts AS ts, name, outcome, error_message, duration_us / 1e6 AS duration, upstream_us / 1e6 AS upstream, overhead_us / 1e6 AS overhead,
              request_bytes, response_bytes, tokens_in, tokens_out, ${usd('k.cost_nano')} AS cost, if(k.cost_source = '', 'none', k.cost_source) AS cost_source,
              caller, agent, run_id, v.event_id AS event_id, v.trace_id AS trace_id
            FROM v_calls AS v LEFT ANY JOIN (SELECT event_id, cost_nano, cost_source FROM v_call_costs WHERE trace_id = \${trace_id:singlequote}) AS k ON k.event_id = v.event_id
            WHERE \${trace_id:singlequote} != '' AND v.trace_id = \${trace_id:singlequote} ORDER BY ts LIMIT 1000`,
          columns: {
            duration: { unit: 's' },
            upstream: { unit: 's' },
            overhead: { unit: 's' },
            request_bytes: { unit: 'bytes' },
            response_bytes: { unit: 'bytes' },
            cost: { unit: 'currencyUSD' },
            event_id: { hidden: true },
            trace_id: {
              link: { title: 'Open in the console', url: '${console}/trace/${__data.fields.trace_id}' },
            },
          },
        }),
      ],
    },
    {
      title: 'Runs and sessions',
      panels: [
        table({
          title: 'Runs',
          description: 'What agents did, one line a run. Choose one to see its calls below.',
          none: 'no runs',
          sql: `
            SELECT run_id, started, dateDiff('millisecond', started, ended) / 1000 AS duration, agent, caller, calls, failed, tools,
              tokens_in + tokens_out AS tokens, ${usd('cost_nano')} AS cost, unpriced
            FROM v_runs WHERE $__timeFilter_ms(started) ${WHO} ORDER BY started DESC LIMIT 200`,
          columns: {
            duration: { unit: 's' },
            cost: { unit: 'currencyUSD' },
            run_id: {
              link: {
                title: 'Calls of this run',
                url: '/d/weir-trace?${__url_time_range}&${ds:queryparam}&var-run_id=${__data.fields.run_id}',
              },
            },
          },
        }),
        table({
          title: 'Sessions',
          description: 'One line a session of a client that has sessions.',
          none: 'no sessions',
          sql: `
            SELECT session_id, started, dateDiff('millisecond', started, ended) / 1000 AS duration, client_name, agent, caller, calls, failed, tools, traces,
              ${usd('cost_nano')} AS cost
            FROM v_sessions WHERE $__timeFilter_ms(started) ${WHO} ORDER BY started DESC LIMIT 200`,
          columns: { duration: { unit: 's' }, cost: { unit: 'currencyUSD' } },
        }),
        table({
          title: 'Calls of run $run_id',
          description: 'Step by step, with the trace of each.',
          none: 'no run chosen',
          w: 24,
          sql: `
            WITH steps AS (
              SELECT * FROM v_calls WHERE \${run_id:singlequote} != '' AND run_id = \${run_id:singlequote} AND $__timeFilter_ms(ts) ORDER BY ts LIMIT 1000
            )
            SELECT v.ts AS ts, name, outcome, duration_us / 1e6 AS duration, tokens_out, ${usd('k.cost_nano')} AS cost, error_message, v.trace_id AS trace_id, ${linkColumns('v.ts')}
            FROM steps AS v LEFT ANY JOIN (
              SELECT event_id, cost_nano FROM v_call_costs WHERE $__timeFilter_ms(ts) AND event_id IN (SELECT event_id FROM steps)
            ) AS k ON k.event_id = v.event_id ORDER BY ts`,
          columns: { duration: { unit: 's' }, cost: { unit: 'currencyUSD' }, trace_id: { link: TRACE_LINK } },
        }),
        series({
          title: 'Steps of a run, p95',
          description:
            'Calls that 95 of 100 runs of an agent stayed within. An agent that needs more steps than before shows here first.',
          unit: 'short',
          named: true,
          step: '1h',
          sql: `
            SELECT $__timeInterval(started) AS time, if(agent = '', toString(caller), toString(agent)) AS name, quantileExact(0.95)(v.calls) AS value
            FROM v_runs AS v WHERE $__timeFilter_ms(started) ${WHO} GROUP BY time, name ORDER BY time`,
        }),
        series({
          title: 'Cost of a run, p95',
          description:
            'Cost that 95 of 100 runs of an agent stayed within. Calls without a price are not in it.',
          unit: 'currencyUSD',
          named: true,
          step: '1h',
          sql: `
            SELECT $__timeInterval(started) AS time, if(agent = '', toString(caller), toString(agent)) AS name, ${usd('quantileExact(0.95)(v.cost_nano)')} AS value
            FROM v_runs AS v WHERE $__timeFilter_ms(started) ${WHO} GROUP BY time, name ORDER BY time`,
        }),
      ],
    },
    {
      title: 'Going in circles (last day of the range)',
      panels: [
        table({
          title: 'Loops',
          description: 'The same tool called five times or more with the same arguments in one run.',
          none: 'no loops',
          sql: `
            SELECT run_id, any(v.agent) AS agent, any(v.caller) AS caller, server, tool, count() AS calls, uniqExact(result_hash) AS results,
              dateDiff('second', min(v.ts), max(v.ts)) AS lasted, argMax(v.trace_id, v.ts) AS trace_id, ${linkColumns('max(v.ts)')}
            FROM v_calls AS v WHERE ${LAST_DAY} ${picked(ALL, 'v.')} AND tool != '' AND arguments_hash != '' AND run_id != ''
            GROUP BY run_id, server, tool, arguments_hash HAVING calls >= 5 ORDER BY calls DESC, run_id LIMIT 50`,
          columns: { lasted: { unit: 's' }, tool: { link: TOOL_LINK }, trace_id: { link: TRACE_LINK } },
        }),
        table({
          title: 'The same call again',
          description:
            'Equal arguments over all runs: with one result, a cache would have answered; with many, it changes over time.',
          none: 'no repeated calls',
          sql: `
            SELECT server, tool, count() AS calls, uniqExact(run_id) AS runs, uniqExact(result_hash) AS results, sum(duration_us) / 1e6 AS spent,
              argMax(v.trace_id, v.ts) AS trace_id, ${linkColumns('max(v.ts)')}
            FROM v_calls AS v WHERE ${RAW} AND tool != '' AND arguments_hash != '' AND NOT failed
            GROUP BY server, tool, arguments_hash HAVING calls >= 3 ORDER BY spent DESC, server, tool LIMIT 50`,
          columns: { spent: { unit: 's' }, tool: { link: TOOL_LINK }, trace_id: { link: TRACE_LINK } },
        }),
        table({
          title: 'Failing calls by cause',
          description: 'What the chosen agents failed at: tool, type of the error, how often, an example.',
          none: 'nothing failed',
          w: 24,
          sql: `
            SELECT name, error_type, outcome, owner, count() AS calls, uniqExact(run_id) AS runs, argMax(error_message, v.ts) AS message,
              argMax(v.trace_id, v.ts) AS trace_id, ${linkColumns('max(v.ts)')}
            FROM v_calls AS v WHERE ${RAW} AND failed GROUP BY name, error_type, outcome, owner, error_fingerprint ORDER BY calls DESC, name LIMIT 100`,
          columns: { trace_id: { link: TRACE_LINK } },
        }),
      ],
    },
  ],
}
