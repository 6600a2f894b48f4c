/**
 * One child process: spawned without a shell in a process group of its own, lines in, lines out, ended politely, then firmly.
 * Knows nothing of MCP. Invariants: `exited` resolves exactly once, always; after it nothing of the group is left running,
 * and no line is reported. Source of the ending order: MCP, basic/lifecycle (stdin, SIGTERM, SIGKILL).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import {
  type Channel,
  type ChannelEnd,
  type ChannelEvents,
  FULL_BYTES,
  MESSAGE_MAX_BYTES,
} from './channel.ts'
import type { ChildSpec } from './command.ts'
import { LineSplitter } from './lines.ts'

const STDERR_LINE_MAX_BYTES = 64 * 1024
const CLOSE_WAIT_MS = 500

export type StdioChildEvents = ChannelEvents & { stderr(text: string): void }

export class StdioChild implements Channel {
  readonly exited: Promise<ChannelEnd>
  readonly spec: ChildSpec
  readonly #child: ChildProcess
  readonly #started_ms = performance.now()
  #resolveExited!: (end: ChannelEnd) => void
  #end: ChannelEnd | null = null
  #asked = false
  #memory: { bytes: number; max_bytes: number } | null = null
  #holds = 0
  #drained: Promise<void> | null = null
  readonly #step_ms: number

  /** `step_ms`: how long each step of an ending waits before the next, firmer one. */
  constructor(spec: ChildSpec, events: StdioChildEvents, step_ms = 2000) {
    this.spec = spec
    this.#step_ms = step_ms
    this.exited = new Promise((resolve) => {
      this.#resolveExited = resolve
    })
    const child = spawn(spec.file, spec.args, {
      cwd: spec.cwd,
      env: spec.env,
      detached: true,
      shell: false,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#child = child
    const lines = new LineSplitter(MESSAGE_MAX_BYTES, {
      line: (text) => this.#end === null && events.line(text),
      overflow: (head, tail, bytes) => this.#end === null && events.overflow(head, tail, bytes),
    })
    const errors = new LineSplitter(STDERR_LINE_MAX_BYTES, {
      line: (text) => events.stderr(text),
      overflow: (head) => events.stderr(head),
    })
    child.stdout?.on('data', (chunk: Buffer) => lines.push(chunk))
    child.stdout?.on('end', () => lines.end())
    child.stderr?.on('data', (chunk: Buffer) => errors.push(chunk))
    child.stderr?.on('end', () => errors.end())
    // A broken pipe is followed by the exit, which tells more.
    for (const stream of child.stdio) stream?.on('error', () => {})
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (child.pid === undefined) this.#finish(null, null, error.code ?? 'UNKNOWN')
    })
    child.on('exit', (exit_code, signal) => {
      // A paused pipe would hide the last lines; a pipe held by a grandchild would never close.
      child.stdout?.resume()
      this.#signal('SIGKILL')
      setTimeout(() => this.#finish(exit_code, signal, null), CLOSE_WAIT_MS)
    })
    child.on('close', (exit_code, signal) => this.#finish(exit_code, signal, null))
  }

  get pid(): number | undefined {
    return this.#child.pid
  }
  /** How it ended, null while it has not. */
  get ended(): ChannelEnd | null {
    return this.#end
  }
  get isEnding(): boolean {
    return this.#asked || this.#memory !== null || this.#end !== null
  }

  /** Writes one line. Newlines inside a JSON text can only be whitespace, and would break the framing. */
  write(text: string): void {
    if (this.isEnding) return
    const line = text.includes('\n') || text.includes('\r') ? text.replace(/[\r\n]/g, ' ') : text
    this.#child.stdin?.write(`${line}\n`)
  }

  /** Whether writers should wait for `drained` before they write more. */
  get isFull(): boolean {
    return (this.#child.stdin?.writableLength ?? 0) > FULL_BYTES
  }

  /** Resolves when the child has read what was written, or has ended. */
  drained(): Promise<void> {
    this.#drained ??= new Promise<void>((resolve) => {
      const done = (): void => {
        this.#drained = null
        resolve()
      }
      this.#child.stdin?.once('drain', done)
      void this.exited.then(done)
    })
    return this.#drained
  }

  /** Stops reading the child until `release` was called as often. */
  hold(): void {
    if (this.#holds++ === 0 && this.#end === null) this.#child.stdout?.pause()
  }
  release(): void {
    if (--this.#holds === 0) this.#child.stdout?.resume()
  }

  /** Ends the child: closes stdin, waits, SIGTERM, waits, SIGKILL. Safe to call often. */
  end(): Promise<ChannelEnd> {
    if (this.isEnding) return this.exited
    this.#asked = true
    this.#child.stdout?.resume()
    this.#child.stdin?.end()
    this.#signalLater('SIGTERM', this.#step_ms)
    this.#signalLater('SIGKILL', 2 * this.#step_ms)
    return this.exited
  }

  /** Ends the child because of the memory its group holds: SIGTERM, waits, SIGKILL. Nobody asked for that end. */
  tooLarge(bytes: number, max_bytes: number): void {
    if (this.isEnding) return
    this.#memory = { bytes, max_bytes }
    this.#child.stdout?.resume()
    this.#signal('SIGTERM')
    this.#signalLater('SIGKILL', this.#step_ms)
  }

  /** Kills the child's group at once. */
  kill(): Promise<ChannelEnd> {
    this.#asked = true
    this.#signal('SIGKILL')
    return this.exited
  }

  #signalLater(signal: NodeJS.Signals, ms: number): void {
    const timer = setTimeout(() => this.#signal(signal), ms)
    void this.exited.then(() => clearTimeout(timer))
  }

  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child.pid
    if (pid === undefined) return
    try {
      process.kill(-pid, signal)
    } catch {
      // The group is gone already.
    }
  }

  #finish(exit_code: number | null, signal: string | null, error: string | null): void {
    if (this.#end !== null) return
    const lived_ms = Math.round(performance.now() - this.#started_ms)
    const memory = this.#memory
    this.#end = { exit_code, signal, error, asked: this.#asked, lived_ms, ...(memory && { memory }) }
    for (const stream of this.#child.stdio) stream?.destroy()
    this.#resolveExited(this.#end)
  }
}
