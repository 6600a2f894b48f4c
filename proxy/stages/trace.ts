/** Labels, trace and run of a call. After `understand`: `_meta` wins over headers. */
import type { Config } from '../../config/schema.ts'
import type { Stage } from '../pipeline.ts'
import { wallUs } from '../telemetry/clock.ts'
import { newEventId } from '../telemetry/random.ts'
import { compileLabels, type InferredRuns, readLabels, traceCall } from '../telemetry/trace.ts'

export function trace(config: Config, runs: InferredRuns): Stage {
  const rules = compileLabels(config.labels)
  const { incoming, run_gap_ms } = config.trace
  return {
    name: 'trace',
    why: 'needs the message; from here on every exit can be found by its trace',
    needs: 'params',
    before(call) {
      call.event_id = newEventId(wallUs(call.received_us) / 1000)
      readLabels(call, rules)
      traceCall(call, incoming, run_gap_ms * 1000, runs)
    },
  }
}
