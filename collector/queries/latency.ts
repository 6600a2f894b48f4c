/** How durations spread over time: calls by step and bucket of the histogram (bucket i: (2^(i/8), 2^((i+1)/8)] microseconds). */
import { bucketSql } from '../schema/figures.ts'
import type { Reader } from './client.ts'
import { bound, IN_CALLS, IN_STEPS, isRolled, type Scope } from './scope.ts'
import { alignedScope } from './series.ts'

export type LatencyCell = { t_ms: number; bucket: number; calls: number }

const START = (at: string): string =>
  `toUnixTimestamp(toStartOfInterval(${at}, toIntervalSecond({step_s:UInt32}), toDateTime({from_s:UInt32}, 'UTC'))) * 1000 AS t_ms`

export const callsSql = `SELECT ${START("toDateTime(v.ts, 'UTC')")}, ${bucketSql('v.duration_us')} AS bucket, count() AS calls
FROM v_calls AS v WHERE ${IN_CALLS} GROUP BY t_ms, bucket ORDER BY t_ms, bucket`

export const stepsSql = `SELECT ${START('v.t')}, kv.1 AS bucket, sum(kv.2) AS calls
FROM v_tool_5m AS v ARRAY JOIN arrayZip(mapKeys(v.hist), mapValues(v.hist)) AS kv WHERE ${IN_STEPS} GROUP BY t_ms, bucket ORDER BY t_ms, bucket`

export async function run(
  reader: Reader,
  asked: Scope,
): Promise<{ rows: LatencyCell[]; step_s: number; from_ms: number; to_ms: number }> {
  const { scope, step_s } = alignedScope(asked)
  const sql = isRolled(asked) ? stepsSql : callsSql
  const rows = await reader.rows<LatencyCell>(sql, { ...bound(scope), step_s })
  return { rows, step_s, from_ms: scope.from_ms, to_ms: scope.to_ms }
}
