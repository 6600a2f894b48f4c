/** Tool usage: which tools are taken up, by whom, which are dead weight in the context, which teach models nothing. For product. */
import type { Board } from './board.ts'
import { series, stat, TOOL_LINK, table } from './panel.ts'
import { LAST_DAY, picked, usd } from './query.ts'

const ALL = ['env', 'team', 'project', 'server', 'tool'] as const
const WHERE = `$__dateFilter(d) ${picked(ALL)}`
const CALLERS = `$__dateFilter(d) ${picked(['env', 'team', 'project'])}`

export const usage: Board = {
  uid: 'weir-usage',
  title: 'Weir: tool usage',
  description:
    'Adoption of tools by team and client, unused ones, calls that do not fit the schema, tokens of results. Daily rollups.',
  variables: [...ALL],
  from: 'now-30d',
  rows: [
    {
      title: 'Adoption',
      panels: [
        stat({
          title: 'Tools in use',
          description: 'Different tools called in the range.',
          unit: 'short',
          w: 6,
          sql: `SELECT uniqExact(server, tool) AS tools FROM v_usage_1d WHERE ${WHERE} AND tool != '' AND calls > 0`,
        }),
        stat({
          title: 'Tools listed and never called',
          description:
            'Listed in the range and called by nobody: their definitions cost context all the same. Answers server and tool.',
          unit: 'short',
          w: 6,
          bounds: { warn: 20, bad: 100 },
          sql: `SELECT uniqExact(server, tool) AS unused FROM v_unused_tools(from = $__fromTime, to = $__toTime) WHERE 1 = 1 ${picked(['server', 'tool'])}`,
        }),
        stat({
          title: 'Callers',
          description: 'Different callers of the range. Answers environment, team and project.',
          unit: 'short',
          w: 6,
          sql: `SELECT uniqExact(caller) AS callers FROM v_callers_1d WHERE ${CALLERS} AND caller != ''`,
        }),
        stat({
          title: 'Calls that do not fit',
          description:
            'Share of calls whose arguments or method were refused as invalid: a schema that models misread.',
          unit: 'percentunit',
          w: 6,
          decimals: 2,
          none: 'no calls',
          bounds: { warn: 0.02, bad: 0.1 },
          sql: `SELECT if(sum(calls) = 0, NULL, sum(invalid) / sum(calls)) AS invalid FROM v_usage_1d WHERE ${WHERE}`,
        }),
        series({
          title: 'Calls per day by server',
          description: 'Days are UTC; the last one is not over.',
          unit: 'short',
          named: true,
          stacked: true,
          step: '1d',
          sql: `
            SELECT toDateTime(d) AS time, if(server = '', '(Weir)', toString(server)) AS name, sum(v.calls) AS value
            FROM v_usage_1d AS v WHERE ${WHERE} GROUP BY time, name ORDER BY time`,
        }),
        series({
          title: 'Callers per day by team',
          description: 'Different callers of each day. Answers environment, team and project.',
          unit: 'short',
          named: true,
          stacked: true,
          step: '1d',
          sql: `
            SELECT toDateTime(d) AS time, if(team = '', '(no team)', toString(team)) AS name, uniqExact(caller) AS value
            FROM v_callers_1d AS v WHERE ${CALLERS} GROUP BY time, name ORDER BY time`,
        }),
        table({
          title: 'Tools',
          description:
            'Use of each tool: by how many teams, how often right, and how much a model has to read per result.',
          w: 24,
          sql: `
            SELECT server, tool, sum(v.calls) AS calls, uniqExact(v.team) AS teams, uniqExact(v.d) AS days, sum(v.failed) / sum(v.calls) AS failed_share,
              sum(v.invalid) / sum(v.calls) AS invalid_share, sum(v.tokens_out) / sum(v.calls) AS tokens_per_result, sum(v.response_bytes) / sum(v.calls) AS bytes_per_result,
              max(v.d) AS last_used
            FROM v_usage_1d AS v WHERE ${WHERE} AND tool != '' GROUP BY server, tool HAVING calls > 0 ORDER BY calls DESC, server, tool LIMIT 500`,
          columns: {
            tool: { link: TOOL_LINK },
            failed_share: { unit: 'percentunit' },
            invalid_share: { unit: 'percentunit' },
            tokens_per_result: { unit: 'short' },
            bytes_per_result: { unit: 'bytes' },
          },
        }),
      ],
    },
    {
      title: 'Context',
      panels: [
        series({
          title: 'Tokens per result by tool',
          description:
            'Mean over a day of the twelve tools whose results hold most tokens. What fills the context window.',
          unit: 'short',
          named: true,
          step: '1d',
          sql: `
            SELECT toDateTime(d) AS time, concat(server, ' ', tool) AS name, sum(v.tokens_out) / sum(v.calls) AS value
            FROM v_usage_1d AS v WHERE ${WHERE} AND tool != ''
              AND (server, tool) IN (SELECT server, tool FROM v_usage_1d WHERE ${WHERE} AND tool != '' GROUP BY server, tool ORDER BY sum(tokens_out) DESC, server, tool LIMIT 12)
            GROUP BY time, name ORDER BY time`,
        }),
        table({
          title: 'Listed and never called',
          description:
            'Tools listed in the range and called by nobody: tokens of a definition, sessions that read it, and what that cost. Answers server and tool.',
          none: 'every listed tool was called',
          sql: `
            SELECT server, tool, tokens, sessions, context_tokens, ${usd('cost_nano')} AS cost, unpriced_tokens, arrayStringConcat(teams, ', ') AS of_teams
            FROM v_unused_tools(from = $__fromTime, to = $__toTime) WHERE 1 = 1 ${picked(['server', 'tool'])}
            ORDER BY context_tokens DESC, server, tool LIMIT 200`,
          columns: { cost: { unit: 'currencyUSD' } },
        }),
      ],
    },
    {
      title: 'What lists of tools cost',
      panels: [
        series({
          title: 'Tokens of definitions read per day by server',
          description:
            'What sessions read when they listed tools: name, description and schema. Answers team and project.',
          unit: 'short',
          named: true,
          stacked: true,
          step: '1d',
          sql: `
            SELECT toDateTime(day) AS time, if(server = '', '(Weir)', toString(server)) AS name, sum(v.tokens) AS value
            FROM v_context_costs AS v WHERE $__dateFilter(day) ${picked(['team', 'project', 'server'])} GROUP BY time, name ORDER BY time`,
        }),
        table({
          title: 'By team',
          description:
            'Sessions, tokens of definitions they read, and what those cost where a price of context is configured; unread: sessions whose list Weir could not read.',
          none: 'no lists were read',
          sql: `
            SELECT team, server, sum(v.sessions) AS sessions, sum(v.tokens) AS tokens, ${usd('sum(v.cost_nano)')} AS cost, sum(v.unread_sessions) AS unread_sessions
            FROM v_context_costs AS v WHERE $__dateFilter(day) ${picked(['team', 'project', 'server'])} GROUP BY team, server ORDER BY tokens DESC, team, server LIMIT 200`,
          columns: { cost: { unit: 'currencyUSD' } },
        }),
      ],
    },
    {
      title: 'Clients (last day of the range)',
      panels: [
        table({
          title: 'Client programs',
          description: 'Programs as they name themselves, with version, protocol and how often they fail.',
          none: 'no calls',
          sql: `
            SELECT client_name, client_version, protocol_version, transport, count() AS calls, uniqExact(caller) AS callers, countIf(failed) / calls AS failed_share
            FROM v_calls WHERE ${LAST_DAY} ${picked(ALL)} GROUP BY client_name, client_version, protocol_version, transport
            ORDER BY calls DESC, client_name, client_version LIMIT 100`,
          columns: { failed_share: { unit: 'percentunit' } },
        }),
        table({
          title: 'What models get wrong',
          description:
            'Calls refused as invalid or unknown, by tool and cause: names that invite mistakes, schemas that are misread.',
          none: 'no invalid calls',
          sql: `
            SELECT server, exposed_name, error_type, count() AS calls, uniqExact(client_name) AS clients, argMax(error_message, v.ts) AS example
            FROM v_calls AS v WHERE ${LAST_DAY} ${picked(ALL)} AND outcome = 'invalid'
            GROUP BY server, exposed_name, error_type ORDER BY calls DESC, exposed_name LIMIT 100`,
        }),
      ],
    },
  ],
}
