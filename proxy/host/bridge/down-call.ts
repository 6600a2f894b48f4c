/**
 * A call of a legacy client at a modern server. When the server answers with questions, they are put to the client as
 * requests on the call's own stream, and the call is made again with the answers, until there is a result.
 * Invariant: the recipient gets exactly one answer, error or silent end.
 */
import { randomUUID } from 'node:crypto'
import { legacyAnswer, legacyQuestion, modernRequest } from '../../mcp/downgrade.ts'
import { setValue } from '../../mcp/splice.ts'
import { RPC } from '../../mcp/versions.ts'
import type { Recipient } from '../exchange.ts'
import type { LegacySession } from '../legacy-child.ts'
import type { ModernChild } from '../modern-child.ts'
import { Refusal } from '../refusal.ts'
import { StreamableChannel } from '../streamable-channel.ts'
import { namesOf, type OpenCall, type RpcMessage } from '../wire.ts'
import { ANSWER_MAX_MS } from './up-call.ts'

/** Rounds of questions one call may take. */
const ROUNDS_MAX = 8
/** Pause before a call is made again that was answered with a state and no questions. */
const AGAIN_MS = 250
const QUESTIONS_MAX = 64

export type DownSurroundings = {
  readonly capabilities: RpcMessage
  readonly clientInfo: unknown
  /** Tools whose structured results are wrapped for legacy clients. */
  readonly wrapped: Set<unknown>
  readonly version: string
  /** The child that takes requests now. */
  modern(): Promise<ModernChild>
  /** A question to the client is under way until it is answered. Returns its id. */
  ask(session: LegacySession, answered: (message: RpcMessage) => void): string
  withdraw(id: string): void
}

export class DownCall implements Recipient {
  readonly #env: DownSurroundings
  readonly #session: LegacySession
  readonly #key: string
  readonly #recipient: Recipient
  readonly #slot: number
  /** Told once, before the recipient hears the end. */
  readonly #ended: () => void
  readonly #text: string
  readonly #id: string
  readonly #method: string
  readonly #params: RpcMessage
  #child: ModernChild | null = null
  #call: OpenCall | null = null
  #rounds = 0
  /** Questions of this round without an answer, by id. */
  readonly #open = new Set<string>()
  #timer: NodeJS.Timeout | null = null
  #is_over = false
  /** Whether the server found that we know an old list of its tools. */
  #isStale = false
  #more: { inputResponses?: object; requestState?: string } = {}

  constructor(
    env: DownSurroundings,
    session: LegacySession,
    key: string,
    text: string,
    message: RpcMessage,
    recipient: Recipient,
    slot: number,
    ended: () => void,
  ) {
    this.#ended = ended
    this.#env = env
    this.#session = session
    this.#key = key
    this.#recipient = recipient
    this.#slot = slot
    this.#text = text
    this.#id = namesOf(text).id
    this.#method = String(message.method)
    this.#params = (message.params ?? {}) as RpcMessage
  }

