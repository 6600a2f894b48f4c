/** A database made before there was money: its tables and views are brought up, its calls stay, its rollups count costs from then on. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readLines } from '../../../collector/intake/lines.ts'
import { COLUMNS } from '../../../collector/schema/columns.ts'
import { FIGURE_COLUMNS, FIGURE_COUNTS } from '../../../collector/schema/figures.ts'
import { migrate } from '../../../collector/schema/migrate.ts'
import { readMigrations, render, statements } from '../../../collector/schema/template.ts'
import { openStore, type Store } from '../../../collector/sink/store.ts'
import { writeBatch } from '../../../collector/sink/write-batch.ts'
import { compileBook } from '../../../config/cost-book.ts'
import { FIELDS } from '../../../event/fields.ts'
import { makeEvent, newBatchId, nowUs, segmentOf } from '../support/events.ts'
import { collectorOptions, type Running, scratchFolder, startStore } from '../support/processes.ts'
import { moneyOf } from './seeded.ts'

const retention = { calls_days: 30, payloads_days: 7, rollups_days: 800 }
const ROLLUPS = ['tool_5m', 'usage_1d', 'caller_1d', 'sessions', 'runs']
const folder = scratchFolder()
let store_: Running
let store: Store

/** The columns that came with money and context. */
const LATER = new Set([
  'tags',
  'meters',
  'cost_reported',
  'cost_reported_nano',
  'list_id',
  'run_confidence',
  'run_evidence',
  'cost_nano',
  'price_id',
  'cost_source',
])
const FIRST_WITH_MONEY = 14
const withoutMoney = (lines: string): string =>
  lines
    .split(',\n  ')
    .filter((line) => !/\b(cost_nano|unpriced)\b/.test(line))
    .join(',\n  ')
const columns = (names: ReadonlySet<string>): string =>
  COLUMNS.filter(({ name }) => !names.has(name))
    .map(({ name, definition }) => `${name} ${definition}`)
    .join(',\n  ')

/** A schema file as the version before rendered it. */
function older(template: string): string {
  const text = render(template, 'weir', retention)
  return text
    .replaceAll(columns(new Set()), columns(LATER))
    .replaceAll(FIGURE_COLUMNS, withoutMoney(FIGURE_COLUMNS))
    .replaceAll(FIGURE_COUNTS, withoutMoney(FIGURE_COUNTS))
}

const columnsOf = async (table: string): Promise<string[]> =>
  (
    await store.rows<{ name: string }>(
      "SELECT name FROM system.columns WHERE database = 'weir' AND table = {table:String} ORDER BY position",
      { table },
    )
  ).map((row) => row.name)

beforeAll(async () => {
  store_ = await startStore(folder.path, { isFresh: true })
  store = openStore(collectorOptions(store_.address).store)
  const first = readMigrations().filter((m) => m.version < FIRST_WITH_MONEY)
  for (const { template } of first)
    for (const statement of statements(older(template))) await store.command(statement)
  await store.command(
    "CREATE TABLE weir.schema_migrations (version UInt32, name String, checksum String, dirty UInt8, step UInt64, ms UInt32, applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')) ENGINE = ReplacingMergeTree(step) ORDER BY version SETTINGS non_replicated_deduplication_window = 10000",
  )
  for (const { version, name, checksum } of first)
    await store.command(
      `INSERT INTO weir.schema_migrations (version, name, checksum, dirty, step, ms) VALUES (${version}, '${name}', '${checksum}', 0, 3, 1)`,
    )
}, 60_000)
afterAll(async () => {
  await store?.close()
  await store_?.drain()
  folder.remove()
}, 60_000)

test('an old database has neither the columns nor the figures, and gets both', async () => {
  expect(await columnsOf('calls')).not.toContain('cost_nano')
  expect(await columnsOf('usage_1d')).not.toContain('unpriced')
  const old = FIELDS.filter((f) => f.column !== '' && !LATER.has(f.name)).map((f) => f.name)
  const event = makeEvent({ ts: nowUs() - 60_000_000 }) as unknown as Record<string, unknown>
  const line = JSON.stringify([...old.map((name) => event[name]), 'old-batch'])
  await store.insert('calls', [...old, 'batch_id'], Buffer.from(`${line}\n`), 'old-batch')

  await migrate({ store, retention, log: () => {} })
  expect(await columnsOf('calls')).toEqual([...COLUMNS.map((c) => c.name), 'batch_id', 'ingested_at'])
  for (const table of ROLLUPS)
    expect(await columnsOf(table)).toEqual(expect.arrayContaining(['cost_nano', 'unpriced']))

  const { rate } = compileBook(moneyOf('prices: [{ server: bank, per_call_usd: 0.5 }]').prices)
  const id = newBatchId()
  const bytes = segmentOf([
    makeEvent({ ts: nowUs() - 30_000_000 }),
    makeEvent({ server: 'files', ts: nowUs() - 30_000_000 }),
  ])
  const rows = await readLines(bytes.toString(), id, false, rate)
  for (const _ of [1, 2])
    await writeBatch(store, { id, instance: 'test', attempt: 1, bytes: bytes.length, rows }, null)
  for (const view of ['v_tool_5m', 'v_usage_1d', 'v_callers_1d', 'v_sessions', 'v_runs'])
    expect({
      [view]: await store.rows(
        `SELECT sum(v.calls) AS calls, toString(sum(v.cost_nano)) AS cost, toString(sum(v.unpriced)) AS unpriced FROM weir.${view} AS v`,
      ),
    }).toEqual({ [view]: [{ calls: 3, cost: '500000000', unpriced: '1' }] })
}, 60_000)

test('a second start finds nothing to do, and a new database has the same tables', async () => {
  const made =
    'SELECT name, create_table_query AS q FROM system.tables WHERE database = {d:String} ORDER BY name'
  await migrate({ store, retention, log: (_level, message) => expect(message).not.toMatch(/applied|added/) })
  const fresh = openStore({ ...collectorOptions(store_.address).store, database: 'fresh' })
  try {
    await migrate({ store: fresh, retention, log: () => {} })
    const columnsIn =
      'SELECT table, groupArray(concat(name, type)) AS c FROM (SELECT * FROM system.columns WHERE database = {d:String} ORDER BY table, position) GROUP BY table ORDER BY table'
    expect(await store.rows(columnsIn, { d: 'weir' })).toEqual(await store.rows(columnsIn, { d: 'fresh' }))
    const queries = async (d: string) =>
      (await store.rows<{ name: string; q: string }>(made, { d }))
        .filter(({ name }) => name.endsWith('_mv'))
        .map(({ name, q }) => [name, q.slice(q.indexOf(' AS SELECT')).replaceAll(`${d}.`, '')])
    expect(await queries('weir')).toEqual(await queries('fresh'))
  } finally {
    await fresh.close()
  }
}, 60_000)
