/**
 * A store with the schema in place, made once (prepare.ts) and copied where one is to begin empty: making it anew costs seconds
 * of CPU, hundreds of times. What tests the schema's own steps begins with nothing (`isFresh`).
 */
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const SOURCES = ['collector/schema', 'event']
/** What the engine keeps below its data path; the rest is made at every start. */
export const ENGINE = 'clickhouse'

/** Where it is, or is to be: another place for every other schema. */
export function preparedPath(): string {
  const hash = createHash('sha256')
  for (const folder of SOURCES)
    for (const file of readdirSync(join(ROOT, folder)).sort())
      hash.update(readFileSync(join(ROOT, folder, file)))
  return join(ROOT, 'node_modules/.cache', `store-${hash.digest('hex').slice(0, 16)}`)
}

/** Puts it where nothing is yet. */
export function usePreparedStore(data_path: string): void {
  const to = join(data_path, ENGINE)
  const from = preparedPath()
  if (existsSync(to) || !existsSync(from)) return
  mkdirSync(data_path, { recursive: true })
  cpSync(from, to, { recursive: true, verbatimSymlinks: true })
}
