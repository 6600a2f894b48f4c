/** Which tools are busiest, slowest, failing, over the last minutes or hours: exact, from the calls themselves. */
import type { Reader } from './client.ts'

export type TopToolRow = {
  server: string
  tool: string
  method: string
  calls: number
  calls_per_s: number
  failed: number
  faults: number
  failed_share: number
  p50_us: number
  p95_us: number
  overhead_p95_us: number
  request_bytes: number
  response_bytes: number
  tokens_in: number
  tokens_out: number
  last_ts: string
}

export const ORDERS = ['calls', 'p95', 'failed', 'tokens', 'bytes'] as const

export const sql = `SELECT server, tool, method, count() AS calls, round(calls / {window_s:UInt32}, 3) AS calls_per_s,
  countIf(failed) AS failed_calls, countIf(fault) AS faults, failed_calls / calls AS failed_share,
  quantileExact(0.5)(duration_us) AS p50_us, quantileExact(0.95)(duration_us) AS p95_us, quantileExact(0.95)(overhead_us) AS overhead_p95_us,
  sum(c.request_bytes) AS request_bytes, sum(c.response_bytes) AS response_bytes, sum(c.tokens_in) AS tokens_in, sum(c.tokens_out) AS tokens_out,
  max(ts) AS last_ts
FROM v_calls AS c
WHERE ts > now64(6) - toIntervalSecond({window_s:UInt32}) AND ({all:Bool} OR method = 'tools/call')
GROUP BY server, tool, method
ORDER BY multiIf({order:String} = 'p95', toFloat64(p95_us), {order:String} = 'failed', toFloat64(failed_calls),
  {order:String} = 'tokens', toFloat64(tokens_in + tokens_out), {order:String} = 'bytes', toFloat64(request_bytes + response_bytes), toFloat64(calls)) DESC,
  server, tool, method
LIMIT {limit:UInt32}`

export type TopToolsParams = {
  window_s: number
  order?: (typeof ORDERS)[number]
  limit?: number
  /** Other methods than tools/call too. */
  all?: boolean
}

export async function run(
  reader: Reader,
  { window_s, order = 'calls', limit = 30, all = false }: TopToolsParams,
): Promise<TopToolRow[]> {
  const rows = await reader.rows<Omit<TopToolRow, 'failed'> & { failed_calls: number }>(sql, {
    window_s,
    order,
    limit,
    all,
  })
  return rows.map(({ failed_calls, ...row }) => ({ ...row, failed: failed_calls }))
}
