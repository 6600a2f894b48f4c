/** Who called: by caller, team, project and agent. Beyond a day from the daily rollup, in whole days. */
import type { Reader } from './client.ts'
import { addedIn } from './costs-now.ts'
import { bound, IN_CALLS, type Scope } from './scope.ts'

export type CallerRow = {
  caller: string
  team: string
  project: string
  agent: string
  calls: number
  failed: number
  faults: number
  /** 95th percentile; null beyond a day. */
  p95_us: number | null
  tokens_in: number
  tokens_out: number
  request_bytes: number
  response_bytes: number
  cost_nano: number
  unpriced: number
  tools: number
  first_seen: string
  last_seen: string
}

export const callsSql = `SELECT v.caller AS caller, v.team AS team, v.project AS project, v.agent AS agent, count() AS calls, countIf(v.failed) AS failed,
  countIf(v.fault) AS faults, quantileExact(0.95)(v.duration_us) AS p95_us, sum(v.tokens_in) AS tokens_in, sum(v.tokens_out) AS tokens_out,
  sum(v.request_bytes) AS request_bytes, sum(v.response_bytes) AS response_bytes, sum(v.cost_nano + a.delta_nano) AS cost_nano,
  sum(toInt64(v.cost_source = 'unpriced') + a.unpriced_delta) AS unpriced, uniqExactIf((v.server, v.tool), v.tool != '') AS tools, toString(min(v.ts)) AS first_seen, toString(max(v.ts)) AS last_seen
FROM v_calls AS v LEFT ANY JOIN (${addedIn(IN_CALLS)}) AS a ON a.event_id = v.event_id WHERE ${IN_CALLS}
GROUP BY caller, team, project, agent ORDER BY calls DESC, caller LIMIT {limit:UInt32}`

export const daysSql = `SELECT caller, team, project, agent, calls, failed, faults, NULL AS p95_us, tokens_in, tokens_out, request_bytes, response_bytes,
  cost_nano, unpriced, tools, toString(first_seen) AS first_seen, toString(last_seen) AS last_seen
FROM v_callers(from = {from_day:Date}, to = {to_day:Date}) AS v
WHERE ${(['caller', 'team', 'project', 'agent'] as const).map((name) => `({${name}:String} = '' OR v.${name} = {${name}:String})`).join(' AND ')}
ORDER BY calls DESC, caller LIMIT {limit:UInt32}`

const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

export function run(reader: Reader, scope: Scope, limit = 1_000): Promise<CallerRow[]> {
  const isDaily =
    scope.to_ms - scope.from_ms > 86_400_000 && !scope.server && !scope.tool && !scope.method && !scope.env
  return reader.rows<CallerRow>(isDaily ? daysSql : callsSql, {
    ...bound(scope),
    ...(isDaily ? { from_day: day(scope.from_ms), to_day: day(scope.to_ms - 1) } : {}),
    limit,
  })
}
