/**
 * A legacy server's words as a modern client reads them, and the other way round for what a client sends.
 * Pure: JSON text in, JSON text out; what needs no change keeps its bytes. Source: MCP 2026-07-28, changelog, basic/patterns.
 */
import { isRecord } from './json.ts'
import { LOG_LEVEL_KEY } from './ladder.ts'
import { insertMember, locate, removeValue, replaceValue, setValue } from './splice.ts'
import { META, MODERN_VERSIONS, RPC } from './versions.ts'

type Json = Record<string, unknown>

/** Requests whose results carry cache hints. */
const CACHEABLE = new Set([
  'server/discover',
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
])
/** Requests that may be answered by questions (spec, multi round-trip requests). */
export const MAY_ASK: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read'])
/** Requests of legacy revisions that the modern one does not have. */
export const REMOVED: ReadonlySet<string> = new Set([
  'initialize',
  'ping',
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
])
/** Legacy error: URLs are to be visited first. */
const URL_ELICITATION_REQUIRED = -32042

const ENVELOPE = [META.version, META.capabilities, META.clientInfo, LOG_LEVEL_KEY]

/** A modern request without what only modern servers know. Progress token and trace context stay. */
export function legacyRequest(text: string): string {
  let out = text
  for (const key of ENVELOPE) out = removeValue(out, ['params', '_meta', key])
  for (const key of ['inputResponses', 'requestState']) out = removeValue(out, ['params', key])
  return out
}

/** The `initialize` that introduces a modern client to a legacy server. */
export function introduction(version: string, meta: Json): string {
  const declared = (meta[META.capabilities] ?? {}) as Json
  const info = isRecord(meta[META.clientInfo]) ? meta[META.clientInfo] : { name: 'unknown', version: '0' }
  const capabilities: Json = {}
  for (const [name, value] of Object.entries(declared)) {
    // Tasks are another protocol in each era, and extensions did not exist.
    if (name === 'tasks' || name === 'extensions') continue
    capabilities[name] = name === 'roots' ? {} : value
  }
  const params = { protocolVersion: version, capabilities, clientInfo: info }
  return JSON.stringify({ jsonrpc: '2.0', id: 'weir-initialize', method: 'initialize', params })
}

/** The result of `server/discover` that a legacy server's answer to `initialize` amounts to. */
export function discoverResult(initialized: Json): Json {
  const { tasks: _tasks, ...capabilities } = isRecord(initialized.capabilities)
    ? initialized.capabilities
    : ({} as Json)
  const { instructions, serverInfo } = initialized
  return {
    resultType: 'complete',
    supportedVersions: [...MODERN_VERSIONS],
    capabilities,
    ...(typeof instructions === 'string' && { instructions }),
    ttlMs: 0,
    cacheScope: 'private',
    ...(serverInfo !== undefined && { _meta: { [META.serverInfo]: serverInfo } }),
  }
}

/** A legacy answer in the modern form. `message` is the text parsed; `serverInfo` JSON text of who answers, '' for unknown. */
export function modernAnswer(text: string, message: Json, method: string, serverInfo: string): string {
  const { error, result } = message
  if (isRecord(error))
    return error.code === RPC.resourceNotFound
      ? replaceValue(text, ['error', 'code'], String(RPC.invalidParams))
      : text
  if (!isRecord(result)) return text
  let out = method === 'tools/list' ? withoutExecution(text, result) : text
  const open = locate(out, ['result'])!.start
  if (CACHEABLE.has(method)) {
    if (result.cacheScope === undefined) out = insertMember(out, open, 'cacheScope', '"private"')
    if (result.ttlMs === undefined) out = insertMember(out, open, 'ttlMs', '0')
  }
  if (result.resultType === undefined) out = insertMember(out, open, 'resultType', '"complete"')
  if (serverInfo !== '' && (result._meta === undefined || isRecord(result._meta)))
    out = setValue(out, ['result', '_meta', META.serverInfo], serverInfo)
  return out
}

/** `execution` told which tools take (legacy) tasks. */
function withoutExecution(text: string, result: Json): string {
  if (!Array.isArray(result.tools) || !text.includes('"execution"')) return text
  const tools = result.tools.map((tool: unknown) => {
    if (!isRecord(tool)) return tool
    const { execution: _execution, ...rest } = tool
    return rest
  })
  return replaceValue(text, ['result', 'tools'], JSON.stringify(tools))
}

/** A server's question as it stands in `inputRequests`; null when this client did not say it can answer it. */
export function inputRequest(message: Json, capabilities: Json): { method: string; params: Json } | null {
  const method = String(message.method)
  const params = isRecord(message.params) ? { ...message.params } : {}
  if (isRecord(params._meta)) {
    const { progressToken: _token, ...meta } = params._meta
    params._meta = meta
    if (Object.keys(meta).length === 0) delete params._meta
  }
  switch (method) {
    case 'elicitation/create': {
      const { elicitation } = capabilities
      if (!isRecord(elicitation)) return null
      const isUrl = params.mode === 'url'
      // An empty object means forms (spec, elicitation).
      if (
        isUrl
          ? elicitation.url === undefined
          : elicitation.form === undefined && elicitation.url !== undefined
      )
        return null
      delete params.elicitationId
      return { method, params }
    }
    case 'sampling/createMessage':
      return isRecord(capabilities.sampling) ? { method, params } : null
    case 'roots/list':
      return isRecord(capabilities.roots) ? { method, params } : null
    default:
      return null
  }
}

/** The questions in a legacy error -32042, by key; null when it holds none that can be asked. */
export function urlElicitations(error: unknown, capabilities: Json): Record<string, object> | null {
  if (!isRecord(error) || error.code !== URL_ELICITATION_REQUIRED) return null
  const elicitations = isRecord(error.data) ? error.data.elicitations : undefined
  const url = isRecord(capabilities.elicitation) ? capabilities.elicitation.url : undefined
  if (!Array.isArray(elicitations) || url === undefined) return null
  const asked: Record<string, object> = {}
  for (const [i, one] of elicitations.filter(isRecord).entries()) {
    const { elicitationId: _id, ...params } = one
    asked[`url-${i + 1}`] = { method: 'elicitation/create', params: { mode: 'url', ...params } }
  }
  return Object.keys(asked).length > 0 ? asked : null
}
