/** From the bytes of an event stream to its events, whole, whatever their size up to a bound. Source: WHATWG HTML, server-sent events. */
import { FrameSplitter, frameData } from './frames.ts'

const EDGE_CHARS = 1024

export type EventSink = {
  /** One event with data. `type`: its name, `message` when it has none. */
  event(type: string, data: string): void
  /** An event, with data or without, that has an id: where to go on after a break. Before `event`. */
  id?(id: string): void
  /** How long to wait before going on after a break. */
  retry?(ms: number): void
  /** An event larger than the bound: how its data began and ended. */
  overflow(head: string, tail: string, bytes: number): void
}

export class EventReader {
  readonly #sink: EventSink
  readonly #max_bytes: number
  readonly #splitter: FrameSplitter
  /** Pieces of an event too large for the splitter to hold. */
  #pieces: Buffer[] = []
  #pieces_bytes = 0

  constructor(max_bytes: number, sink: EventSink) {
    this.#max_bytes = max_bytes
    this.#sink = sink
    this.#splitter = new FrameSplitter({
      frame: (bytes) => this.#frame(bytes),
      piece: (bytes) => this.#piece(bytes),
      lastPiece: (bytes) => this.#lastPiece(bytes),
    })
  }

  push(chunk: Buffer): void {
    this.#splitter.push(chunk)
  }

  #frame(bytes: Buffer): void {
    const data = frameData(bytes)
    if (this.#sink.id) this.#position(bytes.toString('utf8', 0, EDGE_CHARS))
    if (data === null || data === '') return
    const type = /^event:[ ]?(.*)$/m.exec(bytes.toString('latin1', 0, EDGE_CHARS))?.[1]?.trim() ?? 'message'
    this.#sink.event(type, data)
  }

  #position(head: string): void {
    const id = /^id:[ ]?([^\0\r\n]*)/m.exec(head)?.[1]
    if (id) this.#sink.id?.(id)
    const retry = /^retry:[ ]?(\d+)/m.exec(head)?.[1]
    if (retry) this.#sink.retry?.(Number(retry))
  }

  #piece(bytes: Buffer): void {
    this.#pieces_bytes += bytes.length
    // Beyond the bound only the beginning and the newest piece are of use: an id may stand there.
    if (this.#pieces_bytes > this.#max_bytes) this.#pieces.splice(1)
    this.#pieces.push(Buffer.from(bytes))
  }

  #lastPiece(bytes: Buffer): void {
    this.#piece(bytes)
    const pieces = this.#pieces
    const size = this.#pieces_bytes
    this.#pieces = []
    this.#pieces_bytes = 0
    if (size <= this.#max_bytes) return this.#frame(Buffer.concat(pieces))
    const head = pieces[0]!.toString('utf8', 0, EDGE_CHARS)
    const tail = pieces.at(-1)!.toString('utf8').slice(-EDGE_CHARS)
    this.#sink.overflow(head.slice(head.indexOf('data:') + 5), tail.trimEnd(), size)
  }
}
