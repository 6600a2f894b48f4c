/**
 * What a legacy session keeps of its streams, so that a client whose connection broke can go on where it was: every event
 * has an id, and a GET with `Last-Event-ID` gets what came after it on that stream, then the rest as it comes.
 * Invariants: an id is used once in a session; what is kept is bounded in count and bytes, in the session and in the host;
 * a stream without a reader goes on collecting. Source: MCP 2025-11-25, basic/transports (resumability and redelivery).
 */
import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { RPC } from '../mcp/versions.ts'
import { Refusal } from './refusal.ts'
import { type OpenStreams, SseStream, type Valve } from './sse-stream.ts'

const EVENTS_MAX = 512
const BYTES_MAX = 4 * 1024 * 1024
/** Of all sessions together. */
const HOST_BYTES_MAX = 64 * 1024 * 1024
/** How long a stream that has ended, and an event of the standalone stream, can still be fetched. */
const KEEP_MS = 300_000
/** First revision whose clients take an event without data. */
const PRIMED_SINCE = '2025-11-25'
const ID = /^([0-9a-f]{8})-(\d{1,15})-(\d{1,15})$/

type Kept = { stream: ReplayStream; seq: number; text: string; bytes: number; at_ms: number }

/** What a stream is written with. */
export type Reader = {
  res: ServerResponse
  streams: OpenStreams
  valve: Valve
  headers: Record<string, string>
}

/** The streams of one session. */
export class Replay {
  readonly isPrimed: boolean
  // An id of another session must not be taken for one of this.
  readonly #tag = randomBytes(4).toString('hex')
  readonly #streams = new Map<number, ReplayStream>()
  /** Oldest first. */
  readonly #kept = new Set<Kept>()
  #bytes = 0
  #host: OpenStreams | null = null
  #is_closed = false
  #next = 0

  /**
   * `version`: the session's revision; clients of older ones choke on events without data.
   * `isKept` false: for a reader who knows no ids, such as the roof, which merges streams.
   */
  constructor(version: string, isKept = true) {
    this.isPrimed = isKept && version >= PRIMED_SINCE
    this.#is_closed = !isKept
  }

