/**
 * How much work one check of one value may be. Schemas come from servers and values from clients: together they can ask for
 * any amount (alternatives within alternatives, patterns over long texts), so every step is paid for. Single-threaded and
 * synchronous: one budget serves all checks, one after the other.
 */

/** A step is well below a microsecond of one core: a check ends within some tens of milliseconds, whatever is asked. */
export const STEPS_MAX = 100_000
/** Objects of small values are not counted: their keys are few. */
const SMALL_CHARS = 4_096
const CHARS_A_STEP = 16
const KEYS_A_STEP = 4

/** Thrown through the check that spent its budget. Carries no stack: it is no bug. */
export class Spent extends Error {
  constructor() {
    super('the check takes too long')
  }
}

export class Budget {
  #left = 0
  #isSmall = true
  readonly #spent = new Spent()

  /** `chars`: length of the value as JSON text. */
  begin(chars: number, steps = STEPS_MAX): void {
    this.#left = steps
    this.#isSmall = chars <= SMALL_CHARS
  }

  /** Pays for the keywords of one schema on one value; `weight` is how many there are to compare with. */
  pay(weight: number, value: unknown): void {
    let steps = weight
    if (typeof value === 'string') steps += value.length / CHARS_A_STEP
    else if (!this.#isSmall && typeof value === 'object' && value !== null) {
      const size = Array.isArray(value) ? value.length : Object.keys(value).length
      steps += weight * (size / KEYS_A_STEP)
    }
    this.spend(steps)
  }

  spend(steps: number): void {
    this.#left -= steps
    if (this.#left < 0) throw this.#spent
  }
}
