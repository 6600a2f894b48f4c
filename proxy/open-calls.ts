/**
 * Legacy calls under way: a cancel arrives as a message of its own and must find its call, or a call that nobody waits for
 * would be recorded as the server's failure. Holds nothing that has ended.
 */
import type { Call } from './call.ts'
import { Slots } from './slots.ts'

/** A call by its session and the JSON text of its request id. */
export type Cancelled = { handle: string; id: string }

/** The call that a notifications/cancelled names; null when it names none. */
export function cancelledBy(notice: Call): Cancelled | null {
  const id = notice.message?.params?.requestId
  if (!notice.session || (typeof id !== 'string' && typeof id !== 'number')) return null
  return { handle: notice.session.handle, id: JSON.stringify(id) }
}

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

  /** The client no longer waits for a call. False when that call is not here. */
  cancel({ handle, id }: Cancelled): boolean {
    let isHere = false
    this.#calls.each((call) => {
      if (call.id !== id || call.session?.handle !== handle) return
      isHere = true
      call.onCancelAsked?.()
    })
    return isHere
  }
}
