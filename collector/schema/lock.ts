/**
 * A lock in the store for changes of the schema, made of what makes inserts exactly-once: of all inserts under one token the
 * store keeps the first. Whoever finds its own name in the row of an epoch holds that epoch.
 * A holder that died loses the lock when its lease ends, by the store's clock. Statements of migrations are safe to run
 * twice all the same: the lock saves work and noise, correctness does not hang on it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { compactLines, type Store } from '../sink/store.ts'

const LEASE_MS = 10_000
/** A holder at work prolongs its lease this often: only one that died leaves the others waiting, and not for long. */
const RENEW_MS = 3_000
const COLUMNS = ['epoch', 'freed', 'owner', 'until']

export const lockTable = (database: string): string => `CREATE TABLE IF NOT EXISTS ${database}.schema_lock (
  epoch UInt64, freed UInt8, owner String, until DateTime64(3, 'UTC')
) ENGINE = MergeTree ORDER BY (epoch, freed) SETTINGS non_replicated_deduplication_window = 10000`

type State = { epoch: number; owner: string; held: boolean; now_ms: number }

/** The newest epoch. Rows are never deleted: an epoch's token must stay used for ever. */
async function state(store: Store): Promise<State> {
  const [row] = await store.rows<{ epoch: string; owner: string; held: number; now_ms: string }>(
    `SELECT toString(max(l.epoch)) AS epoch, argMaxIf(l.owner, l.epoch, l.freed = 0) AS owner,
       toUInt8(count() > 0 AND maxIf(l.epoch, l.freed = 0) > maxIf(l.epoch, l.freed = 1) AND argMaxIf(l.until, (l.epoch, l.until), l.freed = 0) > now64(3)) AS held,
       toString(toUnixTimestamp64Milli(now64(3))) AS now_ms
     FROM ${store.database}.schema_lock AS l`,
  )
  if (!row) throw new Error('the store gave no answer about its schema lock')
  return { epoch: Number(row.epoch), owner: row.owner, held: row.held === 1, now_ms: Number(row.now_ms) }
}

const write = (
  store: Store,
  what: 'take' | 'renew' | 'free',
  epoch: number,
  owner: string,
  until_ms: number,
): Promise<void> =>
  store.insert(
    'schema_lock',
    COLUMNS,
    compactLines([[epoch, what === 'free' ? 1 : 0, owner, until_ms]]),
    what === 'renew' ? `renew:${epoch}:${until_ms}` : `${what}:${epoch}`,
  )

/** Prolongs the lease of an epoch until it is told to stop. The clock is the store's, read once, and our own steps on it. */
function keepLease(store: Store, epoch: number, owner: string, now_ms: number): () => void {
  const offset_ms = now_ms - performance.now()
  const timer = setInterval(() => {
    const until_ms = Math.round(offset_ms + performance.now()) + LEASE_MS
    // One that fails leaves the lease as it is: the next may succeed in time, and no lease is no harm.
    write(store, 'renew', epoch, owner, until_ms).catch(() => {})
  }, RENEW_MS)
  return () => clearInterval(timer)
}

/** Runs `work` while no other collector does. `owner` must be unique to this call. `work` gets the epoch: it only grows. */
export async function withLock<T>(
  store: Store,
  owner: string,
  work: (epoch: number) => Promise<T>,
): Promise<T> {
  for (;;) {
    const before = await state(store)
    if (before.held) {
      await sleep(100 + Math.random() * 100)
      continue
    }
    const epoch = before.epoch + 1
    await write(store, 'take', epoch, owner, before.now_ms + LEASE_MS)
    const after = await state(store)
    if (after.epoch !== epoch || after.owner !== owner) continue
    const stop = keepLease(store, epoch, owner, after.now_ms)
    try {
      return await work(epoch)
    } finally {
      stop()
      await write(store, 'free', epoch, owner, 0).catch(() => {})
    }
  }
}
