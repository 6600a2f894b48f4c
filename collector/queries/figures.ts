/** Rate, errors and duration of a scope: in all, or by tool, server or caller. */
import { quantileSql } from '../schema/figures.ts'
import type { Reader } from './client.ts'
import { bound, IN_CALLS, IN_STEPS, isRolled, type Scope } from './scope.ts'

export type FigureRow = {
  calls: number
  failed: number
  faults: number
  p50_us: number
  p95_us: number
  p99_us: number
  max_us: number
  overhead_p50_us: number
  overhead_p99_us: number
  request_bytes: number
  response_bytes: number
  tokens_in: number
  tokens_out: number
}

const SUMS = `sum(v.request_bytes) AS bytes_in, sum(v.response_bytes) AS bytes_out, sum(v.tokens_in) AS sum_in, sum(v.tokens_out) AS sum_out`
const FROM_CALLS = `count() AS n, countIf(v.failed) AS bad, countIf(v.fault) AS wrong,
  arrayMap(x -> if(isNaN(x), 0, x), quantilesExact(0.5, 0.95, 0.99)(v.duration_us)) AS q, max(v.duration_us) AS longest,
  arrayMap(x -> if(isNaN(x), 0, x), quantilesExact(0.5, 0.99)(v.overhead_us)) AS o, ${SUMS}`
const FROM_STEPS = `sum(v.calls) AS n, sum(v.failed) AS bad, sum(v.faults) AS wrong,
  [${[0.5, 0.95, 0.99].map((q) => quantileSql('sumMap(v.hist)', q)).join(', ')}] AS q, max(v.duration_us_max) AS longest,
  [${[0.5, 0.99].map((q) => quantileSql('sumMap(v.overhead_hist)', q)).join(', ')}] AS o, ${SUMS}`
const NAMED = `n AS calls, bad AS failed, wrong AS faults, q[1] AS p50_us, q[2] AS p95_us, q[3] AS p99_us, longest AS max_us,
  o[1] AS overhead_p50_us, o[2] AS overhead_p99_us, bytes_in AS request_bytes, bytes_out AS response_bytes, sum_in AS tokens_in,
  sum_out AS tokens_out`

export const callsSql = `SELECT ${NAMED} FROM (SELECT ${FROM_CALLS} FROM v_calls AS v WHERE ${IN_CALLS})`
export const stepsSql = `SELECT ${NAMED} FROM (SELECT ${FROM_STEPS} FROM v_tool_5m AS v WHERE ${IN_STEPS})`

/** One row, zeros when there is nothing. */
export const run = (reader: Reader, scope: Scope): Promise<FigureRow[]> =>
  reader.rows<FigureRow>(isRolled(scope) ? stepsSql : callsSql, bound(scope))

export type ToolRow = FigureRow & {
  server: string
  tool: string
  method: string
  /** Newest call (of the rollup: its five minutes). */
  last_ts: string
  /** Calls in 24 equal parts of the time. */
  trend: number[]
}

const TREND = 24
const trend = (at: string, weight: string): string =>
  `sumForEach(arrayMap(i -> if(i = least(${TREND - 1}, intDiv((${at} - {from_us:Int64}) * ${TREND}, {to_us:Int64} - {from_us:Int64})), ${weight}, 0), range(${TREND}))) AS parts`

export const toolsSql = `SELECT server, tool, method, ${NAMED}, toString(newest) AS last_ts, parts AS trend FROM (
  SELECT v.server AS server, v.tool AS tool, v.method AS method, ${FROM_CALLS}, max(v.ts) AS newest, ${trend('toUnixTimestamp64Micro(v.ts)', 'toUInt64(1)')}
  FROM v_calls AS v WHERE ${IN_CALLS} GROUP BY server, tool, method)
ORDER BY calls DESC, server, tool, method LIMIT {limit:UInt32}`
export const toolStepsSql = `SELECT server, tool, method, ${NAMED}, toString(newest) AS last_ts, parts AS trend FROM (
  SELECT v.server AS server, v.tool AS tool, v.method AS method, ${FROM_STEPS}, max(v.t) AS newest, ${trend('greatest(toInt64(toUnixTimestamp(v.t)) * 1000000, {from_us:Int64})', 'v.calls')}
  FROM v_tool_5m AS v WHERE ${IN_STEPS} GROUP BY server, tool, method)
ORDER BY calls DESC, server, tool, method LIMIT {limit:UInt32}`

export const byTool = (reader: Reader, scope: Scope, limit = 1_000): Promise<ToolRow[]> =>
  reader.rows<ToolRow>(isRolled(scope) ? toolStepsSql : toolsSql, { ...bound(scope), limit })
