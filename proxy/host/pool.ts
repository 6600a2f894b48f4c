/**
 * The child processes of one server: how many there may be, who must wait after crashes, who is ended when idle.
 * Knows nothing of eras. Invariant: never more than `processes_max` processes of the server exist at a time.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Channel, ChannelEnd } from './channel.ts'
import { describeFailure } from './open-channel.ts'
import type { HostedServer } from './options.ts'
import { Refusal, type RefusalDetail } from './refusal.ts'

/** A child and what uses it. */
export interface Resident {
  readonly child: Channel
  /** Whether it is only tried out: its death then says nothing about the server. */
  readonly isTrial: boolean
  /** Since when nobody uses it, null while someone does. */
  idleSince(): number | null
  /** Whether someone waits for an answer. */
  isBusy(): boolean
  /** Whether it was not heard of yet. */
  isStarting(): boolean
  callsOpen(): number
  /** Ends it because nobody uses it (any more). */
  retire(): void
}

/** A death before this age counts as a failed start. */
const YOUNG_MS = 10_000
const BACKOFF_MIN_MS = 250
const BACKOFF_MAX_MS = 30_000
const BUSY_RETRY_MS = 1000
const BUSY_POLL_MS = 20
const FAILURES_REMEMBERED_MAX = 1000

type Failures = { count: number; until_ms: number; end: ChannelEnd }

export type PoolCounters = { started: number; restarts: number; spawn_failures: number; crashes: number }

export class Pool {
  readonly counters: PoolCounters = { started: 0, restarts: 0, spawn_failures: 0, crashes: 0 }
  config: HostedServer
  readonly #residents = new Set<Resident>()
  // By principal: a caller who makes servers crash must not lock others out.
  readonly #failures = new Map<string, Failures>()
  readonly #random: () => number
  #is_closed = false

  constructor(config: HostedServer, random: () => number = Math.random) {
    this.config = config
    this.#random = random
  }

  get residents(): ReadonlySet<Resident> {
    return this.#residents
  }

