// A working agent: one session, many calls. Seven in ten are small, the others list, compute, fetch something larger, or
// ask for a tool that is not there (which must come back as a failure, not as a fault of the proxy).
import { call, openSession, options as shared, PREFIX } from './mcp.js'

export const options = shared({
  'http_req_duration{name:echo}': ['p(95)<250', 'p(99)<1000'],
  'http_req_duration{name:tools/list}': ['p(95)<500'],
})

let session = null

export default function () {
  session = session || openSession()
  if (!session) return
  const tool = (name, args, expect) => call('tools/call', { name: PREFIX + name, arguments: args }, { headers: session, name: expect ? `${name} (${expect})` : name, expect })
  const dice = Math.random()
  if (dice < 0.7) tool('echo', { message: `hello from user ${__VU}` })
  else if (dice < 0.8) tool('get-sum', { a: __VU, b: __ITER })
  else if (dice < 0.9) call('tools/list', {}, { headers: session })
  else if (dice < 0.97) tool('get-tiny-image', {})
  else tool('no-such-tool', {}, 'failure')
}
