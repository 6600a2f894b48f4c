/**
 * JSON-RPC over one child: own ids and progress tokens on its side, the callers' own on theirs, restored to the byte.
 * Knows nothing of eras, sessions and HTTP. Invariant: an id is used once in the life of a child, so a late answer can
 * never reach another caller.
 */
import { elementsOf } from '../mcp/batch.ts'
import { locate, replaceValue } from '../mcp/splice.ts'
import { RPC } from '../mcp/versions.ts'
import { type Channel, type ChannelEnd, endText } from './channel.ts'
import type { Recipient } from './exchange.ts'
import { cut, LineRate, type Log } from './log.ts'
import { errorText, Refusal } from './refusal.ts'

export type RpcMessage = Record<string, unknown>

/** A call the child has not answered yet. */
export type OpenCall = {
  /** Its id and progress token towards the child. */
  wire_id: number
  /** The caller's id as JSON text. */
  readonly id: string
  /** The caller's progress token as JSON text; null when it gave none. */
  readonly token: string | null
  readonly method: string
  /** Whose call it is; null: the host's own. */
  readonly owner: object | null
  /** Where messages about it go; null: nowhere (any more). */
  exchange: Recipient | null
  /** When its client left, 0 while it is there. */
  left_ms: number
  /** Its answer, the id already restored. Called at most once. */
  settle(text: string, message: RpcMessage): void
  /** The child ended or gave an answer that cannot be passed on. Called at most once, instead of `settle`. */
  fail(refusal: Refusal): void
}

export type WireEvents = {
  /** The child asks something. `about`: the call on whose own stream it came, where the transport tells. */
  request(text: string, message: RpcMessage, about: OpenCall | undefined): void
  /** Any notification but progress. */
  notification(text: string, message: RpcMessage, about: OpenCall | undefined): void
  /** A message nobody can take. */
  undeliverable(): void
}

const GARBAGE_TEXT_MAX = 200

export class Wire {
  readonly open = new Map<number, OpenCall>()
  readonly child: Channel
  readonly #events: WireEvents
  readonly #server: string
  readonly #log: Log
  readonly #garbage_rate = new LineRate(5)
  #next_id = 1

