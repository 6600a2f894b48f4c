/** Trace, run and labels of a call, and the context written into the request. */

import { withTraceparent } from '../../proxy/mcp/propagate.ts'
import { trace } from '../../proxy/stages/trace.ts'
import { understand } from '../../proxy/stages/understand.ts'
import { newEventId, newSpanId } from '../../proxy/telemetry/random.ts'
import { InferredRuns, traceparent } from '../../proxy/telemetry/trace.ts'
import { config, newCall, seal } from './fixtures.ts'
import { micro, report } from './measure.ts'

const stage = trace(config, new InferredRuns(), 'parent')
const understanding = understand(seal)
for (const era of ['legacy', 'modern'] as const) {
  const call = newCall(era, 0)
  understanding.before(call)
  micro(`trace stage, ${era}: labels, ids, run`, () => stage.before(call), {
    stage: 'trace',
    target_ns: 500,
    must_ns: 1000,
  })
  micro(
    `propagate, ${era}: splice into _meta and encode`,
    () => {
      const parent = traceparent(call, newSpanId())
      return Buffer.from(withTraceparent(call.text, call.message!, parent))
    },
    { stage: 'trace' },
  )
}
micro('newEventId', (i) => newEventId(1_790_000_000_000 + i))
micro('newSpanId', () => newSpanId())
report()
