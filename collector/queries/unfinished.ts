/** Calls that were forwarded and whose end nobody recorded (`durability: strict`). */
import type { Reader } from './client.ts'

export type UnfinishedRow = {
  ts: string
  event_id: string
  trace_id: string
  caller: string
  server: string
  tool: string
  worker: string
  instance: string
  arguments_hash: string
  age_s: number
}

export const sql = `SELECT ts, event_id, trace_id, caller, server, tool, worker, instance, arguments_hash, age_s
FROM unfinished_calls WHERE age_s >= {older_than_s:UInt32} ORDER BY ts DESC LIMIT {limit:UInt32}`

export const run = (
  reader: Reader,
  { older_than_s = 60, limit = 100 }: { older_than_s?: number; limit?: number } = {},
): Promise<UnfinishedRow[]> => reader.rows<UnfinishedRow>(sql, { older_than_s, limit })
