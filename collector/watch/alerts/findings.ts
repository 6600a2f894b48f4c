/** Rules about what other jobs found: an alert is bad while its anomaly is open, or its budget is used beyond a share. */
import { type AnomalyRule, type BudgetRule, isShipped } from '../../../config/alert-rules.ts'
import { runAnomalies, runBudgets } from '../../queries/alert-findings.ts'
import type { Sample } from './alert.ts'
import { literal } from './links.ts'
import type { Look, Once } from './look.ts'
import { figureText, sampleOf } from './sample.ts'

/** Two open findings of one kind about one series are one alert; the higher score comes first. */
export async function anomalySamples(rule: AnomalyRule, look: Look, once: Once): Promise<Sample[]> {
  const open = await once('anomalies', () => runAnomalies(look.reader))
  const wanted = open.filter(
    ({ kind, score }) =>
      (rule.anomalies.length === 0 || rule.anomalies.includes(kind)) && score >= rule.score_min,
  )
  const samples = wanted.map((found) => {
    const { kind, scope, series, server, tool, team, caller } = found
    const labels = { anomaly: kind, scope, series, server, tool, team, caller }
    return sampleOf(rule, look, 'bad', found.value, labels, () => ({
      summary:
        found.summary ||
        `${kind} of ${series}: ${figureText(found.value)} ${found.unit}, expected ${figureText(found.expected)}`,
      view: kind === 'cost' ? 'cost' : 'tools',
      window_s: Math.min(86_400, Math.max(900, (look.now_ms - found.started_ms) / 1000)),
      series: { server, tool, team, caller },
      evidence: found.evidence || `SELECT * FROM anomalies FINAL WHERE id = ${literal(found.id)}`,
      heading: isShipped(rule.name) ? rule.name : 'Anomaly',
      traces: found.traces,
    }))
  })
  const first = new Map<string, Sample>()
  for (const sample of samples) {
    const key = JSON.stringify(sample.labels)
    if (!first.has(key)) first.set(key, sample)
  }
  return [...first.values()]
}

export async function budgetSamples(rule: BudgetRule, look: Look, once: Once): Promise<Sample[]> {
  const budgets = await once('budgets', () => runBudgets(look.reader))
  return budgets.map((budget) => {
    const { budget_id, scope, value, period, amount_nano } = budget
    const used_nano = rule.by === 'spent' ? budget.spent_nano : budget.forecast_nano
    const share = amount_nano > 0 ? used_nano / amount_nano : 0
    const of = ['team', 'project', 'agent', 'caller', 'server', 'tool'].includes(scope)
      ? { [scope]: value }
      : {}
    const labels = { ...of, budget: budget_id, period }
    return sampleOf(rule, look, share >= rule.value ? 'bad' : 'good', share, labels, () => ({
      summary: `${figureText(share * 100)} % of the budget of ${scope} ${value} per ${period} ${rule.by === 'spent' ? 'is spent' : 'will be spent'}: ${figureText(used_nano / 1e9)} of ${figureText(amount_nano / 1e9)} USD${unpricedText(budget.unpriced)}`,
      view: 'cost',
      window_s: 86_400,
      panel_from_ms: budget.start_ms,
      series: of,
      evidence: `SELECT * FROM v_budgets WHERE budget_id = ${literal(budget_id)}`,
      heading: isShipped(rule.name) ? rule.name : 'BudgetSpent',
      traces: amount_nano > 0 ? { order: 'costly' } : [],
    }))
  })
}

const unpricedText = (calls: number): string =>
  calls > 0 ? `, without ${figureText(calls)} unpriced calls` : ''
