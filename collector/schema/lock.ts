/**
 * A lock in the store for changes of the schema, made of what makes inserts exactly-once: of all inserts under one token the
 * store keeps the first. Whoever finds its own name in the row of an epoch holds that epoch.
 * A holder that died loses the lock when its lease ends, by the store's clock. Statements of migrations are safe to run
 * twice all the same: the lock saves work and noise, correctness does not hang on it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { compactLines, type Store } from '../sink/store.ts'

/** Which lock, and its pace. A holder at work prolongs its lease every `renew_ms`: only one that died leaves the others waiting. */
export type LockKind = { table: string; lease_ms: number; renew_ms: number; poll_ms: number }
const SCHEMA_LOCK: LockKind = { table: 'schema_lock', lease_ms: 10_000, renew_ms: 3_000, poll_ms: 150 }
const COLUMNS = ['epoch', 'freed', 'owner', 'until']

export const lockTable = (database: string): string => `CREATE TABLE IF NOT EXISTS ${database}.schema_lock (
  epoch UInt64, freed UInt8, owner String, until DateTime64(3, 'UTC')
) ENGINE = MergeTree ORDER BY (epoch, freed) SETTINGS non_replicated_deduplication_window = 10000`

type State = { epoch: number; owner: string; held: boolean; now_ms: number }

/** The newest epoch. Rows are never deleted: an epoch's token must stay used for ever. */
async function state(store: Store, { table }: LockKind): Promise<State> {
  const [row] = await store.rows<{ epoch: string; owner: string; held: number; now_ms: string }>(
    `SELECT toString(max(l.epoch)) AS epoch, argMaxIf(l.owner, l.epoch, l.freed = 0) AS owner,
       toUInt8(count() > 0 AND maxIf(l.epoch, l.freed = 0) > maxIf(l.epoch, l.freed = 1) AND argMaxIf(l.until, (l.epoch, l.until), l.freed = 0) > now64(3)) AS held,
       toString(toUnixTimestamp64Milli(now64(3))) AS now_ms
     FROM ${store.database}.${table} AS l`,
  )
  if (!row) throw new Error(`the store gave no answer about ${table}`)
  return { epoch: Number(row.epoch), owner: row.owner, held: row.held === 1, now_ms: Number(row.now_ms) }
}

const write = (
  store: Store,
  { table }: LockKind,
  what: 'take' | 'renew' | 'free',
  epoch: number,
  owner: string,
  until_ms: number,
): Promise<void> =>
  store.insert(
    table,
    COLUMNS,
    compactLines([[epoch, what === 'free' ? 1 : 0, owner, until_ms]]),
    what === 'renew' ? `renew:${epoch}:${until_ms}` : `${what}:${epoch}`,
  )

/** Prolongs the lease of an epoch until it is told to stop. The clock is the store's, read once, and our own steps on it. */
function keepLease(store: Store, kind: LockKind, epoch: number, owner: string, now_ms: number): () => void {
  const offset_ms = now_ms - performance.now()
  const timer = setInterval(() => {
    const until_ms = Math.round(offset_ms + performance.now()) + kind.lease_ms
    // One that fails leaves the lease as it is: the next may succeed in time, and no lease is no harm.
    write(store, kind, 'renew', epoch, owner, until_ms).catch(() => {})
  }, kind.renew_ms)
  return () => clearInterval(timer)
}

/** Whether `epoch` is still the newest and its lease runs: false once another has taken over. */
export async function isHeld(store: Store, kind: LockKind, epoch: number): Promise<boolean> {
  const now = await state(store, kind)
  return now.epoch === epoch && now.held
}

/**
 * Runs `work` while no other collector does. `owner` must be unique to this call. `work` gets the epoch: it only grows.
 * Rejects when `signal` ends the wait for the lock.
 */
export async function withLock<T>(
  store: Store,
  owner: string,
  work: (epoch: number) => Promise<T>,
  kind: LockKind = SCHEMA_LOCK,
  signal?: AbortSignal,
): Promise<T> {
  for (;;) {
    const before = await state(store, kind)
    if (before.held) {
      await sleep(kind.poll_ms * (0.75 + Math.random() / 2), undefined, signal ? { signal } : {})
      continue
    }
    const epoch = before.epoch + 1
    await write(store, kind, 'take', epoch, owner, before.now_ms + kind.lease_ms)
    const after = await state(store, kind)
    if (after.epoch !== epoch || after.owner !== owner) continue
    const stop = keepLease(store, kind, epoch, owner, after.now_ms)
    try {
      return await work(epoch)
    } finally {
      stop()
      await write(store, kind, 'free', epoch, owner, 0).catch(() => {})
    }
  }
}
