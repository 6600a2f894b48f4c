/**
 * Judges one series at one moment: how far its last 5, 15, 30 and 60 minutes are from what is usual, in standard deviations.
 * Pure. Knows neither the store nor findings: numbers in, a verdict out, null where there is too little to say.
 */
import type { Sensitivity } from '../../../config/anomalies.ts'
import { BUCKET_S, CERTAIN, LONGEST, type Metric, RULES, STRICTNESS, WINDOW, WINDOWS } from './metrics.ts'
import { type Method, surprise, type Usual, usualAt, usualErrors } from './usual.ts'
import { emptyUpTo, fromVolume, type Series, toVolume, windowAt } from './window.ts'

export type Verdict = {
  /** Signed distance from usual; above 0 is more. */
  z: number
  /** Beyond the threshold and large enough to matter: 1 above, -1 below, 0 neither. */
  direction: -1 | 0 | 1
  /** So far beyond that one bucket is enough. */
  isCertain: boolean
  /** Clearly back to usual: less than half the threshold. */
  isCalm: boolean
  method: Method
  /** In natural units: us, share of calls, calls in 15 minutes, nano-dollars, bytes. */
  value: number
  expected: number
  lower: number
  upper: number
  /** Calls in the time that decided. */
  n: number
  /** Minutes that decided: 5, 15, 30 or 60; of silence those without a call. */
  minutes: number
  /** No call in the last ten minutes, where that is far from usual. */
  isSilent: boolean
}

/** `reach`: how many buckets back counts can be told apart; fewer after the whole installation stood still. */
export type Limits = { sensitivity: Sensitivity; min_calls: number; reach?: number }

const ERRORS_MIN = 4
const ERROR_RATE_MIN = 0.002
const ERROR_RISE_MIN = 0.03
/** The band shown: what lies within three standard deviations is usual. */
const BAND = 3
/** Silence needs less: a count of zero cannot fall further. */
const SILENT = 0.75
/** Half an hour and more: a small change of traffic that lasts is mostly a day unlike others. */
const LASTING_RATIO_MIN = 1.5
/**
 * Half an hour and more only count while the last 15 minutes lean the same way, by their share of what a steady change would
 * show: what is over would stand out for an hour.
 */
const LEAN_MIN = 1
const LEAN = 0.7

/** A window held against what is usual for it. */
type Distance = Omit<Verdict, 'isCalm'> & { limit: number }

const limitOf = (metric: Metric, method: Method, sensitivity: Sensitivity): number =>
  (method === 'weekly' ? RULES[metric].z : RULES[metric].z_learning) * STRICTNESS[sensitivity]

/** Who uses less is no matter of concern: what it used less of is. */
const isMeant = ({ scope, metric }: Series, sign: number): boolean =>
  RULES[metric].directions.some((d) => d === sign) && !((scope === 'caller' || scope === 'team') && sign < 0)

function errorsIn(series: Series, t: number, length: number, limits: Limits): Distance | null {
  const now = windowAt(series, t, length)
  if (!now || now.n < limits.min_calls * RULES.err.calls_factor) return null
  const usual = usualErrors(series, t)
  if (!usual || (usual.method === 'learning' && length > WINDOW)) return null
  const rate = Math.max(usual.rate, ERROR_RATE_MIN)
  const z = surprise(now.bad, now.n, rate) / usual.spread
  const limit = limitOf('err', usual.method, limits.sensitivity)
  const isCertain = z > limit * CERTAIN
  const isFar = length < WINDOW ? isCertain : z > limit
  const isHigh = isFar && now.bad >= ERRORS_MIN && now.v - usual.rate >= ERROR_RISE_MIN
  const deviation = Math.sqrt(Math.max(now.n * rate * (1 - rate), 0.05)) * usual.spread
  const reach = (BAND * deviation) / now.n
  return {
    z,
    limit,
    direction: isHigh ? 1 : 0,
    isCertain: isHigh && isCertain,
    method: usual.method,
    value: now.v,
    expected: usual.rate,
    lower: Math.max(0, usual.rate - reach),
    upper: Math.min(1, rate + reach),
    n: now.n,
    minutes: (length * BUCKET_S) / 60,
    isSilent: false,
  }
}

/** Value and band in natural units; counts as of 15 minutes, in whatever time they were counted. */
function told(
  { metric }: Series,
  usual: Usual,
  v: number,
  length: number,
): Pick<Verdict, 'value' | 'expected' | 'lower' | 'upper' | 'minutes' | 'method'> {
  const natural = metric === 'vol' ? (x: number) => (fromVolume(x) * WINDOW) / length : Math.exp
  return {
    method: usual.method,
    value: natural(v),
    expected: natural(usual.center),
    lower: natural(usual.center - BAND * usual.sigma),
    upper: natural(usual.center + BAND * usual.sigma),
    minutes: (length * BUCKET_S) / 60,
  }
}