  /** Why the server cannot be used now: its last start failed and nothing of it runs. '' when nothing speaks against it. */
  failing(): string {
    const last = [...this.#failures.values()].at(-1)
    if (!last || [...this.#residents].some((r) => !r.isStarting() && !r.child.isEnding)) return ''
    const { error, exit_code, signal, memory } = last.end
    if (memory)
      return `held ${memory.bytes} bytes of memory, more than its memory_max_bytes of ${memory.max_bytes}`
    return error === null
      ? exit_code === null && signal === null
        ? 'its connection ended soon after it stood'
        : `ended with ${signal ?? `code ${exit_code}`} soon after its start`
      : spawnFailed(this.config, error).message
  }

  /** Makes a child as soon as there is room. Throws a Refusal when there will be none soon. */
  async spawn<R extends Resident>(principal: string, make: () => R): Promise<R> {
    this.#checkBackoff(principal)
    this.#checkOpen()
    while (this.#residents.size >= this.config.processes_max) {
      const leaving = this.#leaving()
      if (leaving === null)
        throw new Refusal(
          503,
          'processes_max',
          `all ${this.config.processes_max} processes of the server are in use`,
          {
            retry_after_ms: BUSY_RETRY_MS,
          },
        )
      await leaving.child.exited
      this.#checkOpen()
    }
    // No await between the check above and here: the cap holds.
    const resident = this.#make(make)
    this.#residents.add(resident)
    this.counters.started++
    if (this.#failures.has(principal)) this.counters.restarts++
    void resident.child.exited.then((end) => {
      this.#residents.delete(resident)
      if (!end.asked && (end.error !== null || !resident.isTrial)) this.#remember(principal, end)
    })
    return resident
  }

  /** The process groups of its children, by id. */
  *groups(): Iterable<[number, Channel]> {
    for (const { child } of this.#residents)
      if (child.pid !== undefined && !child.isEnding) yield [child.pid, child]
  }

  /** Ends what was not used for the configured time. */
  sweep(now_ms: number): void {
    for (const resident of this.#residents) {
      const idle_since = resident.idleSince()
      if (idle_since !== null && now_ms - idle_since >= this.config.idle_timeout_ms) resident.retire()
    }
    for (const [principal, failures] of this.#failures)
      if (now_ms - failures.until_ms > BACKOFF_MAX_MS) this.#failures.delete(principal)
  }

  /** Takes no new children, and ends every child once nobody waits for an answer of it, at the latest after `wait_ms`. */
  async end(wait_ms: number): Promise<void> {
    this.#is_closed = true
    const until_ms = Date.now() + wait_ms
    const endOne = async (resident: Resident): Promise<void> => {
      while (resident.isBusy() && !resident.child.isEnding && Date.now() < until_ms) await delay(BUSY_POLL_MS)
      await resident.child.end()
    }
    await Promise.all([...this.#residents].map(endOne))
  }

  #checkOpen(): void {
    if (this.#is_closed)
      throw new Refusal(503, 'server_removed', 'the server was changed or removed', {
        retry_after_ms: BUSY_RETRY_MS,
      })
  }

  /** Most failures to spawn arrive later; some are thrown at once. */
  #make<R extends Resident>(make: () => R): R {
    try {
      return make()
    } catch (error) {
      this.counters.spawn_failures++
      throw spawnFailed(this.config, (error as NodeJS.ErrnoException).code ?? 'UNKNOWN')
    }
  }

  #checkBackoff(principal: string): void {
    const failures = this.#failures.get(principal)
    if (!failures) return
    const wait_ms = failures.until_ms - Date.now()
    if (wait_ms <= 0) return
    const { exit_code, signal, error, memory } = failures.end
    const detail = { retry_after_ms: Math.ceil(wait_ms), failures: failures.count }
    if (error !== null) throw spawnFailed(this.config, error, detail)
    if (memory) throw memoryRestart(memory, detail)
    throw new Refusal(
      503,
      'restarting',
      'the server ended soon after its start; it is started again after a pause',
      {
        ...detail,
        exit_code,
        signal,
      },
    )
  }

  #remember(principal: string, end: ChannelEnd): void {
    if (end.error !== null) this.counters.spawn_failures++
    else this.counters.crashes++
    // One that grew too large will grow again, however long that takes.
    if (end.lived_ms >= YOUNG_MS && end.memory === undefined) return
    const count = (this.#failures.get(principal)?.count ?? 0) + 1
    const pause_ms = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** (count - 1)) * (0.5 + this.#random() / 2)
    // Never pile up: the oldest entries go first, at worst someone may try a little earlier.
    if (this.#failures.size >= FAILURES_REMEMBERED_MAX)
      this.#failures.delete(this.#failures.keys().next().value ?? '')
    this.#failures.set(principal, { count, until_ms: Date.now() + pause_ms, end })
  }

  /** A child that is about to make room: one that is ending, or else the one unused for longest, which is ended now. */
  #leaving(): Resident | null {
    let oldest: Resident | null = null
    let oldest_ms = Number.POSITIVE_INFINITY
    for (const resident of this.#residents) {
      if (resident.child.isEnding) return resident
      const idle_since = resident.idleSince()
      if (idle_since === null || idle_since >= oldest_ms) continue
      oldest = resident
      oldest_ms = idle_since
    }
    oldest?.retire()
    return oldest
  }
}

const memoryRestart = (memory: NonNullable<ChannelEnd['memory']>, detail: RefusalDetail): Refusal =>
  new Refusal(
    503,
    'restarting',
    'the server held more memory than memory_max_bytes; it is started again after a pause',
    { ...detail, memory_bytes: memory.bytes, memory_max_bytes: memory.max_bytes },
  )

/** The server could not be started or reached. */
export function spawnFailed(config: HostedServer, error: string, detail: RefusalDetail = {}): Refusal {
  const reason = config.command === undefined ? 'connect_failed' : 'spawn_failed'
  return new Refusal(502, reason, describeFailure(config, error), { error, ...detail })
}
