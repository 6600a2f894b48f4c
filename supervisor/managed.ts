/**
 * One child process under supervision: started, watched by heartbeat, killed when it freezes, started again when it dies.
 * Exit codes are not trusted: a crashed engine can hang for minutes, so silence counts as death.
 */
import type { ChildProcess } from 'node:child_process'
import type { Log } from '../event/log.ts'
import type { FromChild, ToChild } from './link.ts'

const BEAT_MS = 2_000
const MISSES_MAX = 3
const RESTART_MIN_MS = 100
const RESTART_MAX_MS = 5_000
const RESTART_READY_MAX_MS = 1_000
const STABLE_MS = 10_000
const START_MAX_MS = 60_000

export type ManagedHooks = {
  name: string
  fork(): ChildProcess
  /** Made anew for every start. */
  options(): unknown
  onReady?(address: string): void
  onGone?(): void
  onTell?(topic: string, argument: unknown): void
  /** Answers a question of the child. */
  answer?(question: string, argument: unknown): Promise<unknown>
  onRestart?(): void
  log: Log
}

type Waiting = { resolve: (value: unknown) => void; reject: (error: Error) => void; timer: NodeJS.Timeout }

/** The child keeps its old options, and says why. */
class Refusal extends Error {}

export class Managed {
  readonly #hooks: ManagedHooks
  #child: ChildProcess | null = null
  #nextId = 1
  readonly #waiting = new Map<number, Waiting>()
  #beat: NodeJS.Timeout | null = null
  #misses = 0
  #deaths = 0
  #started_ms = 0
  #isStopping = false
  #first: { resolve: (address: string) => void; reject: (error: Error) => void } | null = null
  #lastFailure = ''
  isReady = false
  /** When the last heartbeat came back. */
  beat_ms = 0

