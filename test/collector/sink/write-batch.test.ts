import { afterAll, beforeAll, expect, test } from 'vitest'
import { readLines } from '../../../collector/intake/lines.ts'
import { openLog } from '../../../collector/log.ts'
import { migrate } from '../../../collector/schema/migrate.ts'
import { findBatch } from '../../../collector/sink/ledger.ts'
import { findPoison } from '../../../collector/sink/poison.ts'
import { openStore, type Store } from '../../../collector/sink/store.ts'
import { type Batch, writeBatch } from '../../../collector/sink/write-batch.ts'
import { compileBook } from '../../../config/cost-book.ts'
import { makeEvent, newBatchId, segmentOf } from '../support/events.ts'
import { collectorOptions, type Running, scratchFolder, startStore } from '../support/processes.ts'

const folder = scratchFolder()
const options = collectorOptions('')
let store_: Running
let store: Store

beforeAll(async () => {
  store_ = await startStore(folder.path)
  store = openStore({ ...options.store, url: store_.address })
  await migrate({ store, retention: options.retention, log: openLog('error') })
}, 60_000)
afterAll(async () => {
  await store?.close()
  await store_?.drain()
  folder.remove()
}, 60_000)

/** A batch in which some rows hold what the store cannot read, as if our own checks had a hole. */
async function poisoned(size: number, isBad: (i: number) => boolean): Promise<Batch> {
  const id = newBatchId()
  const bytes = segmentOf(['torn', ...Array.from({ length: size }, () => makeEvent())])
  const rows = await readLines(bytes.toString(), id, false, compileBook([]).rate)
  rows.calls = rows.calls.map((line, i) => (isBad(i) ? line.replace('"ok"', '"no such outcome"') : line))
  return { id, instance: 'test', attempt: 1, bytes: bytes.length, rows }
}
const stored = async (id: string): Promise<unknown> => {
  const [row] = await store.rows(
    `SELECT (SELECT count() FROM weir.calls WHERE batch_id = {id:String}) AS calls,
       (SELECT groupArray((row_no, reason)) FROM (SELECT * FROM weir.v_dead_letters WHERE batch_id = {id:String} ORDER BY row_no)) AS dead`,
    { id },
  )
  return row
}

test('rows the store cannot read become dead letters, the others are stored, and a repetition agrees', async () => {
  const batch = await poisoned(60, (i) => i === 0 || i === 31 || i === 59)
  const expected = {
    calls: 57,
    dead: [
      [0, 'not_json'],
      [1, 'refused'],
      [32, 'refused'],
      [60, 'refused'],
    ],
  }
  expect(await writeBatch(store, batch, null)).toEqual({ rows: 57, dead: 4, refused: [1, 32, 60] })
  expect(await stored(batch.id)).toEqual(expected)
  expect(await findBatch(store, batch.id)).toEqual({
    complete: true,
    rows: 57,
    dead: 4,
    refused: [1, 32, 60],
  })
  // As if the collector had died right after its decision: the decision stands, whoever comes next.
  expect(
    await writeBatch(store, batch, { complete: false, rows: 57, dead: 4, refused: [1, 32, 60] }),
  ).toMatchObject({ rows: 57 })
  expect(await writeBatch(store, batch, null)).toMatchObject({ rows: 57 })
  expect(await stored(batch.id)).toEqual(expected)
})

test('a batch of nothing but poison is no call and all dead letters', async () => {
  const batch = await poisoned(3, () => true)
  expect(await writeBatch(store, batch, null)).toMatchObject({ rows: 0, dead: 4 })
  expect(await stored(batch.id)).toMatchObject({ calls: 0 })
})

test('when nearly everything is refused the sender keeps it: that is a defect, not poison', async () => {
  const batch = await poisoned(130, () => true)
  await expect(writeBatch(store, batch, null)).rejects.toMatchObject({ kind: 'refused' })
  expect(await stored(batch.id)).toEqual({ calls: 0, dead: [] })
})

test('looking for poison stores nothing', async () => {
  const { rows } = await poisoned(9, (i) => i === 4)
  const before = await store.rows('SELECT count() AS n FROM weir.calls')
  expect(await findPoison(store, rows.calls)).toEqual([
    { index: 4, error: expect.stringContaining('no such outcome') },
  ])
  expect(await store.rows('SELECT count() AS n FROM weir.calls')).toEqual(before)
})
