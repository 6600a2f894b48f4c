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

/** A finding that nobody has confirmed for a day has lost its detector. */
export const anomaliesSql = `SELECT a.id AS id, a.kind AS kind, a.scope AS scope, a.series AS series, a.server AS server, a.tool AS tool, a.team AS team,
  a.caller AS caller, toUnixTimestamp(a.started) * 1000 AS started_ms, a.value AS value, a.expected AS expected, a.unit AS unit, a.score AS score,
  a.evidence AS evidence, a.traces AS traces, a.summary AS summary
FROM anomalies AS a FINAL
WHERE toUnixTimestamp(a.ended) = 0 AND a.updated_at > now64(3) - toIntervalDay(1)
ORDER BY a.score DESC, a.id LIMIT 1000`

export const runAnomalies = (reader: Reader): Promise<OpenAnomaly[]> => reader.rows(anomaliesSql)

export type BudgetState = {
  budget_id: string
  scope: string
  value: string
  period: string
  amount_nano: number
  spent_nano: number
  forecast_nano: number
}

export const budgetsSql = `SELECT b.budget_id AS budget_id, b.scope AS scope, b.value AS value, b.period AS period,
  toFloat64(b.amount_nano) AS amount_nano, toFloat64(b.spent_nano) AS spent_nano, toFloat64(b.forecast_nano) AS forecast_nano
FROM v_budgets AS b ORDER BY b.budget_id LIMIT 10000`

/** Null: this database has no view of budgets. */
export async function runBudgets(reader: Reader): Promise<BudgetState[] | null> {
  const [there] = await reader.rows<{ n: number }>(
    "SELECT count() AS n FROM system.tables WHERE database = currentDatabase() AND name = 'v_budgets'",
  )
  return there?.n ? reader.rows<BudgetState>(budgetsSql) : null
}
