/**
 * What is measured, of whom, and when it counts as unusual: the words and numbers all detectors of series go by.
 * Invariant: a metric belongs to one kind of finding; several metrics may feed the same kind.
 * Numbers are decided by the backtest (bench/results/backtest.md), at sensitivity medium.
 */
import type { AnomalyKind, Sensitivity } from '../../../config/anomalies.ts'

export const BUCKET_S = 300
/** What is usual is known of 15 minutes: three buckets. */
export const WINDOW = 3
/** Judged are 5, 15, 30 and 60 minutes: a plain change shows in the first, a small one or one of a quiet series in the last. */
export const WINDOWS: readonly number[] = [1, 3, 6, 12]
export const LONGEST = 12
export const SLOTS = 2016
/** Monday 1970-01-05 00:00 UTC. */
const MONDAY_S = 345_600

/** Five minutes of the week, from Monday 00:00 UTC. */
export const slotOf = (t: number): number => Math.floor((t - MONDAY_S) / BUCKET_S) % SLOTS

/** `p95`: log of us, of 15 minutes. `mid`: mean of the log of us, what a call typically takes. `cost`: log of nano-dollars per priced call. `size`: log of bytes per call. */
export const METRICS = ['p95', 'mid', 'err', 'vol', 'cost', 'size'] as const
export type Metric = (typeof METRICS)[number]

/** `all` is the whole installation. */
export type Scope = 'tool' | 'server' | 'team' | 'caller' | 'all'

export type MetricRule = {
  readonly kind: AnomalyKind
  readonly unit: string
  /** Standard deviations from usual that count. */
  readonly z: number
  /** While learning there is no season to compare with. */
  readonly z_learning: number
  /** Smallest ratio to the usual value that is worth a finding. */
  readonly ratio_min: number
  readonly sigma_min: number
  readonly sigma_min_learning: number
  readonly directions: readonly (1 | -1)[]
  /** Calls it takes, as a multiple of `min_calls`: a 95th percentile of twenty calls is one call. */
  readonly calls_factor: number
}

export const RULES: Readonly<Record<Metric, MetricRule>> = {
  p95: {
    kind: 'latency',
    unit: 'us',
    z: 7,
    z_learning: 8,
    ratio_min: 1.25,
    sigma_min: 0.04,
    sigma_min_learning: 0.1,
    directions: [1],
    calls_factor: 15,
  },
  mid: {
    kind: 'latency',
    unit: 'us',
    z: 6.5,
    z_learning: 7,
    ratio_min: 1.2,
    sigma_min: 0.03,
    sigma_min_learning: 0.08,
    directions: [1],
    calls_factor: 1,
  },
  err: {
    kind: 'errors',
    unit: 'share',
    z: 3.8,
    z_learning: 4.8,
    ratio_min: 1,
    sigma_min: 1,
    sigma_min_learning: 1,
    directions: [1],
    calls_factor: 0.4,
  },
  vol: {
    kind: 'volume',
    unit: 'calls',
    z: 6,
    z_learning: 8,
    ratio_min: 1.3,
    sigma_min: 0.7,
    sigma_min_learning: 1.2,
    directions: [1, -1],
    calls_factor: 1,
  },
  cost: {
    kind: 'cost',
    unit: 'nano_usd',
    z: 8,
    z_learning: 10,
    ratio_min: 1.15,
    sigma_min: 0.02,
    sigma_min_learning: 0.04,
    directions: [1, -1],
    calls_factor: 0.4,
  },
  size: {
    kind: 'result_size',
    unit: 'bytes',
    z: 6.5,
    z_learning: 10,
    ratio_min: 1.4,
    sigma_min: 0.03,
    sigma_min_learning: 0.08,
    directions: [1, -1],
    calls_factor: 1,
  },
}

/** Thresholds are multiplied by this. */
export const STRICTNESS: Readonly<Record<Sensitivity, number>> = { low: 1.4, medium: 1, high: 0.75 }

/** So many times the threshold, and one bucket is enough. */
export const CERTAIN = 1.5
