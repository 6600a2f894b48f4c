// Long calls that report progress: the answer must be a stream, the reports must come before the result. k6 sees a stream
// only when it ends, so http_req_waiting (time to the first byte) is the figure that shows it was not held back.
import { check } from 'k6'
import { call, openSession, options as shared, PREFIX } from './mcp.js'

const STEPS = 4
const SECONDS = Number(__ENV.WEIR_STEP_SECONDS || 1)

export const options = shared({
  'http_req_waiting{name:long call}': [`p(95)<${SECONDS * 1000}`],
  'http_req_duration{name:long call}': [`p(95)<${SECONDS * 1000 + 1000}`],
})

let session = null

export default function () {
  session = session || openSession()
  if (!session) return
  const { messages } = call(
    'tools/call',
    {
      name: `${PREFIX}trigger-long-running-operation`,
      arguments: { duration: SECONDS, steps: STEPS },
      _meta: { progressToken: `${__VU}-${__ITER}` },
    },
    { headers: session, name: 'long call' },
  )
  const last = messages.length - 1
  const reports = messages.filter((m) => m.method === 'notifications/progress')
  check(messages, {
    'progress: reported': () => reports.length >= 1,
    'progress: before the result': (all) => all.length > 0 && all[last].method === undefined,
    'progress: under the token asked for': () => reports.every((m) => m.params.progressToken === `${__VU}-${__ITER}`),
  })
}
