/**
 * Judges one series at one moment: how far the last 15 minutes are from what is usual, in standard deviations.
 * Pure. Knows neither the store nor findings: numbers in, a verdict out, null where there is too little to say.
 * Weekly baselines come ready made; without one the series is learning and is compared with its own last day.
 */

import type { Sensitivity } from '../../../config/anomalies.ts'
import {
  BUCKET_S,
  type Metric,
  type MetricRule,
  RULES,
  type Scope,
  SLOTS,
  STRICTNESS,
  slotOf,
  WINDOW,
} from './metrics.ts'

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

export type Verdict = {
  /** Signed distance from usual; above 0 is more. */
  z: number
  /** Beyond the threshold and large enough to matter: 1 above, -1 below, 0 neither. */
  direction: -1 | 0 | 1
  /** Clearly back to usual: less than half the threshold. */
  isCalm: boolean
  method: 'weekly' | 'learning'
  /** In natural units: us, share of calls, calls in 15 minutes, nano-dollars, bytes. */
  value: number
  expected: number
  lower: number
  upper: number
  /** Calls in the 15 minutes. */
  n: number
  /** No call in the last ten minutes, where that is far from usual. */
  isSilent: boolean
}

export type Limits = { sensitivity: Sensitivity; min_calls: number }

/** Buckets of the last day, without those an anomaly that is just beginning would already be in. */
const LOOKBACK = 288
const GAP = 4
/** Two hours: before that nothing is said about a new series. */
const LEARN_MIN = 24
const HALF_LIFE = 24
const ERRORS_MIN = 4
const ERROR_RATE_MIN = 0.002
const ERROR_RISE_MIN = 0.02
/** The band shown: what lies within three standard deviations is usual. */
const BAND = 3

type Window = { n: number; bad: number; v: number }

const toVolume = (n: number): number => 2 * Math.sqrt(n + 0.375)
const fromVolume = (v: number): number => Math.max(0, (Math.max(v, 0) / 2) ** 2 - 0.375)

/** The 15 minutes that end with bucket `t`. Null when a bucket of volume is missing, or there was no call to measure. */
export function windowAt({ metric, points }: Series, t: number): Window | null {
  if (metric === 'p95') {
    const point = points.get(t)
    return point ? { n: point.n, bad: 0, v: point.x } : null
  }
  let n = 0
  let bad = 0
  let sum = 0
  let seen = 0
  for (let i = 0; i < WINDOW; i++) {
    const point = points.get(t - i * BUCKET_S)
    if (!point) continue
    seen++
    n += point.n
    bad += point.bad
    sum += point.n * point.x
  }
  if (metric === 'vol') return seen < WINDOW ? null : { n, bad, v: toVolume(n) }
  if (n === 0) return null
  return { n, bad, v: metric === 'err' ? bad / n : sum / n }
}

export function quantile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q
  const low = Math.floor(at)
  return sorted[low]! + (sorted[Math.min(low + 1, sorted.length - 1)]! - sorted[low]!) * (at - low)
}

/** Middle and spread of a series' own last day; null while there is less than two hours of it. */
function lastDay(series: Series, t: number): { center: number; sigma: number } | null {
  const values: number[] = []
  for (let i = GAP; i < LOOKBACK + GAP; i++) {
    const window = windowAt(series, t - i * BUCKET_S)
    if (window) values.push(window.v)
  }
  if (values.length < LEARN_MIN) return null
  values.sort((a, b) => a - b)
  return { center: quantile(values, 0.5), sigma: (quantile(values, 0.75) - quantile(values, 0.25)) / 1.349 }
}

/** Exponentially weighted mean and deviation of volume, half-life two hours. */
function recentVolume(series: Series, t: number): { center: number; sigma: number } | null {
  let weights = 0
  let mean = 0
  let square = 0
  let count = 0
  for (let i = GAP; i < LOOKBACK / 2 + GAP; i++) {
    const window = windowAt(series, t - i * BUCKET_S)
    if (!window) continue
    const weight = 0.5 ** ((i - GAP) / HALF_LIFE)
    weights += weight
    mean += weight * window.v
    square += weight * window.v ** 2
    count++
  }
  if (count < LEARN_MIN) return null
  mean /= weights
  return { center: mean, sigma: Math.sqrt(Math.max(0, square / weights - mean ** 2)) }
}

type Usual = { center: number; sigma: number; method: Verdict['method'] }

/** Volume of learning series: not only the last hours but the same time yesterday has to disagree. */
function learningVolume(series: Series, t: number, now: Window): Usual | null {
  const recent = recentVolume(series, t)
  if (!recent) return null
  const yesterday = windowAt(series, t - LOOKBACK * BUCKET_S)
  const isLikeYesterday = yesterday !== null && (now.v - yesterday.v) / (now.v - recent.center || 1) < 0.5
  return { ...recent, center: isLikeYesterday ? now.v : recent.center, method: 'learning' }
}

