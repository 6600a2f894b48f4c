/** Traces that show what an alert is about: those with the worst calls of a series in a window, and which call it is. */
import type { Series } from './alert-figures.ts'
import type { Reader } from './client.ts'
import { moment } from './client.ts'

export const ORDERS = ['failed', 'slow', 'costly'] as const

export type Example = { trace_id: string; span_id: string }

export const sql = `SELECT v.trace_id AS trace_id, v.span_id AS span_id
FROM v_calls AS v
WHERE v.ts >= {from:DateTime64(3)} AND v.ts < {to:DateTime64(3)} AND v.trace_id != ''
  AND ({server:String} = '' OR v.server = {server:String}) AND ({tool:String} = '' OR v.tool = {tool:String})
  AND ({team:String} = '' OR v.team = {team:String}) AND ({caller:String} = '' OR v.caller = {caller:String})
  AND ({order:String} != 'failed' OR v.failed)
ORDER BY multiIf({order:String} = 'failed', toFloat64(v.fault), {order:String} = 'costly', toFloat64(v.cost_nano), toFloat64(v.duration_us)) DESC, v.ts DESC
LIMIT 1 BY trace_id LIMIT 3`

export async function run(
  reader: Reader,
  asked: Partial<Series> & { from_ms: number; to_ms: number; order: (typeof ORDERS)[number] },
): Promise<Example[]> {
  const { server = '', tool = '', team = '', caller = '', from_ms, to_ms, order } = asked
  return reader.rows<Example>(sql, {
    server,
    tool,
    team,
    caller,
    order,
    from: moment(from_ms),
    to: moment(to_ms),
  })
}
