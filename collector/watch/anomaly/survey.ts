/** All verdicts on one bucket: every series judged, the metrics of one kind put together. Pure. */
import { type AnomalyOptions, sensitivityOf } from '../../../config/anomalies.ts'
import { type Judged, keyOf } from './follow.ts'
import { isIgnored } from './ignore.ts'
import { judge } from './judge.ts'
import { BUCKET_S, LONGEST, RULES, WINDOW } from './metrics.ts'
import type { Series } from './window.ts'

/**
 * How many buckets up to `t` can be told apart. `parts`: since the last without one call at all, of which nothing can be said
 * about any one part. `whole`: since the last that was closed long after it ended: the watch was away, most likely with
 * everything else, and silence means nothing.
 */
function reachOf(series: readonly Series[], t: number): { parts: number; whole: number } {
  const all = series.find((s) => s.scope === 'all' && s.metric === 'vol')
  if (!all) return { parts: LONGEST, whole: LONGEST }
  const points = Array.from({ length: LONGEST }, (_, i) => all.points.get(t - i * BUCKET_S))
  const upTo = (at: number): number => (at < 0 ? LONGEST : at)
  return {
    parts: upTo(points.findIndex((p) => (p?.n ?? 0) === 0)),
    whole: upTo(points.findIndex((p) => p?.isLate === true)),
  }
}

/** Verdicts at bucket `t` (seconds). At most one per kind and subject. */
export function survey(series: readonly Series[], t: number, options: AnomalyOptions): Judged[] {
  const found = new Map<string, Judged>()
  const reach = reachOf(series, t)
  for (const one of series) {
    const { kind: base } = RULES[one.metric]
    const sensitivity = sensitivityOf(options, base)
    const silence = base === 'volume' ? sensitivityOf(options, 'silence') : null
    const strict = sensitivity ?? silence
    // Errors of callers and teams are those of the tools they use.
    if (base === 'errors' && (one.scope === 'caller' || one.scope === 'team')) continue
    if (!strict || (one.scope === 'all' && base !== 'volume')) continue
    const own = base !== 'volume' ? LONGEST : one.scope === 'all' ? reach.whole : reach.parts
    if (own < WINDOW) continue
    const verdict = judge(one, t, { sensitivity: strict, min_calls: options.min_calls, reach: own })
    if (!verdict) continue
    const kind = verdict.isSilent ? 'silence' : base
    const judged: Judged = { kind, scope: one.scope, series: one.name, metric: one.metric, verdict }
    if (sensitivityOf(options, kind) === null || isIgnored(options, judged)) continue
    const key = keyOf(judged)
    const other = found.get(key)
    found.set(key, other ? stronger(other, judged) : judged)
  }
  return [...found.values()]
}

/** Two metrics of one kind: what stands out wins, and calm is only what both call calm. */
function stronger(a: Judged, b: Judged): Judged {
  const weight = ({ verdict }: Judged): number => (verdict.direction === 0 ? 0 : 1e6) + Math.abs(verdict.z)
  const winner = weight(b) > weight(a) ? b : a
  return { ...winner, verdict: { ...winner.verdict, isCalm: a.verdict.isCalm && b.verdict.isCalm } }
}
