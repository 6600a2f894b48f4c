/** What the evaluation says of itself and of objectives, in the store: rows of `alert_rules` and `slo_status`, only as often as they change. */
import { createHash } from 'node:crypto'
import { BURNS, type Rule } from '../../../config/alert-rules.ts'
import type { SloConfig } from '../../../config/alerts.ts'
import type { Reader } from '../../queries/client.ts'
import { compactLines, type Store } from '../../sink/store.ts'
import type { Evaluation } from './evaluate.ts'
import { BURN_WINDOWS, budgetLeft, budgetWindow, burnRate, countSlos, type SloCounts } from './objectives.ts'
import { secondsText } from './sample.ts'

const RULE_COLUMNS = ['rule', 'kind', 'severity', 'about', 'state', 'detail', 'removed', 'updated_at']
const SLO_COLUMNS = [
  'slo',
  'server',
  'tool',
  'team',
  'objective',
  'target',
  'window_days',
  'under',
  'total',
  'bad',
  'budget_left',
  'burn_5m',
  'burn_30m',
  'burn_1h',
  'burn_6h',
  'burn_3d',
  'removed',
  'updated_at',
]
/** An unchanged state is said again after this long, so that readers see that somebody looks. */
const RULE_EVERY_MS = 600_000
const SLO_EVERY_MS = 60_000
/** The whole window is counted this often: it moves slowly, and is long. */
const BUDGET_EVERY_MS = 300_000

const token = (what: string, rows: unknown): string =>
  `${what}:${createHash('sha256').update(JSON.stringify(rows)).digest('hex').slice(0, 32)}`

/** A rule in one line, for people. */
export function aboutRule(rule: Rule): string {
  const during = rule.for_s > 0 ? ` for ${secondsText(rule.for_s)}` : ''
  switch (rule.kind) {
    case 'threshold':
      return `${rule.figure}${rule.over === 'all' ? '' : ` of each ${rule.over}`} ${rule.op} ${rule.value} over ${secondsText(rule.window_s)}${during}`
    case 'anomaly':
      return `open anomalies${rule.anomalies.length > 0 ? ` of kind ${rule.anomalies.join(', ')}` : ''}${rule.score_min > 0 ? ` with a score of ${rule.score_min} or more` : ''}${during}`
    case 'budget':
      return `${rule.by === 'spent' ? 'spent' : 'forecast'} >= ${rule.value * 100} % of a budget${during}`
    case 'slo': {
      const { long_s, short_s, rate } = BURNS[rule.burn]
      return `an error budget burns ${rate} times too fast over ${secondsText(long_s)} and ${secondsText(short_s)}${during}`
    }
  }
}

export type RuleBook = {
  /** Told after every evaluation. */
  write(evaluations: readonly Evaluation[], now_ms: number): Promise<void>
}

export function openRuleBook(store: Store, reader: Reader): RuleBook {
  const written = new Map<string, { text: string; at_ms: number }>()
  let isLoaded = false
  return {
    async write(evaluations, now_ms) {
      if (!isLoaded) {
        // What another term or config left: gone unless it is still in force.
        for (const { rule } of await reader.rows<{ rule: string }>('SELECT rule FROM v_alert_rules'))
          written.set(rule, { text: '', at_ms: 0 })
        isLoaded = true
      }
      const rows: unknown[][] = []
      const add = (rule: string, cells: readonly unknown[]): void => {
        const text = JSON.stringify(cells)
        const before = written.get(rule)
        if (before?.text === text && now_ms - before.at_ms < RULE_EVERY_MS) return
        rows.push([rule, ...cells, now_ms])
      }
      const inForce = new Set(evaluations.map(({ rule }) => rule.name))
      for (const { rule, state, detail } of evaluations)
        add(rule.name, [rule.kind, rule.severity, aboutRule(rule), state, detail, 0])
      const gone = [...written.keys()].filter((rule) => !inForce.has(rule))
      for (const rule of gone) rows.push([rule, '', '', '', '', '', 1, now_ms])
      if (rows.length === 0) return
      await store.insert('alert_rules', RULE_COLUMNS, compactLines(rows), token('rules', rows))
      for (const [rule, ...cells] of rows)
        written.set(rule as string, { text: JSON.stringify(cells.slice(0, -1)), at_ms: now_ms })
      for (const rule of gone) written.delete(rule)
    },
  }
}

