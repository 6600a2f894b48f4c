/** Monthly prices of one month, each with the shares of those who used the server. */
import type { Reader } from './client.ts'

export const FIXED_DIMENSIONS = ['team', 'project', 'caller', 'agent', 'tool', 'env'] as const
export type FixedDimension = (typeof FIXED_DIMENSIONS)[number]

export type FixedCostRow = {
  server: string
  price_id: string
  split_by: string
  /** The whole price of the month. */
  amount_nano: number
  /** '' where the calls name none. */
  value: string
  /** 1: nobody used the server; the price is due all the same. */
  unused: number
  /** The share of `value`. */
  cost_nano: number
}

export const sql = `SELECT toString(f.server) AS server, f.price_id AS price_id, toString(f.split_by) AS split_by, any(f.amount_nano) AS amount_nano,
  multiIf({by:String} = 'team', toString(f.team), {by:String} = 'project', toString(f.project), {by:String} = 'caller', toString(f.caller),
    {by:String} = 'agent', toString(f.agent), {by:String} = 'env', toString(f.env), toString(f.tool)) AS value,
  max(f.unused) AS unused, sum(f.cost_nano) AS cost_nano
FROM v_fixed_costs AS f WHERE f.month = {month:Date}
GROUP BY server, price_id, split_by, value ORDER BY amount_nano DESC, server, price_id, cost_nano DESC, value LIMIT 10000`

/** `month`: its first day, YYYY-MM-DD. */
export const run = (reader: Reader, params: { month: string; by: FixedDimension }): Promise<FixedCostRow[]> =>
  reader.rows<FixedCostRow>(sql, params)
