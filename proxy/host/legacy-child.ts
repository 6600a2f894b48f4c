/**
 * A legacy child and the sessions on it: initialized once, then it serves every session of its key.
 * What sessions would set against each other is merged: the log level is the most verbose one asked for, a resource stays
 * subscribed while any session wants it. Every message of the child goes to one place (`attribution.ts`), list changes to
 * each session once.
 */
import { replaceValue } from '../mcp/splice.ts'
import { RPC } from '../mcp/versions.ts'
import { isLogWanted, mostVerbose, type Place, placeOf } from './attribution.ts'
import type { Channel } from './channel.ts'
import type { Recipient } from './exchange.ts'
import type { Log } from './log.ts'
import { Refusal } from './refusal.ts'
import type { Session } from './session.ts'
import { idKey, namesOf, type OpenCall, type RpcMessage, Wire, type WireEvents } from './wire.ts'

export type LegacySession = Session<LegacyPeer>
/** What legacy sessions are on: a legacy child, or a modern one behind the bridge. */
export type LegacyPeer = {
  /** Whether it serves one session only, and ends with it. */
  isAlone: boolean
  readonly sessions: ReadonlySet<LegacySession>
  /** The negotiated revision. */
  readonly version: string
  /** The revision spoken with the server where that is another one, '' otherwise. */
  readonly upstream_version: string
  /** The whole answer to `initialize`. */
  readonly initialize_text: string
  /** The line to the server, as far as its sessions need to know. */
  readonly child: Pick<Channel, 'isFull' | 'drained' | 'isEnding' | 'exited' | 'hold' | 'release'>
  join(session: LegacySession): void
  /** Ends a session: its calls are cancelled, what the server asked it is answered with an error. */
  closeSession(session: LegacySession): void
  /** Forwards a request of a session; the recipient gets its answer in `slot`. */
  forward(session: LegacySession, text: string, message: RpcMessage, recipient: Recipient, slot: number): void
  /** Takes a notification of a session. */
  note(session: LegacySession, text: string, message: RpcMessage): void
  /** A client's answer to a request of the server. False: this session was not asked (any more). */
  answer(session: LegacySession, text: string, message: RpcMessage): boolean
  sweep(now_ms: number, left_max_ms: number): void
  /** Starts its idle time when no session is on it. */
  markUnused(): void
  /** Ends it because nobody uses it (any more). */
  retire(): void
}
/** Messages of children that nobody could take. */
export type Undeliverable = { requests: number; notifications: number }

/** A request of the child that its session has not answered. */
type Asked = { place: Place<LegacySession>; text: string; message: RpcMessage }

/** Most questions of a child that may wait for answers. */
const ASKED_MAX = 1000
/** How long the answer to a cancelled call may still come before its stream is ended. */
const CANCEL_GRACE_MS = 1000

export class LegacyChild implements LegacyPeer {
  isAlone = false
  readonly isTrial = false
  readonly sessions = new Set<LegacySession>()
  readonly wire: Wire
  /** The child's whole answer to `initialize`, as it came; '' until then. */
  initialize_text = ''
  version = ''
  get upstream_version(): string {
    return this.version
  }
  #is_initialized = false
  #unused_ms: number | null = null
  readonly #undeliverable: Undeliverable
  readonly #asked = new Map<string, Asked>()

  constructor(server: string, open: (wire: () => Wire) => Channel, log: Log, undeliverable: Undeliverable) {
    this.#undeliverable = undeliverable
    const events: WireEvents = {
      request: (text, message, about) => this.#asks(text, message, this.#placeOf(about)),
      notification: (text, message, about) => this.#says(text, message, this.#placeOf(about)),
      undeliverable: () => this.#lostNotification(),
    }
    this.wire = new Wire(
      server,
      open(() => this.wire),
      events,
      log,
    )
  }

  get child(): Channel {
    return this.wire.child
  }

  /** A child of one session is idle with it: many clients leave without a word, and their places are needed. */
  idleSince(): number | null {
    const [session] = this.sessions
    return this.isAlone && session ? session.idleSince() : this.#unused_ms
  }

  isBusy(): boolean {
    return this.wire.isBusy()
  }

  isStarting(): boolean {
    return this.initialize_text === ''
  }

  callsOpen(): number {
    return this.wire.callsOpen()
  }

  retire(): void {
    void this.child.end()
  }

  markUnused(): void {
    if (this.sessions.size === 0) this.#unused_ms = Date.now()
  }

