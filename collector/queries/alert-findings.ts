/** Anomalies that are open now, and budgets as they stand: what rules of those kinds go by. */
import type { Reader } from './client.ts'

export type OpenAnomaly = {
  id: string
  kind: string
  scope: string
  series: string
  server: string
  tool: string
  team: string
  caller: string
  started_ms: number
  value: number
  expected: number
  unit: string
  score: number
  evidence: string
  traces: string[]
  summary: string
}

/** Open is what the console calls open: the same view. */
export const anomaliesSql = `SELECT id, kind, scope, series, server, tool, team, caller, toUnixTimestamp(v.started) * 1000 AS started_ms,
  value, expected, unit, score, evidence, traces, summary
FROM v_anomalies AS v WHERE v.is_open ORDER BY v.score DESC, v.id LIMIT 1000`

export const runAnomalies = (reader: Reader): Promise<OpenAnomaly[]> => reader.rows(anomaliesSql)

export type BudgetState = {
  budget_id: string
  scope: string
  value: string
  period: string
  /** When the running period began. */
  start_ms: number
  amount_nano: number
  spent_nano: number
  forecast_nano: number
  /** Calls that are not in these, for they have no price. */
  unpriced: number
}

export const budgetsSql = `SELECT b.budget_id AS budget_id, b.scope AS scope, b.value AS value, b.period AS period, toUnixTimestamp(toDateTime(b.period_start, 'UTC')) * 1000 AS start_ms,
  toFloat64(b.amount_nano) AS amount_nano, toFloat64(b.spent_nano) AS spent_nano, toFloat64(b.forecast_nano) AS forecast_nano, b.unpriced AS unpriced
FROM v_budgets AS b ORDER BY b.budget_id LIMIT 10000`

export const runBudgets = (reader: Reader): Promise<BudgetState[]> => reader.rows(budgetsSql)
