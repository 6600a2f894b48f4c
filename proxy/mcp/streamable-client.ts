/**
 * One client's messages to a streamable HTTP endpoint and back: for clients that speak over a line (stdio, WebSocket,
 * HTTP+SSE), and for Weir itself where it bridges eras. Keeps what HTTP asks of a client: session id, version and envelope
 * headers, the GET stream, streams that go on after a break, cancelling by leaving (modern), DELETE at the end.
 * Passes every message as it is. Invariant: each request gets one answer, if only an error that says why there is none.
 * Source: MCP, basic/transports, of both eras.
 */
import { isUtf8 } from 'node:buffer'
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { saysSessionLost } from './answer.ts'
import {
  type Asked,
  askedIn,
  asMessages,
  errorIn,
  isHeaderText,
  isModern,
  keyOf,
  type Message,
  type Position,
  UNREADABLE,
} from './client-messages.ts'
import { EventReader } from './event-reader.ts'
import { NAME_SOURCE } from './ladder.ts'
import { encodeHeaderValue, type ParamHeader, paramHeadersOf, paramHeaderValues } from './param-headers.ts'
import { META, RPC } from './versions.ts'

/** Largest message either way. */
export const MESSAGE_MAX_BYTES = 64 * 1024 * 1024
/** Larger answers that come in one piece are put together one at a time: many at once could take all memory there is. */
const LARGE_BYTES = 1024 * 1024
/** A legacy server before this revision knows no version header, and may refuse one. */
const VERSION_HEADER_SINCE = '2025-06-18'
const STREAM_RETRY_MS = 1_000
const STREAM_RETRY_MAX_MS = 30_000
const BODY_SHOWN_CHARS = 200
const POLL_MS = 50
/** Breaks of one stream in a row, without a message in between, after which it is given up. */
const BREAKS_MAX = 5
/** Requests of one client under way. Reading no more instead could wait for ever: their answers may need the client's. */
export const POSTS_MAX = 1000

export type Endpoint = {
  /** Who it is, for error texts. */
  readonly name: string
  /** Opens a request to the endpoint, with `message`; the headers are complete but for what the way itself needs. */
  request(method: 'POST' | 'GET' | 'DELETE', headers: OutgoingHttpHeaders, message?: Message): ClientRequest
}

export type ClientSide = {
  /**
   * Hands one message, without line breaks, to the client. False: it takes no more for now. `about`: id of the request on
   * whose own stream it came, undefined for others.
   */
  message(text: string, about?: unknown): boolean
  /** Resolves when the client takes messages again. */
  ready(): Promise<void>
  /** The endpoint no longer knows the session. What is open is answered with errors after this. */
  lost?(): void
  /** A request was done with. */
  posted?(): void
  /** Told the HTTP status of each message that the endpoint did not take; 0: it could not be reached. */
  refused?(status: number): void
}

/** A request that is alone in its POST. */
type Single = { readonly request: ClientRequest; readonly isModern: boolean; isCancelled: boolean }

export class StreamableClient {
  readonly #endpoint: Endpoint
  readonly #client: ClientSide
  #sessionId = ''
  /** Negotiated legacy revision, '' before. */
  #version = ''
  readonly #params = new Map<string, readonly ParamHeader[]>()
  /** What must arrive before the next message may leave: notifications and answers keep their place. */
  #before: Promise<void> = Promise.resolve()
  readonly #running = new Set<ClientRequest>()
  /** Single requests under way by id as JSON text, so that a cancel finds them. */
  readonly #single = new Map<string, Single>()
  #posts = 0
  /** The large answer that is being put together, then those that wait for it. */
  readonly #large: IncomingMessage[] = []
  #hasStream = false
  #isClosed = false

  constructor(endpoint: Endpoint, client: ClientSide) {
    this.#endpoint = endpoint
    this.#client = client
  }

