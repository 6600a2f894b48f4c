/**
 * Columns of `calls`, made from event/fields.ts: the one source. A field added there becomes a column at the next start;
 * a field whose type changed is refused, because the past cannot be re-read under a new meaning.
 */
import { FIELDS } from '../../event/fields.ts'
import { RATED_FIELDS } from '../../event/rated-fields.ts'
import type { Store } from '../sink/store.ts'

/** The database cannot be used by this version of Weir; trying again does not help. */
export class SchemaError extends Error {}

export type Column = { readonly name: string; readonly definition: string }

/** Fields that are columns, in order: those of the event, then what the collector adds. */
export const COLUMNS: readonly Column[] = [...FIELDS, ...RATED_FIELDS]
  .filter((field) => field.column !== '')
  .map((field) => ({ name: field.name, definition: field.column }))
export const COLUMN_NAMES: readonly string[] = COLUMNS.map((column) => column.name)
/** Without what the collector adds: the columns a spool line fills. */
export const EVENT_COLUMNS: readonly Column[] = COLUMNS.slice(0, -RATED_FIELDS.length)
export const EVENT_COLUMN_NAMES: readonly string[] = EVENT_COLUMNS.map((column) => column.name)

/** Type without codec, as the store spells it. */
export const columnType = (definition: string): string => definition.replace(/\s+CODEC\(.*$/, '')
const compact = (type: string): string => type.replaceAll(/\s/g, '')

/** Adds the columns that `calls` lacks. Safe to run twice and at the same time. Throws when a column has another type. */
export async function syncCallColumns(store: Store): Promise<string[]> {
  const rows = await store.rows<{ name: string; type: string }>(
    "SELECT name, type FROM system.columns WHERE database = {database:String} AND table = 'calls'",
    { database: store.database },
  )
  // A new database: the first numbered step makes the table, with all of them.
  if (rows.length === 0) return []
  const present = new Map(rows.map((row) => [row.name, row.type]))
  const added: string[] = []
  let previous = ''
  for (const { name, definition } of COLUMNS) {
    const type = present.get(name)
    if (type === undefined) {
      const place = previous ? `AFTER ${previous}` : 'FIRST'
      await store.command(
        `ALTER TABLE ${store.database}.calls ADD COLUMN IF NOT EXISTS ${name} ${definition} ${place}`,
      )
      added.push(name)
    } else if (compact(type) !== compact(columnType(definition))) {
      throw new SchemaError(
        `column calls.${name} has type ${type}, this version of Weir expects ${columnType(definition)}: run the version that made the database, or use another one`,
      )
    }
    previous = name
  }
  return added
}
