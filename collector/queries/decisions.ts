/**
 * What policy said in a scope, by rule, limit or budget: what was allowed, refused, and what those in shadow mode would have
 * refused. A call counts once for what decided, and once for each name in its `shadow`.
 */
import type { Reader } from './client.ts'
import { addedIn } from './costs-now.ts'
import { bound, IN_CALLS, type Scope } from './scope.ts'

export type DecisionRow = {
  /** allow, deny, limit, invalid; shadow: would have been refused. */
  verdict: string
  rule: string
  calls: number
  callers: number
  tools: number
  /** What the calls cost: of `shadow`, what enforcing would have saved. */
  cost_nano: number
  unpriced: number
  first_seen: string
  last_seen: string
  /** Of the newest one. */
  reason: string
  trace_id: string
  span_id: string
}

export const sql = `SELECT v.verdict AS verdict, v.rule AS rule, count() AS calls, uniqExact(v.caller) AS callers, uniqExactIf((v.server, v.tool), v.tool != '') AS tools,
  sum(v.cost_nano + a.delta_nano) AS cost_nano, sum(toInt64(v.cost_source = 'unpriced') + a.unpriced_delta) AS unpriced, toString(min(v.ts)) AS first_seen, toString(max(v.ts)) AS last_seen,
  argMax(v.reason, v.ts) AS reason, argMax(v.trace_id, v.ts) AS trace_id, argMax(v.span_id, v.ts) AS span_id
FROM v_verdicts AS v LEFT ANY JOIN (${addedIn(IN_CALLS)}) AS a ON a.event_id = v.event_id
WHERE ${IN_CALLS}
GROUP BY verdict, rule ORDER BY verdict = 'allow', calls DESC, rule LIMIT 1000`

export const run = (reader: Reader, scope: Scope): Promise<DecisionRow[]> =>
  reader.rows<DecisionRow>(sql, bound(scope))
