/**
 * Service level objectives: how much of the error budget is left, how fast it burns, and the rules that look at that.
 * Burn rate: share of bad calls over the share allowed. Windows and rates of the SRE workbook (chapter 5): a rule needs its long
 * window and the short one, a twelfth, to burn, so that it fires for what matters and ends soon after. Pure but for `countSlos`.
 */
import { BURNS, type SloRule } from '../../../config/alert-rules.ts'
import type { SloConfig } from '../../../config/alerts.ts'
import type { Reader } from '../../queries/client.ts'
import { type RollupCount, runRaw, runRollup } from '../../queries/slo-counts.ts'
import type { Sample } from './alert.ts'
import { conditions, momentText } from './links.ts'
import type { Look } from './look.ts'
import { figureText, sampleOf, secondsText } from './sample.ts'

/** Calls and bad calls of one series by window in seconds. */
export type Counts = ReadonlyMap<number, { total: number; bad: number }>
export type SloCounts = {
  readonly name: string
  readonly slo: SloConfig
  readonly server: string
  readonly tool: string
  readonly team: string
  readonly counts: Counts
}

/** The windows that burn rates are said of, in seconds. */
export const BURN_WINDOWS = [...new Set(Object.values(BURNS).flatMap((b) => [b.short_s, b.long_s]))].sort(
  (a, b) => a - b,
)
export const budgetWindow = (slo: SloConfig): number => slo.window_days * 86_400

/** Null: too few calls to say. */
export function burnRate(counts: Counts, window_s: number, slo: SloConfig): number | null {
  const { total, bad } = counts.get(window_s) ?? { total: 0, bad: 0 }
  return total < slo.min_calls ? null : bad / total / (1 - slo.target)
}

/** Share of the errors allowed in the whole window that is left; below 0 when there were more. 1 without calls. */
export function budgetLeft(counts: Counts, slo: SloConfig): number {
  const { total, bad } = counts.get(budgetWindow(slo)) ?? { total: 0, bad: 0 }
  return total === 0 ? 1 : 1 - bad / total / (1 - slo.target)
}

/** Calls of a histogram that took `under_us` or more: bucket i holds (2^(i/8), 2^((i+1)/8)] us, split evenly at the limit. */
export function slowOf(hist: Readonly<Record<string, number>>, under_us: number): number {
  const at = Math.log2(under_us) * 8
  let slow = 0
  for (const [bucket, calls] of Object.entries(hist)) {
    const i = Number(bucket)
    slow += Number(calls) * Math.min(1, Math.max(0, i + 1 - at))
  }
  return Math.round(slow)
}

/** Teams are in no five-minute rollup, and the cost of a call is in none. */
const isRaw = (slo: SloConfig): boolean =>
  slo.objective === 'cost' || slo.each === 'team' || slo.team !== undefined

const globs = (names: readonly string[] | undefined): ((name: string) => boolean) => {
  if (!names || names.length === 0) return () => true
  const tests = names.map(
    (glob) => new RegExp(`^${RegExp.escape(glob).replaceAll('\\*', '.*').replaceAll('\\?', '.')}$`, 's'),
  )
  return (name) => tests.some((test) => test.test(name))
}

type Counted = Omit<SloCounts, 'counts'> & { counts: Map<number, { total: number; bad: number }> }

function fromRollup(name: string, slo: SloConfig, rows: readonly RollupCount[]): Counted[] {
  const isServer = globs(slo.server)
  const isTool = globs(slo.tool)
  const found = new Map<string, Counted>()
  for (const row of rows) {
    if (!isServer(row.server) || !isTool(row.tool)) continue
    const server = slo.each === 'none' ? '' : row.server
    const tool = slo.each === 'tool' ? row.tool : ''
    if (slo.each === 'tool' && tool === '') continue
    const key = JSON.stringify([server, tool])
    const series = found.get(key) ?? { name, slo, server, tool, team: '', counts: new Map() }
    found.set(key, series)
    const bad =
      slo.objective === 'latency'
        ? slowOf(row.hist, slo.under_ms! * 1000)
        : slo.bad === 'failed'
          ? row.failed
          : row.faults
    const before = series.counts.get(row.window_s) ?? { total: 0, bad: 0 }
    series.counts.set(row.window_s, {
      total: before.total + Number(row.calls),
      bad: before.bad + Number(bad),
    })
  }
  return [...found.values()]
}

