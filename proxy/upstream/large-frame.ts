/**
 * One frame of a stream too large to be held: put together when it must be rewritten, else scanned for errors as it passes,
 * and copied when it is a list that is to be read.
 */
import { ErrorScan } from '../mcp/answer.ts'

/** Largest message that is put together to be rewritten. */
export const MESSAGE_MAX_BYTES = 33_554_432

export class LargeFrame {
  /** Pieces of a frame that is rewritten whole; null for one that passes. */
  readonly #pieces: Buffer[] | null
  /** Copies of the pieces of a frame that passes and is read afterwards; null: it is not, or it is too large. */
  #copies: Buffer[] | null
  readonly #copy_bytes: number
  size_bytes = 0
  readonly scan = new ErrorScan()

  /** `copy_bytes`: up to which size a frame that passes is copied. */
  constructor(isRewritten: boolean, copy_bytes = 0) {
    this.#pieces = isRewritten ? [] : null
    this.#copies = copy_bytes > 0 ? [] : null
    this.#copy_bytes = copy_bytes
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
    if (this.size_bytes > this.#copy_bytes) this.#copies = null
    this.#copies?.push(Buffer.from(bytes))
    return true
  }

  /** The whole of a frame that has passed, null when it was not copied. */
  copy(): Buffer | null {
    return this.#copies && Buffer.concat(this.#copies)
  }

  /** The whole frame when it was put together, null when it has passed. */
  whole(): Buffer | null {
    return this.#pieces && Buffer.concat(this.#pieces)
  }
}
