/**
 * One legacy session: its standalone stream, its open calls, what it subscribed to.
 * Messages that belong on the standalone stream wait a moment for it: clients open it just after `initialized`, and some
 * servers ask for roots at that very time. What is no question waits longer for a client that had one: it may come back.
 * Knows nothing of its child.
 */
import { randomFillSync } from 'node:crypto'
import { type Reader, Replay, type ReplayStream } from './replay.ts'
import type { OpenCall } from './wire.ts'

const MAIL_MAX = 64
const MAIL_WAIT_MS = 5000
/** How long a client whose stream broke is waited for. */
const BROKEN_WAIT_MS = 60_000

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
  /** Its streams as far as its client can take them up again. */
  readonly replay: Replay
  readonly isResumable: boolean
  /** The standalone stream, once there was one. */
  stream: ReplayStream | null = null
  used_ms: number = Date.now()
  #mail: Mail[] = []

  constructor(principal: string, version: string, child: Child, isResumable = true) {
    this.principal = principal
    this.version = version
    this.isResumable = isResumable
    this.replay = new Replay(version, isResumable)
    this.child = child
  }

  get hasStream(): boolean {
    return this.stream?.isOpen === true
  }

  /** Since when the client left it alone, null while it waits for something. */
  idleSince(): number | null {
    return this.hasStream || this.calls.size > 0 ? null : this.used_ms
  }

  /** The standalone stream is there: what waited for it goes first. `seq`: the last event its reader knows. */
  attach(reader: Reader, seq?: number): void {
    if (this.stream === null) {
      this.stream = this.replay.open()
      this.stream.isStanding = true
    }
    const { stream } = this
    stream.read(reader, seq)
    const mail = this.#mail
    this.#mail = []
    for (const { text } of mail) stream.event(text)
  }

  /** Sends on the standalone stream, now or when it opens soon. `lost` is called when it did not. */
  post(text: string, lost: () => void, isQuestion = false): void {
    if (this.hasStream) this.stream?.event(text)
    else if (!this.is_open || this.#mail.length >= MAIL_MAX) lost()
    else {
      const wait_ms = this.stream === null || isQuestion ? MAIL_WAIT_MS : BROKEN_WAIT_MS
      this.#mail.push({ text, until_ms: Date.now() + wait_ms, lost })
    }
  }

  /** Gives up what waited too long. */
  sweep(now_ms: number): void {
    const late = this.#mail.filter((mail) => mail.until_ms <= now_ms)
    if (late.length > 0) this.#mail = this.#mail.filter((mail) => mail.until_ms > now_ms)
    for (const { lost } of late) lost()
    this.replay.sweep(now_ms)
  }

  /** The session is over: its streams end, its mail is lost. The caller settles its open calls. */
  close(): void {
    this.is_open = false
    this.stream?.end()
    this.replay.clear()
    for (const { lost } of this.#mail.splice(0)) lost()
  }
}
