/** Who or what the money goes to: costs of a range of days by one dimension, within any others (drilling down), largest first. */
import type { Reader } from './client.ts'

export const COST_DIMENSIONS = ['team', 'project', 'caller', 'agent', 'server', 'tool', 'env', 'tag'] as const
export type CostDimension = (typeof COST_DIMENSIONS)[number]

/** Values the rows must have, by dimension; a tag by its key as `tag:<key>`. */
export type CostFilters = Readonly<Record<string, string>>

/** `value` is '' where the calls name none; a tool is server/tool. Costs of calls only: monthly prices are in v_fixed_costs. */
export type CostRow = {
  value: string
  calls: number
  unpriced: number
  cost_nano: number
  tokens: number
  /** Share of the monthly prices of the months the range touches, when it covers whole months; else 0. */
  fixed_nano: number
}

const dimensionOf = (
  row: string,
): string => `multiIf({by:String} = 'team', toString(${row}.team), {by:String} = 'project', toString(${row}.project),
  {by:String} = 'caller', toString(${row}.caller), {by:String} = 'agent', toString(${row}.agent), {by:String} = 'server', toString(${row}.server),
  {by:String} = 'env', toString(${row}.env), {by:String} = 'tag', ${row}.tags[{tag:String}],
  ${row}.tool = '', toString(${row}.server), concat(${row}.server, '/', ${row}.tool))`

/** Filters bound as one map: what it does not name is not asked for. */
export const filtersOf = (row: string): string => {
  const plain = ['team', 'project', 'caller', 'agent', 'server', 'env'].map(
    (name) =>
      `(NOT mapContains({filters:Map(String, String)}, '${name}') OR ${row}.${name} = {filters:Map(String, String)}['${name}'])`,
  )
  return [
    ...plain,
    `(NOT mapContains({filters:Map(String, String)}, 'tool') OR concat(${row}.server, '/', ${row}.tool) = {filters:Map(String, String)}['tool'])`,
    `arrayAll(wanted -> NOT startsWith(wanted, 'tag:') OR ${row}.tags[substring(wanted, 5)] = {filters:Map(String, String)}[wanted], mapKeys({filters:Map(String, String)}))`,
  ].join(' AND ')
}

const FIXED_MONTHS = `f.month >= {from:Date} AND addMonths(f.month, 1) <= {to:Date}`

export const sql = `SELECT value, sum(calls) AS calls, sum(unpriced) AS unpriced, sum(cost_nano) AS cost_nano, sum(tokens) AS tokens, sum(fixed_nano) AS fixed_nano
FROM (
  SELECT ${dimensionOf('r')} AS value, sum(r.calls) AS calls, sum(r.unpriced) AS unpriced, sum(r.cost_nano) AS cost_nano, sum(r.tokens) AS tokens, toInt64(0) AS fixed_nano
  FROM v_costs_1d AS r WHERE r.d >= {from:Date} AND r.d < {to:Date} AND ${filtersOf('r')} GROUP BY value
  UNION ALL
  SELECT ${dimensionOf('f')}, 0, 0, 0, 0, sum(f.cost_nano)
  FROM v_fixed_costs AS f WHERE ${FIXED_MONTHS} AND ${filtersOf('f')} GROUP BY 1
)
GROUP BY value HAVING calls != 0 OR cost_nano != 0 OR fixed_nano != 0
ORDER BY cost_nano + fixed_nano DESC, value LIMIT {limit:UInt32}`

export type CostByParams = {
  by: CostDimension
  /** Key of the tag when `by` is tag. */
  tag?: string
  /** Days (YYYY-MM-DD, UTC); `to` is the first day that no longer counts. */
  from: string
  to: string
  filters?: CostFilters
  limit?: number
}

export const run = (
  reader: Reader,
  { by, tag = '', from, to, filters = {}, limit = 1000 }: CostByParams,
): Promise<CostRow[]> => reader.rows<CostRow>(sql, { by, tag, from, to, filters, limit })
