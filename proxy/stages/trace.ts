/** Labels, trace and run of a call. After `understand`: `_meta` wins over headers. */
import type { Config } from '../../config/schema.ts'
import type { Call } from '../call.ts'
import type { Stage } from '../pipeline.ts'
import { wallUs } from '../telemetry/clock.ts'
import { newEventId } from '../telemetry/random.ts'
import { compileLabels, type InferredRuns, readLabels, traceCall } from '../telemetry/trace.ts'

/** `incoming`: what becomes of the context that clients of a listener send. */
export function trace(config: Config, runs: InferredRuns, incoming: Config['trace']['incoming']): Stage {
  const rules = compileLabels(config.labels)
  const { run_gap_ms } = config.trace
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

/**
 * As the stage, for what a server sends on the stream of a session: labels of the client that opened the stream, trace and
 * run of the session. The stream's own context is no parent: what comes on it was not caused by it.
 */
export function streamTracer(config: Config, runs: InferredRuns): (call: Call) => void {
  const rules = compileLabels(config.labels)
  return (call) => {
    readLabels(call, rules)
    traceCall(call, 'ignore', config.trace.run_gap_ms * 1000, runs)
  }
}
