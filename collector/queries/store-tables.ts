/** What the store holds, table by table: rows, parts, bytes on disk. */
import type { Reader } from './client.ts'

export type TableRow = {
  table: string
  rows: number
  parts: number
  bytes: number
  oldest: string
  newest: string
}

export const sql = `SELECT p.table AS table, sum(p.rows) AS rows, count() AS parts, sum(p.bytes_on_disk) AS bytes, min(p.partition) AS oldest, max(p.partition) AS newest
FROM system.parts AS p WHERE p.active AND p.database = currentDatabase() GROUP BY table ORDER BY bytes DESC LIMIT 200`

export const run = (reader: Reader): Promise<TableRow[]> => reader.rows<TableRow>(sql)
