/**
 * The HTTP answer to one POST: plain JSON when the child's first word about the call is its answer, an event stream when
 * other messages come first. Covers batches (several calls, one answer). A stream that can be resumed goes on without its
 * client. Knows nothing of children.
 * Invariant: the response ends exactly once, whoever is first: the answers, a refusal, or the client leaving.
 */
import type { ServerResponse } from 'node:http'
import { QUEUE_HEADER } from './options.ts'
import { asRefusal } from './refusal.ts'
import type { Replay, ReplayStream } from './replay.ts'
import { type OpenStreams, SseStream, type Valve } from './sse-stream.ts'

/** Where what a server says about one call goes: the HTTP answer to its client, or a bridge between eras. */
export type Recipient = {
  /** Whether somebody still waits for the answer. */
  readonly isAlive: boolean
  /** Whether that somebody is away, and may come back for it. */
  readonly isAway?: boolean
  /** Takes a message that is not the answer. */
  deliver(text: string): void
  /** Takes the answer. `message`: the text parsed, where it was. */
  settle(text: string, http_status?: number, slot?: number, message?: Record<string, unknown>): void
  /** There will be no answer: the call was cancelled. */
  endSilently(): void
  /** Takes an error of the host instead of the answer. `id`: JSON text of the request's id. */
  refuse(error: unknown, id?: string, slot?: number): void
  /** The call goes to its server now. */
  forwarded(): void
}

const NO_VALVE: Valve = { hold() {}, release() {} }

export class Exchange implements Recipient {
  /** Extra headers of the answer, for example the session id. */
  readonly headers: Record<string, string> = {}
  /** What a lagging reader stops; set when the child is known. */
  valve: Valve = NO_VALVE
  /** Where streams are kept for a client that comes back; null: they end with their connection. */
  replay: Replay | null = null
  /** Called once when the client leaves before the answer is complete. */
  onGone: (() => void) | null = null
  readonly #res: ServerResponse
  readonly #streams: OpenStreams
  readonly #received = performance.now()
  #stream: SseStream | ReplayStream | null = null
  #answers: (string | null)[] = [null]
  #is_batch = false
  #open_count = 1
  #is_done = false

  constructor(res: ServerResponse, streams: OpenStreams) {
    this.#res = res
    this.#streams = streams
    res.on('close', () => {
      if (this.#is_done || this.#isKept) return
      this.#is_done = true
      this.onGone?.()
    })
  }

  /** Whether messages can still be delivered to the client. */
  get isAlive(): boolean {
    return !this.#is_done && (this.#isKept || !this.#res.destroyed)
  }

  get isAway(): boolean {
    return this.#isKept && this.#stream?.isOpen === false
  }

  /** Whether the stream outlives its connection. */
  get #isKept(): boolean {
    return this.#stream !== null && this.replay !== null
  }

  /** This exchange carries the answers to `count` calls of a batch. */
  expectBatch(count: number): void {
    this.#is_batch = true
    this.#open_count = count
    this.#answers = new Array<string | null>(count).fill(null)
  }

  /** The call goes to its child now: what passed until here was waiting. */
  forwarded(): void {
    this.headers[QUEUE_HEADER] = String(Math.round((performance.now() - this.#received) * 1000))
  }

  /** Sends a message that is not the answer; turns the answer into a stream. */
  deliver(text: string): void {
    if (!this.isAlive) return
    this.#openStream().event(text)
  }

  /** Gives the answer of one call. `http_status` counts only while nothing was sent and there is one call. */
  settle(text: string, http_status = 200, slot = 0): void {
    if (!this.isAlive || this.#answers[slot] !== null) return
    this.#answers[slot] = text
    this.#open_count--
    if (this.#stream !== null) this.#stream.event(text)
    if (this.#open_count > 0) return
    if (this.#stream !== null) {
      this.endSilently()
      return
    }
    if (this.#is_batch) this.#json(200, `[${this.#answers.join(',')}]`)
    else this.#json(http_status, text)
  }

  /** Ends the answer without one: the call was cancelled and its server, rightly, says nothing more. */
  endSilently(): void {
    if (!this.isAlive) return
    // A stream that never began leaves nothing to come back for.
    const stream = this.#stream ?? new SseStream(this.#res, this.#streams, this.valve, this.headers)
    this.#is_done = true
    stream.end()
  }

  /** Answers with an error of the host. `id` is the JSON text of the request's id. */
  refuse(error: unknown, id = 'null', slot = 0): void {
    const refusal = asRefusal(error)
    Object.assign(this.headers, refusal.headers)
    this.settle(refusal.text(id), refusal.http_status, slot)
  }

  /** Accepts a message that has no answer. */
  accept(): void {
    if (!this.isAlive) return
    this.#is_done = true
    this.#res.writeHead(202, this.headers)
    this.#res.end()
  }

  #openStream(): SseStream | ReplayStream {
    if (this.#stream === null) {
      this.#stream = this.#newStream()
      for (const text of this.#answers) if (text !== null) this.#stream.event(text)
    }
    return this.#stream
  }

  #newStream(): SseStream | ReplayStream {
    if (this.replay === null) return new SseStream(this.#res, this.#streams, this.valve, this.headers)
    const stream = this.replay.open()
    stream.read({ res: this.#res, streams: this.#streams, valve: this.valve, headers: this.headers })
    return stream
  }

  #json(http_status: number, text: string): void {
    this.#is_done = true
    this.#res.writeHead(http_status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      ...this.headers,
    })
    this.#res.end(text)
  }
}
