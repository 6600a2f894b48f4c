/**
 * A line of JSON-RPC messages to one server: a child process, or a connection that stands for one. Whoever holds it need
 * not know which. Invariants of all: `exited` resolves exactly once, always, and no message is reported after it.
 */

/** How it ended. */
export type ChannelEnd = {
  exit_code: number | null
  signal: string | null
  /** Why it never came to stand (a system's code, or a sentence), null when it did. */
  error: string | null
  /** Whether we ended it. */
  asked: boolean
  /** Whether the server had forgotten the session it stood for; what was open was not served. */
  isLost?: boolean
  /** The memory it held when it was ended for that, and how much it may hold. */
  memory?: { bytes: number; max_bytes: number }
  lived_ms: number
}

/** What a call left open by it failed with. A connection has neither code nor signal. */
export function endText({ exit_code, signal }: Pick<ChannelEnd, 'exit_code' | 'signal'>): string {
  const how =
    signal !== null ? ` by signal ${signal}` : exit_code !== null ? ` with exit code ${exit_code}` : ''
  return `the server ended${how} before it answered`
}

export type ChannelEvents = {
  /** One message, as text. `about`: id of the request on whose own stream it came, where the transport tells. */
  line(text: string, about?: unknown): void
  /** A message too long to keep: how it began and ended. */
  overflow(head: string, tail: string, bytes: number): void
}

export type Channel = {
  readonly exited: Promise<ChannelEnd>
  /** How it ended, null while it has not. */
  readonly ended: ChannelEnd | null
  readonly isEnding: boolean
  /** The process; undefined for a connection. */
  readonly pid: number | undefined
  /** Sends one message; it waits while the channel is being opened, and is dropped once it is ending. */
  write(text: string): void
  /** Whether writers should wait for `drained` before they write more. */
  readonly isFull: boolean
  /** Resolves when what was written has been taken, or the channel has ended. */
  drained(): Promise<void>
  /** Stops reading until `release` was called as often. */
  hold(): void
  release(): void
  /** Ends it politely, then firmly. Safe to call often. */
  end(): Promise<ChannelEnd>
  kill(): Promise<ChannelEnd>
  /** It holds too much memory: it is ended at once, as a failure of its own. A connection has none. */
  tooLarge?(bytes: number, max_bytes: number): void
}

/** Largest message in either direction. */
export const MESSAGE_MAX_BYTES = 64 * 1024 * 1024
/** Above this many unwritten bytes no further request is taken. */
export const FULL_BYTES = 4 * 1024 * 1024
/** How long a connection may take to stand. */
export const OPEN_MAX_MS = 10_000
/** A peer that went away without a word is noticed after about this long. */
export const ALIVE_MS = 30_000

/** Where a connection goes. */
export type Target = { url: URL; headers: Record<string, string> }

/** What every connection does alike: its end told once, writers that wait, readers that stop. */
export abstract class Connection implements Channel {
  readonly exited: Promise<ChannelEnd>
  readonly pid = undefined
  readonly #started_ms = performance.now()
  #resolveExited!: (end: ChannelEnd) => void
  #end: ChannelEnd | null = null
  #asked = false
  #holds = 0
  #waiting: (() => void)[] = []

  constructor() {
    this.exited = new Promise((resolve) => {
      this.#resolveExited = resolve
    })
  }

  get ended(): ChannelEnd | null {
    return this.#end
  }
  get isEnding(): boolean {
    return this.#asked || this.#end !== null
  }
  get isHeld(): boolean {
    return this.#holds > 0
  }

  abstract write(text: string): void
  abstract get isFull(): boolean
  protected abstract pause(): void
  protected abstract resume(): void
  /** Closes in good order. */
  protected abstract close(): void
  /** Closes at once; `finish` follows. */
  protected abstract destroy(): void

  drained(): Promise<void> {
    if (!this.isFull || this.#end) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** To be called when something was taken by the peer. */
  protected taken(): void {
    if (this.isFull) return
    for (const go of this.#waiting.splice(0)) go()
  }

  hold(): void {
    if (this.#holds++ === 0 && this.#end === null) this.pause()
  }
  release(): void {
    if (--this.#holds === 0 && this.#end === null) this.resume()
  }

  end(): Promise<ChannelEnd> {
    if (this.isEnding) return this.exited
    this.#asked = true
    this.close()
    return this.exited
  }
  kill(): Promise<ChannelEnd> {
    this.#asked = true
    if (this.#end === null) this.destroy()
    return this.exited
  }

  /** The connection is no more. `error`: why it never stood. Only the first call counts. */
  protected finish(error: string | null, isLost = false): void {
    if (this.#end !== null) return
    const lived_ms = Math.round(performance.now() - this.#started_ms)
    const asked = this.#asked || isLost
    this.#end = { exit_code: null, signal: null, error, asked, lived_ms, ...(isLost && { isLost }) }
    for (const go of this.#waiting.splice(0)) go()
    this.#resolveExited(this.#end)
  }
}
