/** What has not come, or came unreadable: batches of workers, and lines that could not become rows. */
import type { Reader } from './client.ts'

export type GapRow = {
  worker_id: string
  instance: string
  first_seq: number
  last_seq: number
  batches: number
  missing: number
  last_received: string
}
export const gapsSql = `SELECT worker_id, instance, first_seq, last_seq, batches, missing, toString(last_received) AS last_received
FROM v_ingest_gaps ORDER BY missing DESC, last_received DESC LIMIT {limit:UInt32}`
export const gaps = (reader: Reader, limit = 200): Promise<GapRow[]> =>
  reader.rows<GapRow>(gapsSql, { limit })

export type DeadLetterRow = {
  batch_id: string
  row_no: number
  instance: string
  reason: string
  error: string
  /** At most 300 characters of the line. */
  line: string
  received_at: string
}
export const deadSql = `SELECT batch_id, row_no, instance, reason, error, substringUTF8(body, 1, 300) AS line, toString(d.received_at) AS received_at
FROM v_dead_letters AS d ORDER BY d.received_at DESC, batch_id, row_no LIMIT {limit:UInt32}`
export const deadLetters = (reader: Reader, limit = 200): Promise<DeadLetterRow[]> =>
  reader.rows<DeadLetterRow>(deadSql, { limit })
