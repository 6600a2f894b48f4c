/** What capture rules kept of the calls of a trace: arguments and results, masked before they were stored. */
import type { Reader } from './client.ts'

export type PayloadRow = { event_id: string; span_id: string; part: string; body: string }

export const sql = `SELECT toString(event_id) AS event_id, span_id, toString(part) AS part, body FROM call_payloads
WHERE trace_id = {trace_id:String}
  AND ts >= (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = {trace_id:String})
  AND ts <= (SELECT max(End) + toIntervalHour(2) FROM otel_traces_trace_id_ts WHERE TraceId = {trace_id:String})
ORDER BY ts, event_id, part LIMIT {limit:UInt32}`

export const run = (
  reader: Reader,
  { trace_id, limit = 500 }: { trace_id: string; limit?: number },
): Promise<PayloadRow[]> => reader.rows<PayloadRow>(sql, { trace_id, limit })
