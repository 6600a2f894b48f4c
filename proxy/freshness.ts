/**
 * How fresh a list is that one caller was told, and when it is asked for: at the first need, again when old, and once more for
 * what it does not hold; one question at a time, and none for names that strangers make up. Knows neither list nor transport.
 */

/** An old list is used while a new one is fetched. Servers may ask for longer, not for less. */
const FRESH_MIN_MS = 60_000
const FRESH_MAX_MS = 3_600_000
/** What is not in the list, or a list that could not be had: not asked for again sooner. */
const AGAIN_MS = 5_000

/** Asks for the whole list and keeps it; rejects when it cannot be had. */
export type Fetch = () => Promise<void>

export class Freshness {
  readonly #now: () => number
  #until_ms = 0
  /** When it was last asked for, and by which session in vain; that one is not made to wait again. */
  #asked_ms = Number.NEGATIVE_INFINITY
  #failed_session: string | null = null
  #asking: Promise<void> | null = null

  /** `now`: milliseconds. */
  constructor(now: () => number) {
    this.#now = now
  }

  get isFresh(): boolean {
    return this.#now() < this.#until_ms
  }

  /** Whether the whole list is known. */
  get isWhole(): boolean {
    return this.#failed_session === null && this.#until_ms > 0
  }

  /** A whole list was told. `ttl_ms`: how long it is good for, as its server says. */
  told(ttl_ms: unknown): void {
    const wanted_ms = typeof ttl_ms === 'number' ? ttl_ms : 0
    this.#until_ms = this.#now() + Math.min(FRESH_MAX_MS, Math.max(FRESH_MIN_MS, wanted_ms))
  }

  /** The server says that it changed. */
  stale(): void {
    this.#until_ms = 0
    this.#asked_ms = Number.NEGATIVE_INFINITY
  }

  /** What is known is used. An old list is asked for beside that. */
  use(session: string, fetch: Fetch): void {
    if (!this.isFresh && this.#now() - this.#asked_ms >= AGAIN_MS) void this.#ask(session, fetch)
  }

  /** Something is not in the list. Null: asking would tell nothing new now. */
  seek(session: string, fetch: Fetch): Promise<void> | null {
    if (this.#failed_session === null || this.#failed_session !== session) return this.again(session, fetch)
    if (this.#now() - this.#asked_ms >= AGAIN_MS) void this.#ask(session, fetch)
    return null
  }

  /** The list is wanted anew, unless it was asked for just now. Null: it was. */
  again(session: string, fetch: Fetch): Promise<void> | null {
    const isRecent = this.#now() - this.#asked_ms < AGAIN_MS && !this.#asking
    const isOfOthers = this.#failed_session !== null && this.#failed_session !== session
    return isRecent && !isOfOthers ? null : this.#askFor(session, fetch)
  }

  async #askFor(session: string, fetch: Fetch): Promise<void> {
    // What another session asks for in vain says nothing of this one.
    const others = this.#asking
    if (others) await others
    const failed = this.#failed_session
    if (!others || (failed !== null && failed !== session)) await this.#ask(session, fetch)
  }

  #ask(session: string, fetch: Fetch): Promise<void> {
    this.#asked_ms = this.#now()
    this.#asking ??= fetch()
      .then(
        () => {
          this.#failed_session = null
        },
        () => {
          this.#failed_session = session
        },
      )
      .finally(() => {
        this.#asking = null
      })
    return this.#asking
  }
}
