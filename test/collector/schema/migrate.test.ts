import { afterAll, beforeAll, expect, test } from 'vitest'
import { openLog } from '../../../collector/log.ts'
import { SchemaError, syncCallColumns } from '../../../collector/schema/columns.ts'
import { migrate } from '../../../collector/schema/migrate.ts'
import { RETAINED_TABLES, UNAGED_TABLES } from '../../../collector/schema/retention.ts'
import { checksumOf, readMigrations } from '../../../collector/schema/template.ts'
import { openStore, type Store } from '../../../collector/sink/store.ts'
import { FIELDS, OUTCOMES } from '../../../event/fields.ts'
import { RATED_FIELDS } from '../../../event/rated-fields.ts'
import { collectorOptions, type Running, scratchFolder, startStore } from '../support/processes.ts'

const folder = scratchFolder()
const retention = { calls_days: 30, payloads_days: 7, rollups_days: 800 }
const log = openLog('error')
let process_: Running
const opened: Store[] = []

const open = (database: string): Store => {
  const store = openStore({ ...collectorOptions(process_.address).store, database })
  opened.push(store)
  return store
}

beforeAll(async () => {
  process_ = await startStore(folder.path, { isFresh: true })
}, 60_000)
afterAll(async () => {
  await Promise.all(opened.map((store) => store.close()))
  await process_?.drain()
  folder.remove()
}, 60_000)

const tables = (store: Store) =>
  store.rows<{ name: string }>('SELECT name FROM system.tables WHERE database = {d:String} ORDER BY name', {
    d: store.database,
  })

test('two collectors that start at once make one schema, and a third finds nothing to do', async () => {
  const stores = [open('twice'), open('twice'), open('twice')]
  await Promise.all(stores.slice(0, 2).map((store) => migrate({ store, retention, log })))
  const steps = await stores[0]!.rows<{ version: number; dirty: number; steps: number }>(
    'SELECT version, argMax(m.dirty, step) AS dirty, uniqExact(intDiv(step, 2)) AS steps FROM twice.schema_migrations AS m GROUP BY version ORDER BY version',
  )
  expect(steps.map((row) => row.version)).toEqual([0, ...readMigrations().map((m) => m.version)])
  expect(steps.every((row) => row.dirty === 0 && row.steps === 1)).toBe(true)
  const before = await stores[0]!.rows('SELECT count() FROM twice.schema_lock')
  await migrate({ store: stores[2]!, retention, log })
  expect(await stores[0]!.rows('SELECT count() FROM twice.schema_lock')).toEqual(before)
}, 120_000)

test('columns of calls are the fields of the contract, in their order', async () => {
  const columns = await open('twice').rows<{ name: string }>(
    "SELECT name FROM system.columns WHERE database = 'twice' AND table = 'calls' ORDER BY position",
  )
  expect(columns.map((column) => column.name)).toEqual([
    ...FIELDS.filter((field) => field.column !== '').map((field) => field.name),
    ...RATED_FIELDS.map((field) => field.name),
    'batch_id',
    'ingested_at',
  ])
})

test('every rollup counts every outcome, and every table has a lifetime', async () => {
  const store = open('twice')
  for (const table of ['tool_5m', 'usage_1d', 'caller_1d', 'sessions', 'runs']) {
    const columns = await store.rows<{ name: string }>(
      "SELECT name FROM system.columns WHERE database = 'twice' AND table = {table:String}",
      { table },
    )
    expect(columns.map((column) => column.name)).toEqual(expect.arrayContaining([...OUTCOMES]))
  }
  const withRows = (
    await store.rows<{ name: string; engine: string }>(
      "SELECT name, engine FROM system.tables WHERE database = 'twice' AND engine LIKE '%MergeTree'",
    )
  ).map((row) => row.name)
  expect(withRows.filter((name) => !name.startsWith('schema_')).sort()).toEqual(
    [...RETAINED_TABLES, ...UNAGED_TABLES].sort(),
  )
})

test('a column that a newer version added to the contract appears in an old database', async () => {
  const store = open('twice')
  await store.command('ALTER TABLE twice.calls DROP COLUMN stream_messages')
  expect(await syncCallColumns(store)).toEqual(['stream_messages'])
  expect(await syncCallColumns(store)).toEqual([])
  await store.command('ALTER TABLE twice.calls MODIFY COLUMN stream_messages UInt16')
  await expect(syncCallColumns(store)).rejects.toThrow(/stream_messages has type UInt16/)
  await store.command('ALTER TABLE twice.calls MODIFY COLUMN stream_messages UInt32')
})

test('a changed lifetime alters the tables it concerns', async () => {
  const store = open('twice')
  await migrate({ store, retention: { ...retention, calls_days: 3 }, log })
  const [calls] = await store.rows<{ engine_full: string }>(
    "SELECT engine_full FROM system.tables WHERE database = 'twice' AND name = 'calls'",
  )
  expect(calls?.engine_full).toContain('TTL toDateTime(ts) + toIntervalDay(3)')
  const [usage] = await store.rows<{ engine_full: string }>(
    "SELECT engine_full FROM system.tables WHERE database = 'twice' AND name = 'usage_1d'",
  )
  expect(usage?.engine_full).toContain('toIntervalDay(800)')
}, 60_000)

const step = (version: number, template: string) => ({
  version,
  name: `step_${version}`,
  template,
  checksum: checksumOf(template),
})

test('an interrupted step is run again, a finished one is not', async () => {
  const store = open('broken')
  const good = readMigrations()
  const next = good.length + 1
  const bad = step(
    next,
    'CREATE TABLE IF NOT EXISTS {DB}.extra (a UInt8) ENGINE = MergeTree ORDER BY a;\nSELECT no_such_column;\n',
  )
  await expect(migrate({ store, retention, log, migrations: [...good, bad] })).rejects.toThrow()
  const dirty = await store.rows<{ dirty: number }>(
    'SELECT argMax(m.dirty, step) AS dirty FROM broken.schema_migrations AS m WHERE version = {v:UInt32}',
    { v: next },
  )
  expect(dirty).toEqual([{ dirty: 1 }])
  const mended = step(
    next,
    'CREATE TABLE IF NOT EXISTS {DB}.extra (a UInt8) ENGINE = MergeTree ORDER BY a;\n',
  )
  await migrate({ store, retention, log, migrations: [...good, mended] })
  expect((await tables(store)).map((row) => row.name)).toContain('extra')
}, 120_000)

test('a database of a newer version, or of another build, is refused with a sentence that says so', async () => {
  const store = open('broken')
  const good = readMigrations()
  await expect(migrate({ store, retention, log, migrations: good })).rejects.toThrow(SchemaError)
  await expect(migrate({ store, retention, log, migrations: good })).rejects.toThrow(
    new RegExp(`has schema ${good.length + 1}, this version of Weir knows ${good.length}`),
  )
  const other = [
    ...good.slice(0, 1).map((m) => ({ ...m, checksum: checksumOf('something else') })),
    ...good.slice(1),
  ]
  await expect(migrate({ store: open('twice'), retention, log, migrations: other })).rejects.toThrow(
    /step 1 .*made by another build/,
  )
})
