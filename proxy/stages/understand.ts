/**
 * Bytes → message: parsed once, kind and era told apart, session opened, client named.
 * Refuses only what no server could answer; what a server would judge is left to it. Source: mcp.md sections 2 to 4.
 */
import { isUtf8 } from 'node:buffer'
import type { Call, Message } from '../call.ts'
import { WeirError } from '../errors.ts'
import type { Session, SessionSeal } from '../identity/session-id.ts'
import { locate } from '../mcp/splice.ts'
import { LEGACY_DEFAULT_VERSION, META } from '../mcp/versions.ts'
import type { Stage } from '../pipeline.ts'

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const CLIENT_CHARS = 100

/** Sets the text of a call and returns what it says. Throws parse_error. */
export function parseBody(call: Call): unknown {
  if (!isUtf8(call.body)) throw new WeirError('parse_error', 'not UTF-8')
  call.text = call.body.toString()
  try {
    return JSON.parse(call.text)
  } catch (error) {
    throw new WeirError('parse_error', error instanceof Error ? error.message.replace(/".*"/s, '…') : '')
  }
}

function parse(call: Call): Message {
  const parsed = parseBody(call)
  // Arrays are batches, which downstream takes apart: what comes here is one message.
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new WeirError('invalid_request')
  return parsed as Message
}

const isId = (id: unknown): id is string | number =>
  typeof id === 'string' || (typeof id === 'number' && Number.isInteger(id))

/** Sets id, method and kind; the id first, so that every later refusal can echo it. */
function classify(call: Call, message: Message): void {
  if (isId(message.id))
    call.id =
      typeof message.id === 'number' && !Number.isSafeInteger(message.id)
        ? rawNumber(call.text)
        : JSON.stringify(message.id)
  if (message.jsonrpc !== '2.0') throw new WeirError('invalid_request', 'jsonrpc is not "2.0"')
  if (typeof message.method === 'string') {
    if (message.id !== undefined && call.id === null)
      throw new WeirError('invalid_request', 'the id is neither a string nor an integer')
    call.method = message.method
    call.kind = message.id === undefined ? 'notification' : 'request'
    const { params } = message
    if (params !== undefined && (typeof params !== 'object' || params === null))
      throw new WeirError('params_invalid', 'params is not an object')
    return
  }
  if (message.method !== undefined) throw new WeirError('invalid_request', 'the method is not a string')
  if (call.id === null || (message.result === undefined && message.error === undefined))
    throw new WeirError('invalid_request', 'neither a method nor a result')
  // An answer to a server's request: no call of the client, so it leaves no event.
  call.isRecorded = true
}

/** An integer beyond 2^53 keeps its digits. */
function rawNumber(json: string): string {
  const span = locate(json, ['id'])
  return span ? json.slice(span.start, span.end) : 'null'
}

function readClient(call: Call, message: Message): void {
  const params = message.params
  const meta = params?._meta
  const headerVersion = text(call.req.headers['mcp-protocol-version'])
  let info: { name?: unknown; version?: unknown } | undefined
  if (meta && typeof meta[META.version] === 'string') {
    call.era = 'modern'
    call.protocol_version = text(meta[META.version]).slice(0, 32)
    info = meta[META.clientInfo] as typeof info
  } else {
    call.era = 'legacy'
    if (call.method === 'initialize') {
      info = params?.clientInfo as typeof info
      call.protocol_version = text(params?.protocolVersion).slice(0, 32)
    } else
      call.protocol_version =
        headerVersion.slice(0, 32) || call.session?.protocol_version || LEGACY_DEFAULT_VERSION
  }
  if (info && typeof info === 'object') {
    call.client_name = text(info.name).slice(0, CLIENT_CHARS)
    call.client_version = text(info.version).slice(0, CLIENT_CHARS)
  } else if (call.session) {
    call.client_name = call.session.client_name
    call.client_version = call.session.client_version
  }
}

/** The session a request names; throws session_unknown when it is not the caller's, or not of this endpoint. */
export function openSession(call: Call, seal: SessionSeal): Session | null {
  const id = call.req.headers['mcp-session-id']
  if (typeof id !== 'string') return null
  const session = seal.unseal(id)
  if (!session || session.caller !== call.identity!.caller || session.server !== call.endpoint.server)
    throw new WeirError('session_unknown')
  return session
}

function readTarget(call: Call, message: Message): void {
  const params = message.params
  if (!params) return
  switch (call.method) {
    case 'tools/call':
    case 'prompts/get':
      call.exposed_name = call.tool = text(params.name)
      break
    case 'resources/read':
    case 'resources/subscribe':
    case 'resources/unsubscribe':
      call.target = publicUri(text(params.uri))
      break
  }
  if (params.arguments !== undefined) {
    try {
      call.arguments_json = JSON.stringify(params.arguments)
    } catch (error) {
      // JSON.parse takes any depth, JSON.stringify does not.
      throw new WeirError('params_invalid', 'the arguments are nested too deeply', { cause: error })
    }
    call.arguments_bytes = Buffer.byteLength(call.arguments_json)
  }
}

/** A URI without what may be secret in it: user info, query, fragment. At most 512 characters. */
export const publicUri = (uri: string): string =>
  uri
    .slice(0, 512)
    .replace(/[?#].*$/s, '')
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, '$1')

/** Reads the body of a call into it. Throws a WeirError; what was understood before stays in the call. */
export function readMessage(call: Call, session: () => Session | null): void {
  const message = parse(call)
  call.message = message
  classify(call, message)
  // A body with the modern envelope has no session, whatever header a client still sends.
  const isModern = typeof message.params?._meta?.[META.version] === 'string'
  if (!isModern && call.method !== 'initialize') call.session = session()
  readClient(call, message)
  readTarget(call, message)
}

export const understand = (seal: SessionSeal): Stage => ({
  name: 'understand',
  why: 'routing, policy and the event all need the message; parsing once is cheaper than scanning',
  needs: 'params',
  before: (call) => readMessage(call, () => openSession(call, seal)),
})