  /** Forwards the first `initialize`. Resolves with the child's answer, which may be an error. */
  initialize(text: string, timeout_ms: number): Promise<{ text: string; message: RpcMessage }> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Refusal(504, 'initialize_timeout', 'the server did not answer initialize in time'))
        void this.child.end()
      }, timeout_ms)
      this.wire.call(text, {
        ...namesOf(text),
        wire_id: 0,
        method: 'initialize',
        owner: null,
        exchange: null,
        left_ms: 0,
        settle: (answer, message) => {
          clearTimeout(timer)
          resolve({ text: answer, message })
        },
        fail: (refusal) => {
          clearTimeout(timer)
          reject(refusal)
        },
      })
    })
  }

  join(session: LegacySession): void {
    this.sessions.add(session)
    this.#unused_ms = null
  }

  closeSession(session: LegacySession): void {
    if (!this.sessions.delete(session)) return
    for (const call of [...session.calls.values()]) {
      this.wire.cancel(call, 'the session ended')
      call.fail(new Refusal(404, 'session_ended', 'the session ended before the answer came'))
    }
    session.close()
    for (const [key, asked] of this.#asked) if (asked.place.session === session) this.#lostRequest(key)
    for (const uri of session.subscriptions)
      if (!this.#isWanted(uri)) this.#ask('resources/unsubscribe', { uri })
    this.markUnused()
  }

  forward(
    session: LegacySession,
    text: string,
    message: RpcMessage,
    exchange: Recipient,
    slot: number,
  ): void {
    const names = namesOf(text)
    const key = idKey(message.id, names.id)
    const method = String(message.method)
    if (session.calls.has(key)) {
      const why = 'a request with this id is still open in the session'
      exchange.refuse(new Refusal(400, 'id_in_use', why, {}, RPC.invalidRequest), names.id, slot)
      return
    }
    const params = message.params as RpcMessage | undefined
    const merged = this.#merge(session, method, params, text)
    if (merged === null) {
      exchange.settle(`{"jsonrpc":"2.0","id":${names.id},"result":{}}`, 200, slot)
      return
    }
    const call: OpenCall = {
      ...names,
      wire_id: 0,
      method,
      owner: session,
      exchange,
      left_ms: 0,
      settle: (answer, result) => {
        session.calls.delete(key)
        session.used_ms = Date.now()
        if (method === 'resources/subscribe' && result.error === undefined)
          session.subscriptions.add(String(params?.uri))
        exchange.settle(answer, 200, slot, result)
      },
      fail: (refusal) => {
        session.calls.delete(key)
        exchange.refuse(refusal, names.id, slot)
      },
    }
    session.calls.set(key, call)
    exchange.forwarded()
    this.wire.call(merged, call)
  }

  note(session: LegacySession, text: string, message: RpcMessage): void {
    if (message.method === 'notifications/cancelled') {
      this.#cancel(session, text, message)
      return
    }
    if (message.method === 'notifications/initialized') {
      // A child is initialized once, however many sessions share it.
      if (this.#is_initialized) return
      this.#is_initialized = true
    }
    this.child.write(text)
  }

  answer(session: LegacySession, text: string, message: RpcMessage): boolean {
    const key = idKey(message.id, namesOf(text).id)
    if (this.#asked.get(key)?.place.session !== session) return false
    this.#asked.delete(key)
    this.child.write(text)
    return true
  }

  /** Cancels the call a session knows by this key (`idKey`). False: there is none, or it was answered. */
  abandon(session: LegacySession, key: string, reason: string): boolean {
    const call = session.calls.get(key)
    if (!call) return false
    session.calls.delete(key)
    this.wire.cancel(call, reason)
    return true
  }

  sweep(now_ms: number, left_max_ms: number): void {
    for (const session of this.sessions) {
      session.sweep(now_ms)
      for (const [key, call] of session.calls) {
        if (call.exchange?.isAlive === true && call.exchange.isAway !== true) {
          call.left_ms = 0
          continue
        }
        // The client is gone, which is no cancel; but its call is not waited for without end.
        if (call.left_ms === 0) call.left_ms = now_ms
        if (now_ms - call.left_ms < left_max_ms) continue
        session.calls.delete(key)
        this.wire.cancel(call, 'nobody waits for the answer')
        call.exchange?.endSilently()
      }
    }
  }

  #isWanted(uri: string): boolean {
    for (const session of this.sessions) if (session.subscriptions.has(uri)) return true
    return false
  }

  #ask(method: string, params: object): void {
    this.wire.ask(method, params, 60_000).catch(() => {})
  }

  /** What of a request goes to the child so that sessions do not undo each other's settings; null: nothing. */
  #merge(
    session: LegacySession,
    method: string,
    params: RpcMessage | undefined,
    text: string,
  ): string | null {
    if (method === 'resources/unsubscribe') {
      const uri = String(params?.uri)
      return session.subscriptions.delete(uri) && this.#isWanted(uri) ? null : text
    }
    if (method !== 'logging/setLevel' || typeof params?.level !== 'string') return text
    session.log_level = params.level
    const level = mostVerbose([...this.sessions].map((s) => s.log_level))
    if (level === null || level === params.level || !mostVerbose([params.level])) return text
    return replaceValue(text, ['params', 'level'], JSON.stringify(level))
  }

  #cancel(session: LegacySession, text: string, message: RpcMessage): void {
    const params = message.params as { requestId?: unknown } | undefined
    const key = idKey(params?.requestId, JSON.stringify(params?.requestId ?? null))
    const call = session.calls.get(key)
    if (!call) return
    this.child.write(replaceValue(text, ['params', 'requestId'], String(call.wire_id)))
    // A server that obeys sends no answer: the call must not stay open for it.
    setTimeout(() => {
      if (session.calls.get(key) !== call) return
      session.calls.delete(key)
      this.wire.open.delete(call.wire_id)
      call.exchange?.endSilently()
    }, CANCEL_GRACE_MS).unref()
  }

  /** Where a message belongs that came on the stream of this call; null: the transport does not tell. */
  #placeOf(call: OpenCall | undefined): Place<LegacySession> | null {
    const session = call?.owner as LegacySession | null | undefined
    return session && call?.exchange ? { session, exchange: call.exchange } : null
  }

  /** The child asks a client something. */
  #asks(text: string, message: RpcMessage, known: Place<LegacySession> | null): void {
    const id = namesOf(text).id
    const key = idKey(message.id, id)
    const place = this.#asked.size < ASKED_MAX ? (known ?? placeOf(this.sessions)) : null
    if (place !== null) {
      this.#asked.set(key, { place, text, message })
      if (place.exchange !== null) place.exchange.deliver(text)
      else place.session.post(text, () => this.#lostRequest(key), true)
      return
    }
    // Whether anyone is there the host can tell for itself.
    if (message.method === 'ping') {
      this.child.write(`{"jsonrpc":"2.0","id":${id},"result":{}}`)
      return
    }
    this.#undeliverable.requests++
    this.wire.reject(message, text, RPC.internal, 'there is no client that could answer')
  }

  /** The child tells something. */
  #says(text: string, message: RpcMessage, known: Place<LegacySession> | null): void {
    const method = String(message.method)
    const params = message.params as RpcMessage | undefined
    if (method === 'notifications/cancelled') {
      this.#withdraws(text, params)
      return
    }
    if (method.endsWith('/list_changed')) {
      this.#tellAll(text, () => true)
      return
    }
    if (method === 'notifications/resources/updated') {
      this.#tellAll(text, (session) => session.subscriptions.has(String(params?.uri)))
      return
    }
    const place = known ?? placeOf(this.sessions)
    if (place === null) {
      this.#lostNotification()
      return
    }
    if (method === 'notifications/message' && !isLogWanted(params?.level, place.session.log_level)) return
    if (place.exchange !== null) place.exchange.deliver(text)
    else place.session.post(text, () => this.#lostNotification())
  }

  #tellAll(text: string, isMeant: (session: LegacySession) => boolean): void {
    let told = 0
    for (const session of this.sessions) {
      if (!isMeant(session)) continue
      told++
      session.post(text, () => this.#lostNotification())
    }
    if (told === 0) this.#lostNotification()
  }

  /** The child no longer wants the answer to a request of its own. */
  #withdraws(text: string, params: RpcMessage | undefined): void {
    const key = idKey(params?.requestId, JSON.stringify(params?.requestId ?? null))
    const asked = this.#asked.get(key)
    if (!asked) {
      this.#lostNotification()
      return
    }
    this.#asked.delete(key)
    const { session, exchange } = asked.place
    if (exchange?.isAlive === true) exchange.deliver(text)
    else session.post(text, () => this.#lostNotification())
  }

  #lostRequest(key: string): void {
    const asked = this.#asked.get(key)
    if (!asked) return
    this.#asked.delete(key)
    this.#undeliverable.requests++
    this.wire.reject(asked.message, asked.text, RPC.internal, 'the client cannot be reached')
  }

  #lostNotification(): void {
    this.#undeliverable.notifications++
  }
}
