/** What goes wrong, by cause: thousands of failures are usually a handful of fingerprints. */
import type { Reader } from './client.ts'

export type FailureRow = {
  error_fingerprint: string
  outcome: string
  owner: string
  error_type: string
  server: string
  tool: string
  method: string
  failures: number
  callers: number
  first_ts: string
  last_ts: string
  /** Of the newest one. */
  error_message: string
  trace_id: string
}

export const sql = `SELECT error_fingerprint, outcome, owner, error_type, server, tool, method, count() AS failures, uniqExact(caller) AS callers,
  min(f.ts) AS first_ts, max(f.ts) AS last_ts, argMax(f.error_message, f.ts) AS error_message, argMax(f.trace_id, f.ts) AS trace_id
FROM v_failures AS f
WHERE f.ts > now64(6) - toIntervalSecond({window_s:UInt32})
GROUP BY error_fingerprint, outcome, owner, error_type, server, tool, method
ORDER BY failures DESC, last_ts DESC LIMIT {limit:UInt32}`

export const run = (
  reader: Reader,
  { window_s, limit = 50 }: { window_s: number; limit?: number },
): Promise<FailureRow[]> => reader.rows<FailureRow>(sql, { window_s, limit })
