/** `durability: strict`: no side effect without a record. In the list only when the config asks for it. */
import { WeirError } from '../errors.ts'
import type { Stage } from '../pipeline.ts'
import type { Recorder } from '../record.ts'
import { nowUs } from '../telemetry/clock.ts'

export const intend = (recorder: Recorder): Stage => ({
  name: 'intend',
  why: 'last before forwarding: what is refused earlier had no side effect',
  needs: 'target',
  before(call) {
    if (call.method !== 'tools/call' || call.kind !== 'request') return
    const started_us = nowUs()
    return recorder.recordIntent(call).then(
      () => {
        call.queue_us += nowUs() - started_us
      },
      (error: Error) => {
        throw new WeirError('record_unavailable', error.message, { cause: error })
      },
    )
  },
})
