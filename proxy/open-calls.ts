/**
 * Legacy calls under way, by session and request id: a cancel arrives as a message of its own and must find its call,
 * or a call that nobody waits for would be recorded as the server's failure. Holds nothing that has ended.
 */
import type { Call } from './call.ts'

const keyOf = (handle: string, id: string): string => `${handle}\n${id}`

export class OpenCalls {
  readonly #calls = new Map<string, Call>()

  add(call: Call): void {
    if (call.session && call.id !== null) this.#calls.set(keyOf(call.session.handle, call.id), call)
  }

  delete(call: Call): void {
    if (!call.session || call.id === null) return
    const key = keyOf(call.session.handle, call.id)
    if (this.#calls.get(key) === call) this.#calls.delete(key)
  }

  /** The client of `notice` (a notifications/cancelled) no longer waits for the call it names. */
  cancel(notice: Call): void {
    const id = notice.message?.params?.requestId
    if (!notice.session || (typeof id !== 'string' && typeof id !== 'number')) return
    this.#calls.get(keyOf(notice.session.handle, JSON.stringify(id)))?.onCancelAsked?.()
  }
}
