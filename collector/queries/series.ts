/** A scope over time, in even steps: how much, how well, how long, and in which phase the time went. */
import { PHASES } from '../../event/names.ts'
import { quantileSql } from '../schema/figures.ts'
import type { Reader } from './client.ts'
import { bound, IN_CALLS, IN_STEPS, isRolled, type Scope, stepOf } from './scope.ts'

type Phase = (typeof PHASES)[number]
/** Sums of the phases are over all calls of the step, microseconds. */
export type StepRow = {
  /** Start of the step, milliseconds since 1970. Steps without calls have no row. */
  t_ms: number
  calls: number
  failed: number
  faults: number
  p50_us: number
  p95_us: number
  p99_us: number
  overhead_p50_us: number
  overhead_p99_us: number
  overhead_us_sum: number
  upstream_us_sum: number
} & Record<`${Phase}_sum`, number>

const START = (at: string): string =>
  `toUnixTimestamp(toStartOfInterval(${at}, toIntervalSecond({step_s:UInt32}), toDateTime({from_s:UInt32}, 'UTC'))) * 1000 AS t_ms`
const OTHERS = ['overhead_us_sum', 'upstream_us_sum', ...PHASES.map((phase) => `${phase}_sum`)]

export const callsSql = `SELECT ${START("toDateTime(v.ts, 'UTC')")}, count() AS calls, countIf(v.failed) AS failed, countIf(v.fault) AS faults,
  quantilesExact(0.5, 0.95, 0.99)(v.duration_us) AS q, q[1] AS p50_us, q[2] AS p95_us, q[3] AS p99_us,
  quantilesExact(0.5, 0.99)(v.overhead_us) AS o, o[1] AS overhead_p50_us, o[2] AS overhead_p99_us,
  ${OTHERS.map((name) => `sum(v.${name.replace(/_sum$/, '')}) AS ${name}`).join(', ')}
FROM v_calls AS v WHERE ${IN_CALLS} GROUP BY t_ms ORDER BY t_ms`

export const stepsSql = `SELECT t_ms, n AS calls, bad AS failed, wrong AS faults, ${[0.5, 0.95, 0.99].map((q) => `${quantileSql('h', q)} AS p${q * 100}_us`).join(', ')},
  ${[0.5, 0.99].map((q) => `${quantileSql('oh', q)} AS overhead_p${q * 100}_us`).join(', ')}, ${OTHERS.map((name) => `all_${name} AS ${name}`).join(', ')}
FROM (
  SELECT ${START('v.t')}, sum(v.calls) AS n, sum(v.failed) AS bad, sum(v.faults) AS wrong, sumMap(v.hist) AS h, sumMap(v.overhead_hist) AS oh,
    ${OTHERS.map((name) => `sum(v.${name}) AS all_${name}`).join(', ')}
  FROM v_tool_5m AS v WHERE ${IN_STEPS} GROUP BY t_ms
) ORDER BY t_ms`

/** Steps count from the beginning of the scope, which is rounded down to whole steps. */
export function alignedScope(scope: Scope): { scope: Scope; step_s: number } {
  const step_s = stepOf(scope)
  const step_ms = step_s * 1000
  return { scope: { ...scope, from_ms: Math.floor(scope.from_ms / step_ms) * step_ms }, step_s }
}

export async function run(
  reader: Reader,
  asked: Scope,
): Promise<{ rows: StepRow[]; step_s: number; from_ms: number; to_ms: number }> {
  const { scope, step_s } = alignedScope(asked)
  const rows = await reader.rows<StepRow>(isRolled(asked) ? stepsSql : callsSql, { ...bound(scope), step_s })
  return { rows, step_s, from_ms: scope.from_ms, to_ms: scope.to_ms }
}
