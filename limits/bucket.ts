/**
 * One count: how much room there is, what is taken, what is given back. A rate is a generic cell rate algorithm (one number:
 * when the bucket will be full again); a quota or money is a sum in a period; concurrency is a sum that is given back. Pure.
 *
 * `held` are units taken ahead for a worker and not used yet. A rate does not refill beyond what is held: so units that are
 * used later never add to a full bucket, and a burst is never exceeded.
 */
import type { LimitEntry } from '../config/limit-book.ts'
import { periodEnd, periodStart } from './period.ts'

/** `mono_ms` never jumps (rates); `wall_ms` is the time of day (periods). */
export type Now = { readonly mono_ms: number; readonly wall_ms: number }

/** A rounding error of the clock's arithmetic must not cost a call. */
const EPSILON = 1e-6
/** When concurrency is full nobody knows when a call will end. */
export const CONCURRENCY_RETRY_MS = 1_000

export class Bucket {
  /** Changes with the config; what was counted stays. */
  entry: LimitEntry
  /** Part of the limit that is ours to give: 1 but for a machine that stands in for Redis. */
  readonly #share: number
  /** Of a rate: when it is full again, monotonic ms. */
  #full_at = 0
  /** Of all others: what is taken. */
  used = 0
  /** Of a quota or money: when its period began. */
  period_start = 0
  /** Of a rate: units lent and not known to be used. */
  held = 0
  /** The largest of `warn_at` that has been told of in this period, 0 for none. */
  warned = 0

  /** Of a quota or money: what others have taken in this period, which is nobody's to give. */
  readonly #gone: number
  readonly #gone_period: number

  constructor(entry: LimitEntry, share = 1, gone: { units: number; period_start: number } | null = null) {
    this.entry = entry
    this.#share = share
    this.#gone = gone?.units ?? 0
    this.#gone_period = gone?.period_start ?? 0
  }

  get capacity(): number {
    const { kind, amount, burst } = this.entry
    const gone = this.#gone > 0 && this.#gone_period === this.period_start ? this.#gone : 0
    const whole = Math.max(0, (kind === 'rate' ? burst : amount) - gone)
    if (this.#share === 1 || whole === 0) return whole
    return Math.max(1, Math.floor(whole * this.#share))
  }

  /** Time a rate takes for one call. */
  get #step_ms(): number {
    const { period_ms, amount } = this.entry
    return period_ms / (amount * this.#share)
  }

  #roll({ wall_ms }: Now): void {
    if (this.entry.period === '') return
    const start = periodStart(this.entry.period, wall_ms)
    // A clock that is set back does not open an old period again.
    if (start <= this.period_start) return
    this.period_start = start
    this.used = this.warned = 0
  }

  #fullAt({ mono_ms }: Now): number {
    return Math.max(this.#full_at, mono_ms + this.held * this.#step_ms)
  }

  /** Whole units that can be taken now; of money any amount. Below zero when more was spent than there is. */
  room(now: Now): number {
    this.#roll(now)
    if (this.entry.kind !== 'rate') return this.capacity - this.used
    const behind_ms = this.#fullAt(now) - now.mono_ms
    return Math.floor((this.capacity * this.#step_ms - behind_ms) / this.#step_ms + EPSILON)
  }

  /** What is taken of the capacity now. */
  taken(now: Now): number {
    return this.capacity - this.room(now)
  }

  take(units: number, now: Now): void {
    if (this.entry.kind === 'rate') this.#full_at = this.#fullAt(now) + units * this.#step_ms
    else {
      this.#roll(now)
      this.used += units
    }
  }

  /** Gives back what was taken at `taken_ms` (wall clock); less than nothing: more was used. */
  giveBack(units: number, now: Now, taken_ms = now.wall_ms): void {
    if (this.entry.kind === 'rate') {
      this.#full_at -= units * this.#step_ms
      return
    }
    this.#roll(now)
    // What was taken in a period that is over does not count in this one.
    if (this.entry.period !== '' && taken_ms < this.period_start) return
    this.used = Math.max(0, this.used - units)
  }

  /** Milliseconds until `units` could be taken if nobody else took any. */
  retryMs(units: number, now: Now): number {
    const { kind, period } = this.entry
    if (kind === 'concurrency') return CONCURRENCY_RETRY_MS
    if (kind === 'rate') {
      const wait_ms = this.#fullAt(now) + units * this.#step_ms - now.mono_ms - this.capacity * this.#step_ms
      return Math.max(1, Math.ceil(wait_ms))
    }
    this.#roll(now)
    return Math.max(1, periodEnd(period as Exclude<typeof period, ''>, this.period_start) - now.wall_ms)
  }

  /** Sets what was counted before this process began. */
  restore(period_start: number, used: number, warned = 0): void {
    this.period_start = period_start
    this.used = used
    this.warned = warned
  }

  /** Nothing would be lost by forgetting it. */
  isIdle(now: Now): boolean {
    return this.held === 0 && this.taken(now) <= 0
  }
}
