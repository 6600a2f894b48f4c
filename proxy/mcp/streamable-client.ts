/**
 * One client's messages to a streamable HTTP endpoint and back, for clients that speak over a line (stdio, WebSocket,
 * HTTP+SSE). Keeps what HTTP asks of a client: session id, version and envelope headers, the GET stream, DELETE at the end.
 * Passes every message as it is. Invariant: each request gets one answer, if only an error that says why there is none.
 * Source: MCP, basic/transports, of both eras.
 */
import { isUtf8 } from 'node:buffer'
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { EventReader } from './event-reader.ts'
import { NAME_SOURCE } from './ladder.ts'
import { encodeHeaderValue, type ParamHeader, paramHeadersOf, paramHeaderValues } from './param-headers.ts'
import { META, RPC } from './versions.ts'

/** Largest message either way. */
export const MESSAGE_MAX_BYTES = 64 * 1024 * 1024
/** A legacy server before this revision knows no version header, and may refuse one. */
const VERSION_HEADER_SINCE = '2025-06-18'
const STREAM_RETRY_MS = 1_000
const STREAM_RETRY_MAX_MS = 30_000
const BODY_SHOWN_CHARS = 200
const POLL_MS = 50
/** Requests of one client under way. Reading no more instead could wait for ever: their answers may need the client's. */
const POSTS_MAX = 1000

export type Endpoint = {
  /** Opens a request to the endpoint; the headers are complete but for what the way itself needs. */
  request(method: 'POST' | 'GET' | 'DELETE', headers: OutgoingHttpHeaders): ClientRequest
}

export type ClientSide = {
  /** Hands one message, without line breaks, to the client. False: it takes no more for now. */
  message(text: string): boolean
  /** Resolves when the client takes messages again. */
  ready(): Promise<void>
}

type Message = {
  jsonrpc?: unknown
  id?: unknown
  method?: unknown
  params?: Record<string, unknown>
  result?: Record<string, unknown>
  error?: unknown
}
type Asked = { id: unknown; method: string }

const isObject = (value: unknown): value is Message => value !== null && typeof value === 'object'
const asList = (parsed: unknown): unknown[] => (Array.isArray(parsed) ? parsed : [parsed])
const asMessages = (parsed: unknown): Message[] => asList(parsed).filter(isObject)

/** The id of a message as JSON text. What is none (it may be of any depth) is as good as absent: answers say null then. */
const keyOf = (id: unknown): string =>
  typeof id === 'string' || (typeof id === 'number' && Number.isInteger(id)) ? JSON.stringify(id) : 'null'

/** What must be answered: all but notifications and answers, so also what is no message. A list without entries is none. */
function askedIn(parsed: unknown): Asked[] {
  const asked: Asked[] = []
  for (const one of Array.isArray(parsed) && parsed.length > 0 ? parsed : [parsed]) {
    const { jsonrpc, id, method, result, error } = isObject(one) ? one : {}
    const isCall = typeof method === 'string'
    const isAnswer = method === undefined && (result !== undefined || error !== undefined) && id !== undefined
    if (jsonrpc === '2.0' && (isAnswer || (isCall && id === undefined))) continue
    asked.push({ id: keyOf(id) === 'null' ? null : id, method: isCall ? method : '' })
  }
  return asked
}

