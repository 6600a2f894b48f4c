/** Cost: what was spent, by whom, on what, and what nobody priced. For finance and team leads. Daily rollups only. */
import type { Board } from './board.ts'
import { note, series, stat, TOOL_LINK, table } from './panel.ts'
import { picked, usd } from './query.ts'

const ALL = ['env', 'team', 'project', 'server', 'tool'] as const
const CHOSEN = picked(ALL)
const WHERE = `$__dateFilter(d) ${CHOSEN}`
const MONTH = `d >= toStartOfMonth(toDate($__toTime)) AND d <= toDate($__toTime) ${CHOSEN}`
const CALLERS = `$__dateFilter(d) ${picked(['env', 'team', 'project', 'caller', 'agent'])}`
const narrow = (name: string): { link: { title: string; url: string } } => ({
  link: {
    title: `Only \${__value.text}`,
    url: `/d/weir-cost?\${__url_time_range}&\${ds:queryparam}&\${env:queryparam}&var-${name}=\${__value.raw}`,
  },
})
const MONEY = { cost: { unit: 'currencyUSD' } }
const perDay = (name: string): string => `
  SELECT toDateTime(d) AS time, ${name} AS name, ${usd('sum(v.cost_nano)')} AS value
  FROM v_usage_1d AS v WHERE ${WHERE} GROUP BY time, name ORDER BY time`

