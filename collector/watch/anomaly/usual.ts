/**
 * What is usual for a series at one moment, and how far from it is how unlikely. Pure.
 * Weekly baselines come ready made; without one the series is learning and is compared with its own last day.
 */
import { levelAt } from './level.ts'
import { BUCKET_S, RULES, SLOTS, WINDOW } from './metrics.ts'
import { centerAt, fromVolume, quantile, type Series, toVolume, type Window, windowAt } from './window.ts'

export type Method = 'weekly' | 'learning'
export type Usual = { center: number; sigma: number; method: Method }

/** Buckets of the last day, without those an anomaly that is just beginning would already be in. */
const LOOKBACK = 288
const GAP = 4
/** Two hours: before that nothing is said about a new series. */
const LEARN_MIN = 24
const HALF_LIFE = 24
const ERROR_CALLS_MIN = 50
/** More calls than usual make a mean of half an hour or more steadier, but only so much: not all that varies is chance. */
const STEADIEST = 0.5

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

/** Volume of learning series: not only the last hours but the same time yesterday has to disagree. */
function learningVolume(series: Series, t: number, now: Window): { center: number; sigma: number } | null {
  const recent = recentVolume(series, t)
  if (!recent) return null
  const yesterday = windowAt(series, t - LOOKBACK * BUCKET_S)
  const isLikeYesterday = yesterday !== null && (now.v - yesterday.v) / (now.v - recent.center || 1) < 0.5
  return { ...recent, center: isLikeYesterday ? now.v : recent.center }
}

/** Of counts: the sum of what is usual in each quarter of an hour; the part of the spread that is not chance grows with it. */
function weeklyVolume(series: Series, t: number, length: number, now: Window): Usual | null {
  let count = 0
  const parts = Math.max(1, length / WINDOW)
  for (let i = 0; i < parts; i++) {
    const center = centerAt(series, t - i * WINDOW * BUCKET_S)
    if (center === null) return null
    count += fromVolume(center)
  }
  if (length < WINDOW) {
    // A bucket at the edge of a day's work belongs to what comes as much as to what was: the nearer of both counts.
    const after = centerAt(series, t + (WINDOW - length) * BUCKET_S)
    const next = after === null ? count : fromVolume(after)
    const pace = (now.n * WINDOW) / length
    const nearest = Math.min(Math.max(pace, Math.min(count, next)), Math.max(count, next))
    count = (nearest * length) / WINDOW
  }
  count *= levelAt(series, t)
  const square = Math.max(series.baseline!.sigma, RULES.vol.sigma_min) ** 2
  const chance = Math.min(1, square)
  return { center: toVolume(count), sigma: Math.sqrt(chance + (square - chance) * parts), method: 'weekly' }
}

/** Of means: what is usual weighted by the calls there were; few calls vary more than many. */
function weeklyMean(series: Series, t: number, length: number, now: Window): Usual | null {
  let n = 0
  let sum = 0
  for (let i = 0; i < Math.max(1, length / WINDOW); i++) {
    const at = t - i * WINDOW * BUCKET_S
    const calls = length <= WINDOW ? now.n : (windowAt(series, at)?.n ?? 0)
    if (calls === 0) continue
    const center = centerAt(series, at)
    if (center === null) return null
    n += calls
    sum += calls * center
  }
  if (n === 0) return null
  const { sigma, traffic } = series.baseline!
  const thin = Math.sqrt(Math.max(length > WINDOW ? STEADIEST : 1, traffic / Math.max(1, now.n)))
  return { center: sum / n, sigma: Math.max(sigma * thin, RULES[series.metric].sigma_min), method: 'weekly' }
}

/** What is usual for the `length` buckets that end with `t`; null while there is too little history to say. */
export function usualAt(series: Series, t: number, length: number, now: Window): Usual | null {
  const { metric, baseline } = series
  const rule = RULES[metric]
  if (baseline && baseline.centers.length === SLOTS)
    return metric === 'vol' ? weeklyVolume(series, t, length, now) : weeklyMean(series, t, length, now)
  if (length !== WINDOW) return null
  const usual = metric === 'vol' ? learningVolume(series, t, now) : lastDay(series, t)
  return usual && { ...usual, sigma: Math.max(usual.sigma, rule.sigma_min_learning), method: 'learning' }
}

/** The usual share of failed calls: from the baseline, or from the last day before the last hour. */
export function usualErrors(
  series: Series,
  t: number,
): { rate: number; spread: number; method: Method } | null {
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
  return seen < LEARN_MIN / 2 || n < ERROR_CALLS_MIN ? null : { rate: bad / n, spread: 1, method: 'learning' }
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