function distanceIn(series: Series, t: number, length: number, limits: Limits): Distance | null {
  const { metric } = series
  if (metric === 'err') return errorsIn(series, t, length, limits)
  const rule = RULES[metric]
  const now = windowAt(series, t, length)
  const isVolume = metric === 'vol'
  if (!now || (!isVolume && now.n < limits.min_calls * rule.calls_factor)) return null
  const usual = usualAt(series, t, length, now)
  if (!usual) return null
  if (isVolume && Math.max(fromVolume(usual.center), now.n) < limits.min_calls) return null
  const z = (now.v - usual.center) / usual.sigma
  const limit = limitOf(metric, usual.method, limits.sensitivity)
  const band = told(series, usual, now.v, length)
  const ratio = Math.max(band.value, 1e-9) / Math.max(band.expected, 1e-9)
  const isLarge =
    Math.max(ratio, 1 / ratio) >= (isVolume && length > WINDOW ? LASTING_RATIO_MIN : rule.ratio_min)
  const sign = z > 0 ? 1 : -1
  const isCertain = Math.abs(z) > limit * CERTAIN
  const isFar = (length < WINDOW ? isCertain : Math.abs(z) > limit) && isLarge && isMeant(series, sign)
  return {
    z,
    limit,
    direction: isFar ? sign : 0,
    isCertain: isFar && isCertain,
    ...band,
    n: now.n,
    isSilent: false,
  }
}

/** Nothing at all is told by the minutes without a call; those before would only delay it. Null where there is no silence. */
function silenceIn(series: Series, t: number, limits: Limits): Verdict | null {
  if (series.metric !== 'vol' || !isMeant(series, -1)) return null
  const empty = emptyUpTo(series, t, limits.reach ?? LONGEST)
  if (empty === 0) return null
  const length = !series.baseline
    ? WINDOW
    : WINDOWS.findLast((w) => w <= (empty === 1 ? 1 : Math.max(empty, WINDOW)))!
  const now = { n: 0, bad: 0, v: toVolume(0) }
  const usual = usualAt(series, t, length, now)
  if (!usual) return null
  const missed = (fromVolume(usual.center) * Math.min(empty, length)) / length
  const z = (toVolume(0) - toVolume(missed)) / usual.sigma
  const limit = limitOf('vol', usual.method, limits.sensitivity)
  // One empty bucket is silence only where there are very many calls.
  const needed = empty > 1 ? limit * SILENT : limit * CERTAIN
  if (-z <= needed || missed < (limits.min_calls * 2) / WINDOW) return null
  return {
    z,
    direction: -1,
    isCertain: true,
    isCalm: false,
    ...told(series, usual, now.v, length),
    minutes: (empty * BUCKET_S) / 60,
    n: 0,
    isSilent: true,
  }
}

/** The last 15 minutes before all others, then longer ones. */
const BY_USE = [WINDOW, ...WINDOWS.filter((w) => w > WINDOW), ...WINDOWS.filter((w) => w < WINDOW)]

/** Null: too few calls, too little history, or nothing to measure. */
export function judge(series: Series, t: number, limits: Limits): Verdict | null {
  const silence = silenceIn(series, t, limits)
  if (silence) return silence
  const quarter = distanceIn(series, t, WINDOW, { ...limits, min_calls: 0 })
  if (!quarter) return null
  const leans = (z: number, length: number): boolean =>
    quarter.z * Math.sign(z) >= Math.max(LEAN_MIN, (LEAN * Math.abs(z)) / Math.sqrt(length / WINDOW))
  const distances: Distance[] = []
  for (const length of BY_USE) {
    if (length > (limits.reach ?? LONGEST) || (series.metric === 'p95' && length !== WINDOW)) continue
    const distance = distanceIn(series, t, length, limits)
    if (!distance) continue
    const isOver = length > WINDOW && !leans(distance.z, length)
    distances.push(isOver ? { ...distance, direction: 0, isCertain: false } : distance)
  }
  const first = distances.find((d) => d.direction !== 0) ?? distances[0]
  if (!first) return null
  const { limit, ...verdict } = first
  const { direction } = verdict
  return {
    ...verdict,
    isCertain: distances.some((d) => d.isCertain && d.direction === direction),
    isCalm: direction === 0 && (Math.abs(quarter.z) < limit / 2 || !isMeant(series, Math.sign(quarter.z))),
  }
}
