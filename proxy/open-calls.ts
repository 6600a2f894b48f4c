/**
 * Legacy calls under way: a cancel arrives as a message of its own and must find its call, or a call that nobody waits for
 * would be recorded as the server's failure. Holds nothing that has ended.
 * Slots that are used again, not a Map: a Map makes a new table every few dozen deletions, and V8 keeps what the old one
 * held alive until the next full collection (60 MB and 15 % of the CPU of a loaded worker).
 */
import type { Call } from './call.ts'

export class OpenCalls {
  readonly #slots: (Call | null)[] = []
  readonly #free: number[] = []

  add(call: Call): void {
    if (!call.session || call.id === null) return
    const slot = this.#free.pop() ?? this.#slots.length
    this.#slots[slot] = call
    call.open_slot = slot
  }

  delete(call: Call): void {
    if (call.open_slot < 0) return
    this.#slots[call.open_slot] = null
    this.#free.push(call.open_slot)
    call.open_slot = -1
  }

  /** The client of `notice` (a notifications/cancelled) no longer waits for the call it names. */
  cancel(notice: Call): void {
    const id = notice.message?.params?.requestId
    if (!notice.session || (typeof id !== 'string' && typeof id !== 'number')) return
    const text = JSON.stringify(id)
    const { handle } = notice.session
    for (const call of this.#slots)
      if (call && call.id === text && call.session?.handle === handle) call.onCancelAsked?.()
  }
}
