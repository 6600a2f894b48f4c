/**
 * One batch into the store, exactly once. Every table gets its rows under a token made of the batch id, so each step may be
 * repeated by anyone at any time: after a crash between two steps, or by two collectors at once. The ledger row comes last.
 *
 * A row the store cannot read becomes a dead letter. A refused insert has written nothing (the batch is read as a whole
 * before anything is written), so the remaining rows still go under the batch's own token; which rows were left out is
 * decided once and kept in the ledger, lest a later attempt decide otherwise.
 */
import { DEFINITION_COLUMNS, LISTED_COLUMNS } from '../intake/catalogue.ts'
import type { BatchRows, DeadLetter } from '../intake/lines.ts'
import { INTENT_COLUMNS, PAYLOAD_COLUMNS } from '../intake/row.ts'
import { COLUMN_NAMES } from '../schema/columns.ts'
import { type LedgerEntry, type LedgerRow, recordBatch } from './ledger.ts'
import { findPoison } from './poison.ts'
import { compactLines, type Store, StoreError } from './store.ts'

export type Batch = {
  readonly id: string
  readonly instance: string
  readonly attempt: number
  readonly bytes: number
  readonly rows: BatchRows
}
export type Written = { rows: number; dead: number; refused: readonly number[] }

const CALL_COLUMNS = [...COLUMN_NAMES, 'batch_id']
const DEAD_COLUMNS = ['batch_id', 'row_no', 'instance', 'reason', 'error', 'body']
const toBuffer = (lines: readonly string[]): Buffer => Buffer.from(`${lines.join('\n')}\n`)

/** Resolves when the store has everything of the batch. `known` is what the ledger said. Throws StoreError. */
export async function writeBatch(store: Store, batch: Batch, known: LedgerEntry | null): Promise<Written> {
  const { id, rows } = batch
  let refused = known?.refused ?? []
  if (rows.calls.length > refused.length) {
    try {
      await store.insert('calls', CALL_COLUMNS, toBuffer(kept(rows, refused)), id)
    } catch (error) {
      if (!(error instanceof StoreError && error.kind === 'content') || known?.refused.length)
        throw asRetry(error)
      refused = await decide(store, batch, error)
      if (rows.calls.length > refused.length)
        await store.insert('calls', CALL_COLUMNS, toBuffer(kept(rows, refused)), id)
    }
  }
  if (rows.payloads.length)
    await store.insert('call_payloads', PAYLOAD_COLUMNS, toBuffer(rows.payloads), `${id}:payloads`)
  if (rows.intents.length)
    await store.insert('call_intents', INTENT_COLUMNS, toBuffer(rows.intents), `${id}:intents`)
  if (rows.definitions.length)
    await store.insert(
      'tool_definitions',
      DEFINITION_COLUMNS,
      toBuffer(rows.definitions),
      `${id}:definitions`,
    )
  if (rows.listed.length)
    await store.insert('tool_lists', LISTED_COLUMNS, toBuffer(rows.listed), `${id}:listed`)
  if (rows.dead.length) await writeDead(store, batch, rows.dead, `${id}:dead`)
  const written = {
    rows: rows.calls.length - refused.length,
    dead: rows.dead.length + refused.length,
    refused,
  }
  await recordBatch(store, id, true, ledgerRow(batch, written))
  return written
}

const kept = (rows: BatchRows, refused: readonly number[]): readonly string[] =>
  refused.length === 0 ? rows.calls : rows.calls.filter((_, i) => !refused.includes(rows.callRows[i]!))

const ledgerRow = ({ rows, ...batch }: Batch, written: Written): LedgerRow => ({
  instance: batch.instance,
  rows: written.rows,
  intents: rows.intents.length,
  dead: written.dead,
  refused: written.refused,
  bytes: batch.bytes,
  first_ts: rows.first_ts,
  last_ts: rows.last_ts,
  attempt: batch.attempt,
})

/** Which rows cannot be stored: their dead letters first, then the decision, so that no crash in between loses a row. */
async function decide(store: Store, batch: Batch, cause: StoreError): Promise<number[]> {
  const { id, rows } = batch
  const poison = await findPoison(store, rows.calls)
  // The table refuses what its column types accept, or refuses nearly everything: no row may pay for that.
  if (poison.length === 0) throw asRetry(cause)
  const refused = poison.map(({ index }) => rows.callRows[index]!)
  const errors = new Map(poison.map(({ index, error }) => [rows.callRows[index]!, error]))
  await writeDead(
    store,
    batch,
    deadOf(rows, refused, (row_no) => errors.get(row_no)!),
    `${id}:refused`,
  )
  const written = {
    rows: rows.calls.length - refused.length,
    dead: rows.dead.length + refused.length,
    refused,
  }
  await recordBatch(store, id, false, ledgerRow(batch, written))
  return refused
}

const asRetry = (error: unknown): unknown =>
  error instanceof StoreError && error.kind === 'content'
    ? new StoreError('refused', error.code, error.cause)
    : error

const deadOf = (
  rows: BatchRows,
  refused: readonly number[],
  error: (row_no: number) => string,
): DeadLetter[] =>
  rows.callRows.flatMap((row_no, i) =>
    refused.includes(row_no)
      ? [{ row_no, reason: 'refused' as const, error: error(row_no), body: rows.calls[i]! }]
      : [],
  )

const writeDead = (store: Store, batch: Batch, dead: readonly DeadLetter[], token: string): Promise<void> =>
  store.insert(
    'dead_letters',
    DEAD_COLUMNS,
    compactLines(dead.map((d) => [batch.id, d.row_no, batch.instance, d.reason, d.error, d.body])),
    token,
  )
