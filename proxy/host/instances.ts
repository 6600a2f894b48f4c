/**
 * Which of a server's equal children takes what comes: the one with the least to do, and of equals the first.
 * One that may not start now is passed over. Knows no children, only their keys. Invariant: with one instance nothing changes.
 */
import { Refusal } from './refusal.ts'

export class Instances {
  /** What was sent somewhere and is not there yet. */
  readonly #coming = new Map<string, number>()

  /** Runs `enter` with the key of the chosen one of `count`; `load` tells how much one has to do. Throws what the first threw. */
  async choose<T>(
    base: string,
    count: number,
    load: (key: string) => number,
    enter: (key: string) => Promise<T>,
  ): Promise<T> {
    if (count === 1) return enter(base)
    const loads = Array.from({ length: count }, (_, i) => {
      const key = i === 0 ? base : `${base}#${i}`
      return { key, load: load(key) + (this.#coming.get(key) ?? 0) }
    })
    let refused: Refusal | null = null
    for (const { key } of loads.sort((a, b) => a.load - b.load)) {
      this.#coming.set(key, (this.#coming.get(key) ?? 0) + 1)
      try {
        return await enter(key)
      } catch (error) {
        if (!(error instanceof Refusal) || !isPassable(error)) throw error
        refused ??= error
      } finally {
        const coming = (this.#coming.get(key) ?? 1) - 1
        if (coming > 0) this.#coming.set(key, coming)
        else this.#coming.delete(key)
      }
    }
    throw refused
  }
}

/** Nothing was started in vain: another one may have room, or be well. */
const isPassable = ({ reason }: Refusal): boolean => reason === 'restarting' || reason === 'processes_max'
