/**
 * A call of a modern client at a legacy server. What the server asks on the way becomes an `input_required` answer, and the
 * call waits, still open at the server, until the client comes back with the answers; then it goes on where it was, and the
 * client hears of the progress meanwhile.
 * Invariant: at most one client request carries it at a time, and each of those is answered exactly once.
 */
import { LOG_LEVEL_KEY } from '../../mcp/ladder.ts'
import { setValue } from '../../mcp/splice.ts'
import { inputRequest, MAY_ASK, modernAnswer, urlElicitations } from '../../mcp/upgrade.ts'
import { META, RPC } from '../../mcp/versions.ts'
import { isLogWanted } from '../attribution.ts'
import type { Exchange, Recipient } from '../exchange.ts'
import { statusOf } from '../modern-child.ts'
import { asRefusal, errorText, Refusal } from '../refusal.ts'
import { namesOf, type RpcMessage } from '../wire.ts'
import type { StateSeal } from './request-state.ts'
import type { UpSession } from './up-session.ts'

/** How long a server's question waits for the user's answer. */
export const ANSWER_MAX_MS = 600_000
/** Questions that come together are asked together. */
const GATHER_MS = 15
const QUESTIONS_MAX = 64
/** Progress that a call keeps while it waits; the oldest goes first, for progress only grows. */
const HELD_MAX = 64
const HELD_MAX_CHARS = 65_536

/** What a waiting call needs of its bridge. */
export type UpSurroundings = {
  readonly server: string
  readonly seal: StateSeal
  /** It waits for answers from now on; its number. */
  park(call: UpCall): void
  unpark(call: UpCall): void
  /** A message of the server that nobody may get. */
  lost(kind: 'requests' | 'notifications'): void
  /** Whether another call may wait. */
  readonly isFull: boolean
}

type Question = { id: unknown; text: string; message: RpcMessage; request: object }

export class UpCall implements Recipient {
  readonly number: number
  readonly principal: string
  readonly digest: string
  readonly method: string
  readonly session: UpSession
  /** Makes the call anew in another session; null once the server has said something about it. */
  #again: (() => void) | null
  round = 0
  readonly #env: UpSurroundings
  /** Key of the call in its session. */
  readonly #key: string
  readonly #capabilities: RpcMessage
  #exchange: Exchange | null = null
  /** The carrying request's own id and progress token as JSON text. */
  #id = 'null'
  #token: string | null = null
  #log_level: string | null = null
  /** Asked by the server and not answered yet, by the key we gave. */
  readonly #questions = new Map<string, Question>()
  #asked_count = 0
  #gathering: NodeJS.Timeout | null = null
  #waiting: NodeJS.Timeout | null = null
  /** Progress that came while no request carried the call, and its length in all. */
  #held: string[] = []
  #held_chars = 0
  /** The answer that did. */
  #answer: { text: string; status: number } | null = null
  #is_over = false

  constructor(
    env: UpSurroundings,
    number: number,
    principal: string,
    session: UpSession,
    message: RpcMessage,
    digest: string,
    again: (() => void) | null,
  ) {
    this.#again = again
    this.#env = env
    this.number = number
    this.principal = principal
    this.session = session
    this.method = String(message.method)
    this.digest = digest
    this.#key = `s${this.wireId}`
    const meta = (message.params as RpcMessage)._meta as RpcMessage
    this.#capabilities = meta[META.capabilities] as RpcMessage
  }

  /** Its id within the session: clients of one principal may choose the same ones. */
  get wireId(): string {
    return `weir-${this.number}`
  }

  // --- the client's side ------------------------------------------------------------------------------------------

  /** The request that carries it from now on. */
  carry(exchange: Exchange, text: string, message: RpcMessage): void {
    const meta = (message.params as RpcMessage)._meta as RpcMessage
    const names = namesOf(text)
    this.#exchange = exchange
    this.#id = names.id
    this.#token = names.token
    const level = meta[LOG_LEVEL_KEY]
    this.#log_level = typeof level === 'string' ? level : null
    exchange.valve = this.session.child.child
    exchange.onGone = () => this.abandon('the client closed the stream')
  }

