/**
 * Streams that stand for long, with the credentials they were opened with. A key that was revoked, or has run out, closes them, and
 * so do rules by which one of their servers is no longer there for the caller: else whoever holds one would go on hearing what it
 * may no longer ask. Calls under way are not touched: they were let in.
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

/** What a new config says of a stream: the stages it has to pass, and the servers its caller may use something of. */
export type Verdicts = { head(call: Call): readonly Stage[]; reached(call: Call): readonly string[] }
type Open = { readonly close: (why: WeirError) => void; readonly heard: readonly string[] }

/** Of a connection whose messages are judged one by one: it ends with the server of its endpoint only. */
export const ownServer = ({ endpoint: { server } }: Call): readonly string[] =>
  server === '' ? [] : [server]

export class Standing {
  readonly #open = new Map<Call, Open>()
  #timer: NodeJS.Timeout | null = null

  /** `heard`: servers that it is to hear of. `close` ends the stream; call what this returns once it has ended, whatever ended it. */
  hold(call: Call, heard: readonly string[], close: (why: WeirError) => void): () => void {
    this.#open.set(call, { close, heard })
    this.#timer ??= setInterval(() => this.#closeExpired(Date.now()), LOOK_MS).unref()
    return () => {
      this.#open.delete(call)
      if (this.#open.size > 0 || !this.#timer) return
      clearInterval(this.#timer)
      this.#timer = null
    }
  }

  /** A new config is in force: each stream has to be let in by it, as whom it was. */
  async recheck(by: Verdicts): Promise<void> {
    await Promise.all(
      [...this.#open].map(async ([call, { heard }]) => {
        const before = call.identity
        if (!before) return
        try {
          await by
            .head(call)
            .find(({ name }) => name === 'identify')
            ?.before(call)
        } catch (error) {
          if (isRefusal(error)) this.#close(call)
          return
        }
        const reached = heard.length > 0 ? by.reached(call) : heard
        const isBarred = heard.some((server) => !reached.includes(server))
        if (call.identity?.caller !== before.caller || isBarred) this.#close(call)
      }),
    )
  }

  #closeExpired(now_ms: number): void {
    for (const call of this.#open.keys())
      if (call.identity && call.identity.expires_ms <= now_ms) this.#close(call)
  }

  #close(call: Call): void {
    const open = this.#open.get(call)
    this.#open.delete(call)
    open?.close(
      new WeirError(
        'unauthenticated',
        'the credential of the stream, or a right it needs, is no longer valid',
      ),
    )
  }
}
