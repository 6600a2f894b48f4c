/**
 * A modern server's words as a legacy client of a given revision reads them, and what such a client says as a modern server
 * needs it. Pure: JSON text in, JSON text out; what needs no change keeps its bytes.
 * Source: MCP changelogs 2025-03-26 to 2026-07-28; basic/lifecycle of 2025-11-25.
 */
import { isRecord } from './json.ts'
import { LOG_LEVEL_KEY } from './ladder.ts'
import { removeValue, replaceValue, setValue } from './splice.ts'
import { LEGACY_VERSION, LEGACY_VERSIONS, META, MODERN_VERSION, RPC } from './versions.ts'

type Json = Record<string, unknown>

/** Since when results may be structured, and hold links to resources. */
const STRUCTURED_SINCE = '2025-06-18'
const AUDIO_SINCE = '2025-03-26'
const ELICITATION_SINCE = '2025-06-18'
const URL_ELICITATION_SINCE = '2025-11-25'

/** What a legacy client of `version` said it can do, as modern requests declare it. */
export function modernCapabilities(declared: unknown, version: string): Json {
  const capabilities: Json = {}
  for (const [name, value] of Object.entries(isRecord(declared) ? declared : {})) {
    // Legacy tasks are another protocol.
    if (name === 'tasks') continue
    if (name === 'elicitation' && version < ELICITATION_SINCE) continue
    if (name === 'roots') capabilities.roots = {}
    else if (name === 'elicitation' && version < URL_ELICITATION_SINCE)
      capabilities.elicitation = { form: {} }
    else if (name === 'sampling' && version < URL_ELICITATION_SINCE) capabilities.sampling = {}
    else capabilities[name] = value
  }
  return capabilities
}

/** A legacy request with the envelope a modern server needs. `log_level` null: the client asked for no logs. */
export function modernRequest(
  text: string,
  envelope: { capabilities: Json; clientInfo: unknown },
  log_level: string | null,
): string {
  const meta = {
    [META.version]: MODERN_VERSION,
    [META.capabilities]: envelope.capabilities,
    ...(isRecord(envelope.clientInfo) && { [META.clientInfo]: envelope.clientInfo }),
    ...(log_level !== null && { [LOG_LEVEL_KEY]: log_level }),
  }
  let out = removeValue(text, ['params', 'task'])
  for (const [key, value] of Object.entries(meta))
    out = setValue(out, ['params', '_meta', key], JSON.stringify(value))
  return out
}

/** The result of `initialize` that a modern server's `server/discover` amounts to. */
export function initializeResult(discovered: Json, asked: unknown, server: string): Json {
  const { extensions: _extensions, ...capabilities } = isRecord(discovered.capabilities)
    ? discovered.capabilities
    : ({} as Json)
  const info = isRecord(discovered._meta) ? discovered._meta[META.serverInfo] : undefined
  const { instructions } = discovered
  return {
    protocolVersion: LEGACY_VERSIONS.includes(String(asked)) ? asked : LEGACY_VERSION,
    capabilities,
    serverInfo: info ?? { name: server, version: '0' },
    ...(typeof instructions === 'string' && { instructions }),
  }
}

/** A modern answer for a client of `version`. `message` is the text parsed; `wrapped`: tools whose results are wrapped, kept by the caller. */
export function legacyAnswer(
  text: string,
  message: Json,
  request: { method: string; tool: unknown },
  version: string,
  wrapped: Set<unknown>,
): string {
  const { result, error } = message
  if (isRecord(error)) return legacyError(text, error, request.method)
  if (!isRecord(result)) return text
  let out = text
  for (const key of ['resultType', 'ttlMs', 'cacheScope'])
    if (key in result) out = removeValue(out, ['result', key])
  if (request.method === 'tools/list') return legacyTools(out, result, version, wrapped)
  if (request.method === 'tools/call')
    return legacyToolResult(out, result, version, wrapped.has(request.tool))
  if (request.method === 'prompts/get' && Array.isArray(result.messages)) {
    const messages = result.messages.map((one: unknown) =>
      isRecord(one) ? { ...one, content: legacyBlock(one.content, version) } : one,
    )
    if (JSON.stringify(messages) !== JSON.stringify(result.messages))
      return replaceValue(out, ['result', 'messages'], JSON.stringify(messages))
  }
  return out
}

