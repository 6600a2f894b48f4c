/** Labels, trace and run of a call. After `understand`: `_meta` wins over headers. */
import type { Config } from '../../config/schema.ts'
import type { Call } from '../call.ts'
import type { Stage } from '../pipeline.ts'
import { wallUs } from '../telemetry/clock.ts'
import { runRules } from '../telemetry/clues.ts'
import type { InferredRuns } from '../telemetry/inferred-runs.ts'
import { newEventId } from '../telemetry/random.ts'
import { compileLabels, readLabels, traceCall } from '../telemetry/trace.ts'

/** `incoming`: what becomes of the context that clients of a listener send; `seed`: key of the hashes of handles. */
export function trace(
  config: Config,
  runs: InferredRuns,
  incoming: Config['trace']['incoming'],
  seed = 0,
): Stage {
  const labels = compileLabels(config.labels)
  const rules = runRules(config, seed)
  return {
    name: 'trace',
    why: 'needs the message; from here on every exit can be found by its trace',
    needs: 'params',
    before(call) {
      call.event_id = newEventId(wallUs(call.received_us) / 1000)
      readLabels(call, labels)
      traceCall(call, incoming, rules, runs)
    },
  }
}

/**
 * As the stage, for what a server sends on the stream of a session: labels of the client that opened the stream, trace and
 * run of the session. The stream's own context is no parent: what comes on it was not caused by it.
 */
export function streamTracer(config: Config, runs: InferredRuns, seed = 0): (call: Call) => void {
  const labels = compileLabels(config.labels)
  const rules = runRules(config, seed)
  return (call) => {
    readLabels(call, labels)
    traceCall(call, 'ignore', rules, runs)
  }
}
