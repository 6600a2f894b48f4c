/**
 * Limits over calls that were made: what would have been refused. Calls come in the order of their time; each takes what it
 * really took. Pure: `weir policy test` feeds it rows of the store.
 */
import type { LimitEntry } from '../config/limit-book.ts'
import { Bank, isRefusal } from './bank.ts'
import { type Plan, type Subject, selector } from './select.ts'

/** `cost_nano`: what the call cost; `duration_us`: how long it was under way. */
export type PastCall = { ts_ms: number; duration_us: number; cost_nano: number; subject: Subject }
/** `limit`: name of the one that refuses; `shadow`: names of those that would. */
export type PastVerdict = { limit: string | null; kind: LimitEntry['kind'] | null; shadow: readonly string[] }

const PASSES: PastVerdict = Object.freeze({ limit: null, kind: null, shadow: [] })
type End = { at_ms: number; keys: readonly string[] }

/** Judges calls one after another. What is refused takes nothing. */
export function simulation(entries: readonly LimitEntry[]): (call: PastCall) => PastVerdict {
  const select = selector(entries)
  if (!select) return () => PASSES
  const bank = new Bank(entries)
  const ends = new Ends()
  const take = (lines: Plan['enforced'], call: PastCall): LimitEntry | null => {
    const now = { mono_ms: call.ts_ms, wall_ms: call.ts_ms }
    const needed = lines.filter(({ entry }) => entry.kind !== 'spend' || call.cost_nano > 0)
    const taken = bank.take(
      needed.map(({ key, entry }) => [key, entry.kind === 'spend' ? call.cost_nano : 1, 0]),
      now,
    )
    if (isRefusal(taken)) return needed[taken.at]!.entry
    const keys = needed.filter(({ entry }) => entry.kind === 'concurrency').map(({ key }) => key)
    if (keys.length > 0) ends.add({ at_ms: call.ts_ms + call.duration_us / 1000, keys })
    return null
  }
  return (call) => {
    for (const { at_ms, keys } of ends.until(call.ts_ms))
      for (const key of keys) bank.settle(key, 1, 1, { mono_ms: at_ms, wall_ms: at_ms })
    const plan = select(call.subject)
    const refusing = take(plan.enforced, call)
    if (refusing) return { limit: refusing.name, kind: refusing.kind, shadow: [] }
    if (plan.shadow.length === 0) return PASSES
    const shadow = plan.shadow.flatMap((line) => take([line], call)?.name ?? [])
    return shadow.length === 0 ? PASSES : { limit: null, kind: null, shadow: [...new Set(shadow)] }
  }
}

/** Calls under way, the first to end first: a binary heap. */
class Ends {
  readonly #heap: End[] = []

  add(end: End): void {
    const heap = this.#heap
    let at = heap.push(end) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      if (heap[above]!.at_ms <= end.at_ms) break
      heap[at] = heap[above]!
      at = above
    }
    heap[at] = end
  }

  /** Removes and gives those that have ended. */
  *until(now_ms: number): Generator<End> {
    while (this.#heap.length > 0 && this.#heap[0]!.at_ms <= now_ms) yield this.#pop()
  }

  #pop(): End {
    const heap = this.#heap
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return first
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && heap[below + 1]!.at_ms < heap[below]!.at_ms) below++
      if (heap[below]!.at_ms >= last.at_ms) break
      heap[at] = heap[below]!
      at = below
    }
    heap[at] = last
    return first
  }
}
