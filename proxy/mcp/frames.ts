/**
 * Server-sent events as bytes: cuts a stream into frames without decoding what need not be decoded.
 * A frame above FRAME_KEEP_BYTES is not held: it passes in pieces, always one piece behind, so that its end can still
 * be held back. Source: WHATWG HTML, server-sent events.
 */

export const FRAME_KEEP_BYTES = 262_144

export type FrameSink = {
  /** One complete frame with its blank line. */
  frame(bytes: Buffer): void
  /** A piece of a frame that is too large to keep; `head` is how the frame began. */
  piece(bytes: Buffer, head: Buffer): void
  /** Last piece of such a frame; `head` is how the frame began. */
  lastPiece(bytes: Buffer, head: Buffer): void
}

const HEAD_BYTES = 1024

export class FrameSplitter {
  #pending: Buffer = Buffer.alloc(0)
  #head: Buffer | null = null
  readonly #sink: FrameSink

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  get pendingBytes(): number {
    return this.#pending.length
  }

  push(chunk: Buffer): void {
    // Where the search for a blank line goes on: it may have begun in the bytes kept.
    let from = Math.max(0, this.#pending.length - 3)
    let bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    for (;;) {
      const end = frameEnd(bytes, from)
      if (end < 0) break
      const frame = bytes.subarray(0, end)
      bytes = bytes.subarray(end)
      from = 0
      if (this.#head) {
        this.#sink.lastPiece(frame, this.#head)
        this.#head = null
      } else this.#sink.frame(frame)
    }
    if (bytes.length > FRAME_KEEP_BYTES || (this.#head && bytes.length > HEAD_BYTES)) {
      this.#head ??= Buffer.from(bytes.subarray(0, HEAD_BYTES))
      // The last bytes stay: the blank line may be half here.
      this.#sink.piece(bytes.subarray(0, bytes.length - HEAD_BYTES), this.#head)
      bytes = bytes.subarray(bytes.length - HEAD_BYTES)
    }
    this.#pending = bytes
  }

  /** What was left without its blank line when the stream ended. */
  rest(): Buffer {
    return this.#pending
  }
}

/** Index after the first blank line at or after `from`; -1 when there is none. */
function frameEnd(bytes: Buffer, from: number): number {
  const end = lineFeedEnd(bytes, from)
  // Lines may end in a lone CR too; whichever blank line comes first ends the frame.
  const lone = (end < 0 ? bytes : bytes.subarray(0, end)).indexOf('\r\r', from, 'latin1')
  return lone < 0 ? end : lone + 2
}

function lineFeedEnd(bytes: Buffer, from: number): number {
  for (let i = bytes.indexOf(10, from); i >= 0; i = bytes.indexOf(10, i + 1)) {
    if (bytes[i + 1] === 10) return i + 2
    if (bytes[i + 1] !== 13) continue
    if (bytes[i + 2] === 10) return i + 3
    // A CR alone is a blank line too; whether it is alone only the next byte can tell.
    return bytes.length > i + 2 ? i + 2 : -1
  }
  return -1
}

/** The data of a frame: its `data:` lines joined by newlines; null when it has none (a comment or a priming event). */
export function frameData(frame: Buffer): string | null {
  const text = frame[0] === 0xef ? frame.toString().replace(/^\ufeff/, '') : frame.toString()
  const at = text.startsWith('data:') ? 0 : text.search(/(?<=[\n\r])data:/)
  if (at < 0) return null
  const rest = text.slice(at)
  const end = rest.search(/[\r\n]/)
  const line = rest.slice(5, end < 0 ? undefined : end)
  const following = end < 0 ? '' : rest.slice(end)
  const first = line.startsWith(' ') ? line.slice(1) : line
  if (!following.includes('data:')) return first
  const lines = text.split(/\r\n|[\r\n]/).filter((l) => l.startsWith('data:'))
  return lines.map((l) => l.slice(l.startsWith('data: ') ? 6 : 5)).join('\n')
}

/** The frame with other data; its id and the name of its event stay. */
export function withData(frame: Buffer, data: string): Buffer {
  const kept = frame
    .toString()
    .split(/\r\n|[\r\n]/)
    .filter((line) => line !== '' && !line.startsWith('data:'))
  const lines = data.split(/\r\n|[\r\n]/).map((line) => `data: ${line}`)
  return Buffer.from(`${[...kept, ...lines].join('\n')}\n\n`)
}

/** Headers of an event stream that nothing on its way may hold back or change. */
export const EVENT_STREAM = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
}

/** A frame that carries one JSON-RPC message. */
export const messageFrame = (json: string): string => `event: message\ndata: ${json}\n\n`