  get size(): { streams: number; events: number; bytes: number } {
    return { streams: this.#streams.size, events: this.#kept.size, bytes: this.#bytes }
  }

  /** A new stream, without a reader. */
  open(): ReplayStream {
    const number = this.#next++
    const stream = new ReplayStream(this, number, `${this.#tag}-${number}-`)
    this.#streams.set(number, stream)
    return stream
  }

  /**
   * The stream of an event and its place there. Throws a Refusal: 400 for an id that leads nowhere (404 would say that the
   * session is over), 405 where nothing is left to come, which is the one answer that makes clients stop asking.
   */
  find(last_event_id: string): { stream: ReplayStream; seq: number } {
    const [, tag, number, seq] = ID.exec(last_event_id) ?? []
    const stream = tag === this.#tag ? this.#streams.get(Number(number)) : undefined
    if (stream === undefined || Number(seq) >= stream.next_seq) throw eventUnknown()
    if (stream.ended_ms === 0) return { stream, seq: Number(seq) }
    const last = stream.next_seq - 1
    if (Number(seq) === last)
      throw new Refusal(
        405,
        'stream_over',
        'nothing follows this event: its stream has ended',
        { allow: 'POST' },
        RPC.invalidRequest,
      )
    // Without its end, the answer, the rest of a stream is worth nothing.
    for (const kept of this.#kept)
      if (kept.stream === stream && kept.seq === last) return { stream, seq: Number(seq) }
    throw eventUnknown()
  }

  /** What was kept of a stream after a place, oldest first. */
  *after(stream: ReplayStream, seq: number): Iterable<Kept> {
    for (const kept of this.#kept) if (kept.stream === stream && kept.seq > seq) yield kept
  }

  keep(stream: ReplayStream, seq: number, text: string, host: OpenStreams): void {
    const bytes = Buffer.byteLength(text)
    if (this.#is_closed || bytes > BYTES_MAX) return
    this.#host = host
    const isTooMuch = (): boolean =>
      this.#kept.size >= EVENTS_MAX ||
      this.#bytes + bytes > BYTES_MAX ||
      host.kept_bytes + bytes > HOST_BYTES_MAX
    while (isTooMuch()) {
      const [oldest] = this.#kept
      if (oldest === undefined) return
      this.#drop(oldest)
    }
    stream.kept_count++
    this.#kept.add({ stream, seq, text, bytes, at_ms: Date.now() })
    this.#bytes += bytes
    host.kept_bytes += bytes
  }

  /** Lets go of what nobody came back for. */
  sweep(now_ms: number): void {
    for (const kept of this.#kept) {
      const { ended_ms, isStanding } = kept.stream
      const since_ms = isStanding ? kept.at_ms : ended_ms
      if (since_ms > 0 && now_ms - since_ms >= KEEP_MS) this.#drop(kept)
    }
  }

  /** A stream that has ended and of which nothing is left is as good as unknown. */
  forget(stream: ReplayStream): void {
    if (stream.ended_ms > 0 && stream.kept_count === 0) this.#streams.delete(stream.number)
  }

  /** The session is over. */
  clear(): void {
    this.#is_closed = true
    for (const kept of this.#kept) this.#drop(kept)
    this.#streams.clear()
  }

  #drop(kept: Kept): void {
    if (!this.#kept.delete(kept)) return
    kept.stream.kept_count--
    this.forget(kept.stream)
    this.#bytes -= kept.bytes
    if (this.#host !== null) this.#host.kept_bytes -= kept.bytes
  }
}

/** One stream: of a call (or a batch), or the standalone one. Outlives the connections it is read on. */
export class ReplayStream {
  readonly number: number
  next_seq = 1
  kept_count = 0
  /** 0 while more may come. */
  ended_ms = 0
  /** The standalone stream: it lasts as long as its session. */
  isStanding = false
  readonly #replay: Replay
  readonly #prefix: string
  #sse: SseStream | null = null
  #host: OpenStreams | null = null

  constructor(replay: Replay, number: number, prefix: string) {
    this.#replay = replay
    this.number = number
    this.#prefix = prefix
  }

  /** Whether somebody reads it now. */
  get isOpen(): boolean {
    return this.#sse?.isOpen === true
  }

  /** Gives it a reader, who takes the place of the one it had. `seq`: the last event that reader knows. */
  read({ res, streams, valve, headers }: Reader, seq: number = this.next_seq - 1): void {
    const before = this.#sse
    const sse = new SseStream(res, streams, valve, headers)
    this.#sse = sse
    this.#host = streams
    before?.end()
    for (const kept of this.#replay.after(this, seq)) sse.event(kept.text, this.#prefix + kept.seq)
    if (this.ended_ms > 0) sse.end()
    // After what was missed: its id says that all of that has arrived.
    else if (this.#replay.isPrimed) sse.prime(this.#prefix + this.next_seq++)
  }

  event(text: string): void {
    const seq = this.next_seq++
    if (this.#host !== null) this.#replay.keep(this, seq, text, this.#host)
    this.#sse?.event(text, this.#prefix + seq)
  }

  /** Nothing more will come. */
  end(): void {
    this.ended_ms ||= Date.now()
    this.#replay.forget(this)
    this.#sse?.end()
  }

  /** Ends its reader's connection; the stream itself goes on. */
  cut(): void {
    this.#sse?.end()
  }
}

const eventUnknown = (): Refusal =>
  new Refusal(
    400,
    'event_unknown',
    'nothing can be resumed from this Last-Event-ID: it is unknown here, or too long ago',
    {},
    RPC.invalidRequest,
  )
