/** The price book: prices in force, then those of the past that calls were rated by. */
import type { Reader } from './client.ts'

/** Amounts in nano-dollars as text: parts of a call may cost less than one. */
export type PriceRow = {
  price_id: string
  server: string
  tool: string
  valid_from: string
  valid_to: string
  per_call_nano: string
  per_input_token_nano: string
  per_output_token_nano: string
  per_byte_in_nano: string
  per_byte_out_nano: string
  per_second_nano: string
  per_month_nano: string
  split_by: string
  formula: string
  bill_on: string
  reported: number
  in_force: number
  /** Calls it has priced in the last thirty days, and what they cost. */
  calls: number
  cost_nano: number
}

export const sql = `SELECT p.price_id AS price_id, p.server AS server, p.tool AS tool, toString(p.valid_from) AS valid_from, toString(p.valid_to) AS valid_to,
  ${['call', 'input_token', 'output_token', 'byte_in', 'byte_out', 'second', 'month'].map((name) => `toString(p.per_${name}_nano) AS per_${name}_nano`).join(', ')},
  p.split_by AS split_by, p.formula AS formula, p.bill_on AS bill_on, p.reported AS reported, p.in_force AS in_force,
  u.calls AS calls, u.cost_nano AS cost_nano
FROM v_prices AS p
LEFT JOIN (SELECT price_id, sum(calls) AS calls, sum(cost_nano) AS cost_nano FROM v_costs_1d WHERE d >= today() - 30 GROUP BY price_id) AS u ON u.price_id = p.price_id
WHERE p.in_force = 1 OR u.calls != 0 OR {all:UInt8} = 1
ORDER BY in_force DESC, server, tool, valid_from`

export const run = (reader: Reader, { all = false }: { all?: boolean } = {}): Promise<PriceRow[]> =>
  reader.rows<PriceRow>(sql, { all: all ? 1 : 0 })
