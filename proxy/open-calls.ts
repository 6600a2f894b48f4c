/**
 * Legacy calls under way: a cancel arrives as a message of its own and must find its call, or a call that nobody waits for
 * would be recorded as the server's failure. Holds nothing that has ended.
 */
import type { Call } from './call.ts'
import { Slots } from './slots.ts'

export class OpenCalls {
  readonly #calls = new Slots<Call>()

  add(call: Call): void {
    if (call.session && call.id !== null) call.open_slot = this.#calls.add(call)
  }

  delete(call: Call): void {
    if (call.open_slot < 0) return
    this.#calls.remove(call.open_slot)
    call.open_slot = -1
  }

  /** The client of `notice` (a notifications/cancelled) no longer waits for the call it names. */
  cancel(notice: Call): void {
    const id = notice.message?.params?.requestId
    if (!notice.session || (typeof id !== 'string' && typeof id !== 'number')) return
    const text = JSON.stringify(id)
    const { handle } = notice.session
    this.#calls.each((call) => {
      if (call.id === text && call.session?.handle === handle) call.onCancelAsked?.()
    })
  }
}