export const cost: Board = {
  uid: 'weir-cost',
  title: 'Weir: cost',
  description: 'Spending by team, project, server, tool and caller, from daily rollups. Days are UTC.',
  variables: [...ALL, 'caller', 'agent'],
  from: 'now-30d',
  rows: [
    {
      title: 'This month',
      panels: [
        stat({
          title: 'Month to date',
          description:
            'Cost from the first of the month in which the range ends. Calls without a price are not in it.',
          unit: 'currencyUSD',
          w: 4,
          sql: `SELECT ${usd('sum(cost_nano)')} AS cost FROM v_usage_1d WHERE ${MONTH}`,
        }),
        stat({
          title: 'In the range',
          description: 'Cost of all days of the range.',
          unit: 'currencyUSD',
          w: 4,
          sql: `SELECT ${usd('sum(cost_nano)')} AS cost FROM v_usage_1d WHERE ${WHERE}`,
        }),
        stat({
          title: 'Unpriced calls',
          description:
            'Calls in the range that could cost something and that no price names: unknown, not free.',
          unit: 'short',
          w: 4,
          bounds: { warn: 1, bad: 1e9 },
          sql: `SELECT sum(unpriced) AS unpriced FROM v_usage_1d WHERE ${WHERE}`,
        }),
        stat({
          title: 'Cost of a call',
          description: 'Mean over all calls of the range, unpriced ones as zero.',
          unit: 'currencyUSD',
          w: 4,
          none: 'no calls',
          sql: `SELECT if(sum(calls) = 0, NULL, ${usd('sum(cost_nano)')} / sum(calls)) AS cost FROM v_usage_1d WHERE ${WHERE}`,
        }),
        stat({
          title: 'Forecast',
          description:
            'This month with the pace of the last seven full days, shares of monthly prices included. Of everything: answers no choice.',
          unit: 'currencyUSD',
          w: 4,
          none: 'nothing spent this month',
          sql: `SELECT if(count() = 0, NULL, ${usd('sum(forecast_nano)')}) AS forecast FROM v_month WHERE scope = 'all'`,
        }),
        stat({
          title: 'Budgets in trouble',
          description: 'Budgets that are spent, or will be before their period ends.',
          unit: 'short',
          w: 4,
          bounds: { warn: 1, bad: 2 },
          sql: "SELECT countIf(state != 'ok') AS budgets FROM v_budgets",
        }),
        table({
          title: 'Budgets',
          description:
            'Spent and forecast of the running period (UTC) against the amount. Of everything: answers no choice.',
          none: 'no budgets are configured',
          sql: `
            SELECT budget_id, scope, value, period, ${usd('amount_nano')} AS amount, ${usd('spent_nano')} AS spent, spent_share, ${usd('forecast_nano')} AS forecast,
              state, unpriced FROM v_budgets ORDER BY spent_share DESC, budget_id LIMIT 200`,
          columns: {
            amount: { unit: 'currencyUSD' },
            spent: { unit: 'currencyUSD' },
            forecast: { unit: 'currencyUSD' },
            spent_share: { unit: 'percentunit', gauge: true },
          },
        }),
        table({
          title: 'Prices of a month, split by use',
          description:
            'What a server costs a month, and how it is shared among those who used it. A month of nobody is due all the same.',
          none: 'no server has a monthly price',
          sql: `
            SELECT month, server, team, project, tool, split_by, ${usd('sum(cost_nano)')} AS cost FROM v_fixed_costs
            WHERE month >= toStartOfMonth(toDate($__fromTime)) AND month <= toDate($__toTime) ${CHOSEN}
            GROUP BY month, server, team, project, tool, split_by ORDER BY month DESC, cost DESC, server, team, tool LIMIT 200`,
          columns: { cost: { unit: 'currencyUSD' } },
        }),
      ],
    },
    {
      title: 'By day',
      panels: [
        series({
          title: 'Cost per day by team',
          description: 'Days are UTC; the last one is not over.',
          unit: 'currencyUSD',
          named: true,
          stacked: true,
          step: '1d',
          sql: perDay("if(team = '', '(no team)', toString(team))"),
        }),
        series({
          title: 'Cost per day by server',
          description: 'Days are UTC; the last one is not over.',
          unit: 'currencyUSD',
          named: true,
          stacked: true,
          step: '1d',
          sql: perDay("if(server = '', '(Weir)', toString(server))"),
        }),
      ],
    },
    {
      title: 'By whom and on what (a name narrows the board)',
      panels: [
        table({
          title: 'Teams and projects',
          description: 'Cost of the range, most expensive first.',
          sql: `
            SELECT team, project, ${usd('sum(v.cost_nano)')} AS cost, sum(v.calls) AS calls, sum(v.unpriced) AS unpriced, sum(tokens_in) + sum(tokens_out) AS tokens
            FROM v_usage_1d AS v WHERE ${WHERE} GROUP BY team, project ORDER BY cost DESC, calls DESC, team, project LIMIT 200`,
          columns: { ...MONEY, team: narrow('team'), project: narrow('project') },
        }),
        table({
          title: 'Tools',
          description: 'Cost of the range by tool, and what one call costs.',
          sql: `
            SELECT server, tool, ${usd('sum(v.cost_nano)')} AS cost, sum(v.calls) AS calls, cost / calls AS cost_per_call, sum(v.unpriced) AS unpriced
            FROM v_usage_1d AS v WHERE ${WHERE} AND tool != '' GROUP BY server, tool ORDER BY cost DESC, calls DESC, server, tool LIMIT 200`,
          columns: {
            ...MONEY,
            cost_per_call: { unit: 'currencyUSD' },
            server: narrow('server'),
            tool: { link: TOOL_LINK },
          },
        }),
        table({
          title: 'Callers',
          description:
            'Cost of the range by caller and agent. Answers the choice of team, project, caller and agent, not of server and tool.',
          sql: `
            SELECT caller, agent, team, project, ${usd('sum(v.cost_nano)')} AS cost, sum(v.calls) AS calls, sum(v.unpriced) AS unpriced
            FROM v_callers_1d AS v WHERE ${CALLERS} GROUP BY caller, agent, team, project ORDER BY cost DESC, calls DESC, caller, agent LIMIT 200`,
          columns: { ...MONEY, team: narrow('team'), project: narrow('project') },
        }),
        table({
          title: 'Where prices come from',
          description:
            'Cost and calls by source of the price: reported by the server, a formula, the tool, the server, the default. unpriced is unknown.',
          sql: `
            SELECT cost_source, price_id, ${usd('sum(v.cost_nano)')} AS cost, sum(v.calls) AS calls
            FROM v_costs_1d AS v WHERE ${WHERE} ${picked(['caller', 'agent'])} GROUP BY cost_source, price_id HAVING calls != 0 OR cost != 0
            ORDER BY cost DESC, cost_source, price_id LIMIT 100`,
          columns: { ...MONEY },
        }),
        table({
          title: 'Moved most',
          description: 'The last seven days of the range against the seven before, by team and tool.',
          sql: `
            SELECT team, server, tool, ${usd('sumIf(v.cost_nano, NOT before)')} AS cost, ${usd('sumIf(v.cost_nano, before)')} AS cost_before, cost - cost_before AS change
            FROM (SELECT *, d <= toDate($__toTime) - 7 AS before FROM v_usage_1d WHERE d > toDate($__toTime) - 14 AND d <= toDate($__toTime) ${CHOSEN}) AS v
            GROUP BY team, server, tool HAVING change != 0 ORDER BY abs(change) DESC, team, server, tool LIMIT 50`,
          columns: {
            ...MONEY,
            cost_before: { unit: 'currencyUSD' },
            change: { unit: 'currencyUSD' },
            tool: { link: TOOL_LINK },
          },
        }),
      ],
    },
    {
      title: 'What has no price',
      panels: [
        table({
          title: 'Unpriced tools',
          description: 'Give them a price in weir.yaml; calls that are stored are rated again.',
          none: 'every call has a price',
          sql: `
            SELECT server, tool, method, sum(v.unpriced) AS unpriced, sum(v.calls) AS calls
            FROM v_usage_1d AS v WHERE ${WHERE} GROUP BY server, tool, method HAVING unpriced != 0 ORDER BY unpriced DESC, server, tool LIMIT 200`,
          columns: { tool: { link: TOOL_LINK } },
        }),
        note(
          'Invoices',
          'The month as FOCUS rows that add up to the cent: `weir export focus --month 2026-11`. Every row there is one sum of the same rollups that this board shows.',
          12,
          9,
        ),
      ],
    },
  ],
}
