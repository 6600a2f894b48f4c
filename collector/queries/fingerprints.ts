/** Failures of a scope by cause. First seen counts everything the store keeps, the rest only the scope. */
import type { Reader } from './client.ts'
import { bound, IN_CALLS, type Scope } from './scope.ts'

export type FingerprintRow = {
  error_fingerprint: string
  outcome: string
  owner: string
  error_type: string
  server: string
  tool: string
  method: string
  failures: number
  callers: number
  /** Ever, of this fingerprint, on this server and tool. */
  first_seen: string
  last_seen: string
  /** Of the newest one. */
  error_message: string
  trace_id: string
  span_id: string
  /** Up to five traces, newest first. */
  examples: string[]
}

export const sql = `WITH found AS (
  SELECT v.error_fingerprint AS error_fingerprint, v.outcome AS outcome, v.owner AS owner, v.error_type AS error_type, v.server AS server, v.tool AS tool,
    v.method AS method, count() AS failures, uniqExact(v.caller) AS callers, max(v.ts) AS last_ts, argMax(v.error_message, v.ts) AS message,
    argMax(v.trace_id, v.ts) AS newest_trace, argMax(v.span_id, v.ts) AS newest_span, arrayMap(x -> x.2, groupArraySorted(5)((-toUnixTimestamp64Micro(v.ts), v.trace_id))) AS traces
  FROM v_failures AS v WHERE ${IN_CALLS} AND ({outcome:String} = '' OR v.outcome = {outcome:String})
  GROUP BY error_fingerprint, outcome, owner, error_type, server, tool, method
  ORDER BY failures DESC, last_ts DESC LIMIT {limit:UInt32})
SELECT f.error_fingerprint AS error_fingerprint, f.outcome AS outcome, f.owner AS owner, f.error_type AS error_type, f.server AS server, f.tool AS tool,
  f.method AS method, f.failures AS failures, f.callers AS callers, toString(e.first_ts) AS first_seen, toString(f.last_ts) AS last_seen,
  f.message AS error_message, f.newest_trace AS trace_id, f.newest_span AS span_id, f.traces AS examples
FROM found AS f LEFT JOIN (
  SELECT error_fingerprint, server, tool, min(ts) AS first_ts FROM v_failures
  WHERE error_fingerprint IN (SELECT error_fingerprint FROM found) GROUP BY error_fingerprint, server, tool
) AS e ON e.error_fingerprint = f.error_fingerprint AND e.server = f.server AND e.tool = f.tool
ORDER BY failures DESC, last_seen DESC`

export const run = (
  reader: Reader,
  scope: Scope,
  { outcome = '', limit = 100 }: { outcome?: string; limit?: number } = {},
): Promise<FingerprintRow[]> => reader.rows<FingerprintRow>(sql, { ...bound(scope), outcome, limit })
