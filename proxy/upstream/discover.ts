/** The way modern servers are asked for themselves: headers of a modern message that Weir writes, and `server/discover`. */
import { META, MODERN_VERSION, WEIR_INFO } from '../mcp/versions.ts'
import { type Asked, ask } from './ask.ts'
import type { Upstream } from './upstream.ts'

/** Flat. `caller` is told to the host alone. */
export function modernHeaders(upstream: Upstream, caller: string, method: string): string[] {
  const headers = [
    ...upstream.headers,
    'content-type',
    'application/json',
    'accept',
    'application/json, text/event-stream',
    'mcp-protocol-version',
    MODERN_VERSION,
    'mcp-method',
    method,
  ]
  if (upstream.isHosted) headers.push('weir-principal', caller)
  return headers
}

/** Asks a server who it is, in the modern way. Rejects with a WeirError. */
export function discover(upstream: Upstream, caller: string, timeout_ms: number): Promise<Asked> {
  const _meta = { [META.version]: MODERN_VERSION, [META.capabilities]: {}, [META.clientInfo]: WEIR_INFO }
  const request = { jsonrpc: '2.0', id: 'weir-discover', method: 'server/discover', params: { _meta } }
  const headers = modernHeaders(upstream, caller, 'server/discover')
  return ask(upstream, headers, JSON.stringify(request), timeout_ms)
}