async function fromCalls(
  reader: Reader,
  name: string,
  slo: SloConfig,
  to_ms: number,
  windows: readonly number[],
): Promise<Counted[]> {
  const rows = await runRaw(reader, {
    to_ms,
    windows,
    each: slo.each,
    objective: slo.objective,
    under: slo.under_ms ?? slo.under_usd ?? 0,
    count: slo.bad,
    server: slo.server ?? [],
    tool: slo.tool ?? [],
    team: slo.team ?? [],
  })
  const found = new Map<string, Counted>()
  for (const { server, tool, team, window_s, total, bad } of rows) {
    const key = JSON.stringify([server, tool, team])
    const series = found.get(key) ?? { name, slo, server, tool, team, counts: new Map() }
    found.set(key, series)
    series.counts.set(window_s, { total: Number(total), bad: Number(bad) })
  }
  return [...found.values()]
}

/** Counts of every objective in the windows that `windowsOf` wants: one question for those that rollups answer. */
export async function countSlos(
  reader: Reader,
  slos: Readonly<Record<string, SloConfig>>,
  to_ms: number,
  windowsOf: (slo: SloConfig) => readonly number[],
): Promise<SloCounts[]> {
  const entries = Object.entries(slos)
  const rolled = entries.filter(([, slo]) => !isRaw(slo))
  const windows = [...new Set(rolled.flatMap(([, slo]) => windowsOf(slo)))]
  const hist = rolled.some(([, slo]) => slo.objective === 'latency')
  const rows = rolled.length > 0 ? await runRollup(reader, { to_ms, windows, hist }) : []
  const all: Counted[] = rolled.flatMap(([name, slo]) => fromRollup(name, slo, rows))
  for (const [name, slo] of entries)
    if (isRaw(slo)) all.push(...(await fromCalls(reader, name, slo, to_ms, windowsOf(slo))))
  return all
}

const WHAT: Readonly<Record<SloConfig['objective'], (slo: SloConfig) => string>> = {
  success: (slo) => (slo.bad === 'failed' ? 'failed' : 'fault'),
  latency: (slo) => `duration_us >= ${slo.under_ms! * 1000}`,
  cost: (slo) => `cost_nano >= ${slo.under_usd! * 1e9}`,
}

/** One sample a series: bad while both windows burn at the rate of the rule. */
export const burnSamples = async (rule: SloRule, look: Look): Promise<Sample[]> =>
  (await look.slos).map(({ name, slo, server, tool, team, counts }) => {
    const { long_s, short_s, rate } = BURNS[rule.burn]
    const long = burnRate(counts, long_s, slo)
    const short = burnRate(counts, short_s, slo)
    const isBad = long !== null && short !== null && long >= rate && short >= rate
    const labels = { slo: name, objective: slo.objective, server, tool, team }
    return sampleOf(rule, look, isBad ? 'bad' : 'good', long ?? 0, labels, () => ({
      summary: `${name}${tool || server || team ? ` (${[server, tool, team].filter(Boolean).join('/')})` : ''}: the error budget burns ${figureText(long ?? 0)} times faster than allowed over ${secondsText(long_s)}, ${figureText(short ?? 0)} times over ${secondsText(short_s)} (limit ${rate}); target ${figureText(slo.target * 100)} % in ${slo.window_days} d`,
      view: 'tools',
      window_s: Math.min(long_s, 86_400),
      series: { server, tool, team },
      evidence: `SELECT toStartOfFiveMinutes(ts) AS t, count() AS calls, countIf(${WHAT[slo.objective](slo)}) AS bad FROM v_calls WHERE ts >= ${momentText(look.to_ms - long_s * 1000)} AND ts < ${momentText(look.to_ms)} AND server != ''${conditions({ server, tool, team })} GROUP BY t ORDER BY t`,
      heading: rule.name,
      traces: {
        order: slo.objective === 'success' ? 'failed' : slo.objective === 'latency' ? 'slow' : 'costly',
      },
    }))
  })
