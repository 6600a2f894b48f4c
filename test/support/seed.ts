/** Randomness that can be had again: WEIR_SEED=<number> repeats a run. */

/** The seed of this run, printed so that a failure can be repeated. */
export function runSeed(name: string): number {
  const seed = Number(process.env.WEIR_SEED) || Math.floor(Math.random() * 2 ** 31)
  process.stdout.write(`${name}: WEIR_SEED=${seed}\n`)
  return seed
}

export type Random = { next(): number; int(max: number): number; pick<T>(list: readonly T[]): T }

/** mulberry32 */
export function seeded(seed: number): Random {
  let a = seed
  const next = (): number => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const int = (max: number): number => Math.floor(next() * max)
  return { next, int, pick: (list) => list[int(list.length)]! }
}
