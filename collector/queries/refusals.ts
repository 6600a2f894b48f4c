/** Refused by policy, one by one, newest first: who wanted what, what refused it, and why. */
import type { Reader } from './client.ts'
import { bound, IN_CALLS, type Scope } from './scope.ts'

export type RefusalRow = {
  event_id: string
  ts: string
  trace_id: string
  span_id: string
  caller: string
  team: string
  agent: string
  roles: string[]
  method: string
  server: string
  tool: string
  verdict: string
  rule: string
  reason: string
  facts: Record<string, string>
}

export const sql = `SELECT v.event_id AS event_id, toString(v.ts) AS ts, v.trace_id AS trace_id, v.span_id AS span_id, v.caller AS caller, v.team AS team,
  v.agent AS agent, v.roles AS roles, v.method AS method, v.server AS server, if(v.tool = '', v.exposed_name, v.tool) AS tool,
  toString(v.decision) AS verdict, v.decision_rule AS rule, v.decision_reason AS reason, v.decision_facts AS facts
FROM v_decisions AS v WHERE ${IN_CALLS} AND v.refused AND ({rule:String} = '' OR v.decision_rule = {rule:String})
ORDER BY v.ts DESC, v.event_id DESC LIMIT {limit:UInt32}`

export const run = (
  reader: Reader,
  scope: Scope,
  { rule = '', limit = 200 }: { rule?: string; limit?: number } = {},
): Promise<RefusalRow[]> => reader.rows<RefusalRow>(sql, { ...bound(scope), rule, limit })