  /** Sends the call, with the answers of a round of questions when there was one. */
  async send(more: { inputResponses?: object; requestState?: string } = {}): Promise<void> {
    this.#more = more
    const { capabilities, clientInfo } = this.#env
    let text = modernRequest(this.#text, { capabilities, clientInfo }, this.#session.log_level)
    for (const [key, value] of Object.entries(more))
      text = setValue(text, ['params', key], JSON.stringify(value))
    try {
      const child = await this.#env.modern()
      // Over HTTP some arguments are repeated in headers; which, the list of tools tells.
      if (this.#method === 'tools/call' && child.child instanceof StreamableChannel)
        await (this.#isStale ? child.schemas.fresh('') : child.schemas.of(''))
      while (child.child.isFull) await child.child.drained()
      if (this.#is_over) return
      this.#child = child
      const message = { method: this.#method }
      this.#call = child.forward(text, message, this.#session.log_level ?? undefined, this)
      if (!this.#is_over) this.#session.calls.set(this.#key, this.#call)
    } catch (error) {
      this.refuse(error)
    }
  }

  /** The client no longer waits, or its session is over. */
  cancel(reason: string): void {
    if (this.#is_over) return
    if (this.#call) this.#child?.abandon(this.#call, reason)
    this.#end()
    this.#recipient.endSilently()
  }

  get isAlive(): boolean {
    return !this.#is_over
  }

  forwarded(): void {
    this.#recipient.forwarded()
  }

  deliver(text: string): void {
    if (!this.#is_over) this.#recipient.deliver(text)
  }

  settle(text: string, _http_status = 200, _slot = 0, parsed?: RpcMessage): void {
    if (this.#is_over) return
    const message = parsed ?? (JSON.parse(text) as RpcMessage)
    const result = message.result as RpcMessage | undefined
    const { code } = (message.error ?? {}) as { code?: unknown }
    if (result?.resultType === 'input_required') return this.#inputRequired(result)
    if (code === RPC.headerMismatch && !this.#isStale) {
      this.#isStale = true
      return void this.send(this.#more)
    }
    if (code === RPC.capabilityMissing)
      return this.#fail('the server needs something of the client that it did not declare')
    if (result?.resultType !== undefined && result.resultType !== 'complete')
      return this.#fail(
        `the server answered with "${String(result.resultType)}", which the client's revision lacks`,
      )
    const request = { method: this.#method, tool: this.#params.name }
    this.#settle(legacyAnswer(text, message, request, this.#env.version, this.#env.wrapped))
  }

  endSilently(): void {
    if (this.#is_over) return
    this.#end()
    this.#recipient.endSilently()
  }

  refuse(error: unknown): void {
    if (this.#is_over) return
    this.#end()
    this.#recipient.refuse(error, this.#id, this.#slot)
  }

  // --- rounds -----------------------------------------------------------------------------------------------------

  #inputRequired(result: RpcMessage): void {
    if (++this.#rounds > ROUNDS_MAX) return this.#fail(`the server asked more than ${ROUNDS_MAX} times`)
    const { requestState } = result
    const requests = Object.entries((result.inputRequests ?? {}) as object)
    const state = typeof requestState === 'string' ? { requestState } : {}
    if (requests.length === 0) {
      this.#timer = setTimeout(() => void this.send(state), AGAIN_MS)
      return
    }
    if (requests.length > QUESTIONS_MAX) return this.#fail('the server asks too much at once')
    const inputResponses: Record<string, unknown> = {}
    const questions: string[] = []
    for (const [key, request] of requests) {
      const id = this.#env.ask(this.#session, (message) =>
        this.#answered(id, key, message, inputResponses, state),
      )
      this.#open.add(id)
      const question = legacyQuestion(request, id, this.#env.capabilities, randomUUID)
      if (question === null) return this.#fail('the server asks something that the client cannot answer')
      questions.push(JSON.stringify(question))
    }
    this.#timer = setTimeout(() => this.#fail('the client did not answer in time'), ANSWER_MAX_MS).unref()
    for (const question of questions) {
      if (this.#recipient.isAlive && this.#recipient.isAway !== true) this.#recipient.deliver(question)
      // The call's own stream is gone, which is no cancel.
      else this.#session.post(question, () => this.#fail('the client cannot be reached'), true)
    }
  }

  #answered(
    id: string,
    key: string,
    message: RpcMessage,
    inputResponses: Record<string, unknown>,
    state: { requestState?: string },
  ): void {
    if (this.#is_over || !this.#open.delete(id)) return
    if (message.result === undefined) {
      const { message: why } = (message.error ?? {}) as { message?: unknown }
      return this.#fail(
        `the client did not answer the server's question: ${String(why ?? 'no reason given')}`,
      )
    }
    inputResponses[key] = message.result
    if (this.#open.size > 0) return
    if (this.#timer) clearTimeout(this.#timer)
    void this.send({ inputResponses, ...state })
  }

  /** What cannot go on: for a tool a failure that the model can read. */
  #fail(why: string): void {
    if (this.#is_over) return
    if (this.#method !== 'tools/call')
      return this.refuse(new Refusal(200, 'bridge_impossible', why, {}, RPC.internal))
    const result = { content: [{ type: 'text', text: why }], isError: true }
    this.#settle(`{"jsonrpc":"2.0","id":${this.#id},"result":${JSON.stringify(result)}}`)
  }

  #settle(text: string): void {
    this.#end()
    this.#recipient.settle(setValue(text, ['id'], this.#id), 200, this.#slot)
  }

  #end(): void {
    this.#is_over = true
    if (this.#timer) clearTimeout(this.#timer)
    for (const id of this.#open) this.#env.withdraw(id)
    this.#session.calls.delete(this.#key)
    this.#session.used_ms = Date.now()
    this.#ended()
  }
}
