/**
 * The detectors of series: judges the buckets of a range one after the other and writes down what begins, goes on and ends.
 * State is what stands in `anomalies`: a restart, or another collector, continues the same finding.
 */
import type { AnomalyOptions } from '../../../config/anomalies.ts'
import type { Store } from '../../sink/store.ts'
import { contributorOf, whatDiffers } from './differs.ts'
import { seriesEvidence } from './evidence.ts'
import { type Finding, findingId, writeFindings } from './findings.ts'
import { Follower, keyOf, type Open } from './follow.ts'
import { subjectOf } from './ignore.ts'
import { loadSeries, WARM_UP } from './load.ts'
import { BUCKET_S, METRICS, RULES, type Scope, WINDOW } from './metrics.ts'
import { seriesSummary } from './summary.ts'
import { survey } from './survey.ts'

const SERIES_KINDS = new Set<string>([...Object.values(RULES).map((rule) => rule.kind), 'silence'])
export const isOfSeries = (finding: Pick<Finding, 'kind'>): boolean => SERIES_KINDS.has(finding.kind)
/** What differs is looked at anew while a finding is young: its first minutes hold few calls. */
const YOUNG_S = 1_800

const toOpen = (f: Finding): Open => ({
  kind: f.kind,
  scope: f.scope as Scope,
  series: f.series,
  metric: METRICS.find((m) => RULES[m].kind === (f.kind === 'silence' ? 'volume' : f.kind)) ?? 'vol',
  started: f.started,
  last: f.last_seen - BUCKET_S,
  direction: f.value < f.expected ? -1 : 1,
  verdict: {
    z: f.score,
    direction: f.value < f.expected ? -1 : 1,
    isCertain: false,
    isCalm: false,
    method: f.method === 'learning' ? 'learning' : 'weekly',
    value: f.value,
    expected: f.expected,
    lower: f.lower,
    upper: f.upper,
    n: f.n,
    minutes: (WINDOW * BUCKET_S) / 60,
    isSilent: f.kind === 'silence',
  },
})

const measured = ({ metric, verdict }: Open): { metric: string; minutes: number } => ({
  metric,
  minutes: verdict.minutes,
})

/** A finding as a row, without what has to be asked from the store. */
export function toFinding(open: Open, ended: number, before: Finding | undefined, now_ms: number): Finding {
  const subject = subjectOf(open.scope, open.series)
  const { verdict } = open
  const last_seen = open.last + BUCKET_S
  const base = {
    kind: open.kind,
    scope: open.scope,
    series: open.series,
    ...subject,
    started: open.started,
    ended,
    last_seen,
    method: verdict.method,
    value: verdict.value,
    expected: verdict.expected,
    lower: verdict.lower,
    upper: verdict.upper,
    unit: RULES[open.metric as keyof typeof RULES].unit,
    score: Math.abs(verdict.z),
    n: verdict.n,
    differs: before?.differs ?? [],
  }
  return {
    ...base,
    id: findingId(open.kind, open.scope, open.series, open.started),
    detected_at_ms: before?.detected_at_ms ?? now_ms,
    contributor: before?.contributor ?? '',
    contributor_share: before?.contributor_share ?? 0,
    evidence: seriesEvidence(subject, { from: open.started, to: last_seen + BUCKET_S }),
    traces: before?.traces ?? [],
    summary: seriesSummary({ ...base, ...measured(open) }, now_ms / 1000),
  }
}

async function withDifference(store: Store, open: Open, finding: Finding, now_ms: number): Promise<Finding> {
  const { differs, traces } = await whatDiffers(store, store.database, {
    kind: finding.kind,
    subject: finding,
    span: { from: open.started, to: finding.last_seen },
    upper: finding.upper,
  })
  const found = differs.length > 0 ? differs : finding.differs
  return {
    ...finding,
    differs: found,
    ...contributorOf(found),
    traces: traces.length > 0 ? traces : finding.traces,
    summary: seriesSummary({ ...finding, differs: found, ...measured(open) }, now_ms / 1000),
  }
}

export type JudgeRange = { from: number; to: number; baselines: number; now_ms: number }

/** Callers and their teams, of the last week. */
async function readTeams(store: Store, to: number): Promise<Map<string, string>> {
  const rows = await store.rows<{ caller: string; team: string }>(
    `SELECT toString(h.caller) AS caller, max(h.team) AS team FROM ${store.database}.caller_habits_1d AS h WHERE h.d >= toDate(${Math.trunc(to)}) - 7 GROUP BY caller`,
  )
  return new Map(rows.map((row) => [row.caller, row.team]))
}

/** Judges the buckets from `from` to `to` (seconds); `known` are findings that are open. Returns those it wrote, newest state. */
export async function judgeSeries(
  store: Store,
  options: AnomalyOptions,
  known: readonly Finding[],
  range: JudgeRange,
): Promise<Finding[]> {
  const { from, to, now_ms } = range
  const [series, teams] = await Promise.all([loadSeries(store, store.database, range), readTeams(store, to)])
  const open = known.filter((f) => isOfSeries(f) && f.ended === 0)
  const byKey = new Map(open.map((f) => [keyOf(f), f]))
  const follower = new Follower(open.map(toOpen), { teamOf: (caller) => teams.get(caller) ?? '' })
  const written = new Map<string, Finding>()
  for (let t = from - WARM_UP * BUCKET_S; t < from; t += BUCKET_S)
    follower.warm(t, survey(series, t, options))
  for (let t = from; t < to; t += BUCKET_S) {
    const step = follower.step(t, survey(series, t, options))
    // A finding is told as of the bucket in which it was confirmed, also when several buckets are caught up at once.
    const at_ms = Math.min(now_ms, (t + BUCKET_S) * 1000)
    const take = async (one: Open, ended: number): Promise<void> => {
      const before = byKey.get(keyOf(one))
      const finding = toFinding(one, ended, before?.started === one.started ? before : undefined, at_ms)
      const isYoung = finding.last_seen - one.started <= YOUNG_S
      const whole = isYoung && ended === 0 ? await withDifference(store, one, finding, at_ms) : finding
      byKey.set(keyOf(one), whole)
      written.set(whole.id, whole)
    }
    for (const one of step.opened) await take(one, 0)
    for (const one of step.continued) await take(one, 0)
    for (const one of step.ended) await take(one, one.last + BUCKET_S)
  }
  const findings = [...written.values()]
  await writeFindings(store, findings, now_ms)
  return findings
}
