/** One frame of a stream too large to be held: put together when it must be rewritten, else scanned for errors as it passes. */
import { ErrorScan } from '../mcp/answer.ts'

/** Largest message that is put together to be rewritten. */
export const MESSAGE_MAX_BYTES = 33_554_432

export class LargeFrame {
  /** Pieces of a frame that is rewritten whole; null for one that passes. */
  readonly #pieces: Buffer[] | null
  size_bytes = 0
  readonly scan = new ErrorScan()

  constructor(isRewritten: boolean) {
    this.#pieces = isRewritten ? [] : null
  }

  get isTooLarge(): boolean {
    return this.#pieces !== null && this.size_bytes > MESSAGE_MAX_BYTES
  }

  /** Takes a piece. True: it may flow on now. */
  push(bytes: Buffer): boolean {
    this.size_bytes += bytes.length
    if (this.#pieces) {
      this.#pieces.push(Buffer.from(bytes))
      return false
    }
    this.scan.push(bytes)
    return true
  }

  /** The whole frame when it was put together, null when it has passed. */
  whole(): Buffer | null {
    return this.#pieces && Buffer.concat(this.#pieces)
  }
}
