/** What changed: each tool in a time and in the same time a day or a week before. */
import type { Reader } from './client.ts'
import { bound, IN_CALLS, type Scope } from './scope.ts'

export type MoverRow = {
  server: string
  tool: string
  method: string
  calls: number
  calls_before: number
  failed: number
  failed_before: number
  p95_us: number
  p95_before_us: number
}

export const sql = `SELECT v.server AS server, v.tool AS tool, v.method AS method,
  countIf(v.ts >= since) AS calls, countIf(v.ts < since) AS calls_before,
  countIf(v.failed AND v.ts >= since) AS failed, countIf(v.failed AND v.ts < since) AS failed_before,
  ifNotFinite(quantileExactIf(0.95)(v.duration_us, v.ts >= since), 0) AS p95_us, ifNotFinite(quantileExactIf(0.95)(v.duration_us, v.ts < since), 0) AS p95_before_us
FROM (SELECT *, fromUnixTimestamp64Micro({since_us:Int64}) AS since FROM v_calls AS v WHERE ${IN_CALLS.replaceAll('{from_us:Int64}', '{before_from_us:Int64}')}
  AND (v.ts >= fromUnixTimestamp64Micro({since_us:Int64}) OR v.ts < fromUnixTimestamp64Micro({before_to_us:Int64}))) AS v
GROUP BY server, tool, method
ORDER BY abs(toInt64(calls) - toInt64(calls_before)) DESC, server, tool LIMIT {limit:UInt32}`

/** `shift_ms`: how far back the time lies that is compared with; longer than the scope. */
export const run = (reader: Reader, scope: Scope, shift_ms: number, limit = 200): Promise<MoverRow[]> => {
  const us = (ms: number): number => Math.round(ms * 1000)
  return reader.rows<MoverRow>(sql, {
    ...bound(scope),
    since_us: us(scope.from_ms),
    before_from_us: us(scope.from_ms - shift_ms),
    before_to_us: us(scope.to_ms - shift_ms),
    limit,
  })
}