function usualAt(series: Series, t: number, now: Window, rule: MetricRule): Usual | null {
  const { metric, baseline } = series
  if (baseline && baseline.centers.length === SLOTS) {
    const center = baseline.centers[slotOf(t)]
    if (center === null || center === undefined || !Number.isFinite(center)) return null
    const thin = metric === 'vol' ? 1 : Math.sqrt(Math.max(1, baseline.traffic / Math.max(1, now.n)))
    const sigma = Math.max(baseline.sigma * thin, rule.sigma_min)
    return { center: center + baseline.shift, sigma, method: 'weekly' }
  }
  const usual = metric === 'vol' ? learningVolume(series, t, now) : lastDay(series, t)
  return usual && { ...usual, sigma: Math.max(usual.sigma, rule.sigma_min_learning), method: 'learning' }
}

/** The usual share of failed calls: from the baseline, or from the last day before the last hour. */
function usualErrors(
  series: Series,
  t: number,
): { rate: number; spread: number; method: Verdict['method'] } | null {
  const { baseline, points } = series
  if (baseline) return { rate: baseline.shift, spread: Math.max(1, baseline.sigma), method: 'weekly' }
  let n = 0
  let bad = 0
  let seen = 0
  for (let i = 13; i < LOOKBACK; i++) {
    const point = points.get(t - i * BUCKET_S)
    if (!point) continue
    seen++
    n += point.n
    bad += point.bad
  }
  return seen < LEARN_MIN / 2 || n < 50 ? null : { rate: bad / n, spread: 1, method: 'learning' }
}

/**
 * How surprising `bad` of `n` is when `rate` is usual, in standard deviations: the signed root of the likelihood ratio, which
 * keeps its meaning for rates near zero and few calls, where (observed - expected) / deviation does not.
 */
export function surprise(bad: number, n: number, rate: number): number {
  const part = (seen: number, expected: number): number => (seen === 0 ? 0 : seen * Math.log(seen / expected))
  const ratio = 2 * (part(bad, n * rate) + part(n - bad, n * (1 - rate)))
  return Math.sign(bad - n * rate) * Math.sqrt(Math.max(0, ratio))
}

function judgeErrors(series: Series, t: number, limits: Limits): Verdict | null {
  const now = windowAt(series, t)
  if (!now || now.n < limits.min_calls * RULES.err.calls_factor) return null
  const usual = usualErrors(series, t)
  if (!usual) return null
  const rule = RULES.err
  const rate = Math.max(usual.rate, ERROR_RATE_MIN)
  const deviation = Math.sqrt(Math.max(now.n * rate * (1 - rate), 0.05)) * usual.spread
  const z = surprise(now.bad, now.n, rate) / usual.spread
  const limit = (usual.method === 'weekly' ? rule.z : rule.z_learning) * STRICTNESS[limits.sensitivity]
  const isHigh = z > limit && now.bad >= ERRORS_MIN && now.v - usual.rate >= ERROR_RISE_MIN
  const reach = (BAND * deviation) / now.n
  return {
    z,
    direction: isHigh ? 1 : 0,
    isCalm: z < limit / 2,
    method: usual.method,
    value: now.v,
    expected: usual.rate,
    lower: Math.max(0, usual.rate - reach),
    upper: Math.min(1, rate + reach),
    n: now.n,
    isSilent: false,
  }
}

const isZero = ({ points }: Series, t: number): boolean => (points.get(t)?.n ?? 0) === 0

/** Null: too few calls, too little history, or nothing to measure. */
export function judge(series: Series, t: number, limits: Limits): Verdict | null {
  if (series.metric === 'err') return judgeErrors(series, t, limits)
  const rule = RULES[series.metric]
  const now = windowAt(series, t)
  const isVolume = series.metric === 'vol'
  if (!now || (!isVolume && now.n < limits.min_calls * rule.calls_factor)) return null
  const usual = usualAt(series, t, now, rule)
  if (!usual) return null
  const natural = isVolume ? fromVolume : Math.exp
  const expected = natural(usual.center)
  if (isVolume && Math.max(expected, now.n) < limits.min_calls) return null
  const z = (now.v - usual.center) / usual.sigma
  const limit = (usual.method === 'weekly' ? rule.z : rule.z_learning) * STRICTNESS[limits.sensitivity]
  const value = isVolume ? now.n : natural(now.v)
  const ratio = Math.max(value, 1e-9) / Math.max(expected, 1e-9)
  const isLarge = Math.max(ratio, 1 / ratio) >= rule.ratio_min
  // Nothing at all for ten minutes is told by those ten minutes; the five before would only delay it.
  const isSilent = isVolume && isZero(series, t) && isZero(series, t - BUCKET_S)
  const z_silent = isSilent ? (toVolume(0) - toVolume((expected * 2) / 3)) / usual.sigma : 0
  const isGone = z_silent < -limit * 0.7
  const sign = z > 0 && !isGone ? 1 : -1
  // Who uses less is no matter of concern: what it used less of is.
  const isUser = series.scope === 'caller' || series.scope === 'team'
  const isMeant = rule.directions.includes(sign) && !(isUser && sign < 0)
  const isFar = isGone ? isMeant : Math.abs(z) > limit && isLarge && isMeant
  return {
    z: isGone ? Math.min(z, z_silent) : z,
    direction: isFar ? sign : 0,
    isCalm: !isFar && (Math.abs(z) < limit / 2 || !isMeant),
    method: usual.method,
    value,
    expected,
    lower: natural(usual.center - BAND * usual.sigma),
    upper: natural(usual.center + BAND * usual.sigma),
    n: now.n,
    isSilent: isGone,
  }
}
