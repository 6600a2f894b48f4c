/**
 * Asks the server of a call for all its tools, the way the call itself goes: in its session, in its revision, for its
 * caller. For the stages that judge a call by what its tool says of itself. Bounded in pages and time; leaves no event.
 */
import { LIST_TOOLS_MAX } from '../../event/catalogue.ts'
import type { Call } from '../call.ts'
import type { ToolsRead } from '../definitions.ts'
import { WeirError } from '../errors.ts'
import { isRecord } from '../mcp/json.ts'
import { META, MODERN_VERSION, WEIR_INFO } from '../mcp/versions.ts'
import { memberHeaders } from '../roof/session.ts'
import { ask } from './ask.ts'
import { modernHeaders } from './discover.ts'
import { forwardedHeaders, type Upstream } from './upstream.ts'

const PAGES_MAX = 50
/** A call waits for it: less than a merged list does. */
const WAIT_MAX_MS = 5_000
/** Of the client's headers, what is about its own message. */
const OF_THE_CALL = /^mcp-(?:method|name|param-.*)$/

let asked = 0

/** How a question is sent: headers and metadata. */
type Manner = { headers: string[]; meta: { _meta?: Record<string, unknown> } }

/** Rejects with a WeirError when there is no answer, or none in time. */
export async function readToolList(call: Call): Promise<ToolsRead> {
  const upstream = call.way!
  const until_ms = Date.now() + Math.min(WAIT_MAX_MS, upstream.config.list_timeout_ms)
  const plain = plainManner(call, upstream)
  if (call.endpoint.server === '') return readPages(upstream, plain, until_ms)
  // A server may list by what its client says; a client that says what makes the list fail must not go unjudged for it.
  return readPages(upstream, clientManner(call, upstream), until_ms).catch((error) => {
    if (Date.now() >= until_ms) throw error
    return readPages(upstream, plain, until_ms)
  })
}

async function readPages(
  upstream: Upstream,
  { headers, meta }: Manner,
  until_ms: number,
): Promise<ToolsRead> {
  const tools: unknown[] = []
  let ttl_ms = 0
  let cursor: string | undefined
  for (let page = 0; page < PAGES_MAX && tools.length <= LIST_TOOLS_MAX; page++) {
    const params = { ...(cursor !== undefined && { cursor }), ...meta }
    // Ids of a session's requests must not meet.
    const id = `weir-tools-${++asked}`
    const body = JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/list', params })
    const answer = await ask(upstream, [...headers], body, Math.max(1, until_ms - Date.now()))
    const result = answer.message?.result
    if (!isRecord(result) || !Array.isArray(result.tools))
      throw new WeirError(
        'upstream_protocol',
        `tools/list was answered with HTTP ${answer.status} and no list`,
      )
    for (const tool of result.tools) tools.push(tool)
    if (typeof result.ttlMs === 'number') ttl_ms = result.ttlMs
    const next = result.nextCursor
    if (typeof next !== 'string' || next === cursor) break
    cursor = next
  }
  return { tools, ttl_ms }
}

/** As Weir asks by itself. */
function plainManner(call: Call, upstream: Upstream): Manner {
  const caller = call.identity!.caller
  if (call.era === 'modern')
    return {
      headers: modernHeaders(upstream, caller, 'tools/list'),
      meta: {
        _meta: { [META.version]: MODERN_VERSION, [META.capabilities]: {}, [META.clientInfo]: WEIR_INFO },
      },
    }
  const member = { id: call.upstream_session, version: call.upstream_protocol_version }
  return { headers: memberHeaders(upstream, caller, member), meta: {} }
}

/** With what the client of a server's own endpoint says of itself: its headers go along with every message. */
function clientManner(call: Call, upstream: Upstream): Manner {
  const flat = forwardedHeaders(upstream, call.req.rawHeaders, call.identity!.caller)
  const headers: string[] = []
  for (let i = 0; i < flat.length; i += 2)
    if (!OF_THE_CALL.test(flat[i]!)) headers.push(flat[i]!, flat[i + 1]!)
  if (call.upstream_session) headers.push('mcp-session-id', call.upstream_session)
  if (call.era !== 'modern') return { headers, meta: {} }
  headers.push('mcp-method', 'tools/list')
  const said = call.message!.params!._meta!
  const _meta: Record<string, unknown> = {}
  for (const key of [META.version, META.capabilities, META.clientInfo])
    if (key in said) _meta[key] = said[key]
  return { headers, meta: { _meta } }
}