  /** Resolves when no message of the client is on its way, nor an answer to one, or when the time is up. */
  async idle(timeout_ms: number): Promise<void> {
    const end_ms = Date.now() + timeout_ms
    while (this.#posts > 0 && Date.now() < end_ms) await sleep(POLL_MS)
  }

  /** Requests under way. */
  get posts(): number {
    return this.#posts
  }

  /** Takes one message (or a batch) of the client. Resolves when nothing more will come of it. */
  send(message: string | Buffer): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    const text = typeof message === 'string' || isUtf8(message) ? message.toString() : null
    if (text !== null && /^[\t\n\r ]*$/.test(text)) return Promise.resolve()
    let messages: Message[] = []
    // What cannot be read goes along all the same: the endpoint answers it, without an id, and records it.
    let asked: Asked[] = [UNREADABLE]
    try {
      if (text !== null) {
        const parsed: unknown = JSON.parse(text)
        messages = asMessages(parsed)
        asked = askedIn(parsed)
      }
    } catch {
      // As above.
    }
    if (messages.length === 1 && this.#leaves(messages[0]!)) return Promise.resolve()
    if (asked.length > 0 && this.#posts >= POSTS_MAX) {
      this.#refuse(asked, `more than ${POSTS_MAX} requests at once`, {})
      return Promise.resolve()
    }
    const { promise: ended, resolve: end } = Promise.withResolvers<void>()
    const post = (): void | Promise<void> =>
      this.#isClosed ? end() : this.#post(Buffer.from(message), messages, asked, end)
    const arrived = this.#before.then(post)
    // A request is not waited for: its answer may need what comes after it. But nothing goes before its session is there.
    const isWaited = asked.length === 0 || asked.some(({ method }) => method === 'initialize')
    this.#before = isWaited ? arrived : this.#before.then(() => sleep(0))
    return ended
  }

  /** Ends what is open, and the session. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const request of this.#running) request.destroy()
    if (this.#sessionId === '') return
    const request = this.#endpoint.request('DELETE', this.#sessionHeaders())
    await new Promise<void>((resolve) => {
      request.on('response', (answer) => {
        answer.resume()
        resolve()
      })
      request.on('error', () => resolve())
      request.setTimeout(2_000, () => request.destroy())
      request.end()
    })
  }

  /** Whether the message cancels a modern request, which is done by closing its stream (2026-07-28, cancellation). */
  #leaves(message: Message): boolean {
    if (message.method !== 'notifications/cancelled') return false
    const single = this.#single.get(keyOf(message.params?.requestId))
    if (!single) return false
    single.isCancelled = true
    if (single.isModern) single.request.destroy()
    return single.isModern
  }

