/**
 * A plain answer on its way: all but its newest piece may flow, so that the event can be written before the last byte.
 * Kept whole for reading up to a size, scanned for errors beyond it. Pure: hands bytes back, sends none.
 */
import type { Hash } from 'node:crypto'
import { ErrorScan } from '../mcp/answer.ts'

/** Answers up to this size are kept whole for reading; larger ones are scanned as they pass. */
const KEEP_BYTES = 262_144
/** Lists of tools are rare, and what is in them counts. */
export const LIST_KEEP_BYTES = 8_388_608
export const keptBytes = (method: string): number => (method === 'tools/list' ? LIST_KEEP_BYTES : KEEP_BYTES)

export class HeldBody {
  #held: Buffer | null = null
  #kept: Buffer[] | null = []
  #size_bytes = 0
  /** Nothing flows before the whole is read: the answer may be taken back. */
  #isKeptBack: boolean
  readonly #beginHash: (() => Hash) | null
  readonly #keep_bytes: number
  /** Of the answer when it was too large to keep. */
  scan: ErrorScan | null = null
  /** Of everything that has flowed; null while nothing has. */
  hash: Hash | null = null

  /** `beginHash`: null when answers are not hashed. */
  constructor(beginHash: (() => Hash) | null, isKeptBack: boolean, keep_bytes = KEEP_BYTES) {
    this.#keep_bytes = keep_bytes
    this.#beginHash = beginHash
    this.#isKeptBack = isKeptBack
  }

  /** Takes a piece; returns what may flow now, null for nothing yet. */
  push(chunk: Buffer): Buffer | null {
    this.#size_bytes += chunk.length
    if (this.#kept) {
      this.#kept.push(chunk)
      if (this.#size_bytes > this.#keep_bytes) this.#overflow(this.#kept)
    } else this.scan!.push(chunk)
    if (this.#isKeptBack) return null
    const flows = this.#held
    this.#held = chunk
    if (flows && this.#beginHash) {
      this.hash ??= this.#beginHash()
      this.hash.update(flows)
    }
    return flows
  }

  #overflow(kept: readonly Buffer[]): void {
    this.scan = new ErrorScan()
    for (const part of kept) this.scan.push(part)
    // Too long to be taken back: what was kept back flows with the next piece.
    if (this.#isKeptBack) this.#held = Buffer.concat(kept.slice(0, -1))
    this.#isKeptBack = false
    this.#kept = null
  }

  /** The whole answer, null when it was too large to keep. */
  whole(): Buffer | null {
    if (!this.#kept) return null
    return this.#kept.length === 1 ? this.#kept[0]! : Buffer.concat(this.#kept)
  }

  /** What has not flowed: the last piece, or all of it when it was kept back. Null for an empty answer. */
  last(): Buffer | null {
    return this.#isKeptBack ? this.whole() : this.#held
  }
}
