/**
 * What has just been called: events as they reach the store, each once. Follows the time of storing, not of calling, so
 * that what was late on the way is seen too.
 */
import type { Reader } from './client.ts'
import { moment } from './client.ts'

export type TailRow = {
  event_id: string
  ts: string
  ingested_at: string
  kind: string
  trace_id: string
  caller: string
  client_name: string
  method: string
  server: string
  tool: string
  exposed_name: string
  target: string
  outcome: string
  owner: string
  error_type: string
  error_message: string
  duration_us: number
  upstream_us: number
  overhead_us: number
  request_bytes: number
  response_bytes: number
  tokens_in: number
  tokens_out: number
}

/** Where a tail stands. Keep it between calls and do not look inside. */
export type TailCursor = { since_ms: number; seen: ReadonlySet<string> }

/** Two inserts at once may become visible out of order: this far back is read again, and what was seen is left out. */
const OVERLAP_MS = 3_000
const LIMIT_MAX = 5_000

export const sql = `SELECT event_id, ts, ingested_at, toUnixTimestamp64Milli(ingested_at) AS ingested_ms, kind, trace_id, caller, client_name, method, server, tool,
  exposed_name, target, outcome, owner, error_type, error_message, duration_us, upstream_us, overhead_us, request_bytes, response_bytes,
  tokens_in, tokens_out
FROM calls
WHERE ts > now() - INTERVAL 1 DAY AND ingested_at > {since:DateTime64(3)}
  AND ({server:String} = '' OR server = {server:String}) AND ({tool:String} = '' OR tool = {tool:String})
  AND ({caller:String} = '' OR caller = {caller:String}) AND (NOT {failed:Bool} OR outcome NOT IN ('ok', 'input_required'))
ORDER BY ingested_at DESC, ts DESC LIMIT {limit:UInt32}`

export type TailParams = {
  /** Undefined: the newest `limit` events. */
  cursor?: TailCursor
  limit?: number
  server?: string
  tool?: string
  caller?: string
  /** Only what failed. */
  failed?: boolean
}

/** Oldest first. With more than `limit` new events, the oldest of them are left out. */
export async function run(reader: Reader, params: TailParams): Promise<{ rows: TailRow[]; cursor: TailCursor }> {
  const { cursor, limit = 50, server = '', tool = '', caller = '', failed = false } = params
  const asked = Math.min(limit + (cursor?.seen.size ?? 0), LIMIT_MAX)
  const found = await reader.rows<TailRow & { ingested_ms: number }>(sql, {
    since: moment(cursor ? cursor.since_ms - OVERLAP_MS : 0),
    limit: asked,
    server,
    tool,
    caller,
    failed,
  })
  const since_ms = Math.max(cursor?.since_ms ?? 0, ...found.map((row) => row.ingested_ms))
  const recent = found.filter((row) => row.ingested_ms > since_ms - OVERLAP_MS)
  const rows = found
    .filter((row) => !cursor?.seen.has(row.event_id))
    .slice(0, limit)
    .reverse()
    .map(({ ingested_ms: _, ...row }) => row)
  return { rows, cursor: { since_ms, seen: new Set(recent.map((row) => row.event_id)) } }
}
