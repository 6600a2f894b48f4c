/** What a series did in the last 5, 15, 30 or 60 minutes, in the scale it is judged in. Pure. */
import { BUCKET_S, type Metric, type Scope, slotOf, WINDOW } from './metrics.ts'

/** One closed bucket; see metric_5m for the meaning of x. `isLate`: closed long after it ended. */
export type Point = { n: number; bad: number; x: number; isLate?: boolean }

/** What is usual for one series and metric. Of errors `shift` is the usual rate and `sigma` how much it varies. */
export type Baseline = {
  centers: readonly (number | null)[]
  shift: number
  sigma: number
  traffic: number
}

/** A series with its buckets by their start in seconds. `baseline` is null while it is learning. */
export type Series = {
  scope: Scope
  name: string
  metric: Metric
  points: ReadonlyMap<number, Point>
  baseline: Baseline | null
}

export type Window = { n: number; bad: number; v: number }

/** The deviation of a count is near one in this scale, however large the count is. */
export const toVolume = (n: number): number => 2 * Math.sqrt(n + 0.375)
export const fromVolume = (v: number): number => Math.max(0, (Math.max(v, 0) / 2) ** 2 - 0.375)

/** The `length` buckets that end with bucket `t`. Null when a bucket of volume is missing, or there was no call to measure. */
export function windowAt({ metric, points }: Series, t: number, length = WINDOW): Window | null {
  if (metric === 'p95') {
    const point = points.get(t)
    return point ? { n: point.n, bad: 0, v: point.x } : null
  }
  let n = 0
  let bad = 0
  let sum = 0
  let seen = 0
  for (let i = 0; i < length; i++) {
    const point = points.get(t - i * BUCKET_S)
    if (!point) continue
    seen++
    n += point.n
    bad += point.bad
    sum += point.n * point.x
  }
  if (metric === 'vol') return seen < length ? null : { n, bad, v: toVolume(n) }
  if (n === 0) return null
  return { n, bad, v: metric === 'err' ? bad / n : sum / n }
}

/** How many buckets up to `t`, at most `most`, are known and empty. */
export function emptyUpTo({ points }: Series, t: number, most: number): number {
  let count = 0
  while (count < most && points.get(t - count * BUCKET_S)?.n === 0) count++
  return count
}

/** The usual value of the 15 minutes that end with bucket `t`, by the weekly baseline; null where the week has none. */
export function centerAt({ baseline }: Series, t: number): number | null {
  const center = baseline?.centers[slotOf(t)]
  return center === null || center === undefined || !Number.isFinite(center) ? null : center + baseline!.shift
}

export function quantile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q
  const low = Math.floor(at)
  return sorted[low]! + (sorted[Math.min(low + 1, sorted.length - 1)]! - sorted[low]!) * (at - low)
}
