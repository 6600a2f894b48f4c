/**
 * Cuts a byte stream into lines (stdio MCP: one message per line). Holds at most one line.
 * A line over the cap is thrown away up to its end; its first and last bytes are reported, so that its owner can be found.
 */

const NEWLINE = 10
const HEAD_BYTES = 1024
const TAIL_BYTES = 256

export type LineSink = {
  /** `bytes`: the same line as it came. */
  line(text: string, bytes: Buffer): void
  overflow(head: string, tail: string, bytes: number): void
}

export class LineSplitter {
  readonly #line_max_bytes: number
  readonly #sink: LineSink
  #parts: Buffer[] = []
  #size = 0
  // Of a line that is already over the cap: what is kept of it, null otherwise.
  #head: string | null = null
  #tail: Buffer = Buffer.alloc(0)

  constructor(line_max_bytes: number, sink: LineSink) {
    this.#line_max_bytes = line_max_bytes
    this.#sink = sink
  }

  /** Whether the beginning of a line is waiting for its end. */
  get isMidLine(): boolean {
    return this.#size > 0
  }

  push(chunk: Buffer): void {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#add(chunk.subarray(start, end))
      this.#finish()
      start = end + 1
    }
    if (start < chunk.length) this.#add(chunk.subarray(start))
  }

  /** The stream ended: what is left without a newline is a line too. */
  end(): void {
    if (this.#size > 0) this.#finish()
  }

  #add(part: Buffer): void {
    if (part.length === 0) return
    this.#size += part.length
    if (this.#head !== null) {
      this.#tail = Buffer.concat([this.#tail, part.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES)
      return
    }
    this.#parts.push(part)
    if (this.#size <= this.#line_max_bytes) return
    this.#head = Buffer.concat(this.#parts.slice(0, 16)).subarray(0, HEAD_BYTES).toString('latin1')
    this.#tail = Buffer.concat(this.#parts.slice(-16)).subarray(-TAIL_BYTES)
    this.#parts = []
  }

  #finish(): void {
    const size = this.#size
    const head = this.#head
    const bytes = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts)
    const tail = this.#tail
    this.#parts = []
    this.#size = 0
    this.#head = null
    this.#tail = Buffer.alloc(0)
    if (head !== null) this.#sink.overflow(head, tail.toString('latin1'), size)
    else if (size > 0) this.#sink.line(bytes.toString('utf8'), bytes)
  }
}
