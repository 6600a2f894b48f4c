/**
 * Brings a database to the shape this version needs. Forward only. Steps, each safe to run twice and from two collectors at once:
 * columns of `calls` (from event/fields.ts), numbered files (recorded with checksum and a dirty flag), lifetimes (from the
 * config), views (replaced whenever their text changed).
 * A step that was interrupted is dirty and is simply run again: no statement here fails or doubles on a second run.
 */
import { randomUUID } from 'node:crypto'
import type { Log } from '../log.ts'
import type { Retention } from '../options.ts'
import { compactLines, type Store, StoreError } from '../sink/store.ts'
import { COLUMNS, SchemaError, syncCallColumns } from './columns.ts'
import { lockTable, withLock } from './lock.ts'
import { otelTracesView } from './otel-traces.ts'
import { applyRetention } from './retention.ts'
import { checksumOf, type Migration, readMigrations, render, statements, viewsTemplate } from './template.ts'

type Applied = { version: number; name: string; checksum: string; dirty: number }

const RECORD = ['version', 'name', 'checksum', 'dirty', 'step', 'ms']
const recordTable = (database: string): string => `CREATE TABLE IF NOT EXISTS ${database}.schema_migrations (
  version UInt32, name String, checksum String, dirty UInt8, step UInt64, ms UInt32,
  applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
) ENGINE = ReplacingMergeTree(step) ORDER BY version SETTINGS non_replicated_deduplication_window = 10000`

/** Views have no number: they carry no rows, so the newest text simply wins. */
const VIEWS = 0

async function readApplied(store: Store): Promise<Map<number, Applied>> {
  const rows = await store.rows<Applied>(
    `SELECT version, argMax(m.name, step) AS name, argMax(m.checksum, step) AS checksum, toUInt8(argMax(m.dirty, step)) AS dirty
     FROM ${store.database}.schema_migrations AS m GROUP BY version`,
  )
  return new Map(rows.map((row) => [row.version, row]))
}

function refuseForeign(
  store: Store,
  applied: ReadonlyMap<number, Applied>,
  migrations: readonly Migration[],
): void {
  const newest = Math.max(0, ...applied.keys())
  if (newest > migrations.length)
    throw new SchemaError(
      `database ${store.database} has schema ${newest}, this version of Weir knows ${migrations.length}: upgrade Weir, or name another database in store.database`,
    )
  for (const migration of migrations) {
    const found = applied.get(migration.version)
    if (found && !found.dirty && found.checksum !== migration.checksum)
      throw new SchemaError(
        `schema step ${migration.version} (${migration.name}) of database ${store.database} was made by another build of Weir: checksum ${found.checksum.slice(0, 12)}, expected ${migration.checksum.slice(0, 12)}`,
      )
  }
}

async function openDatabase(store: Store): Promise<void> {
  try {
    await store.command(`CREATE DATABASE IF NOT EXISTS ${store.database}`)
  } catch (error) {
    // A server may grant tables but not databases: then the database has to be there, and the next statement tells.
    if (!(error instanceof StoreError && error.code === 497)) throw error
  }
  await store.command(recordTable(store.database))
  await store.command(lockTable(store.database))
}

export type MigrateOptions = {
  store: Store
  retention: Retention
  log: Log
  migrations?: readonly Migration[]
}

/** Throws SchemaError when the database belongs to another version, StoreError when the store cannot be reached. */
export async function migrate({
  store,
  retention,
  log,
  migrations = readMigrations(),
}: MigrateOptions): Promise<void> {
  await openDatabase(store)
  const views = `${render(viewsTemplate(), store.database, retention)}\n${otelTracesView(store.database)}`
  // A field that is new in event/fields.ts brings no step and no view: it has to be seen all the same.
  const shape = checksumOf(`${views}\n${JSON.stringify(COLUMNS)}`)
  const isPending = (applied: ReadonlyMap<number, Applied>, version: number, checksum: string): boolean => {
    const found = applied.get(version)
    return !found || found.dirty === 1 || found.checksum !== checksum
  }
  const seen = await readApplied(store)
  refuseForeign(store, seen, migrations)
  const pending = migrations.some((m) => isPending(seen, m.version, m.checksum))
  if (pending || isPending(seen, VIEWS, shape)) {
    await withLock(store, randomUUID(), async (epoch) => {
      const applied = await readApplied(store)
      refuseForeign(store, applied, migrations)
      // First of all: a step may make views of columns that an older database lacks.
      const added = await syncCallColumns(store)
      if (added.length) log('info', 'columns added to calls', { columns: added })
      for (const migration of migrations) {
        if (!isPending(applied, migration.version, migration.checksum)) continue
        await run(store, epoch, migration, render(migration.template, store.database, retention))
        log('info', 'schema step applied', { version: migration.version, name: migration.name })
      }
      if (isPending(applied, VIEWS, shape))
        await run(store, epoch, { version: VIEWS, name: 'views', checksum: shape }, views)
    })
  }
  const changed = await applyRetention(store, retention)
  if (changed.length) log('info', 'retention changed', { tables: changed })
}

async function run(
  store: Store,
  epoch: number,
  step: Pick<Migration, 'version' | 'name' | 'checksum'>,
  sql: string,
): Promise<void> {
  const started = Date.now()
  const record = (dirty: 0 | 1): Promise<void> => {
    const row = [step.version, step.name, step.checksum, dirty, epoch * 2 + (1 - dirty), Date.now() - started]
    return store.insert('schema_migrations', RECORD, compactLines([row]), `${epoch}:${step.version}:${dirty}`)
  }
  await record(1)
  for (const statement of statements(sql)) await store.command(statement)
  await record(0)
}
