/** The running month (UTC) at a glance: spent, what it will have cost at its end, what is unpriced, and where costs come from. */
import type { Reader } from './client.ts'

export type CostTotals = {
  /** First day of the month. */
  month: string
  used_nano: number
  fixed_nano: number
  spent_nano: number
  forecast_nano: number
  unpriced: number
  /** The whole month before. */
  before_nano: number
  before_unpriced: number
}
export type CostSourceRow = { cost_source: string; calls: number; cost_nano: number }
export type UnpricedRow = { server: string; tool: string; calls: number }

const LAST_MONTH = "addMonths(toStartOfMonth(toDate(now('UTC'))), -1)"

export const sql = `WITH (SELECT (sum(r.cost_nano), sum(r.unpriced)) FROM v_costs_1d AS r WHERE r.d >= ${LAST_MONTH} AND r.d < addMonths(${LAST_MONTH}, 1)) AS before
SELECT toString(toStartOfMonth(toDate(now('UTC')))) AS month, sum(m.used_nano) AS used_nano, sum(m.fixed_nano) AS fixed_nano,
  sum(m.spent_nano) AS spent_nano, sum(m.forecast_nano) AS forecast_nano, sum(m.unpriced) AS unpriced,
  before.1 + (SELECT sum(f.cost_nano) FROM v_fixed_costs AS f WHERE f.month = ${LAST_MONTH}) AS before_nano, before.2 AS before_unpriced
FROM v_month AS m WHERE m.scope = 'all'`

export const sourcesSql = `SELECT toString(r.cost_source) AS cost_source, sum(r.calls) AS calls, sum(r.cost_nano) AS cost_nano
FROM v_costs_1d AS r WHERE r.d >= toStartOfMonth(toDate(now('UTC')))
GROUP BY cost_source HAVING calls != 0 OR cost_nano != 0 ORDER BY cost_nano DESC, cost_source`

export const unpricedSql = `SELECT toString(r.server) AS server, toString(r.tool) AS tool, sum(r.unpriced) AS calls
FROM v_costs_1d AS r WHERE r.d >= toStartOfMonth(toDate(now('UTC'))) AND r.cost_source = 'unpriced'
GROUP BY server, tool HAVING calls > 0 ORDER BY calls DESC, server, tool LIMIT 100`

export async function run(
  reader: Reader,
): Promise<{ total: CostTotals; sources: CostSourceRow[]; unpriced: UnpricedRow[] }> {
  const [[total], sources, unpriced] = await Promise.all([
    reader.rows<CostTotals>(sql),
    reader.rows<CostSourceRow>(sourcesSql),
    reader.rows<UnpricedRow>(unpricedSql),
  ])
  if (!total) throw new Error('the store gave no answer')
  return { total, sources, unpriced }
}