/** What a header may hold as it stands; anything else would be refused by Node before it is sent. */
const isHeaderText = (value: string): boolean => /^[\x20-\x7e]*$/.test(value)

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
  #posts = 0
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

  /** Takes one message (or a batch) of the client. */
  send(message: string | Buffer): void {
    if (this.#isClosed) return
    const text = typeof message === 'string' || isUtf8(message) ? message.toString() : null
    if (text !== null && /^[\t\n\r ]*$/.test(text)) return
    let messages: Message[] = []
    // What cannot be read goes along all the same: the endpoint answers it, without an id, and records it.
    let asked: Asked[] = [{ id: null, method: '' }]
    try {
      if (text !== null) {
        const parsed: unknown = JSON.parse(text)
        messages = asMessages(parsed)
        asked = askedIn(parsed)
      }
    } catch {
      // As above.
    }
    if (asked.length > 0 && this.#posts >= POSTS_MAX)
      return this.#refuse(asked, `more than ${POSTS_MAX} requests at once`, {})
    const post = (): Promise<void> =>
      this.#isClosed ? Promise.resolve() : this.#post(Buffer.from(message), messages, asked)
    const arrived = this.#before.then(post)
    // A request is not waited for: its answer may need what comes after it. But nothing goes before its session is there.
    const isWaited = asked.length === 0 || asked.some(({ method }) => method === 'initialize')
    this.#before = isWaited ? arrived : this.#before.then(() => sleep(0))
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

  #post(body: Buffer, messages: readonly Message[], asked: readonly Asked[]): Promise<void> {
    const open = new Map(asked.map((one) => [keyOf(one.id), one]))
    return new Promise((resolve) => {
      this.#posts++
      const request = this.#open('POST', {
        ...this.#headersOf(messages[0]),
        'content-type': 'application/json',
        'content-length': body.length,
        accept: 'application/json, text/event-stream',
      })
      const unanswered = (why: string, data: object): void => {
        if (!this.#isClosed) this.#refuse([...open.values()], why, data)
        open.clear()
        resolve()
      }
      request.on('close', () => this.#posts--)
      request.on('error', (error: NodeJS.ErrnoException) =>
        unanswered(`Weir cannot be reached: ${error.code ?? error.message}`, {}),
      )
      request.on('response', (answer) => {
        const status = answer.statusCode ?? 0
        if (messages.some((m) => m.method === 'initialize'))
          this.#sessionId = String(answer.headers['mcp-session-id'] ?? '')
        if (status < 300 && messages.some((m) => m.method === 'notifications/initialized')) this.#stream()
        resolve()
        this.#read(answer, open, (rest, why) =>
          unanswered(
            status < 300 ? why || 'the answer ended before its result' : `HTTP ${status}`,
            status < 300 ? {} : { status, body: rest.slice(0, BODY_SHOWN_CHARS) },
          ),
        )
      })
      request.end(body)
    })
  }

  #open(method: 'POST' | 'GET', headers: OutgoingHttpHeaders): ClientRequest {
    const request = this.#endpoint.request(method, headers)
    this.#running.add(request)
    request.on('close', () => this.#running.delete(request))
    return request
  }

  /** Hands the messages of an answer on; `ended` gets a body that was no message and why there is none, '' otherwise. */
  #read(answer: IncomingMessage, open: Map<string, Asked>, ended: (rest: string, why: string) => void): void {
    const hand = (text: string): void => {
      // A line break in JSON can only be whitespace, but ends a line of stdio and of an event stream.
      if (this.#client.message(/[\r\n]/.test(text) ? text.replace(/[\r\n]+/g, ' ') : text)) return
      answer.pause()
      void this.#client.ready().then(() => answer.resume())
    }
    let rest = ''
    let why = ''
    const tooLarge = (): void => {
      why = `the answer is larger than ${MESSAGE_MAX_BYTES} bytes`
    }
    if ((answer.headers['content-type'] ?? '').startsWith('text/event-stream')) {
      const reader = new EventReader(MESSAGE_MAX_BYTES, {
        event: (_type, data) => {
          this.#note(data, open)
          hand(data)
        },
        overflow: tooLarge,
      })
      answer.on('data', (chunk: Buffer) => reader.push(chunk))
    } else {
      const chunks: Buffer[] = []
      let bytes = 0
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes <= MESSAGE_MAX_BYTES) return void chunks.push(chunk)
        chunks.length = 0
        tooLarge()
        answer.destroy()
      })
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        // An error that names no request is Weir's own; the request gets one with its id instead.
        if (this.#note(text, open)) hand(text)
        else rest = text
      })
    }
    answer.on('error', () => {})
    answer.on('close', () => ended(rest, why))
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
    const again = (): void => {
      if (this.#isClosed) return
      setTimeout(listen, wait_ms).unref()
      wait_ms = Math.min(2 * wait_ms, STREAM_RETRY_MAX_MS)
    }
    const listen = (): void => {
      if (this.#isClosed) return
      const request = this.#open('GET', { ...this.#sessionHeaders(), accept: 'text/event-stream' })
      request.on('error', again)
      request.on('response', (answer) => {
        if (answer.statusCode !== 200) {
          answer.resume()
          // 405: it has nothing to say unasked; 404: the session is over.
          if ((answer.statusCode ?? 0) >= 500) again()
          return
        }
        wait_ms = STREAM_RETRY_MS
        this.#read(answer, new Map(), () => again())
      })
      request.end()
    }
    listen()
  }

  #refuse(asked: readonly Asked[], message: string, data: object): void {
    const error = { code: RPC.internal, message, data }
    for (const { id } of asked) this.#client.message(JSON.stringify({ jsonrpc: '2.0', id, error }))
  }
}
