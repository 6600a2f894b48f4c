/** What is kept of arguments and results: a size, a keyed hash, or, where a rule names the call, the masked text. */
import { createHash, type Hash, hash } from 'node:crypto'
import { fits } from '../config/glob.ts'
import type { Config } from '../config/schema.ts'
import type { Call } from './call.ts'
import { flat } from './telemetry/flat.ts'
import { type Redactor, redactCut } from './telemetry/redact.ts'

/** More of a name is never looked at. */
export const NAME_MAX_CHARS = 256
const HASH_CHARS = 32
const KEY_BYTES = 32
/** Up to here copying the bytes behind the key is cheaper than a hash object. */
const ONE_PASS_BYTES = 8192
/** Bytes of UTF-8 a UTF-16 unit takes at most. */
const UTF8_MAX = 3

/** What a capture rule asks to keep of a call. */
export type Kept = { arguments: boolean; results: boolean }
const NOTHING_KEPT: Kept = { arguments: false, results: false }

/** Patterns cut at their wildcards. */
type Rule = Kept & { tools: readonly string[]; callers: readonly string[] }

/** The compiled capture section of a config. */
export class Capture {
  readonly #rules: readonly Rule[]
  readonly hashesArguments: boolean
  readonly hashesResults: boolean
  /** Whether any rule keeps results. */
  readonly keepsResults: boolean
  readonly max_bytes: number
  readonly redact: Redactor
  /** The key, and room behind it for what is hashed with it. */
  readonly #keyed = Buffer.alloc(KEY_BYTES + ONE_PASS_BYTES)

  constructor(config: Config['capture'], redact: Redactor, hashKey: string) {
    this.#rules = config.keep.map((r) => ({
      arguments: r.arguments,
      results: r.results,
      tools: r.tools.split('*'),
      callers: r.callers.split('*'),
    }))
    this.hashesArguments = config.arguments === 'hash'
    this.hashesResults = config.results === 'hash'
    this.keepsResults = config.keep.some((rule) => rule.results)
    this.max_bytes = config.max_bytes
    this.redact = redact
    this.#keyed.set(hash('sha256', hashKey, 'buffer'))
  }

  keeps(call: Call): Kept {
    if (this.#rules.length === 0) return NOTHING_KEPT
    const name = `${call.server}_${call.tool.slice(0, NAME_MAX_CHARS)}`
    const caller = call.identity?.caller ?? ''
    const kept = { arguments: false, results: false }
    for (const rule of this.#rules)
      if (fits(rule.tools, name) && fits(rule.callers, caller)) {
        kept.arguments ||= rule.arguments
        kept.results ||= rule.results
      }
    return kept
  }

  /** Keyed, so that short arguments cannot be guessed from the hash. 32 hex digits. */
  digest(text: string): string {
    if (text.length * UTF8_MAX > ONE_PASS_BYTES) return this.digestBytes(Buffer.from(text))
    return this.#digestKeyed(this.#keyed.write(text, KEY_BYTES))
  }

  /** As digest, of bytes. `begun` has taken what came before them: the same bytes give the same hash however they were cut. */
  digestBytes(bytes: Buffer, begun: Hash | null = null): string {
    if (begun || bytes.length > ONE_PASS_BYTES)
      return flat((begun ?? this.beginDigest()).update(bytes).digest('hex'), HASH_CHARS)
    return this.#digestKeyed(bytes.copy(this.#keyed, KEY_BYTES))
  }

  #digestKeyed(bytes: number): string {
    return flat(hash('sha256', this.#keyed.subarray(0, KEY_BYTES + bytes)), HASH_CHARS)
  }

  /** A hash of bytes to come in several parts. */
  beginDigest(): Hash {
    return createHash('sha256').update(this.#keyed.subarray(0, KEY_BYTES))
  }

  mask(text: string): string {
    return redactCut(this.redact, text, this.max_bytes)
  }
}
