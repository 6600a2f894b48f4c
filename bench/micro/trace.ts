/** Trace, run and labels of a call, and the context written into the request. */

import { withTraceparent } from '../../proxy/mcp/propagate.ts'
import { trace } from '../../proxy/stages/trace.ts'
import { understand } from '../../proxy/stages/understand.ts'
import { handlesOf } from '../../proxy/telemetry/handles.ts'
import { InferredRuns } from '../../proxy/telemetry/inferred-runs.ts'
import { newEventId, newSpanId } from '../../proxy/telemetry/random.ts'
import { traceparent } from '../../proxy/telemetry/trace.ts'
import { answerText, config, newCall, seal } from './fixtures.ts'
import { micro, report } from './measure.ts'

const stage = trace(config, new InferredRuns(), 'parent')
const understanding = understand(seal)
for (const era of ['legacy', 'modern'] as const) {
  const call = newCall(era, 0)
  understanding.before(call)
  // As a client counts them, without a gap or a repeat: without a session the numbers tell the runs apart.
  let id = 0
  const next = (): void => {
    call.id = String(id++)
    call.inferred?.by.end(call.inferred, call.received_us)
    stage.before(call)
  }
  micro(`trace stage, ${era}: labels, ids, run`, next, {
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
for (const size of [787, 16_384]) {
  // As it comes from the socket: one flat string.
  const answer = Buffer.from(answerText(size)).toString()
  micro(`handles of an answer of ${size} bytes (only where a run is inferred)`, () =>
    handlesOf(answer, 1, 48),
  )
}
for (const agents of [2, 8, 64]) {
  const runs = new InferredRuns()
  const isOpen = (): boolean => true
  const own = Array.from({ length: agents }, (_, i) => ({
    n: 0,
    connection: { name: `127.0.0.1:${i}`, isOpen },
  }))
  micro(`run of a call among ${agents} agents of one name`, (i) => {
    const agent = own[i % agents]!
    const clue = {
      name: 'a',
      endpoint: '/mcp',
      sequence: { prefix: '', n: agent.n++ },
      connection: agent.connection,
      handles: () => [],
      isToolCall: true,
      isIntroduction: false,
      isNotification: false,
    }
    const now_us = i * 100_000
    runs.end(runs.assign(clue, now_us, 1e12), now_us + 5_000)
  })
}
micro('newEventId', (i) => newEventId(1_790_000_000_000 + i))
micro('newSpanId', () => newSpanId())
report()
