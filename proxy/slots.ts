/**
 * Things under way, each in a slot that is used again. Not a Map or a Set: those make a new table every few dozen
 * deletions, and V8 keeps what the old one held alive until the next full collection (60 MB and 15 % of the CPU of a
 * loaded worker, bench/README.md).
 */
export class Slots<T extends object> {
  readonly #all: (T | null)[] = []
  readonly #free: number[] = []

  /** Returns the slot, for `remove`. */
  add(one: T): number {
    const slot = this.#free.pop() ?? this.#all.length
    this.#all[slot] = one
    return slot
  }

  /** Frees a slot. Only once for each `add`: it may be another's by then. */
  remove(slot: number): void {
    this.#all[slot] = null
    this.#free.push(slot)
  }

  get size(): number {
    return this.#all.length - this.#free.length
  }

  /** `look` may remove what it is shown, and add. */
  each(look: (one: T) => void): void {
    for (let i = 0; i < this.#all.length; i++) {
      const one = this.#all[i]
      if (one) look(one)
    }
  }
}
