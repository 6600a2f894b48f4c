/**
 * A server that speaks HTTP+SSE (2024-11-05): messages come on one event stream, which first names the address that
 * messages are posted to. One stream is one session of the server. Source: MCP 2024-11-05, basic/transports.
 */
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { EventReader } from '../mcp/event-reader.ts'
import { contextHeaders } from '../mcp/propagate.ts'
import { locate } from '../mcp/splice.ts'
import {
  ALIVE_MS,
  type ChannelEvents,
  Connection,
  FULL_BYTES,
  MESSAGE_MAX_BYTES,
  OPEN_MAX_MS,
  type Target,
} from './channel.ts'

const POST_MAX_MS = 60_000

/** Trace context of a message as headers: what stands between reads those only. */
function contextIn(text: string): Record<string, string> {
  const meta = locate(text, ['params', '_meta'])
  return meta ? contextHeaders(JSON.parse(text.slice(meta.start, meta.end))) : {}
}

export class SseChannel extends Connection {
  readonly #target: Target
  readonly #events: ChannelEvents
  readonly #request: typeof httpRequest
  /** One connection for what is posted: messages arrive in the order they were written. */
  readonly #agent: HttpAgent
  readonly #stream: ClientRequest
  #answer: IncomingMessage | null = null
  #endpoint: URL | null = null
  #early: string[] = []
  #posting_bytes = 0

  constructor(target: Target, events: ChannelEvents) {
    super()
    this.#target = target
    this.#events = events
    const isTls = target.url.protocol === 'https:'
    this.#request = isTls ? httpsRequest : httpRequest
    this.#agent = new (isTls ? HttpsAgent : HttpAgent)({ keepAlive: true, maxSockets: 1 })
    this.#stream = this.#request(target.url, {
      agent: false,
      headers: { ...target.headers, accept: 'text/event-stream', 'accept-encoding': 'identity' },
    })
    const late = setTimeout(() => this.#fail('no endpoint in time'), OPEN_MAX_MS)
    void this.exited.then(() => clearTimeout(late))
    this.#stream.on('response', (answer) => this.#opened(answer, late))
    this.#stream.on('error', (error: NodeJS.ErrnoException) => this.#fail(error.code ?? error.message))
    this.#stream.end()
  }

  #opened(answer: IncomingMessage, late: NodeJS.Timeout): void {
    const type = answer.headers['content-type'] ?? ''
    if (answer.statusCode !== 200 || !type.startsWith('text/event-stream')) {
      answer.resume()
      return this.#fail(
        `HTTP ${answer.statusCode}${answer.statusCode === 200 ? ` with ${type || 'no type'}` : ''}`,
      )
    }
    this.#answer = answer
    answer.socket.setKeepAlive(true, ALIVE_MS)
    const reader = new EventReader(MESSAGE_MAX_BYTES, {
      event: (type, data) => this.#event(type, data, late),
      overflow: (head, tail, bytes) => this.#events.overflow(head, tail, bytes),
    })
    answer.on('data', (chunk: Buffer) => reader.push(chunk))
    answer.on('error', () => {})
    answer.on('close', () => this.#fail('the stream ended before it named an endpoint'))
    if (this.isHeld) answer.pause()
  }

  #event(type: string, data: string, late: NodeJS.Timeout): void {
    if (this.ended !== null) return
    if (type === 'message') return this.#events.line(data)
    if (type !== 'endpoint' || this.#endpoint) return
    clearTimeout(late)
    const endpoint = URL.canParse(data, this.#target.url) ? new URL(data, this.#target.url) : null
    // Our credentials go along: only to where the config says.
    if (endpoint?.origin !== this.#target.url.origin)
      return this.#fail('the endpoint it names is on another host')
    this.#endpoint = endpoint
    for (const text of this.#early.splice(0)) this.#post(endpoint, text)
  }

  write(text: string): void {
    if (this.isEnding) return
    if (this.#endpoint) this.#post(this.#endpoint, text)
    else this.#early.push(text)
  }

  #post(endpoint: URL, text: string): void {
    const body = Buffer.from(text)
    this.#posting_bytes += body.length
    const post = this.#request(endpoint, {
      method: 'POST',
      agent: this.#agent,
      timeout: POST_MAX_MS,
      headers: {
        ...this.#target.headers,
        'content-type': 'application/json',
        'content-length': body.length,
        accept: 'application/json',
        'accept-encoding': 'identity',
        ...contextIn(text),
      },
    })
    const done = (): void => {
      this.#posting_bytes -= body.length
      this.taken()
    }
    post.on('response', (answer) => {
      answer.resume()
      answer.on('error', () => {})
      // A message that was not taken is answered by nobody: the session is broken.
      if ((answer.statusCode ?? 500) >= 300) this.destroy()
    })
    post.on('timeout', () => post.destroy())
    post.on('error', () => this.destroy())
    post.on('close', done)
    post.end(body)
  }

  /** `error` counts while the session does not stand yet. */
  #fail(error: string): void {
    this.finish(this.#endpoint ? null : error)
    this.destroy()
  }

  get isFull(): boolean {
    return this.#posting_bytes > FULL_BYTES
  }
  protected pause(): void {
    this.#answer?.pause()
  }
  protected resume(): void {
    this.#answer?.resume()
  }
  protected close(): void {
    this.destroy()
  }
  protected destroy(): void {
    this.#agent.destroy()
    this.#stream.destroy()
    this.finish(this.#endpoint || this.isEnding ? null : 'closed before it was open')
  }
}
