/** Costs over time by one dimension: by day from the rollup, by hour from the calls themselves (as far back as these live). */
import type { Reader } from './client.ts'
import { type CostByParams, type CostFilters, filtersOf } from './cost-by.ts'

export type CostPoint = {
  /** Start of the step, milliseconds since 1970. */
  t_ms: number
  value: string
  calls: number
  unpriced: number
  cost_nano: number
}

const VALUE = `multiIf({by:String} = 'team', toString(r.team), {by:String} = 'project', toString(r.project), {by:String} = 'caller', toString(r.caller),
  {by:String} = 'agent', toString(r.agent), {by:String} = 'server', toString(r.server), {by:String} = 'env', toString(r.env),
  {by:String} = 'tag', r.tags[{tag:String}], {by:String} = 'all', '', concat(r.server, '/', r.tool))`

const build = (
  time: string,
  from: string,
  where: string,
): string => `SELECT toInt64(toUnixTimestamp(${time})) * 1000 AS t_ms, ${VALUE} AS value,
  sum(r.calls) AS calls, sum(r.unpriced) AS unpriced, sum(r.cost_nano) AS cost_nano
FROM ${from} AS r WHERE ${where} AND ${filtersOf('r')}
GROUP BY t_ms, value HAVING calls != 0 OR cost_nano != 0 ORDER BY t_ms, cost_nano DESC, value LIMIT 50000`

export const sql = build("toDateTime(r.d, 'UTC')", 'v_costs_1d', 'r.d >= {from:Date} AND r.d < {to:Date}')
export const hourSql = build(
  'toStartOfHour(r.ts)',
  'v_costs',
  "r.ts >= toDateTime64({from:Date}, 6, 'UTC') AND r.ts < toDateTime64({to:Date}, 6, 'UTC')",
)

export type CostSeriesParams = Omit<CostByParams, 'by' | 'limit'> & {
  by: CostByParams['by'] | 'all'
  step: 'day' | 'hour'
  filters?: CostFilters
}

export const run = (
  reader: Reader,
  { by, tag = '', from, to, step, filters = {} }: CostSeriesParams,
): Promise<CostPoint[]> =>
  reader.rows<CostPoint>(step === 'hour' ? hourSql : sql, { by, tag, from, to, filters })
