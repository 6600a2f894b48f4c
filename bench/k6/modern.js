// The stateless era (2026-07-28): no session, every request carries who asks and what it can do. Any worker may answer it.
import { call, MODERN, options as shared, PREFIX } from './mcp.js'

export const options = shared({
  'http_req_duration{name:echo}': ['p(95)<250', 'p(99)<1000'],
  'http_req_duration{name:server/discover}': ['p(95)<1000'],
})

const meta = () => ({
  'io.modelcontextprotocol/protocolVersion': MODERN,
  'io.modelcontextprotocol/clientInfo': { name: 'k6', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
})

function ask(method, params, name) {
  const headers = { 'MCP-Protocol-Version': MODERN, 'Mcp-Method': method }
  if (params.name) headers['Mcp-Name'] = params.name
  return call(method, Object.assign({ _meta: meta() }, params), { headers, name: name || method })
}

export default function () {
  if (__ITER === 0) {
    ask('server/discover', {})
    ask('tools/list', {})
  }
  ask('tools/call', { name: `${PREFIX}echo`, arguments: { message: `hello from user ${__VU}` } }, 'echo')
}
