/**
 * Synthetic history: tools with a day and a week, quiet nights and weekends, heavy tails and traffic from a call in minutes to
 * a call a second. Five-minute buckets, as the rollup holds them. Pure but for the random numbers it is given.
 */
import { BUCKET_S } from '../anomaly/metrics.ts'
import type { Random } from './random.ts'

/** What tool_5m holds of a tool in five minutes. `hist`: bucket of the exponential histogram → calls. */
export type Bucket = {
  t: number
  server: string
  tool: string
  calls: number
  faults: number
  hist: Map<number, number>
  cost_nano: number
  bytes: number
}

export type Tool = {
  server: string
  tool: string
  /** Calls in five minutes at the busiest time of a weekday. */
  peak: number
  /** Log2 of the median in us, and spread. */
  median: number
  spread: number
  error_rate: number
  price_nano: number
  /** How much the price of a call varies: 0 = a price per call. */
  price_spread: number
  bytes: number
  night: number
  weekend: number
  phase_h: number
}

const TAIL_SHARE = 0.01

/** Tools of every traffic level: a twentieth of all buckets has no more than 2 calls, half of them up to 24, a twentieth more than 240. */
export function makeTools(random: Random, count: number): Tool[] {
  return Array.from({ length: count }, (_, i) => {
    const level = (i + 0.5) / count
    return {
      server: `server-${Math.floor(i / 4)}`,
      tool: `tool-${i}`,
      peak: 6 * (460 / 6) ** level,
      median: random.between(13, 19),
      spread: random.between(0.5, 1.2),
      error_rate: random.pick([0.002, 0.01, 0.02, 0.05]),
      price_nano: random.pick([2e6, 5e5, 1e7]),
      price_spread: random.pick([0, 0.3, 0.6]),
      bytes: random.between(300, 40_000),
      night: random.between(0.1, 0.5),
      weekend: random.between(0.3, 0.6),
      phase_h: random.between(-2, 2),
    }
  })
}

/** Usual traffic at a moment, as a share of the peak. */
export function season(tool: Pick<Tool, 'night' | 'weekend' | 'phase_h'>, t: number): number {
  const hour = ((t / 3600 + tool.phase_h) % 24) / 24
  const day = (1 - Math.cos(2 * Math.PI * (hour - 0.08))) / 2
  const isWeekend = (Math.floor(t / 86_400) + 3) % 7 >= 5
  return (tool.night + (1 - tool.night) * day) * (isWeekend ? tool.weekend : 1)
}

export type Drift = { level: number }

/** One bucket of one tool. `drift` wanders slowly and belongs to the tool: nothing in life is the same two weeks running. */
export function makeBucket(random: Random, tool: Tool, t: number, drift: Drift): Bucket {
  drift.level = drift.level * 0.995 + 0.008 * random.normal()
  const load = season(tool, t)
  const calls = random.poisson(tool.peak * load * Math.exp(drift.level))
  const hist = new Map<number, number>()
  // A little slower when there is more to do.
  const median = tool.median + 0.15 * load + 0.03 * random.normal()
  for (let i = 0; i < calls; i++) {
    const isTail = random.next() < TAIL_SHARE
    const log2 = median + tool.spread * random.normal() * 0.72 + (isTail ? random.between(2, 5) : 0)
    const index = Math.ceil(log2 * 8) - 1
    hist.set(index, (hist.get(index) ?? 0) + 1)
  }
  const around = (spread: number): number =>
    calls === 0 ? 1 : Math.exp((spread * random.normal()) / Math.sqrt(calls))
  return {
    t,
    server: tool.server,
    tool: tool.tool,
    calls,
    faults: random.binomial(calls, tool.error_rate),
    hist,
    cost_nano: Math.round(calls * tool.price_nano * around(tool.price_spread)),
    bytes: Math.round(calls * tool.bytes * around(0.8)),
  }
}

/** All buckets of one day of all tools, in order of time. */
export function* makeDay(
  random: Random,
  tools: readonly Tool[],
  drifts: readonly Drift[],
  day: number,
): Generator<Bucket> {
  for (let t = day; t < day + 86_400; t += BUCKET_S)
    for (let i = 0; i < tools.length; i++) yield makeBucket(random, tools[i]!, t, drifts[i]!)
}
