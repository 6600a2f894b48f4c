/**
 * Calls of the past as policy would have seen them, oldest first, page by page: who called what when, what is kept of the arguments,
 * what the tool said of itself last, and what the call costs now.
 */
import { moment, type Reader } from './client.ts'

export type PastCall = {
  event_id: string
  ts_us: number
  caller: string
  team: string
  project: string
  agent: string
  principal: string
  auth_method: string
  roles: string[]
  tags: Record<string, string>
  client_name: string
  client_version: string
  session_id: string
  method: string
  server: string
  tool: string
  /** URI of a resource, without its query. */
  target: string
  arguments_bytes: number
  /** Masked, and cut where long; '' when they are not kept. */
  arguments: string
  /** Whether anything is known of the tool's definition, and its hints. */
  is_defined: number
  read_only: number
  destructive: number
  outcome: string
  decision: string
  duration_us: number
  cost_nano: number
}

/** Methods that policy decides about. */
const JUDGED = "'tools/call', 'prompts/get', 'resources/read', 'resources/subscribe'"

// The page first: what belongs to its calls is looked up for them alone.
export const sql = `WITH page AS (
  SELECT * FROM v_calls AS v
  WHERE v.ts >= toDateTime64({from:String}, 6, 'UTC') AND v.ts < toDateTime64({to:String}, 6, 'UTC') AND v.method IN (${JUDGED})
    AND v.server != '' AND (toUnixTimestamp64Micro(v.ts), toString(v.event_id)) > ({after_us:Int64}, {after_id:String})
  ORDER BY v.ts, toString(v.event_id) LIMIT {limit:UInt32}
)
SELECT toString(c.event_id) AS event_id, toUnixTimestamp64Micro(c.ts) AS ts_us, c.caller AS caller, c.team AS team, c.project AS project,
  c.agent AS agent, c.principal AS principal, toString(c.auth_method) AS auth_method, c.roles AS roles, c.tags AS tags,
  c.client_name AS client_name, c.client_version AS client_version, c.session_id AS session_id, c.method AS method, c.server AS server,
  c.tool AS tool, c.target AS target, c.arguments_bytes AS arguments_bytes, p.body AS arguments, d.is_defined AS is_defined,
  d.read_only AS read_only, d.destructive AS destructive, toString(c.outcome) AS outcome, toString(c.decision) AS decision,
  c.duration_us AS duration_us, k.cost_nano AS cost_nano
FROM page AS c
LEFT ANY JOIN (
  SELECT event_id, any(body) AS body FROM call_payloads
  WHERE part = 'arguments' AND event_id IN (SELECT event_id FROM page)
    AND ts >= toDateTime64({from:String}, 6, 'UTC') AND ts < toDateTime64({to:String}, 6, 'UTC') GROUP BY event_id
) AS p ON p.event_id = c.event_id
LEFT ANY JOIN (SELECT server, tool, toUInt8(1) AS is_defined, read_only, destructive FROM v_tool_definitions) AS d
  ON d.server = c.server AND d.tool = c.tool
LEFT ANY JOIN (
  SELECT event_id, sum(cost_nano) AS cost_nano FROM v_call_costs
  WHERE event_id IN (SELECT event_id FROM page) AND ts >= toDateTime64({from:String}, 6, 'UTC') AND ts < toDateTime64({to:String}, 6, 'UTC')
  GROUP BY event_id
) AS k ON k.event_id = c.event_id
ORDER BY c.ts, toString(c.event_id)`

export type Span = { from_ms: number; to_ms: number }
const PAGE = 5_000

/** All calls of a span in pages. */
export async function* run(
  reader: Reader,
  { from_ms, to_ms }: Span,
  page = PAGE,
): AsyncGenerator<PastCall[]> {
  let after = { after_us: 0, after_id: '' }
  const bound = { to: moment(to_ms), limit: page }
  let from = moment(from_ms)
  for (;;) {
    const rows = await reader.rows<PastCall>(sql, { ...bound, ...after, from })
    if (rows.length > 0) yield rows
    const last = rows.at(-1)
    if (!last || rows.length < page) return
    after = { after_us: last.ts_us, after_id: last.event_id }
    from = moment(Math.floor(last.ts_us / 1000))
  }
}