export type SloBook = {
  /** Counts of all objectives now; their state is in the store afterwards. */
  count(
    slos: Readonly<Record<string, SloConfig>>,
    now_ms: number,
    to_ms: number,
  ): Promise<readonly SloCounts[]>
}

const keyOf = ({ name, server, tool, team }: Omit<SloCounts, 'slo' | 'counts'>): string =>
  JSON.stringify([name, server, tool, team])

function rowOf({ name, slo, server, tool, team, counts }: SloCounts, now_ms: number): unknown[] {
  const { total, bad } = counts.get(budgetWindow(slo)) ?? { total: 0, bad: 0 }
  const burns = BURN_WINDOWS.map((window_s) => burnRate(counts, window_s, slo) ?? -1)
  return [
    name,
    server,
    tool,
    team,
    slo.objective,
    slo.target,
    slo.window_days,
    slo.under_ms ?? slo.under_usd ?? 0,
    total,
    bad,
    budgetLeft(counts, slo),
    ...burns,
    0,
    now_ms,
  ]
}

export function openSloBook(store: Store, reader: Reader): SloBook {
  let budgets = new Map<string, { total: number; bad: number }>()
  let known: Map<string, readonly [string, string, string, string]> | null = null
  let counted_ms = 0
  let written_ms = 0
  let of: unknown = null
  return {
    async count(slos, now_ms, to_ms) {
      const isNew = of !== slos
      const isBudgetDue = isNew || now_ms - counted_ms >= BUDGET_EVERY_MS
      const windows = (slo: SloConfig): number[] =>
        isBudgetDue ? [...new Set([...BURN_WINDOWS, budgetWindow(slo)])] : BURN_WINDOWS
      const found = Object.keys(slos).length > 0 ? await countSlos(reader, slos, to_ms, windows) : []
      if (isBudgetDue) {
        budgets = new Map(
          found.map((one) => [keyOf(one), one.counts.get(budgetWindow(one.slo)) ?? { total: 0, bad: 0 }]),
        )
        counted_ms = now_ms
      }
      const all = found.map((one): SloCounts => {
        const budget = budgets.get(keyOf(one))
        // A window of the budget may be one of the burn rates too: then it was counted just now.
        if (!budget || one.counts.has(budgetWindow(one.slo))) return one
        return { ...one, counts: new Map([...one.counts, [budgetWindow(one.slo), budget]]) }
      })
      if (!isNew && now_ms - written_ms < SLO_EVERY_MS) return all
      known ??= new Map(
        (
          await reader.rows<{ slo: string; server: string; tool: string; team: string }>(
            'SELECT slo, server, tool, team FROM v_slos',
          )
        ).map(({ slo, server, tool, team }) => [
          keyOf({ name: slo, server, tool, team }),
          [slo, server, tool, team] as const,
        ]),
      )
      const rows = all.map((one) => rowOf(one, now_ms))
      const present = new Set(all.map(keyOf))
      // Only a count of the whole window knows who is gone.
      const gone = isBudgetDue ? [...known].filter(([key]) => !present.has(key)) : []
      for (const [, names] of gone) rows.push([...names, '', 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, 1, now_ms])
      if (rows.length > 0)
        await store.insert('slo_status', SLO_COLUMNS, compactLines(rows), token('slos', rows))
      for (const one of all) known.set(keyOf(one), [one.name, one.server, one.tool, one.team])
      for (const [key] of gone) known.delete(key)
      written_ms = now_ms
      of = slos
      return all
    },
  }
}