  /** A client is back with answers: those that are missing or make no sense are asked for again. */
  resume(exchange: Exchange, text: string, message: RpcMessage): void {
    if (this.#waiting) clearTimeout(this.#waiting)
    this.#waiting = null
    this.#env.unpark(this)
    this.carry(exchange, text, message)
    exchange.forwarded()
    for (const told of this.#held.splice(0)) this.deliver(told)
    this.#held_chars = 0
    if (this.#answer) return this.#settle(this.#answer.text, this.#answer.status)
    const given = (message.params as RpcMessage).inputResponses
    for (const [key, question] of this.#questions) {
      const result =
        given !== null && typeof given === 'object' && Object.hasOwn(given, key)
          ? (given as RpcMessage)[key]
          : undefined
      if (typeof result !== 'object' || result === null || Array.isArray(result)) continue
      this.#questions.delete(key)
      const answer = { jsonrpc: '2.0', id: question.id, result }
      this.session.child.answer(this.session, JSON.stringify(answer), answer)
    }
    if (this.#questions.size > 0) this.#ask()
  }

  /** Nobody waits for it, or comes back. */
  abandon(reason: string): void {
    if (this.#is_over) return
    this.#end()
    for (const { text, message } of this.#questions.values()) this.#refuseQuestion(text, message, reason)
    this.session.child.abandon(this.session, this.#key, reason)
  }

  #end(): void {
    this.#is_over = true
    this.#exchange = null
    while (this.#held.length > 0) this.#loseOldest()
    if (this.#gathering) clearTimeout(this.#gathering)
    if (this.#waiting) clearTimeout(this.#waiting)
    this.#env.unpark(this)
  }

  // --- the server's side ------------------------------------------------------------------------------------------

  /** True while it waits for its client, too: nobody is gone then. */
  get isAlive(): boolean {
    return !this.#is_over && (this.#exchange === null || this.#exchange.isAlive)
  }

  forwarded(): void {
    this.#exchange?.forwarded()
  }

  deliver(text: string): void {
    this.#again = null
    const message = JSON.parse(text) as RpcMessage
    const params = message.params as RpcMessage | undefined
    if (message.id !== undefined) return this.#question(text, message)
    switch (message.method) {
      case 'notifications/cancelled':
        for (const [key, { id }] of this.#questions) if (id === params?.requestId) this.#questions.delete(key)
        return
      case 'notifications/message':
        if (this.#log_level === null || !isLogWanted(params?.level, this.#log_level))
          return this.#env.lost('notifications')
        return this.#tell(text)
      case 'notifications/progress':
        if (this.#exchange === null && !this.#is_over) return this.#hold(text)
        if (this.#token === null) return this.#env.lost('notifications')
        return this.#tell(setValue(text, ['params', 'progressToken'], this.#token))
      default:
        return this.#tell(text)
    }
  }

  settle(text: string, _http_status = 200, _slot = 0, parsed?: RpcMessage): void {
    if (this.#is_over) return
    const message = parsed ?? (JSON.parse(text) as RpcMessage)
    const urls = urlElicitations(message.error, this.#capabilities)
    if (urls) {
      const state = this.#state(0)
      return this.#settle(this.#inputRequired(urls, state), 200)
    }
    if (isUnheardOf(message.error, this.method)) {
      const unknown = errorText(this.#id, RPC.methodNotFound, `the server does not know ${this.method}`)
      return this.#settle(unknown, 404)
    }
    const answer = modernAnswer(text, message, this.method, this.session.serverInfo)
    this.#settle(answer, statusOf(message))
  }

  endSilently(): void {
    const exchange = this.#exchange
    this.#end()
    exchange?.endSilently()
  }

  refuse(error: unknown): void {
    const exchange = this.#exchange
    if (this.#again && error instanceof Refusal && error.reason === 'session_lost') {
      this.#end()
      return this.#again()
    }
    if (exchange === null && !this.#is_over) {
      const refusal = asRefusal(error)
      this.#answer = { text: refusal.text('null'), status: refusal.http_status }
      return
    }
    this.#end()
    exchange?.refuse(error, this.#id)
  }

  /** Whether the request that comes back wants it, only that request says. */
  #hold(text: string): void {
    this.#held.push(text)
    this.#held_chars += text.length
    while (this.#held.length > HELD_MAX || this.#held_chars > HELD_MAX_CHARS) this.#loseOldest()
  }

  #loseOldest(): void {
    this.#held_chars -= this.#held.shift()!.length
    this.#env.lost('notifications')
  }

  #tell(text: string): void {
    if (this.#exchange?.isAlive) this.#exchange.deliver(text)
    else this.#env.lost('notifications')
  }

  #settle(text: string, status: number): void {
    const exchange = this.#exchange
    if (exchange === null) {
      this.#answer = { text, status }
      return
    }
    this.#end()
    exchange.settle(setValue(text, ['id'], this.#id), status)
  }

  #question(text: string, message: RpcMessage): void {
    if (message.method === 'ping') {
      const answer = { jsonrpc: '2.0', id: message.id, result: {} }
      this.session.child.answer(this.session, JSON.stringify(answer), answer)
      return
    }
    const request = MAY_ASK.has(this.method) ? inputRequest(message, this.#capabilities) : null
    if (request === null || this.#questions.size >= QUESTIONS_MAX || (this.#exchange && this.#env.isFull))
      return this.#refuseQuestion(text, message, 'the client cannot be asked this')
    const key = `${request.method.split('/', 1)[0]}-${++this.#asked_count}`
    this.#questions.set(key, { id: message.id, text, message, request })
    if (this.#exchange !== null) this.#gathering ??= setTimeout(() => this.#ask(), GATHER_MS)
  }

  #refuseQuestion(text: string, message: RpcMessage, why: string): void {
    this.#env.lost('requests')
    const refusal = errorText(namesOf(text).id, RPC.internal, why, { weir: 'undeliverable' })
    this.session.child.answer(this.session, refusal, message)
  }

  /** Answers the carrying request with the questions; the call waits. */
  #ask(): void {
    this.#gathering = null
    const exchange = this.#exchange
    if (exchange === null || this.#questions.size === 0) return
    this.round++
    const state = this.#state(this.number)
    const requests = Object.fromEntries([...this.#questions].map(([key, q]) => [key, q.request]))
    this.#exchange = null
    this.#env.park(this)
    this.#waiting = setTimeout(() => this.abandon('no answer came in time'), ANSWER_MAX_MS).unref()
    exchange.settle(setValue(this.#inputRequired(requests, state), ['id'], this.#id))
  }

  #state(call: number): string {
    const expires_ms = Date.now() + ANSWER_MAX_MS
    const state = { call, round: this.round, expires_ms }
    return this.#env.seal.seal(state, this.#env.server, this.principal, this.digest)
  }

  #inputRequired(inputRequests: object, requestState: string): string {
    const result = { resultType: 'input_required', inputRequests, requestState }
    return JSON.stringify({ jsonrpc: '2.0', id: null, result })
  }
}

/** Requests of any legacy server. */
const COMMON = /^(tools|prompts|resources|completion)\//

/** Whether an HTTP server's bare 400 means that it does not know the method (seen: Go SDK). */
function isUnheardOf(error: unknown, method: string): boolean {
  const { data } = (error ?? {}) as { data?: { status?: unknown } }
  return data?.status === 400 && !COMMON.test(method)
}
