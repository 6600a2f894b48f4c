/** Security and audit: who was refused, who is new, what changed under the agents' feet, and a search over calls. */
import type { Board } from './board.ts'
import { series, stat, TRACE_LINK, table } from './panel.ts'
import { LAST_DAY, linkColumns, perSecond, picked } from './query.ts'

const TOOLS = `$__timeFilter(t) ${picked(['env', 'server', 'tool'])}`
const CALLERS = `$__dateFilter(d) ${picked(['env', 'team', 'project', 'caller', 'agent'])}`
const RAW = `${LAST_DAY} ${picked(['env', 'team', 'project', 'server', 'tool', 'caller', 'agent'])}`

export const security: Board = {
  uid: 'weir-security',
  title: 'Weir: security and audit',
  description:
    'Refusals, callers never seen before, tool definitions that changed, calls at odd hours, and a search over calls.',
  variables: ['env', 'team', 'project', 'server', 'tool', 'caller', 'agent'],
  texts: { search: { label: 'Search', value: '' } },
  rows: [
    {
      title: 'Refused',
      panels: [
        stat({
          title: 'Denied',
          description: 'Calls that a rule refused. Answers environment, server and tool.',
          unit: 'short',
          bounds: { warn: 1, bad: 100 },
          sql: `SELECT sum(denied) AS denied FROM v_tool_5m WHERE ${TOOLS}`,
        }),
        stat({
          title: 'Limited',
          description: 'Calls beyond a rate or quota. Answers environment, server and tool.',
          unit: 'short',
          bounds: { warn: 1, bad: 1000 },
          sql: `SELECT sum(limited) AS limited FROM v_tool_5m WHERE ${TOOLS}`,
        }),
        stat({
          title: 'Not identified',
          description:
            'Events of the last day of the range without a caller: no key, an unknown one, or one that expired.',
          unit: 'short',
          bounds: { warn: 1, bad: 100 },
          sql: `SELECT count() AS events FROM v_failures WHERE ${LAST_DAY} AND error_type = 'unauthenticated' ${picked(['env'])}`,
        }),
        stat({
          title: 'Unreadable',
          description: 'Bodies of the last day of the range that never became a message.',
          unit: 'short',
          bounds: { warn: 1, bad: 100 },
          sql: `SELECT count() AS events FROM v_failures WHERE ${LAST_DAY} AND kind = 'unreadable' ${picked(['env'])}`,
        }),
        stat({
          title: 'New callers',
          description: 'Callers whose first day ever is in the range.',
          unit: 'short',
          sql: `
            SELECT count() AS callers FROM (
              SELECT caller FROM v_callers_1d WHERE caller != '' ${picked(['env', 'team', 'project', 'caller', 'agent'])}
              GROUP BY caller HAVING min(first_seen) >= $__fromTime AND min(first_seen) <= $__toTime
            )`,
        }),
        stat({
          title: 'Changed definitions',
          description:
            'Tools whose definition became another one in the range: what the model reads is not what was reviewed.',
          unit: 'short',
          bounds: { warn: 1, bad: 10 },
          sql: `SELECT count() AS changes FROM v_tool_changes WHERE $__timeFilter_ms(ts) ${picked(['server', 'tool'])}`,
        }),
        series({
          title: 'Refused calls per second',
          description:
            'denied: by a rule; limited: rate or quota; invalid: not what the protocol or the schema allows.',
          unit: 'reqps',
          stacked: true,
          sql: `
            SELECT $__timeInterval(t) AS time, ${perSecond('sum(v.denied)')} AS denied, ${perSecond('sum(v.limited)')} AS limited, ${perSecond('sum(v.invalid)')} AS invalid
            FROM v_tool_5m AS v WHERE ${TOOLS} GROUP BY time ORDER BY time`,
        }),
        table({
          title: 'Who is refused',
          description: 'By caller and day-rollup of the range. Answers team, project, caller and agent.',
          none: 'nobody was refused',
          sql: `
            SELECT caller, agent, team, sum(v.denied) AS denied, sum(v.limited) AS limited, sum(v.invalid) AS invalid, sum(v.calls) AS calls
            FROM v_callers_1d AS v WHERE ${CALLERS} GROUP BY caller, agent, team HAVING denied + limited + invalid > 0
            ORDER BY denied DESC, limited DESC, caller, agent LIMIT 100`,
        }),
        table({
          title: 'Why (last day of the range)',
          description:
            'Refusals by cause, with an example. Events without a caller are those nobody could be named for.',
          none: 'nobody was refused',
          w: 24,
          sql: `
            SELECT error_type, outcome, caller, principal, server, tool, count() AS events, uniqExact(client_address) AS addresses,
              argMax(error_message, f.ts) AS message, max(f.ts) AS last, argMax(f.trace_id, f.ts) AS trace_id, ${linkColumns('max(f.ts)')}
            FROM v_failures AS f WHERE ${RAW} AND (outcome IN ('denied', 'limited') OR error_type IN ('unauthenticated', 'host_refused', 'origin_refused'))
            GROUP BY error_type, outcome, caller, principal, server, tool ORDER BY events DESC, caller LIMIT 100`,
          columns: { trace_id: { link: TRACE_LINK } },
        }),
        table({
          title: 'Decisions by rule, limit and budget (last day of the range)',
          description:
            'What policy said, with the newest reason. shadow: let through, and would have been refused were it enforced.',
          none: 'policy had nothing to say',
          w: 24,
          sql: `
            SELECT verdict, rule, count() AS calls, uniqExact(caller) AS callers, argMax(f.reason, f.ts) AS reason, max(f.ts) AS last,
              argMax(f.trace_id, f.ts) AS trace_id, ${linkColumns('max(f.ts)')}
            FROM v_verdicts AS f
            WHERE ${RAW} GROUP BY verdict, rule ORDER BY calls DESC, rule LIMIT 100`,
          columns: { trace_id: { link: TRACE_LINK } },
        }),
      ],
    },
    {
      title: 'What is new',
      panels: [
        table({
          title: 'Tool definitions that changed',
          description:
            'A definition is name, description, schemas and annotations: a changed one may carry instructions nobody reviewed.',
          none: 'no definition changed',
          sql: `
            SELECT ts, server, tool, version, tokens, tokens_before, hash, hash_before, definition, definition_before FROM v_tool_changes
            WHERE $__timeFilter_ms(ts) ${picked(['server', 'tool'])} ORDER BY ts DESC LIMIT 100`,
        }),
        table({
          title: 'Callers first seen',
          description: 'First seen in the range, with what they did since.',
          none: 'no new callers',
          sql: `
            SELECT caller, any(v.team) AS team, min(v.first_seen) AS first_seen, max(v.last_seen) AS last_seen, sum(v.calls) AS calls, sum(v.failed) AS failed,
              sum(v.denied) AS denied
            FROM v_callers_1d AS v WHERE caller != '' ${picked(['env', 'team', 'project', 'caller', 'agent'], 'v.')}
            GROUP BY caller HAVING first_seen >= $__fromTime AND first_seen <= $__toTime ORDER BY first_seen DESC LIMIT 100`,
        }),
        table({
          title: 'Findings',
          description:
            'What the detectors found in the range, open ones first: new tools of a caller, loops, odd volume.',
          none: 'nothing found',
          sql: `
            SELECT started, if(is_open, NULL, v.ended) AS ended, kind, server, tool, team, caller, value, expected, unit, contributor, summary,
              if(empty(traces), '', traces[1]) AS trace_id, ${linkColumns('started')}
            FROM v_anomalies AS v WHERE $__timeFilter(started) ${picked(['server', 'tool', 'team', 'caller'])} ORDER BY is_open DESC, started DESC LIMIT 100`,
          columns: { trace_id: { link: TRACE_LINK } },
        }),
        table({
          title: 'At night and on weekends',
          description:
            'Calls outside Monday to Friday, 6 to 20 o’clock UTC, by server and tool. Answers environment, server and tool.',
          none: 'no calls at odd hours',
          sql: `
            SELECT server, tool, sumIf(v.calls, odd) AS odd_calls, sum(v.calls) AS calls, odd_calls / calls AS share
            FROM (SELECT *, toDayOfWeek(t, 0, 'UTC') > 5 OR toHour(t, 'UTC') < 6 OR toHour(t, 'UTC') >= 20 AS odd FROM v_tool_5m WHERE ${TOOLS}) AS v
            WHERE server != '' GROUP BY server, tool HAVING odd_calls > 0 ORDER BY odd_calls DESC, server, tool LIMIT 100`,
          columns: { share: { unit: 'percentunit' } },
        }),
      ],
    },
    {
      title: 'Search (last day of the range)',
      panels: [
        table({
          title: 'Calls with "$search"',
          description:
            'Looks for the text in caller, principal, tool, target, error text and the ids of trace, run, session and event. Empty: the newest calls.',
          none: 'no such call',
          w: 24,
          h: 12,
          sql: `
            SELECT ts, caller, principal, auth_method, client_address, method, server, tool, target, outcome, error_message, arguments_hash, result_hash,
              event_id, trace_id, ${linkColumns('ts')}
            FROM v_calls WHERE ${RAW} AND (\${search:singlequote} = ''
              OR positionCaseInsensitiveUTF8(concat(caller, ' ', principal, ' ', tool, ' ', target, ' ', error_message), \${search:singlequote}) > 0
              OR has([trace_id, run_id, session_id, toString(event_id)], \${search:singlequote}))
            ORDER BY ts DESC LIMIT 200`,
          columns: { trace_id: { link: TRACE_LINK } },
        }),
      ],
    },
  ],
}
