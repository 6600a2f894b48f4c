/** Budgets in their running period: spent, forecast, state; the worst first. */
import type { Reader } from './client.ts'

export type BudgetRow = {
  budget_id: string
  scope: string
  value: string
  period: string
  amount_nano: number
  warn_at: number[]
  period_start: string
  period_end: string
  spent_nano: number
  forecast_nano: number
  unpriced: number
  spent_share: number
  /** The largest of warn_at that is spent, 0 for none. */
  reached: number
  state: 'ok' | 'at_risk' | 'exceeded'
}

export const sql = `SELECT budget_id, scope, value, period, amount_nano, warn_at, toString(period_start) AS period_start, toString(period_end) AS period_end,
  spent_nano, forecast_nano, unpriced, spent_share, reached, state
FROM v_budgets ORDER BY spent_share DESC, scope, value, period`

export const run = (reader: Reader): Promise<BudgetRow[]> => reader.rows<BudgetRow>(sql)
