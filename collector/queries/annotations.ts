/** Moments to draw on charts: configs taken over, and whatever else others noted. */
import type { Reader } from './client.ts'
import { moment } from './client.ts'

export type AnnotationRow = {
  id: string
  at_ms: number
  kind: string
  title: string
  detail: string
  server: string
  tool: string
}

export const sql = `SELECT a.id AS id, toUnixTimestamp64Milli(a.ts) AS at_ms, a.kind AS kind, a.title AS title, a.detail AS detail,
  a.server AS server, a.tool AS tool
FROM annotations AS a FINAL
WHERE a.ts >= {from:DateTime64(3)} AND a.ts < {to:DateTime64(3)} AND ({server:String} = '' OR a.server IN ('', {server:String}))
ORDER BY a.ts, a.id LIMIT {limit:UInt32}`

export const run = (
  reader: Reader,
  {
    from_ms,
    to_ms,
    server = '',
    limit = 500,
  }: { from_ms: number; to_ms: number; server?: string; limit?: number },
): Promise<AnnotationRow[]> => reader.rows(sql, { from: moment(from_ms), to: moment(to_ms), server, limit })