  constructor(hooks: ManagedHooks) {
    this.#hooks = hooks
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Starts the child; resolves with its address when it is ready the first time, rejects when that start fails. */
  start(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#first = { resolve, reject }
      this.#spawn()
    })
  }

  #spawn(): void {
    const { name, fork, options, log } = this.#hooks
    let child: ChildProcess
    try {
      child = fork()
    } catch (error) {
      // No memory or no descriptors for a process now: as if it had died at once.
      return this.#exited(null, null, (error as Error).message)
    }
    this.#child = child
    this.#started_ms = Date.now()
    this.#misses = 0
    this.#lastFailure = ''
    child.on('message', (message: FromChild) => this.#message(message))
    child.on('error', (error) => {
      log.error(`${name}: ${error.message}`)
      // It never came to life, so there will be no exit.
      if (child.pid === undefined) this.#exited(child, null, error.message)
    })
    child.once('exit', (code, signal) => this.#exited(child, code, signal))
    this.#send({ type: 'start', options: options() })
    this.#beat = setInterval(() => this.#heartbeat(), BEAT_MS).unref()
  }

  #send(message: ToChild): void {
    const child = this.#child
    if (child?.connected) child.send(message, undefined, {}, () => {})
  }

  #message(message: FromChild): void {
    switch (message.type) {
      case 'ready':
        this.isReady = true
        this.beat_ms = Date.now()
        this.#hooks.onReady?.(message.address)
        this.#first?.resolve(message.address)
        this.#first = null
        break
      case 'failed':
        this.#lastFailure = message.error
        break
      case 'pong':
        this.#misses = 0
        this.beat_ms = Date.now()
        break
      case 'tell':
        this.#hooks.onTell?.(message.topic, message.argument)
        break
      case 'ask':
        Promise.resolve(this.#hooks.answer?.(message.question, message.argument)).then(
          (answer) => this.#reply(message.id, { answer }),
          (error: Error) => this.#reply(message.id, { error: error.message }),
        )
        break
      case 'reloaded':
        this.#settle(message.id, message.error === undefined ? null : new Refusal(message.error))
        break
      case 'answer':
        this.#settle(
          message.id,
          message.error === undefined ? null : new Error(message.error),
          message.answer,
        )
        break
    }
  }

  #reply(id: number, reply: { answer?: unknown; error?: string }): void {
    if (this.#child?.connected) this.#child.send({ type: 'answer', id, ...reply }, undefined, {}, () => {})
  }

  #settle(id: number, error: Error | null, answer?: unknown): void {
    const waiting = this.#waiting.get(id)
    if (!waiting) return
    this.#waiting.delete(id)
    clearTimeout(waiting.timer)
    if (error) waiting.reject(error)
    else waiting.resolve(answer)
  }

  #heartbeat(): void {
    const { name, log } = this.#hooks
    if (!this.isReady) {
      if (Date.now() - this.#started_ms > START_MAX_MS) {
        log.error(`${name} did not start within ${START_MAX_MS} ms and is ended`)
        this.#child?.kill('SIGKILL')
      }
      return
    }
    if (this.#misses >= MISSES_MAX) {
      log.error(`${name} is frozen: ${MISSES_MAX} heartbeats missed; ended and started again`)
      this.#child?.kill('SIGKILL')
      return
    }
    this.#misses++
    this.#send({ type: 'ping', id: this.#nextId++ })
  }

  #exited(child: ChildProcess | null, code: number | null, signal: string | null): void {
    if (child !== this.#child) return
    const { name, log } = this.#hooks
    if (this.#beat) clearInterval(this.#beat)
    const wasReady = this.isReady
    this.isReady = false
    this.#child = null
    for (const id of this.#waiting.keys()) this.#settle(id, new Error(`${name} is gone`))
    this.#hooks.onGone?.()
    if (this.#isStopping) return
    if (!wasReady && this.#first) {
      this.#first.reject(
        new Error(this.#lastFailure || `${name} ended with ${signal ?? `code ${code}`} before it was ready`),
      )
      this.#first = null
      return
    }
    this.#deaths = Date.now() - this.#started_ms > STABLE_MS ? 0 : this.#deaths + 1
    // One that came up before will do so again: callers wait for it.
    const max_ms = wasReady ? RESTART_READY_MAX_MS : RESTART_MAX_MS
    const wait_ms = Math.min(max_ms, RESTART_MIN_MS * 2 ** this.#deaths)
    log.warn(
      `${name} ended with ${signal ?? `code ${code}`}; starts again in ${wait_ms} ms`,
      this.#lastFailure ? { reason: this.#lastFailure } : undefined,
    )
    this.#hooks.onRestart?.()
    setTimeout(() => {
      if (!this.#isStopping) this.#spawn()
    }, wait_ms)
  }

  /** Asks the child something. Rejects when it is gone or silent. */
  ask(question: string, argument?: unknown, timeout_ms = 2_000): Promise<unknown> {
    return this.#request((id) => ({ type: 'ask', id, question, argument }), timeout_ms)
  }

  /**
   * Hands over new options; rejects with the child's reason when it keeps the old ones. No answer is no refusal: a child
   * that ended starts again with the newest options, a slow one reads them next, a frozen one is ended.
   */
  async reload(options: unknown): Promise<void> {
    try {
      await this.#request((id) => ({ type: 'reload', id, options }), 10_000)
    } catch (error) {
      if (error instanceof Refusal) throw error
    }
  }

  #request(message: (id: number) => ToChild, timeout_ms: number): Promise<unknown> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      if (!this.isReady) return reject(new Error(`${this.#hooks.name} is not running`))
      const timer = setTimeout(
        () => this.#settle(id, new Error(`${this.#hooks.name} did not answer within ${timeout_ms} ms`)),
        timeout_ms,
      )
      this.#waiting.set(id, { resolve, reject, timer })
      this.#send(message(id))
    })
  }

  /** From now on an end is expected: the child is not started again. */
  expectEnd(): void {
    this.#isStopping = true
  }

  /** Lets the child finish and end; kills it after `timeout_ms`. */
  async stop(timeout_ms: number): Promise<void> {
    this.#isStopping = true
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), timeout_ms)
      child.once('exit', () => {
        clearTimeout(timer)
        resolve()
      })
      this.#send({ type: 'drain' })
    })
  }
}

/** Asks several; true as soon as one says so, false when none does. */
export function anySays(asked: readonly Managed[], question: string, argument: unknown): Promise<boolean> {
  const answers = asked.map(async (child) => {
    if ((await child.ask(question, argument)) !== true) throw new Error('not here')
  })
  return Promise.any(answers).then(
    () => true,
    () => false,
  )
}
