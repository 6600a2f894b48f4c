// Clients that come and go: initialize, initialized, list, two calls, DELETE. What it finds is the price of a session,
// and sessions that are not let go.
import { call, endSession, openSession, options as shared, PREFIX } from './mcp.js'

export const options = shared({
  'http_req_duration{name:initialize}': ['p(95)<2000'],
  'http_req_duration{name:echo}': ['p(95)<500'],
})

export default function () {
  const headers = openSession()
  if (!headers) return
  call('tools/list', {}, { headers })
  for (let i = 0; i < 2; i++) call('tools/call', { name: `${PREFIX}echo`, arguments: { message: `call ${i}` } }, { headers, name: 'echo' })
  endSession(headers)
}
