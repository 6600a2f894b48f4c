/**
 * A server as a child process, and the bytes between it and our own stdin and stdout: the same bytes, each side at the pace
 * of the other, the ends passed on, the signals too. Its stderr is ours. Knows nothing of messages.
 * Invariants: nothing is written to stdout but what the server wrote; what the server wrote before it ended is passed on
 * before we end. Killed with SIGKILL we can pass on nothing: the system closes our pipes, the server reads the end of its
 * input and gets EPIPE for its output, as when its client dies.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { CliError } from '../verb.ts'

/** How the server ended. */
export type Ended = { code: number | null; signal: NodeJS.Signals | null }

/** Who looks at the bytes as they pass. */
export type Witness = {
  /** Of the client, already passed on. */
  fromClient(chunk: Buffer): void
  /** Of the server: passed on when this has returned. */
  fromServer(chunk: Buffer): void
  /** The client writes no more, or reads no more. */
  clientGone(): void
  /** The server writes no more, and everything it wrote was seen. */
  serverGone(ended: Ended): void
}

const PASSED_ON = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const
/** What a shell says for a command that is not there, and for one that cannot be run. */
const NOT_FOUND = 127
const NOT_RUNNABLE = 126
const SIGNAL_BASE = 128
/** Output of a server that has ended, held open by others: this long without a byte and it is over. */
const QUIET_MS = 500
const RAISE_MAX_MS = 1_000

export class WrappedServer {
  readonly #child: ChildProcess
  readonly #ended: Promise<Ended>
  /** The client has closed its end, or a signal asks for ours: nobody stays for what the server has left behind. */
  #isLeaving = false
  #isSignalled = false

  private constructor(words: readonly string[], env: NodeJS.ProcessEnv) {
    // Before there is a child: from then on no signal may end us alone.
    for (const name of PASSED_ON) process.on(name, this.#passOn)
    this.#child = spawn(words[0]!, words.slice(1), { env, stdio: ['pipe', 'pipe', 'inherit'] })
    this.#ended = new Promise((resolve) =>
      this.#child.once('exit', (code, signal) => resolve({ code, signal })),
    )
  }

  /** Starts the command. Rejects with what is wrong with it. */
  static async start(words: readonly string[], env: NodeJS.ProcessEnv): Promise<WrappedServer> {
    const server = new WrappedServer(words, env)
    await new Promise<void>((resolve, reject) => {
      server.#child.once('spawn', resolve)
      server.#child.once('error', (error: NodeJS.ErrnoException) => reject(cannotStart(words[0]!, error)))
    })
    // From here on an error is that of a signal to a process that is gone.
    server.#child.on('error', () => {})
    return server
  }

  readonly #passOn = (signal: NodeJS.Signals): void => {
    this.#isSignalled = this.#isLeaving = true
    this.#child.kill(signal)
  }

  /** Passes everything on until the server has ended; resolves with how. */
  async relay(witness: Witness): Promise<Ended> {
    const { stdin, stdout } = this.#child as { stdin: Writable; stdout: Readable }
    this.#takeInput(stdin, witness)
    await this.#giveOutput(stdout, witness)
    const ended = await this.#ended
    if (this.#isSignalled) witness.clientGone()
    witness.serverGone(ended)
    return ended
  }

  #takeInput(stdin: Writable, witness: Witness): void {
    const source = process.stdin
    source.on('data', (chunk: Buffer) => {
      if (!stdin.write(chunk)) source.pause()
      witness.fromClient(chunk)
    })
    stdin.on('drain', () => source.resume())
    const end = (): void => {
      this.#isLeaving = true
      witness.clientGone()
      stdin.end()
    }
    source.once('end', end)
    // A terminal that is gone.
    source.once('error', end)
    // The server reads no more: whoever writes to us is to learn it as he would from the server.
    stdin.on('error', () => source.destroy())
  }

  /** Resolves when the server's output has ended and the client has all of it, or wants no more. */
  #giveOutput(stdout: Readable, witness: Witness): Promise<void> {
    const sink = process.stdout
    let unwritten = 0
    let last_ms = 0
    let watch: NodeJS.Timeout | undefined
    return new Promise((resolve) => {
      let isOver = false
      const check = (): void => {
        if (!isOver || unwritten > 0) return
        clearInterval(watch)
        resolve()
      }
      // Whoever was started by the server may hold its output open. We stay with it as a client would, until we are to end.
      void this.#ended.then(() => {
        last_ms = performance.now()
        watch = setInterval(() => {
          isOver ||= this.#isLeaving && unwritten === 0 && performance.now() - last_ms > QUIET_MS
          check()
        }, QUIET_MS / 5)
      })
      const written = (): void => {
        unwritten--
        check()
      }
      stdout.on('data', (chunk: Buffer) => {
        witness.fromServer(chunk)
        unwritten++
        last_ms = performance.now()
        if (!sink.write(chunk, written)) stdout.pause()
      })
      sink.on('drain', () => stdout.resume())
      stdout.once('close', () => {
        isOver = true
        check()
      })
      // The client reads no more: the server is to learn it as from the client itself.
      sink.on('error', () => {
        witness.clientGone()
        stdout.destroy()
      })
    })
  }

  /** Ends this process as the server has ended. */
  exit({ code, signal }: Ended): never {
    if (signal === null) process.exit(code ?? 1)
    for (const name of PASSED_ON) process.removeListener(name, this.#passOn)
    // Whoever waits for us sees the same signal, but for those that Node takes for itself: it ignores the one, the other would
    // open its debugger.
    if (signal !== 'SIGPIPE' && signal !== 'SIGUSR1') {
      process.kill(process.pid, signal)
      // It may reach another thread first, and an exit must not be faster.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RAISE_MAX_MS)
    }
    // What did not end us becomes the number that a shell would give.
    process.exit(SIGNAL_BASE + constants.signals[signal])
  }
}

function cannotStart(file: string, { code, message }: NodeJS.ErrnoException): CliError {
  if (code === 'ENOENT')
    return new CliError(
      `the command ${file} is not found; check the word after --, or write its full path`,
      '',
      NOT_FOUND,
    )
  if (code === 'EACCES')
    return new CliError(
      `the command ${file} may not be run; make it executable, or name its interpreter`,
      '',
      NOT_RUNNABLE,
    )
  return new CliError(
    `the command ${file} cannot be started: ${message}; check the words after --`,
    '',
    NOT_RUNNABLE,
  )
}
