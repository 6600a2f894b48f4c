/** How many of something each caller holds. Holds no entry for callers that hold nothing. */
export class CallerCounts {
  readonly #counts = new Map<string, number>()

  /** Counts one more, unless the caller holds `max` already: then false. */
  take(caller: string, max: number): boolean {
    const count = this.#counts.get(caller) ?? 0
    if (count >= max) return false
    this.#counts.set(caller, count + 1)
    return true
  }

  /** Only once for each that was taken. */
  free(caller: string): void {
    const count = (this.#counts.get(caller) ?? 0) - 1
    if (count > 0) this.#counts.set(caller, count)
    else this.#counts.delete(caller)
  }
}
