/** Silences: those that run or will, or all that are kept. */
import type { Reader } from './client.ts'

export type SilenceRow = {
  id: string
  matchers: { name: string; op: string; value: string }[]
  /** Milliseconds since 1970. */
  starts_ms: number
  ends_ms: number
  created_by: string
  comment: string
  active: number
}

export const sql = `SELECT id, matchers, toUnixTimestamp64Milli(starts_at) AS starts_ms, toUnixTimestamp64Milli(ends_at) AS ends_ms,
  created_by, comment, active
FROM v_silences
WHERE {only:String} = 'all' OR ends_at > now64(3)
ORDER BY active DESC, starts_at DESC, id LIMIT {limit:UInt32}`

export const run = (
  reader: Reader,
  { only = 'all', limit = 1000 }: { only?: 'all' | 'running'; limit?: number } = {},
): Promise<SilenceRow[]> => reader.rows(sql, { only, limit })
