/**
 * A lock in the store for changes of the schema, made of what makes inserts exactly-once: of all inserts under one token the
 * store keeps the first. Whoever finds its own name in the row of an epoch holds that epoch.
 * A holder that died loses the lock when its lease ends, by the store's clock. Statements of migrations are safe to run
 * twice all the same: the lock saves work and noise, correctness does not hang on it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { compactLines, type Store } from '../sink/store.ts'

const LEASE_MS = 60_000
const COLUMNS = ['epoch', 'freed', 'owner', 'until']

export const lockTable = (database: string): string => `CREATE TABLE IF NOT EXISTS ${database}.schema_lock (
  epoch UInt64, freed UInt8, owner String, until DateTime64(3, 'UTC')
) ENGINE = MergeTree ORDER BY (epoch, freed) SETTINGS non_replicated_deduplication_window = 10000`

type State = { epoch: number; owner: string; held: boolean; now_ms: number }

/** The newest epoch. Rows are never deleted: an epoch's token must stay used for ever. */
async function state(store: Store): Promise<State> {
  const [row] = await store.rows<{ epoch: string; owner: string; held: number; now_ms: string }>(
    `SELECT toString(max(l.epoch)) AS epoch, argMaxIf(l.owner, l.epoch, l.freed = 0) AS owner,
       toUInt8(count() > 0 AND maxIf(l.epoch, l.freed = 0) > maxIf(l.epoch, l.freed = 1) AND argMaxIf(l.until, l.epoch, l.freed = 0) > now64(3)) AS held,
       toString(toUnixTimestamp64Milli(now64(3))) AS now_ms
     FROM ${store.database}.schema_lock AS l`,
  )
  if (!row) throw new Error('the store gave no answer about its schema lock')
  return { epoch: Number(row.epoch), owner: row.owner, held: row.held === 1, now_ms: Number(row.now_ms) }
}

const write = (store: Store, epoch: number, freed: 0 | 1, owner: string, until_ms: number): Promise<void> =>
  store.insert(
    'schema_lock',
    COLUMNS,
    compactLines([[epoch, freed, owner, until_ms]]),
    `${freed ? 'free' : 'take'}:${epoch}`,
  )

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
    await write(store, epoch, 0, owner, before.now_ms + LEASE_MS)
    const after = await state(store)
    if (after.epoch !== epoch || after.owner !== owner) continue
    try {
      return await work(epoch)
    } finally {
      await write(store, epoch, 1, owner, 0).catch(() => {})
    }
  }
}
