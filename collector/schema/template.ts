/**
 * The SQL files of this folder, filled in: `{UPPER_CASE}` words are replaced, `{name:Type}` stays a bound parameter.
 * A migration's checksum is that of the file as written, so that retention and database name may differ between installations.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import type { Retention } from '../options.ts'
import { COLUMN_NAMES, COLUMNS } from './columns.ts'
import {
  COUNT_COLUMN,
  FAILED,
  FAULT,
  FIGURE_COLUMNS,
  FIGURE_COUNTS,
  FIGURE_ROWS,
  FIGURE_SUMS,
  FORECAST,
  quantileSql,
  SIGNED_COUNT_COLUMN,
  TAGS_ID,
} from './figures.ts'

/** One numbered step of the schema. Never edited once released: a change is a new number. */
export type Migration = {
  readonly version: number
  readonly name: string
  readonly template: string
  readonly checksum: string
}

const NAME = /^(\d{3})_([a-z0-9_]+)\.sql$/
export const checksumOf = (text: string): string => createHash('sha256').update(text).digest('hex')
const fileText = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8')

/** The numbered files, in order. Throws when a number is missing or taken twice. */
export function readMigrations(): Migration[] {
  const found: Migration[] = []
  for (const file of readdirSync(new URL('.', import.meta.url)).sort()) {
    const match = NAME.exec(file)
    if (!match) continue
    const template = fileText(file)
    found.push({ version: Number(match[1]), name: match[2]!, template, checksum: checksumOf(template) })
  }
  found.forEach((migration, i) => {
    if (migration.version !== i + 1)
      throw new Error(`schema file ${migration.name} should have number ${i + 1}`)
  })
  return found
}

export const viewsTemplate = (): string => fileText('views_v1.sql')

/** How many days each table keeps its rows; the word in the template → days. */
export function retentionDays(retention: Retention): Record<string, number> {
  const { calls_days, payloads_days, rollups_days } = retention
  return {
    CALLS_DAYS: calls_days,
    PAYLOADS_DAYS: payloads_days,
    ROLLUPS_DAYS: rollups_days,
    // Traces, sessions and runs lead to calls: a week longer, because their partitions are weeks.
    TRACES_DAYS: calls_days + 7,
    TOOL_5M_DAYS: Math.max(calls_days, Math.min(rollups_days, 90)),
  }
}

/** Fills a template in. Throws on a word it does not know. */
export function render(template: string, database: string, retention: Retention): string {
  const words: Record<string, string> = {
    DB: database,
    COUNT: COUNT_COLUMN,
    SIGNED_COUNT: SIGNED_COUNT_COLUMN,
    TAGS_ID,
    CALLS_COLUMNS: COLUMNS.map((column) => `${column.name} ${column.definition}`).join(',\n  '),
    CALLS_NAMES: COLUMN_NAMES.map((name) => `c.${name}`).join(', '),
    FIGURE_COLUMNS,
    FIGURES: FIGURE_COUNTS,
    FIGURE_ROWS,
    FIGURE_SUMS,
    FAILED,
    FAULT,
    FORECAST,
    SETTINGS: "SETTINGS default_compression_codec = 'ZSTD(1)', non_replicated_deduplication_window = 10000",
  }
  for (const [word, days] of Object.entries(retentionDays(retention))) words[word] = String(days)
  const quantiles = template.replaceAll(/\{QUANTILE (\w+) (0\.\d+)\}/g, (_, hist: string, q: string) =>
    quantileSql(hist, Number(q)),
  )
  return quantiles.replaceAll(/\{([A-Z][A-Z0-9_]*)\}/g, (_, word: string) => {
    const value = words[word]
    if (value === undefined) throw new Error(`unknown word {${word}} in a schema file`)
    return value
  })
}

/** Single statements of a rendered file: they end with ";" at a line's end. Comments stay out. */
export function statements(sql: string): string[] {
  return sql
    .replaceAll(/^--.*$/gm, '')
    .split(/;[ \t]*(?:\n|$)/)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
}
