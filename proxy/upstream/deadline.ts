/**
 * The time an answer may take: each sign of life moves its end, up to a hard one. Ends are looked for every few
 * milliseconds instead of a timer for each call: at low load Node makes and schedules a new list of timers for every one.
 */
import { Slots } from '../slots.ts'
import { nowUs } from '../telemetry/clock.ts'

/** A call that is over its time is ended at most this much later; never earlier. */
const LOOK_MS = 20

/** Who is told that its time is over; once. */
export type Overdue = { overdue(): void }

export class Deadlines {
  readonly #open = new Slots<Deadline>()
  #timer: NodeJS.Timeout | null = null

  start(timeout_ms: number, timeout_max_ms: number, of: Overdue): Deadline {
    const deadline = new Deadline(this, nowUs(), timeout_ms * 1000, timeout_max_ms * 1000, of)
    deadline.slot = this.#open.add(deadline)
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref()
    return deadline
  }

  end(deadline: Deadline): void {
    if (deadline.slot < 0) return
    this.#open.remove(deadline.slot)
    deadline.slot = -1
  }

  #look(): void {
    // Stopped here and not with the last call: it would start again with the next one.
    if (this.#open.size === 0 && this.#timer) {
      clearInterval(this.#timer)
      this.#timer = null
      return
    }
    const now_us = nowUs()
    this.#open.each((deadline) => {
      if (now_us < deadline.end_us) return
      this.end(deadline)
      deadline.of.overdue()
    })
  }
}

export class Deadline {
  readonly #all: Deadlines
  readonly #timeout_us: number
  readonly #hardEnd_us: number
  readonly of: Overdue
  end_us: number
  /** Where it is kept, -1 when it is over. */
  slot = -1

  /** Made by `Deadlines.start`. */
  constructor(all: Deadlines, now_us: number, timeout_us: number, timeout_max_us: number, of: Overdue) {
    this.#all = all
    this.#timeout_us = timeout_us
    this.#hardEnd_us = now_us + timeout_max_us
    this.of = of
    this.end_us = now_us + Math.min(timeout_us, timeout_max_us)
  }

  extend(): void {
    this.end_us = Math.min(nowUs() + this.#timeout_us, this.#hardEnd_us)
  }

  clear(): void {
    this.#all.end(this)
  }
}