  constructor(server: string, child: Channel, events: WireEvents, log: Log) {
    this.#server = server
    this.child = child
    this.#events = events
    this.#log = log
    void child.exited.then((end) => this.#failAll(upstreamClosed(end)))
  }

  /** Sends a request under an id of its own. */
  call(text: string, call: OpenCall): void {
    call.wire_id = this.#next_id++
    if (this.child.ended !== null) {
      call.fail(upstreamClosed(this.child.ended))
      return
    }
    this.open.set(call.wire_id, call)
    const id = String(call.wire_id)
    const renamed = call.token === null ? text : replaceValue(text, TOKEN_PATH, id)
    this.child.write(replaceValue(renamed, ID_PATH, id))
  }

  /** Asks the child something for the host itself. Resolves with the answer; rejects with a Refusal, or after `timeout_ms`. */
  ask(method: string, params: object, timeout_ms: number): Promise<RpcMessage> {
    return new Promise((resolve, reject) => {
      const call: OpenCall = {
        wire_id: 0,
        id: '0',
        token: null,
        method,
        owner: null,
        exchange: null,
        left_ms: 0,
        settle: (_text, message) => done(() => resolve(message)),
        fail: (refusal) => done(() => reject(refusal)),
      }
      const done = (settle: () => void): void => {
        clearTimeout(timer)
        settle()
      }
      const timer = setTimeout(() => {
        this.open.delete(call.wire_id)
        reject(new Refusal(504, 'initialize_timeout', `the server did not answer ${method} in time`))
      }, timeout_ms)
      this.call(JSON.stringify({ jsonrpc: '2.0', id: 0, method, params }), call)
    })
  }

  notify(method: string, params: object): void {
    this.child.write(JSON.stringify({ jsonrpc: '2.0', method, params }))
  }

  /** Tells the child that nobody waits for this call any more, and forgets it. */
  cancel(call: OpenCall, reason: string): void {
    if (!this.open.delete(call.wire_id)) return
    this.notify('notifications/cancelled', { requestId: call.wire_id, reason })
  }

  /** How many calls of callers the child has not answered. */
  callsOpen(): number {
    let count = 0
    for (const call of this.open.values()) if (call.owner !== null) count++
    return count
  }

  /** Whether anyone still waits for an answer of the child. */
  isBusy(): boolean {
    for (const call of this.open.values()) if (call.exchange === null || call.exchange.isAlive) return true
    return false
  }

  /** Answers a request of the child with an error. */
  reject(message: RpcMessage, text: string, code: number, why: string): void {
    const span = locate(text, ID_PATH)
    if (span)
      this.child.write(errorText(text.slice(span.start, span.end), code, why, { weir: 'undeliverable' }))
    else
      this.#log.line('warn', 'request without an id', {
        server: this.#server,
        method: String(message.method),
      })
  }

  /** A message of the child. `about`: wire id of the call on whose own stream it came. */
  line(text: string, about?: unknown): void {
    let parsed: unknown
    try {
      parsed = JSON.parse(text)
    } catch {
      this.#garbage(text)
      return
    }
    // A carriage return can only be whitespace here, but ends a line in an event stream.
    const clean = text.includes('\r') ? text.replaceAll('\r', ' ') : text
    if (Array.isArray(parsed)) {
      const texts = elementsOf(clean)
      for (let i = 0; i < parsed.length; i++) this.#message(texts[i] ?? '', parsed[i], about)
    } else this.#message(clean, parsed, about)
  }

  /** A line that was too long to keep. Its call is answered when its id stands near an end of the line. */
  overflow(head: string, tail: string, bytes: number): void {
    const id = ID_FIRST.exec(head) ?? ID_LAST.exec(tail)
    const call = id ? this.open.get(Number(id[1])) : undefined
    this.#log.line('error', 'a line of the server was too long and was dropped', {
      server: this.#server,
      bytes,
    })
    if (!call) return
    this.open.delete(call.wire_id)
    call.fail(new Refusal(502, 'answer_too_large', 'the answer of the server is too large', { bytes }))
  }

  #message(text: string, parsed: unknown, about: unknown): void {
    if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed)) {
      this.#garbage(text)
      return
    }
    const message = parsed as RpcMessage
    if (typeof message.method === 'string') {
      const call = this.open.get(about as number)
      if (message.id !== undefined) this.#events.request(text, message, call)
      else if (message.method === 'notifications/progress') this.#progress(text, message)
      else this.#events.notification(text, message, call)
      return
    }
    const call = this.open.get(message.id as number)
    if (!call) {
      this.#log.line('debug', 'answer to no open call', { server: this.#server })
      return
    }
    this.open.delete(call.wire_id)
    call.settle(replaceValue(text, ID_PATH, call.id), message)
  }

  #progress(text: string, message: RpcMessage): void {
    const params = message.params as { progressToken?: unknown } | undefined
    const call = this.open.get(params?.progressToken as number)
    if (!call?.token || !call.exchange?.isAlive) {
      this.#events.undeliverable()
      return
    }
    call.exchange.deliver(replaceValue(text, ['params', 'progressToken'], call.token))
  }

  #garbage(text: string): void {
    const held = this.#garbage_rate.admit()
    if (held < 0 || text.trim() === '') return
    const line = cut(text, GARBAGE_TEXT_MAX)
    this.#log.line('warn', 'the server wrote something that is no message', {
      server: this.#server,
      line,
      held,
    })
  }

  #failAll(refusal: Refusal): void {
    const calls = [...this.open.values()]
    this.open.clear()
    for (const call of calls) call.fail(refusal)
  }
}

const ID_PATH = ['id']
// An id at the top level of an answer whose middle is lost; one inside the result must not match.
const ID_FIRST = /^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d+)\s*,/
const ID_LAST = /"id"\s*:\s*(\d+)\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$/
const TOKEN_PATH = ['params', '_meta', 'progressToken']

/** The JSON text of a request's id and progress token. */
export function namesOf(text: string): { id: string; token: string | null } {
  const id = locate(text, ID_PATH)
  const token = locate(text, TOKEN_PATH)
  return {
    id: id ? text.slice(id.start, id.end) : 'null',
    token: token ? text.slice(token.start, token.end) : null,
  }
}

/** Key under which a JSON-RPC id is remembered: 1 and "1" differ, spellings of the same value do not. */
export function idKey(id: unknown, text: string): string {
  if (typeof id === 'string') return `s${id}`
  return Number.isSafeInteger(id) ? `n${id as number}` : `n${text}`
}

/** The server was ended because it held too much memory. */
function memoryExceeded({ bytes, max_bytes }: NonNullable<ChannelEnd['memory']>): Refusal {
  const why = `the server held ${bytes} bytes of memory, more than its memory_max_bytes of ${max_bytes}, and was ended`
  const figures = { memory_bytes: bytes, memory_max_bytes: max_bytes }
  return new Refusal(200, 'memory_exceeded', why, figures, RPC.internal)
}

export function upstreamClosed(end: ChannelEnd): Refusal {
  const { exit_code, signal } = end
  if (end.isLost)
    return new Refusal(200, 'session_lost', 'the server had forgotten the session', {}, RPC.internal)
  if (end.memory) return memoryExceeded(end.memory)
  return new Refusal(200, 'upstream_closed', endText(end), { exit_code, signal }, RPC.internal)
}
