/** The events behind the SERVER spans of one trace: outcome, owner and message, which a span only has when it is an error. */
import type { Reader } from './client.ts'

export type TraceCall = {
  span_id: string
  event_id: string
  ts: string
  kind: string
  method: string
  server: string
  tool: string
  caller: string
  agent: string
  client_name: string
  client_version: string
  run_id: string
  run_source: string
  session_id: string
  outcome: string
  owner: string
  error_type: string
  error_message: string
  overhead_us: number
  request_bytes: number
  response_bytes: number
  tokens_in: number
  tokens_out: number
  missed_servers: string[]
}

export const sql = `SELECT span_id, event_id, ts, kind, method, server, tool, caller, agent, client_name, client_version, run_id, run_source, session_id, outcome,
  owner, error_type, error_message, overhead_us, request_bytes, response_bytes, tokens_in, tokens_out, missed_servers
FROM calls
WHERE trace_id = {trace_id:String}
  AND ts >= (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = {trace_id:String})
  AND ts <= (SELECT max(End) + toIntervalHour(2) FROM otel_traces_trace_id_ts WHERE TraceId = {trace_id:String})
ORDER BY ts, event_id LIMIT {limit:UInt32}`

export const run = (
  reader: Reader,
  { trace_id, limit = 20_000 }: { trace_id: string; limit?: number },
): Promise<TraceCall[]> => reader.rows<TraceCall>(sql, { trace_id, limit })
