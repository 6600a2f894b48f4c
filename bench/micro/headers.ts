/** Headers of a hop, both ways. */
import { forwardedHeaders, returnedHeaders } from '../../proxy/upstream/upstream.ts'
import { newCall, upstream } from './fixtures.ts'
import { micro, report } from './measure.ts'

const { req } = newCall('legacy', 0)
const returned = {
  'content-type': 'application/json',
  'content-length': '787',
  date: 'Sat, 21 Nov 2026 00:00:00 GMT',
  server: 'stub',
}
micro('forwardedHeaders, 11 headers', () => forwardedHeaders(upstream, req.rawHeaders, 'bench'), {
  stage: 'http',
})
micro('returnedHeaders, 4 headers', () => returnedHeaders(returned, true), { stage: 'http' })
report()
