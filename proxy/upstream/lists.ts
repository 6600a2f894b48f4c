/**
 * Asks the server of a call for a whole list, the way the call itself goes: in its session, in its revision, for its
 * caller. For the stages that judge a call by what its server lists. Bounded in pages and time; leaves no event.
 */
import { LIST_TOOLS_MAX } from '../../event/catalogue.ts'
import type { Call, Message } from '../call.ts'
import type { ToolsRead } from '../definitions.ts'
import { WeirError } from '../errors.ts'
import type { PromptsRead } from '../listed-prompts.ts'
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

/** A list: what it is asked for by, and what of the result holds it. */
type Which = { readonly method: string; readonly member: string }
const TOOLS: Which = { method: 'tools/list', member: 'tools' }
const PROMPTS: Which = { method: 'prompts/list', member: 'prompts' }

type Read = { entries: unknown[]; ttl_ms: number }

/** All tools. Rejects with a WeirError when there is no answer, or none in time. */
export async function readToolList(call: Call): Promise<ToolsRead> {
  const { entries: tools, ttl_ms } = await readList(call, TOOLS)
  return { tools, ttl_ms }
}

/** The names of all prompts. A server that has no such list has none. Rejects as above. */
export async function readPromptList(call: Call): Promise<PromptsRead> {
  const { entries, ttl_ms } = await readList(call, PROMPTS)
  return {
    names: entries.flatMap((entry) =>
      isRecord(entry) && typeof entry.name === 'string' ? [entry.name] : [],
    ),
    ttl_ms,
  }
}

async function readList(call: Call, which: Which): Promise<Read> {
  const upstream = call.way!
  const until_ms = Date.now() + Math.min(WAIT_MAX_MS, upstream.config.list_timeout_ms)
  const plain = plainManner(call, upstream, which.method)
  if (call.endpoint.server === '') return readPages(upstream, which, plain, until_ms)
  // A server may list by what its client says; a client that says what makes the list fail must not go unjudged for it.
  return readPages(upstream, which, clientManner(call, upstream, which.method), until_ms).catch((error) => {
    if (Date.now() >= until_ms) throw error
    return readPages(upstream, which, plain, until_ms)
  })
}

async function readPages(
  upstream: Upstream,
  { method, member }: Which,
  { headers, meta }: Manner,
  until_ms: number,
): Promise<Read> {
  const entries: unknown[] = []
  let ttl_ms = 0
  let cursor: string | undefined
  for (let page = 0; page < PAGES_MAX && entries.length <= LIST_TOOLS_MAX; page++) {
    const params = { ...(cursor !== undefined && { cursor }), ...meta }
    // Ids of a session's requests must not meet.
    const id = `weir-list-${++asked}`
    const body = JSON.stringify({ jsonrpc: '2.0', id, method, params })
    const answer = await ask(upstream, [...headers], body, Math.max(1, until_ms - Date.now()))
    const result = answer.message?.result
    if (member !== 'tools' && isNoMethod(answer.message)) return { entries, ttl_ms }
    if (!isRecord(result) || !Array.isArray(result[member]))
      throw new WeirError(
        'upstream_protocol',
        `${method} was answered with HTTP ${answer.status} and no list`,
      )
    for (const entry of result[member]) entries.push(entry)
    if (typeof result.ttlMs === 'number') ttl_ms = result.ttlMs
    const next = result.nextCursor
    if (typeof next !== 'string' || next === cursor) break
    cursor = next
  }
  return { entries, ttl_ms }
}

const isNoMethod = (message: Message | null): boolean =>
  isRecord(message?.error) && message.error.code === -32601

/** As Weir asks by itself. */
function plainManner(call: Call, upstream: Upstream, method: string): Manner {
  const caller = call.identity!.caller
  if (call.era === 'modern')
    return {
      headers: modernHeaders(upstream, caller, method),
      meta: {
        _meta: { [META.version]: MODERN_VERSION, [META.capabilities]: {}, [META.clientInfo]: WEIR_INFO },
      },
    }
  const member = { id: call.upstream_session, version: call.upstream_protocol_version }
  return { headers: memberHeaders(upstream, caller, member), meta: {} }
}

/** With what the client of a server's own endpoint says of itself: its headers go along with every message. */
function clientManner(call: Call, upstream: Upstream, method: string): Manner {
  const flat = forwardedHeaders(upstream, call.req.rawHeaders, call.identity!.caller)
  const headers: string[] = []
  for (let i = 0; i < flat.length; i += 2)
    if (!OF_THE_CALL.test(flat[i]!)) headers.push(flat[i]!, flat[i + 1]!)
  if (call.upstream_session) headers.push('mcp-session-id', call.upstream_session)
  if (call.era !== 'modern') return { headers, meta: {} }
  headers.push('mcp-method', method)
  const said = call.message!.params!._meta!
  const _meta: Record<string, unknown> = {}
  for (const key of [META.version, META.capabilities, META.clientInfo])
    if (key in said) _meta[key] = said[key]
  return { headers, meta: { _meta } }
}