function legacyError(text: string, error: Json, method: string): string {
  // The modern era has no code of its own for it; legacy clients know one.
  if (
    method === 'resources/read' &&
    error.code === RPC.invalidParams &&
    isRecord(error.data) &&
    'uri' in error.data
  )
    return replaceValue(text, ['error', 'code'], String(RPC.resourceNotFound))
  const isOfEnvelope =
    error.code === RPC.headerMismatch ||
    error.code === RPC.capabilityMissing ||
    error.code === RPC.versionUnsupported
  return isOfEnvelope ? replaceValue(text, ['error', 'code'], String(RPC.internal)) : text
}

/** Entries of `tools/list` as a revision knows them, from a server that is legacy too. */
export const legacyEntries = <T extends Json>(entries: T[], version: string): T[] =>
  version < STRUCTURED_SINCE ? entries.map((tool) => withoutSchema(tool) as T) : entries

function withoutSchema({ outputSchema: _schema, ...rest }: Json): Json {
  return rest
}

/** Tools whose structured results are no objects had no place before: schema and results are wrapped under `result`. */
function legacyTools(text: string, result: Json, version: string, wrapped: Set<unknown>): string {
  if (!Array.isArray(result.tools)) return text
  let isChanged = false
  const tools = result.tools.map((tool: unknown) => {
    if (!isRecord(tool) || tool.outputSchema === undefined) return tool
    if (version < STRUCTURED_SINCE) {
      isChanged = true
      return withoutSchema(tool)
    }
    if (isRecord(tool.outputSchema) && tool.outputSchema.type === 'object') {
      wrapped.delete(tool.name)
      return tool
    }
    isChanged = true
    wrapped.add(tool.name)
    return { ...tool, outputSchema: wrappedSchema(tool.outputSchema) }
  })
  return isChanged ? replaceValue(text, ['result', 'tools'], JSON.stringify(tools)) : text
}

/** A schema as property `result` of an object; pointers into itself keep their aim. */
function wrappedSchema(schema: unknown): Json {
  const moved = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(moved)
    if (!isRecord(value)) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [
        key,
        key === '$ref' && typeof inner === 'string' && /^#(\/|$)/.test(inner)
          ? `#/properties/result${inner.slice(1)}`
          : moved(inner),
      ]),
    )
  }
  return { type: 'object', properties: { result: moved(schema) }, required: ['result'] }
}

function legacyToolResult(text: string, result: Json, version: string, isWrapped: boolean): string {
  let out = text
  const { structuredContent } = result
  const content = Array.isArray(result.content) ? result.content : []
  const legacyContent = content.map((block: unknown) => legacyBlock(block, version))
  if (structuredContent !== undefined) {
    if (version < STRUCTURED_SINCE) out = removeValue(out, ['result', 'structuredContent'])
    else if (isWrapped || !isRecord(structuredContent))
      out = replaceValue(out, ['result', 'structuredContent'], JSON.stringify({ result: structuredContent }))
    // Clients that do not read it must find it in a text.
    if (content.length === 0) legacyContent.push({ type: 'text', text: JSON.stringify(structuredContent) })
  }
  return JSON.stringify(legacyContent) === JSON.stringify(result.content)
    ? out
    : setValue(out, ['result', 'content'], JSON.stringify(legacyContent))
}

/** A content block that the revision knows. */
function legacyBlock(block: unknown, version: string): unknown {
  if (!isRecord(block)) return block
  if (block.type === 'resource_link' && version < STRUCTURED_SINCE)
    return { type: 'text', text: [block.title ?? block.name, block.uri].filter(Boolean).join(': ') }
  if (block.type === 'audio' && version < AUDIO_SINCE)
    return { type: 'text', text: `[audio: ${String(block.mimeType ?? 'unknown type')}]` }
  return block
}

/** A question of `inputRequests` as the request a legacy client knows; null when it is none it could answer. */
export function legacyQuestion(
  request: unknown,
  id: string,
  capabilities: Json,
  mintId: () => string,
): Json | null {
  if (!isRecord(request)) return null
  const { method } = request
  const params = isRecord(request.params) ? request.params : {}
  const question = { jsonrpc: '2.0', id, method, params }
  if (method === 'roots/list') return isRecord(capabilities.roots) ? question : null
  if (method === 'sampling/createMessage') return isRecord(capabilities.sampling) ? question : null
  if (method !== 'elicitation/create' || !isRecord(capabilities.elicitation)) return null
  if (params.mode !== 'url') return question
  if (capabilities.elicitation.url === undefined) return null
  return { ...question, params: { ...params, elicitationId: params.elicitationId ?? mintId() } }
}
