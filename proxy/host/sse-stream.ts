/**
 * One server-sent event stream towards a worker: head flushed at once, one `message` event per JSON-RPC message, comments
 * while it is idle. A reader that does not keep up stops its child (the valve); one that never reads again is cut off.
 * Knows nothing of JSON-RPC. Source: HTML standard, server-sent events; MCP, basic/transports.
 */
import type { ServerResponse } from 'node:http'
import { EVENT_STREAM } from '../mcp/frames.ts'

/** What is stopped while a reader lags behind. `hold` and `release` come in pairs. */
export type Valve = { hold(): void; release(): void }

const LAG_MAX_BYTES = 1024 * 1024
const STALL_MAX_MS = 30_000
const IDLE_MS = 15_000
/** How long a client waits before it comes back for the rest of a stream. */
const RETRY_MS = 1000

/** All open streams, so that one timer serves them: keep-alive comments and the end of stalled readers. */
export class OpenStreams {
  /** What is kept of streams for readers who come back. */
  kept_bytes = 0
  readonly #streams = new Set<SseStream>()

  get size(): number {
    return this.#streams.size
  }
  add(stream: SseStream): void {
    this.#streams.add(stream)
  }
  delete(stream: SseStream): void {
    this.#streams.delete(stream)
  }
  /** To be called every few seconds. */
  tick(now_ms: number): void {
    for (const stream of this.#streams) stream.tick(now_ms)
  }
}

export class SseStream {
  readonly #res: ServerResponse
  readonly #streams: OpenStreams
  readonly #valve: Valve
  #is_held = false
  #held_ms = 0
  #written_ms: number
  #is_open = true

  constructor(
    res: ServerResponse,
    streams: OpenStreams,
    valve: Valve,
    headers: Record<string, string>,
    now_ms = Date.now(),
  ) {
    this.#res = res
    this.#streams = streams
    this.#valve = valve
    this.#written_ms = now_ms
    res.writeHead(200, { ...EVENT_STREAM, ...headers })
    res.flushHeaders()
    streams.add(this)
    res.on('drain', () => this.#letGo())
    res.on('close', () => this.#closed())
    if (res.closed || res.destroyed) this.#closed()
  }

  get isOpen(): boolean {
    return this.#is_open
  }

  /** Sends one message, under an id where the stream can be resumed. The text must hold no newline. */
  event(text: string, id = ''): void {
    this.#write(`event: message\n${id && `id: ${id}\n`}data: ${text}\n\n`)
  }

  /** Tells the reader where it is before there is a message, and when to come back should the stream break. */
  prime(id: string): void {
    this.#write(`id: ${id}\nretry: ${RETRY_MS}\ndata: \n\n`)
  }

  end(): void {
    if (this.#is_open) this.#res.end()
    this.#closed()
  }

  tick(now_ms: number): void {
    if (this.#is_held) {
      if (now_ms - this.#held_ms > STALL_MAX_MS) this.#res.destroy()
    } else if (now_ms - this.#written_ms >= IDLE_MS) this.#write(': keep-alive\n\n', now_ms)
  }

  #write(text: string, now_ms = Date.now()): void {
    if (!this.#is_open) return
    this.#written_ms = now_ms
    if (this.#res.write(text) || this.#is_held || this.#res.writableLength < LAG_MAX_BYTES) return
    this.#is_held = true
    this.#held_ms = now_ms
    this.#valve.hold()
  }

  #letGo(): void {
    if (!this.#is_held) return
    this.#is_held = false
    this.#valve.release()
  }

  #closed(): void {
    this.#is_open = false
    this.#streams.delete(this)
    this.#letGo()
  }
}
