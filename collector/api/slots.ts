/**
 * How many bodies may be in memory at once. A request asks before its body is read: it gets a slot, waits for one with its
 * bytes still in the socket, or is told to come again.
 */
import { ApiError } from './errors.ts'

export type Slots = {
  /** Resolves with the function that gives the slot back (safe to call twice). Throws ApiError 503. */
  take(): Promise<() => void>
  readonly inUse: number
}

export function openSlots(size: number, waiting_max: number): Slots {
  let inUse = 0
  const waiting: (() => void)[] = []
  const lease = (): (() => void) => {
    let held = true
    return () => {
      if (!held) return
      held = false
      const next = waiting.shift()
      // The slot passes on as it is: nobody can slip in between.
      if (next) next()
      else inUse--
    }
  }
  return {
    async take() {
      if (inUse < size) inUse++
      else if (waiting.length < waiting_max) await new Promise<void>((resolve) => waiting.push(resolve))
      else throw new ApiError(503, 'busy', 'too many batches at once', 'send the same bytes again later', 1)
      return lease()
    },
    get inUse() {
      return inUse
    },
  }
}
