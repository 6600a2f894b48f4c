/** What is missing: events given up on the way, batches not come, lines that could not be read, calls without an end. */
import type { Reader } from './client.ts'

export type LossRow = {
  worker_id: string
  reason: string
  instance: string
  lost_events: number
  first_reported: string
  last_reported: string
}

export const sql =
  'SELECT * FROM v_losses ORDER BY last_reported DESC, worker_id, reason LIMIT {limit:UInt32}'

export const run = (reader: Reader, { limit = 100 }: { limit?: number } = {}): Promise<LossRow[]> =>
  reader.rows<LossRow>(sql, { limit })
