/** The time an answer may take: each sign of life moves its end, up to a hard one. */
import { nowUs } from '../telemetry/clock.ts'

export class Deadline {
  readonly #timeout_ms: number
  readonly #hardEnd_us: number
  readonly #onEnd: () => void
  #timer: NodeJS.Timeout
  /** The end is the hard one: nothing moves it any more. */
  #isLastStretch = false

  constructor(timeout_ms: number, timeout_max_ms: number, onEnd: () => void) {
    this.#timeout_ms = timeout_ms
    this.#hardEnd_us = nowUs() + timeout_max_ms * 1000
    this.#onEnd = onEnd
    this.#timer = setTimeout(onEnd, Math.min(timeout_ms, timeout_max_ms))
  }

  extend(): void {
    if (this.#isLastStretch) return
    const left_ms = (this.#hardEnd_us - nowUs()) / 1000
    if (left_ms > this.#timeout_ms) {
      this.#timer.refresh()
      return
    }
    this.#isLastStretch = true
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#onEnd, Math.max(1, left_ms))
  }

  clear(): void {
    this.#isLastStretch = true
    clearTimeout(this.#timer)
  }
}