  #sessionHeaders(): OutgoingHttpHeaders {
    return {
      ...(this.#sessionId ? { 'mcp-session-id': this.#sessionId } : {}),
      ...(this.#version >= VERSION_HEADER_SINCE && isHeaderText(this.#version)
        ? { 'mcp-protocol-version': this.#version }
        : {}),
    }
  }

  /** Headers a message needs: those of its session, or the ones that repeat a modern envelope. */
  #headersOf(message: Message | undefined): OutgoingHttpHeaders {
    const params = message?.params
    const version = (params?._meta as Record<string, unknown> | undefined)?.[META.version]
    if (typeof version !== 'string' || typeof message?.method !== 'string') return this.#sessionHeaders()
    // These two have no encoding. Without them the endpoint says what is missing.
    const headers: OutgoingHttpHeaders = {
      ...(isHeaderText(version) ? { 'mcp-protocol-version': version } : {}),
      ...(isHeaderText(message.method) ? { 'mcp-method': message.method } : {}),
    }
    const source = NAME_SOURCE.get(message.method)
    const name = source === undefined ? undefined : params?.[source]
    if (typeof name !== 'string') return headers
    headers['mcp-name'] = encodeHeaderValue(name)
    if (message.method === 'tools/call')
      for (const [header, value] of paramHeaderValues(this.#params.get(name) ?? [], params?.arguments))
        headers[header] = value
    return headers
  }

  /** Resolves when the message has arrived; calls `end` when its answer has, whole or not. */
  #post(body: Buffer, messages: readonly Message[], asked: readonly Asked[], end: () => void): Promise<void> {
    const open = new Map(asked.map((one) => [keyOf(one.id), one]))
    return new Promise((resolve) => {
      this.#posts++
      const headers = {
        ...this.#headersOf(messages[0]),
        'content-type': 'application/json',
        'content-length': body.length,
        accept: 'application/json, text/event-stream',
      }
      const request = this.#open('POST', headers, messages[0])
      const key = asked.length === 1 ? keyOf(asked[0]!.id) : ''
      const single: Single = { request, isModern: isModern(messages[0]), isCancelled: false }
      if (key !== '') this.#single.set(key, single)
      const unanswered = (why: string, data: object, own: object | null = null): void => {
        if (this.#single.get(key) === single) this.#single.delete(key)
        // Nobody waits for the answer to a cancelled request.
        if (!this.#isClosed && !single.isCancelled) this.#refuse([...open.values()], why, data, own)
        open.clear()
        resolve()
        end()
      }
      request.on('close', () => {
        this.#posts--
        this.#client.posted?.()
      })
      request.on('error', (error: NodeJS.ErrnoException) => {
        this.#client.refused?.(0)
        unanswered(`${this.#endpoint.name} cannot be reached: ${error.code ?? error.message}`, {})
      })
      request.on('response', (answer) => {
        const status = answer.statusCode ?? 0
        if (status >= 400) this.#client.refused?.(status)
        if (messages.some((m) => m.method === 'initialize'))
          this.#sessionId = String(answer.headers['mcp-session-id'] ?? '')
        if (status < 300 && messages.some((m) => m.method === 'notifications/initialized')) this.#stream()
        resolve()
        const hadSession = this.#sessionId !== ''
        this.#read(answer, open, { id: '', retry_ms: STREAM_RETRY_MS, breaks: 0 }, (rest, why) => {
          const isLost = hadSession && (status === 404 || (status === 400 && saysSessionLost(rest)))
          if (isLost) this.#client.lost?.()
          unanswered(
            status < 300 ? why || 'the answer ended before its result' : `HTTP ${status}`,
            status < 300 ? {} : { status, body: rest.slice(0, BODY_SHOWN_CHARS) },
            errorIn(rest),
          )
        })
      })
      request.end(body)
    })
  }

  #open(method: 'POST' | 'GET', headers: OutgoingHttpHeaders, message?: Message): ClientRequest {
    const request = this.#endpoint.request(method, headers, message)
    this.#running.add(request)
    request.on('close', () => this.#running.delete(request))
    return request
  }

  /**
   * Hands the messages of an answer on; `ended` gets a body that was no message and why there is none, '' otherwise. A
   * stream that breaks off before the answers it owes goes on from its last event, if its events have ids (2025-11-25,
   * resumability).
   */
  #read(
    answer: IncomingMessage,
    open: Map<string, Asked>,
    position: Position,
    ended: (rest: string, why: string) => void,
  ): void {
    const about = open.size === 1 ? [...open.values()][0]!.id : undefined
    let ready: Promise<void> | null = null
    const hand = (text: string): void => {
      // A line break in JSON can only be whitespace, but ends a line of stdio and of an event stream.
      const line = /[\r\n]/.test(text) ? text.replace(/[\r\n]+/g, ' ') : text
      if (this.#client.message(line, about)) return
      answer.pause()
      ready = this.#client.ready()
      void ready.then(() => answer.resume())
    }
    let rest = ''
    let why = ''
    const tooLarge = (): void => {
      why = `the answer is larger than ${MESSAGE_MAX_BYTES} bytes`
    }
    if ((answer.headers['content-type'] ?? '').startsWith('text/event-stream')) {
      const reader = new EventReader(MESSAGE_MAX_BYTES, {
        event: (_type, data) => {
          position.breaks = 0
          this.#note(data, open)
          hand(data)
        },
        id: (id) => {
          position.id = id
        },
        retry: (ms) => {
          position.retry_ms = Math.min(ms, STREAM_RETRY_MAX_MS)
        },
        overflow: tooLarge,
      })
      answer.on('data', (chunk: Buffer) => reader.push(chunk))
    } else {
      const chunks: Buffer[] = []
      let bytes = 0
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > MESSAGE_MAX_BYTES) {
          chunks.length = 0
          tooLarge()
          answer.destroy()
          return
        }
        chunks.push(chunk)
        if (bytes > LARGE_BYTES && !this.#large.includes(answer) && this.#large.push(answer) > 1)
          answer.pause()
      })
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        // An error that names no request: each request it is about gets it under its own id.
        if (this.#note(text, open)) hand(text)
        else rest = text
      })
    }
    answer.on('error', () => {})
    answer.on('close', () => {
      const owes = open.size > 0 && position.id !== '' && ++position.breaks <= BREAKS_MAX
      if (owes && !this.#isClosed) this.#goOn(open, position, ended)
      else ended(rest, why)
      // The next one only when the client has taken this one. One that leaves takes no more, and needs none.
      if (ready) void ready.then(() => this.#noLonger(answer))
      else this.#noLonger(answer)
    })
  }

  /** An answer is no longer among the large ones: whichever comes first now goes on. */
  #noLonger(answer: IncomingMessage): void {
    const place = this.#large.indexOf(answer)
    if (place < 0) return
    this.#large.splice(place, 1)
    if (place === 0) this.#large[0]?.resume()
  }

  /** Opens a broken stream again from where it was. */
  #goOn(open: Map<string, Asked>, position: Position, ended: (rest: string, why: string) => void): void {
    setTimeout(() => {
      if (this.#isClosed) return ended('', '')
      const headers = { ...this.#sessionHeaders(), accept: 'text/event-stream', 'last-event-id': position.id }
      const request = this.#open('GET', headers)
      request.on('error', () => {
        if (++position.breaks <= BREAKS_MAX) this.#goOn(open, position, ended)
        else ended('', '')
      })
      request.on('response', (answer) => {
        if (answer.statusCode === 200) return this.#read(answer, open, position, ended)
        answer.resume()
        ended('', '')
      })
      request.end()
    }, position.retry_ms).unref()
  }

  /**
   * Learns from an answer what later requests need: the negotiated revision, and the headers that tools ask for.
   * Returns whether it answers one of the open requests.
   */
  #note(text: string, open: Map<string, Asked>): boolean {
    if (open.size === 0) return false
    let parsed: unknown
    try {
      parsed = JSON.parse(text)
    } catch {
      return false
    }
    const before = open.size
    for (const message of asMessages(parsed)) {
      if (message.method !== undefined) continue
      const key = keyOf(message.id)
      const asked = open.get(key)
      open.delete(key)
      if (asked?.method === 'initialize') this.#version = String(message.result?.protocolVersion ?? '')
      if (asked?.method === 'tools/list' && Array.isArray(message.result?.tools))
        for (const tool of message.result.tools as { name?: unknown; inputSchema?: unknown }[])
          this.#params.set(String(tool?.name), paramHeadersOf(tool?.inputSchema))
    }
    return open.size < before
  }

  /** Listens to what the server says unasked (legacy), as long as there is a session. */
  #stream(): void {
    if (this.#hasStream || this.#sessionId === '') return
    this.#hasStream = true
    let wait_ms = STREAM_RETRY_MS
    const position: Position = { id: '', retry_ms: 0, breaks: 0 }
    const again = (): void => {
      if (this.#isClosed) return
      setTimeout(listen, wait_ms).unref()
      wait_ms = Math.min(2 * wait_ms, STREAM_RETRY_MAX_MS)
    }
    const listen = (): void => {
      if (this.#isClosed) return
      const request = this.#open('GET', {
        ...this.#sessionHeaders(),
        accept: 'text/event-stream',
        ...(position.id && { 'last-event-id': position.id }),
      })
      request.on('error', again)
      request.on('response', (answer) => {
        if (answer.statusCode !== 200) {
          answer.resume()
          // 405: it has nothing to say unasked; 404: the session is over.
          if ((answer.statusCode ?? 0) >= 500) again()
          return
        }
        wait_ms = STREAM_RETRY_MS
        this.#read(answer, new Map(), position, () => again())
      })
      request.end()
    }
    listen()
  }

  /** `own`: the error the endpoint gave without naming a request, if it gave one. */
  #refuse(asked: readonly Asked[], message: string, data: object, own: object | null = null): void {
    const error = own ?? { code: RPC.internal, message, data }
    for (const { id } of asked) this.#client.message(JSON.stringify({ jsonrpc: '2.0', id, error }))
  }
}
