/**
 * From what somebody has in hand to the trace it belongs to: a trace id, event id, session handle or run id, whole or
 * (hex digits only) its beginning.
 */
import { FAILED } from '../schema/figures.ts'
import type { Reader } from './client.ts'

export type FoundTrace = {
  trace_id: string
  /** What the words matched: trace, event, session, run. */
  matched: string[]
  /** Events of the trace; 0 when it only has spans of others. */
  calls: number
  failed: number
  /** '' when it only has spans of others. */
  first_ts: string
  last_ts: string
  client_name: string
  servers: string[]
}

/** Ids are compared as hex digits; `exact` as it was given, for run labels. */
export const sql = `WITH found AS (
  SELECT TraceId AS id, 'trace' AS what FROM otel_traces_trace_id_ts WHERE {hex:String} != '' AND startsWith(TraceId, {hex:String}) GROUP BY TraceId LIMIT {limit:UInt32}
  UNION ALL
  SELECT trace_id AS id, 'event' AS what FROM calls
  WHERE {hex:String} != '' AND ts >= fromUnixTimestamp64Milli({from_ms:Int64}) AND ts <= fromUnixTimestamp64Milli({to_ms:Int64})
    AND startsWith(replaceAll(toString(event_id), '-', ''), {hex:String}) GROUP BY trace_id LIMIT {limit:UInt32}
  UNION ALL
  SELECT trace_id AS id, if(session_id IN ({exact:String}, {hex:String}), 'session', 'run') AS what FROM calls
  WHERE (session_id != '' AND session_id IN ({exact:String}, {hex:String})) OR (run_id != '' AND run_id IN ({exact:String}, {hex:String}))
  GROUP BY trace_id, what LIMIT {limit:UInt32}
  UNION ALL
  SELECT trace_id AS id, 'session' AS what FROM calls
  WHERE {hex:String} != '' AND length({hex:String}) < 32 AND startsWith(session_id, {hex:String}) GROUP BY trace_id LIMIT {limit:UInt32}
)
SELECT id AS trace_id, groupUniqArray(what) AS matched FROM found WHERE id != '' GROUP BY id ORDER BY id LIMIT {limit:UInt32}`

export const detailSql = `SELECT trace_id, countIf(kind = 'request') AS calls, countIf(${FAILED}) AS failed, toString(min(ts)) AS first_ts, toString(max(ts)) AS last_ts,
  max(toString(client_name)) AS client_name, arraySort(groupUniqArrayIf(toString(server), server != '')) AS servers
FROM calls
WHERE trace_id IN {ids:Array(String)} AND ts >= (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId IN {ids:Array(String)})
  AND ts <= (SELECT max(End) + toIntervalHour(2) FROM otel_traces_trace_id_ts WHERE TraceId IN {ids:Array(String)})
GROUP BY trace_id`

const FOREVER_MS = 4_102_444_800_000
const SLACK_MS = 3_600_000

/** Event ids begin with the milliseconds of their making (UUID version 7): a prefix is a span of time. */
function timeOf(hex: string): { from_ms: number; to_ms: number } {
  if (hex.length > 12 && hex[12] !== '7') return { from_ms: 0, to_ms: FOREVER_MS }
  const head = hex.slice(0, 12)
  const from_ms = Number.parseInt(head.padEnd(12, '0'), 16) - SLACK_MS
  const to_ms = Number.parseInt(head.padEnd(12, 'f'), 16) + SLACK_MS
  return { from_ms: Math.max(0, Math.min(from_ms, FOREVER_MS)), to_ms: Math.min(to_ms, FOREVER_MS) }
}

/** `hex`: the id as lower-case hex digits, '' when it is none. Newest first. */
export async function run(
  reader: Reader,
  { exact, hex, limit = 50 }: { exact: string; hex: string; limit?: number },
): Promise<FoundTrace[]> {
  const time = hex ? timeOf(hex) : { from_ms: 0, to_ms: 0 }
  const found = await reader.rows<Pick<FoundTrace, 'trace_id' | 'matched'>>(sql, {
    exact,
    hex,
    limit,
    ...time,
  })
  if (found.length === 0) return []
  const details = await reader.rows<FoundTrace>(detailSql, { ids: found.map((f) => f.trace_id) })
  const known = new Map(details.map((d) => [d.trace_id, d]))
  const empty = { calls: 0, failed: 0, first_ts: '', last_ts: '', client_name: '', servers: [] }
  return found
    .map((f) => ({ ...empty, ...known.get(f.trace_id), ...f }))
    .sort((a, b) => (a.last_ts < b.last_ts ? 1 : a.last_ts > b.last_ts ? -1 : 0))
}
