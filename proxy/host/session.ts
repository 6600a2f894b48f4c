/**
 * One legacy session: its standalone stream, its open calls, what it subscribed to.
 * Messages that belong on the standalone stream wait a moment for it: clients open it just after `initialized`, and some
 * servers ask for roots at that very time. Knows nothing of its child.
 */
import { randomFillSync } from 'node:crypto'
import type { SseStream } from './sse-stream.ts'
import type { OpenCall } from './wire.ts'

const MAIL_MAX = 64
const MAIL_WAIT_MS = 5000

type Mail = { text: string; until_ms: number; lost: () => void }

/** 27 random bytes as base64url: visible ASCII, as the header needs it. */
export const mintSessionId = (): string => randomFillSync(Buffer.allocUnsafe(27)).toString('base64url')

export class Session<Child> {
  readonly id: string = mintSessionId()
  readonly principal: string
  /** The negotiated protocol version. */
  readonly version: string
  readonly child: Child
  /** By the client's request id (`idKey`). */
  readonly calls = new Map<string, OpenCall>()
  readonly subscriptions = new Set<string>()
  /** Least severe log level the client asked for, null while it did not. */
  log_level: string | null = null
  is_open = true
  stream: SseStream | null = null
  used_ms: number = Date.now()
  #mail: Mail[] = []

  constructor(principal: string, version: string, child: Child) {
    this.principal = principal
    this.version = version
    this.child = child
  }

  get hasStream(): boolean {
    return this.stream?.isOpen === true
  }

  /** Since when the client left it alone, null while it waits for something. */
  idleSince(): number | null {
    return this.hasStream || this.calls.size > 0 ? null : this.used_ms
  }

  /** The standalone stream is there: what waited for it goes first. */
  attach(stream: SseStream): void {
    this.stream = stream
    const mail = this.#mail
    this.#mail = []
    for (const { text } of mail) stream.event(text)
  }

  /** Sends on the standalone stream, now or when it opens soon. `lost` is called when it did not. */
  post(text: string, lost: () => void): void {
    if (this.hasStream) this.stream?.event(text)
    else if (!this.is_open || this.#mail.length >= MAIL_MAX) lost()
    else this.#mail.push({ text, until_ms: Date.now() + MAIL_WAIT_MS, lost })
  }

  /** Gives up mail that waited too long. */
  sweep(now_ms: number): void {
    while (this.#mail.length > 0 && this.#mail[0]!.until_ms <= now_ms) this.#mail.shift()!.lost()
  }

  /** The session is over: its streams end, its mail is lost. The caller settles its open calls. */
  close(): void {
    this.is_open = false
    this.stream?.end()
    for (const { lost } of this.#mail.splice(0)) lost()
  }
}
