/** Spread of repeated measurements. Noise on a shared machine only adds, so the 25th percentile is the figure. */

export type Spread = { n: number; min: number; p25: number; median: number; p75: number; max: number }

/** Linear between neighbours; `q` from 0 to 1. NaN when there are no values. */
export function quantile(sorted: readonly number[], q: number): number {
  if (sorted.length === 0) return Number.NaN
  const at = (sorted.length - 1) * q
  const low = Math.floor(at)
  const below = sorted[low]!
  return below + (sorted[Math.min(low + 1, sorted.length - 1)]! - below) * (at - low)
}

const tidy = (value: number): number => Number(value.toPrecision(4))

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (q: number): number => tidy(quantile(sorted, q))
  return { n: sorted.length, min: at(0), p25: at(0.25), median: at(0.5), p75: at(0.75), max: at(1) }
}

/** mulberry32: small, seeded, good enough for bench data. From 0 to below 1. */
export function seeded(seed: number): () => number {
  let a = seed
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
