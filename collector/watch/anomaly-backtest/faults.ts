/**
 * Faults of known kind, and what they do to a bucket. A fault begins and ends at any second: in a bucket it only partly
 * covers, it touches that part of the calls. Pure but for the random numbers it is given.
 */
import type { AnomalyKind } from '../../../config/anomalies.ts'
import { BUCKET_S } from '../anomaly/metrics.ts'
import type { Random } from './random.ts'
import type { Bucket } from './synthetic.ts'

/** What is injected into series. `volume_drop` and `volume_surge` are found as kind volume. */
export const SERIES_FAULTS = [
  'latency',
  'errors',
  'volume_drop',
  'volume_surge',
  'silence',
  'cost',
  'result_size',
] as const
export const EVENT_FAULTS = ['new_tool', 'off_hours', 'retry_storm', 'agent_loop', 'list_shrinkage'] as const
export type FaultKind = (typeof SERIES_FAULTS)[number] | (typeof EVENT_FAULTS)[number]

export type Fault = {
  kind: FaultKind
  /** Kind of the finding that is right. */
  finds: AnomalyKind
  /** Seconds since 1970. */
  from: number
  to: number
  server: string
  tool: string
  caller: string
  /** Factor; points of error rate for `errors`. */
  size: number
  /** Usual calls in 15 minutes where it was injected; 0 where that means nothing. */
  traffic: number
}

const SIZES: Record<(typeof SERIES_FAULTS)[number], (random: Random) => number> = {
  latency: (random) => random.pick([1.6, 2, 3, 5]),
  errors: (random) => random.pick([0.05, 0.15, 0.3, 0.6]),
  volume_drop: (random) => random.between(0.1, 0.5),
  volume_surge: (random) => random.between(2, 5),
  silence: () => 0,
  cost: (random) => random.between(2, 6),
  result_size: (random) => random.pick([0.2, 0.4, 2.5, 5]),
}

export const findsOf = (kind: FaultKind): AnomalyKind =>
  kind === 'volume_drop' || kind === 'volume_surge' ? 'volume' : kind

/** How much of the bucket the fault covers, 0 to 1. */
export const coverage = (fault: Fault, t: number): number =>
  Math.max(0, Math.min(fault.to, t + BUCKET_S) - Math.max(fault.from, t)) / BUCKET_S

const MIN_S = 900
const MAX_S = 3_600
/** Between two faults of a tool: what one leaves behind must not be taken for the next. */
const APART_S = 7_200

/** `each` faults of every kind, spread over the tools and the time from `from` to `to`. */
export function planFaults(
  random: Random,
  tools: readonly { server: string; tool: string }[],
  { from, to, each }: { from: number; to: number; each: number },
): Fault[] {
  const faults: Fault[] = []
  for (let i = 0; i < each; i++)
    for (const kind of SERIES_FAULTS) {
      for (let tries = 0; tries < 200; tries++) {
        const { server, tool } =
          tools[
            (i * SERIES_FAULTS.length + SERIES_FAULTS.indexOf(kind) + tries * 7 + random.int(3)) %
              tools.length
          ]!
        const length = random.between(MIN_S, MAX_S)
        const start = Math.floor(random.between(from + 1_800, to - length - 1_800))
        const isFree = faults.every(
          (f) => f.server !== server || start > f.to + APART_S || start + length < f.from - APART_S,
        )
        if (!isFree) continue
        faults.push({
          kind,
          finds: findsOf(kind),
          from: start,
          to: Math.floor(start + length),
          server,
          tool,
          caller: '',
          size: SIZES[kind](random),
          traffic: 0,
        })
        break
      }
    }
  return faults.sort((a, b) => a.from - b.from)
}

/** Moves `count` calls of the histogram by `steps` buckets. */
function shift(hist: Map<number, number>, part: number, steps: number, random: Random): Map<number, number> {
  const shifted = new Map<number, number>()
  const add = (index: number, count: number): void => {
    if (count > 0) shifted.set(index, (shifted.get(index) ?? 0) + count)
  }
  for (const [index, count] of hist) {
    const moved = random.binomial(count, part)
    add(index + steps, moved)
    add(index, count - moved)
  }
  return shifted
}

function scaleCalls(bucket: Bucket, factor: number, rate: number, random: Random): Bucket {
  const hist = new Map<number, number>()
  let calls = 0
  for (const [index, count] of bucket.hist) {
    const whole = Math.floor(factor) * count
    const scaled = whole + random.binomial(count, factor - Math.floor(factor))
    if (scaled > 0) hist.set(index, scaled)
    calls += scaled
  }
  const ratio = bucket.calls > 0 ? calls / bucket.calls : 0
  return {
    ...bucket,
    calls,
    hist,
    faults:
      calls > bucket.calls
        ? bucket.faults + random.binomial(calls - bucket.calls, rate)
        : random.binomial(bucket.faults, ratio),
    cost_nano: Math.round(bucket.cost_nano * ratio),
    bytes: Math.round(bucket.bytes * ratio),
  }
}

/** The bucket as it would have been with the fault. `rate`: the usual share of faults. */
export function inject(bucket: Bucket, fault: Fault, rate: number, random: Random): Bucket {
  const part = coverage(fault, bucket.t)
  if (part === 0) return bucket
  const mixed = 1 + (fault.size - 1) * part
  switch (fault.kind) {
    case 'latency':
      return { ...bucket, hist: shift(bucket.hist, part, Math.round(Math.log2(fault.size) * 8), random) }
    case 'errors':
      return {
        ...bucket,
        faults: Math.min(
          bucket.calls,
          bucket.faults + random.binomial(bucket.calls - bucket.faults, fault.size * part),
        ),
      }
    case 'cost':
      return { ...bucket, cost_nano: Math.round(bucket.cost_nano * mixed) }
    case 'result_size':
      return { ...bucket, bytes: Math.round(bucket.bytes * mixed) }
    default:
      return scaleCalls(bucket, mixed, rate, random)
  }
}
