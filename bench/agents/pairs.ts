/**
 * How well inferred runs agree with what agents say of themselves, by pairs of calls: of two calls in one inferred run, how
 * often were they one agent's (precision); of two calls of one agent, how often are they in one run (recall). Pure.
 */

export type Labelled = { truth: string; run: string; evidence: string; confidence: number }
export type Score = {
  calls: number
  truths: number
  runs: number
  precision: number
  recall: number
  f1: number
}

const pairs = (n: number): number => (n * (n - 1)) / 2

function countBy(calls: readonly Labelled[], key: (call: Labelled) => string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const call of calls) counts.set(key(call), (counts.get(key(call)) ?? 0) + 1)
  return counts
}
const pairsIn = (counts: ReadonlyMap<string, number>): number =>
  [...counts.values()].reduce((sum, n) => sum + pairs(n), 0)

/** Without a pair to judge, nothing is wrong: 1. */
export function scoreOf(calls: readonly Labelled[]): Score {
  const truths = countBy(calls, (c) => c.truth)
  const runs = countBy(calls, (c) => c.run)
  const both = pairsIn(countBy(calls, (c) => `${c.truth}\n${c.run}`))
  const precision = pairsIn(runs) === 0 ? 1 : both / pairsIn(runs)
  const recall = pairsIn(truths) === 0 ? 1 : both / pairsIn(truths)
  const f1 = precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall)
  return { calls: calls.length, truths: truths.size, runs: runs.size, precision, recall, f1 }
}

/** `stated`: the sum of the confidences, percent. */
export type Calibrated = { key: string; calls: number; right: number; stated: number }

/** By `keyOf`: how many calls stand in a run that is mostly their own agent's, and how sure of it they were said to be. */
export function calibrate(calls: readonly Labelled[], keyOf: (call: Labelled) => string): Calibrated[] {
  const both = countBy(calls, (c) => `${c.truth}\n${c.run}`)
  const best = new Map<string, { truth: string; n: number }>()
  for (const [key, n] of both) {
    const [truth = '', run = ''] = key.split('\n')
    if (n > (best.get(run)?.n ?? 0)) best.set(run, { truth, n })
  }
  const found = new Map<string, Calibrated>()
  for (const call of calls) {
    const key = keyOf(call)
    const row = found.get(key) ?? { key, calls: 0, right: 0, stated: 0 }
    row.calls++
    row.stated += call.confidence
    if (best.get(call.run)!.truth === call.truth) row.right++
    found.set(key, row)
  }
  return [...found.values()].sort((a, b) => b.calls - a.calls)
}
