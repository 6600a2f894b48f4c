/**
 * Which batches the store has. De-duplication tokens cover the last ten thousand blocks; the ledger covers the rest, and holds
 * the one decision about a batch that must never change: which of its rows the store could not read.
 */
import { compactLines, type Store } from './store.ts'

/** `complete`: everything is stored. Otherwise only `refused` has been decided so far. */
export type LedgerEntry = { complete: boolean; rows: number; dead: number; refused: number[] }

export type LedgerRow = {
  instance: string
  rows: number
  intents: number
  dead: number
  refused: readonly number[]
  bytes: number
  first_ts: number
  last_ts: number
  attempt: number
}

const COLUMNS = [
  'worker_id',
  'seq',
  'complete',
  'instance',
  'rows',
  'intents',
  'dead',
  'refused',
  'bytes',
  'first_ts',
  'last_ts',
  'attempt',
]
const split = (batch_id: string): [worker_id: string, seq: number] => [
  batch_id.slice(0, 16),
  Number(batch_id.slice(17)),
]

export async function findBatch(store: Store, batch_id: string): Promise<LedgerEntry | null> {
  const [worker_id, seq] = split(batch_id)
  const [row] = await store.rows<{ complete: number; rows: number; dead: number; refused: number[] }>(
    `SELECT toUInt8(complete) AS complete, rows, dead, refused FROM ${store.database}.ingest_batches
     WHERE worker_id = {worker_id:String} AND seq = {seq:UInt32} ORDER BY complete DESC LIMIT 1`,
    { worker_id, seq },
  )
  return row ? { complete: row.complete === 1, rows: row.rows, dead: row.dead, refused: row.refused } : null
}

/** Writes what is known about a batch. `complete` last, when all its rows are stored. */
export async function recordBatch(
  store: Store,
  batch_id: string,
  complete: boolean,
  row: LedgerRow,
): Promise<void> {
  const [worker_id, seq] = split(batch_id)
  const values = [
    worker_id,
    seq,
    complete ? 1 : 0,
    row.instance,
    row.rows,
    row.intents,
    row.dead,
    row.refused,
    row.bytes,
    row.first_ts,
    row.last_ts,
    Math.min(row.attempt, 65_535),
  ]
  await store.insert(
    'ingest_batches',
    COLUMNS,
    compactLines([values]),
    `${batch_id}:ledger:${complete ? 'done' : 'refused'}`,
  )
}
