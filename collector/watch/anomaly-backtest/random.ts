/** Random numbers of the backtest: from a seed, so that a table can be made again to the digit. */

export type Random = {
  /** From 0 to below 1. */
  next(): number
  between(low: number, high: number): number
  int(max: number): number
  pick<T>(list: readonly T[]): T
  normal(): number
  poisson(mean: number): number
  binomial(n: number, p: number): number
}

export function openRandom(seed: number): Random {
  let a = seed | 0
  // mulberry32
  const next = (): number => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  let spare: number | null = null
  const normal = (): number => {
    if (spare !== null) {
      const kept = spare
      spare = null
      return kept
    }
    const r = Math.sqrt(-2 * Math.log(next() || 1e-12))
    const angle = 2 * Math.PI * next()
    spare = r * Math.sin(angle)
    return r * Math.cos(angle)
  }
  const poisson = (mean: number): number => {
    if (mean > 40) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal()))
    const end = Math.exp(-mean)
    let k = 0
    for (let p = next(); p > end; p *= next()) k++
    return k
  }
  const binomial = (n: number, p: number): number => {
    if (n * p > 40 && n * (1 - p) > 40)
      return Math.min(n, Math.max(0, Math.round(n * p + Math.sqrt(n * p * (1 - p)) * normal())))
    let k = 0
    for (let i = 0; i < n; i++) if (next() < p) k++
    return k
  }
  const int = (max: number): number => Math.floor(next() * max)
  return {
    next,
    normal,
    poisson,
    binomial,
    int,
    between: (low, high) => low + (high - low) * next(),
    pick: (list) => list[int(list.length)]!,
  }
}
