/**
 * All counts of an installation. A call takes from all its limits or from none. Who asks often is lent more units than it
 * needs, as long as there is plenty; near the edge every unit is asked for, so that the edge is exact. Pure: the clock comes
 * as an argument.
 */
import type { LimitEntry } from '../config/limit-book.ts'
import { Bucket, type Now } from './bucket.ts'

/** `key`: id of an entry and the values of its `per`, a line each. `want`: units that may be lent beside. */
export type Need = readonly [key: string, units: number, want: number]
/** Why nothing was taken: place of the need, what is taken of how much, when to come again. */
export type Refusal = { at: number; taken: number; capacity: number; retry_ms: number }
/** Units lent for each need, or why nothing was taken. */
export type Taken = readonly number[] | Refusal

export const isRefusal = (taken: Taken): taken is Refusal => !Array.isArray(taken)

/** After a count was at its edge, this long every unit is asked for, and given back at once. */
export const TIGHT_MS = 1_000
/** Buckets kept; beyond it those that are full are forgotten, and newcomers of a limit share one. */
const BUCKETS_MAX = 100_000
const FORGET_EVERY_MS = 1_000
/** One borrower gets at most this part of what is left. */
const LENT_PART = 4

export const entryIdOf = (key: string): string => {
  const end = key.indexOf('\n')
  return end < 0 ? key : key.slice(0, end)
}

export class Bank {
  #entries: ReadonlyMap<string, LimitEntry> = new Map()
  readonly #buckets = new Map<string, Bucket>()
  #forget_after = Number.NEGATIVE_INFINITY
  readonly #make: (entry: LimitEntry, key: string) => Bucket

  constructor(
    entries: readonly LimitEntry[],
    make: (entry: LimitEntry, key: string) => Bucket = (entry) => new Bucket(entry),
  ) {
    this.#make = make
    this.reload(entries)
  }

  /** Takes over other limits. Counts of a limit that is still there go on. */
  reload(entries: readonly LimitEntry[]): void {
    this.#entries = new Map(entries.map((entry) => [entry.id, entry]))
    for (const [key, bucket] of this.#buckets) {
      const entry = this.#entries.get(entryIdOf(key))
      if (entry === bucket.entry) continue
      if (!entry || entry.kind !== bucket.entry.kind || entry.period !== bucket.entry.period) {
        this.#buckets.delete(key)
        continue
      }
      bucket.entry = entry
    }
  }

  /** The bucket of a key; null when its limit is gone: then nothing holds the call back. */
  bucket(key: string, now: Now): Bucket | null {
    const known = this.#buckets.get(key)
    if (known) return known
    const id = entryIdOf(key)
    const entry = this.#entries.get(id)
    if (!entry) return null
    if (this.#buckets.size >= BUCKETS_MAX) {
      this.#forget(now)
      const overflow = `${id}\n\n*`
      if (this.#buckets.size >= BUCKETS_MAX && key !== overflow) return this.bucket(overflow, now)
    }
    const bucket = this.#make(entry, key)
    this.#buckets.set(key, bucket)
    return bucket
  }

  /** Looks through all of them, so not for every newcomer of a flood. */
  #forget(now: Now): void {
    if (now.mono_ms < this.#forget_after) return
    this.#forget_after = now.mono_ms + FORGET_EVERY_MS
    for (const [key, bucket] of this.#buckets) if (bucket.isIdle(now)) this.#buckets.delete(key)
  }

  /** Takes all needs, and lends; or takes nothing. `borrowers`: how many may hold units at a time. */
  take(needs: readonly Need[], now: Now, borrowers = 1): Taken {
    const buckets = needs.map(([key]) => this.bucket(key, now))
    for (const [at, [, units]] of needs.entries()) {
      const bucket = buckets[at]
      if (!bucket || bucket.room(now) >= units) continue
      const taken = bucket.taken(now)
      return { at, taken, capacity: bucket.capacity, retry_ms: bucket.retryMs(units, now) }
    }
    return needs.map(([, units, want], at) => {
      const bucket = buckets[at]
      if (!bucket) return 0
      bucket.take(units, now)
      const lent = Math.max(0, Math.min(want, Math.floor(bucket.room(now) / (LENT_PART * borrowers))))
      if (lent > 0) {
        bucket.take(lent, now)
        if (bucket.entry.kind === 'rate') bucket.held += lent
      }
      return lent
    })
  }

  /** What was lent was used, or comes back. `dropped`: units no longer held; `back`: of those, not used (below zero: more was used). */
  settle(key: string, dropped: number, back: number, now: Now, taken_ms?: number): void {
    const bucket = this.#buckets.get(key)
    if (!bucket) return
    if (bucket.entry.kind === 'rate') bucket.held = Math.max(0, bucket.held - dropped)
    if (back !== 0) bucket.giveBack(back, now, taken_ms)
  }

  *windows(): Generator<[key: string, bucket: Bucket]> {
    for (const one of this.#buckets) if (one[1].entry.period !== '') yield one
  }

  /** Rates of which something is taken and not refilled yet. */
  *rates(now: Now): Generator<[key: string, units: number]> {
    for (const [key, bucket] of this.#buckets)
      if (bucket.entry.kind === 'rate' && bucket.taken(now) > 0) yield [key, bucket.taken(now)]
  }

  entry(key: string): LimitEntry | null {
    return this.#entries.get(entryIdOf(key)) ?? null
  }

  get size(): number {
    return this.#buckets.size
  }
}
