/** The event of a call: built, written as text, appended to the spool; counters and histograms bumped. */
import { METRICS } from '../../event/proxy-metrics.ts'
import { readAnswer } from '../../proxy/mcp/answer.ts'
import { trace } from '../../proxy/stages/trace.ts'
import { understand } from '../../proxy/stages/understand.ts'
import { InferredRuns } from '../../proxy/telemetry/inferred-runs.ts'
import { Metrics, observe } from '../../proxy/telemetry/metrics.ts'
import { answerText, capture, config, newCall, newRecorder, seal, textOfEvent } from './fixtures.ts'
import { micro, report } from './measure.ts'

const answer = answerText()
const call = newCall('legacy', 0)
for (const stage of [understand(seal), trace(config, new InferredRuns(), 'parent')]) void stage.before(call)
const { received_us: t } = call
Object.assign(call, {
  body_us: t + 31.5,
  forwarded_us: t + 80.2,
  sent_us: t + 91.7,
  first_byte_us: t + 410.1,
  last_byte_us: t + 433.9,
  server: 'stub',
  upstream_transport: 'http',
  upstream_endpoint: 'http://127.0.0.1:9/mcp',
  attempts: 1,
  client_span_id: '0123456789abcdef',
  http_status: 200,
  response_bytes: answer.length,
  result_hash: 'a'.repeat(32),
})
readAnswer(call, answer)

const recordInto = (recorder: ReturnType<typeof newRecorder>) => (): void => {
  call.isRecorded = false
  recorder.record(call)
}
micro('record, all of it', recordInto(newRecorder(true)), { stage: 'event', target_ns: 2500, must_ns: 4000 })
micro('record without the write', recordInto(newRecorder(false)), { stage: 'event' })
const event = JSON.parse(textOfEvent(call)) as unknown
micro(`JSON.stringify of an event of ${textOfEvent(call).length} B`, () => JSON.stringify(event))
micro('hash of the arguments', () => capture.digest(call.arguments_json), { stage: 'event' })

const metrics = new Metrics()
const bounds = METRICS.mcp_server_operation_duration_seconds.buckets
const labels = ['tools/call', 'echo', 'stub', 'ok', '', '2025-11-25']
const series = metrics.series('mcp_server_operation_duration_seconds', labels)
micro('observe one histogram', (i) => observe(series, bounds, (i % 1000) / 1000), {
  stage: 'counters',
  target_ns: 200,
  must_ns: 500,
})
micro('series by label values', () => metrics.series('mcp_server_operation_duration_seconds', labels))
report()
