/**
 * Runs what has to be done again and again: detectors, alerts, budgets, baselines. Of all collectors on one database one does
 * it at a time (a lease in the store); the others wait for it to end. A job knows nothing of leases, processes or the others.
 * Invariant: a job never runs twice at once, and a job that fails or takes long harms no other and no intake.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Log, reasonOf } from '../log.ts'
import { isHeld, type LockKind, withLock } from '../schema/lock.ts'
import { type Store, StoreError } from '../sink/store.ts'

/** One thing to do. `every_ms` counts from start to start; a run that takes longer lets the missed ones go. */
export type Job = {
  readonly name: string
  readonly every_ms: number
  /**
   * `now_ms` is the wall clock at the start of the run; `epoch` the lease it runs under. What it writes must be safe to
   * write twice: the lease ends by time, and a holder that was frozen may still finish its run. Rejects: tried again next time.
   */
  run(now_ms: number, epoch: number): Promise<void>
}

export type WatchParts = {
  store: Store
  /** Whether the schema is in place. */
  isReady(): boolean
  jobs: readonly Job[]
  log: Log
  /** Told after every run: seconds it took, and whether it succeeded. */
  onRun(job: string, seconds: number, ok: boolean): void
  now_ms?: () => number
}

export type Watch = { stop(): Promise<void> }

const LEASE: LockKind = { table: 'watch_lock', lease_ms: 30_000, renew_ms: 10_000, poll_ms: 5_000 }
const READY_POLL_MS = 250
const RETRY_MS = 5_000
const CHECK_MS = 10_000

/** Begins once the schema is in place and the lease is free. */
export function openWatch(parts: WatchParts): Watch {
  const { store, log } = parts
  const abort = new AbortController()
  const { signal } = abort
  const pause = (ms: number): Promise<void> => sleep(ms, undefined, { signal })
  const loop = async (): Promise<void> => {
    while (!parts.isReady()) await pause(READY_POLL_MS)
    while (!signal.aborted) {
      try {
        await withLock(store, randomUUID(), (epoch) => hold(parts, epoch, signal), LEASE, signal)
      } catch (error) {
        if (signal.aborted) return
        log(error instanceof StoreError ? 'warn' : 'error', 'watch waits for the store', {
          reason: reasonOf(error),
        })
        await pause(RETRY_MS)
      }
    }
  }
  const done = loop().catch(() => {})
  return {
    async stop() {
      abort.abort()
      await done
    },
  }
}

/** Runs the jobs until told to stop or the lease is another's. */
async function hold(parts: WatchParts, epoch: number, outer: AbortSignal): Promise<void> {
  const lost = new AbortController()
  const signal = AbortSignal.any([outer, lost.signal])
  parts.log('info', 'watch began', { jobs: parts.jobs.map((job) => job.name) })
  const running = parts.jobs.map((job) => repeat(parts, job, epoch, signal))
  const guard = async (): Promise<void> => {
    for (;;) {
      await sleep(CHECK_MS, undefined, { signal })
      // No answer says nothing: the lease ends by itself, and what the jobs write is safe to write twice.
      const held = await isHeld(parts.store, LEASE, epoch).catch(() => true)
      if (!held) return lost.abort()
    }
  }
  await Promise.all([...running, guard().catch(() => {})])
}

async function repeat(parts: WatchParts, job: Job, epoch: number, signal: AbortSignal): Promise<void> {
  const clock = parts.now_ms ?? Date.now
  while (!signal.aborted) {
    const started = performance.now()
    let ok = true
    try {
      await job.run(clock(), epoch)
    } catch (error) {
      ok = false
      parts.log(error instanceof StoreError ? 'warn' : 'error', 'a job of the watch failed', {
        job: job.name,
        reason: reasonOf(error),
      })
    }
    const took_ms = performance.now() - started
    parts.onRun(job.name, took_ms / 1000, ok)
    const wait_ms = Math.max(0, job.every_ms - took_ms)
    await sleep(wait_ms, undefined, { signal }).catch(() => {})
  }
}
