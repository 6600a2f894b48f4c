/**
 * Streams that stand for long, with the credentials they were opened with. A key that was revoked, or has run out, closes them:
 * else whoever holds one would go on hearing what it may no longer ask. Calls under way are not touched: they were let in.
 * Invariant: holds nothing that is closed.
 */
import type { Call } from '../call.ts'
import { WeirError } from '../errors.ts'
import type { Stage } from '../pipeline.ts'

/** How soon after a key has run out its streams are closed. */
const LOOK_MS = 1_000
/** Whether a credential was judged, and failed: while an authorization server is away its tokens cannot be. */
const isRefusal = (error: unknown): boolean =>
  !(error instanceof WeirError && error.code === 'issuer_unavailable')

export class Standing {
  readonly #open = new Map<Call, (why: WeirError) => void>()
  #timer: NodeJS.Timeout | null = null

  /** `close` ends the stream; call what this returns once it has ended, whatever ended it. */
  hold(call: Call, close: (why: WeirError) => void): () => void {
    this.#open.set(call, close)
    this.#timer ??= setInterval(() => this.#closeExpired(Date.now()), LOOK_MS).unref()
    return () => {
      this.#open.delete(call)
      if (this.#open.size > 0 || !this.#timer) return
      clearInterval(this.#timer)
      this.#timer = null
    }
  }

  /** A new config is in force: each stream has to be let in by it, as whom it was. */
  async recheck(headOf: (call: Call) => readonly Stage[]): Promise<void> {
    await Promise.all(
      [...this.#open.keys()].map(async (call) => {
        const before = call.identity
        if (!before) return
        try {
          await headOf(call)
            .find(({ name }) => name === 'identify')
            ?.before(call)
        } catch (error) {
          if (isRefusal(error)) this.#close(call)
          return
        }
        if (call.identity?.caller !== before.caller) this.#close(call)
      }),
    )
  }

  #closeExpired(now_ms: number): void {
    for (const call of this.#open.keys())
      if (call.identity && call.identity.expires_ms <= now_ms) this.#close(call)
  }

  #close(call: Call): void {
    const close = this.#open.get(call)
    this.#open.delete(call)
    close?.(new WeirError('unauthenticated', 'the credential of the stream is no longer valid'))
  }
}
