/**
 * The validation ladder of modern MCP over HTTP: which era a request speaks, and whether its headers and envelope hold.
 * Pure: HTTP method, headers and parsed body in; verdict or fault out. Forwards and answers nothing itself.
 * The rungs are data; the order is the precedence: a request that breaks several rules is answered by the earliest rung.
 * Fault texts name headers and keys, never values, so they may be logged. Source: MCP 2026-07-28, basic/transports.
 */
import { isRecord } from './json.ts'
import { decodeHeaderValue, paramHeadersOf, paramProblem } from './param-headers.ts'
import { META, MODERN_VERSION, RPC } from './versions.ts'

/** Header names are lower-case, as node:http gives them. */
export type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>
export type RpcId = string | number

export type LadderInput = {
  readonly http_method: string
  readonly headers: RequestHeaders
  /** The parsed body; ignored when `is_json` is false. */
  readonly body: unknown
  /** Whether the body was JSON at all. */
  readonly is_json: boolean
  /** Modern versions served at this endpoint. */
  readonly supported: readonly string[]
  /** Methods served at this endpoint; absent: unknown methods are for the server behind it to refuse. */
  readonly methods?: ReadonlySet<string>
  /** Input schema of a tool, the same object each time (it is compiled once); undefined when unknown: no Mcp-Param check. */
  readonly schemaOf?: (tool: string) => unknown
}

export type LegacyKind = 'http_method' | 'batch' | 'response' | 'initialize' | 'request' | 'notification'

export type Verdict =
  | { readonly era: 'legacy'; readonly kind: LegacyKind; readonly version: string | undefined }
  | {
      readonly era: 'modern'
      readonly kind: 'request' | 'notification'
      readonly version: string
      readonly method: string
      /** null for notifications. */
      readonly id: RpcId | null
    }

export type Fault = {
  readonly rung: RungName
  readonly http_status: number
  readonly code: number
  readonly message: string
  readonly data?: Record<string, unknown>
  /** Id to answer with; null when none could be read. */
  readonly id: RpcId | null
}

export type RungName =
  | 'http_method'
  | 'json'
  | 'jsonrpc'
  | 'era'
  | 'envelope'
  | 'version'
  | 'headers'
  | 'params'
  | 'method'

/** What the rungs read and pass on to later rungs. One object per request, every field set at birth. */
type Reading = {
  readonly input: LadderInput
  readonly version_header: string | undefined
  readonly method_header: string | undefined
  message: Record<string, unknown>
  params: Record<string, unknown> | undefined
  meta: Record<string, unknown> | undefined
  method: string
  id: RpcId | null
  is_request: boolean
  version: string
}

type Rung = {
  readonly name: RungName
  readonly why: string
  check(reading: Reading): Verdict | Fault | null
}

const NO_RECORD: Record<string, unknown> = Object.freeze({})
/** Key of `params._meta` that asks for log messages of at least this level. */
export const LOG_LEVEL_KEY = 'io.modelcontextprotocol/logLevel'

const LOG_LEVELS = new Set(['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'])

/** Which member of `params` the header Mcp-Name repeats, by method. */
export const NAME_SOURCE: ReadonlyMap<string, string> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
  ['tasks/get', 'taskId'],
  ['tasks/update', 'taskId'],
  ['tasks/cancel', 'taskId'],
])

const isId = (value: unknown): value is RpcId => typeof value === 'string' || Number.isInteger(value)
const isModern = (version: string): boolean => version >= MODERN_VERSION

/** A header's value without the optional whitespace around it; the first one when it came several times. */
export function headerOf(headers: RequestHeaders, name: string): string | undefined {
  const value = headers[name]
  const single = typeof value === 'string' ? value : value?.[0]
  return single?.replace(/^[ \t]+|[ \t]+$/g, '')
}

const fault = (
  r: Reading,
  rung: RungName,
  code: number,
  message: string,
  data?: Record<string, unknown>,
  http_status = 400,
): Fault => ({ rung, http_status, code, message, ...(data && { data }), id: r.id })

const mismatch = (r: Reading, rung: RungName, header: string, body: string, problem: string): Fault =>
  fault(r, rung, RPC.headerMismatch, `${header} ${problem}`, { mismatch: { header, body } })

const legacy = (kind: LegacyKind, version: string | undefined): Verdict => ({ era: 'legacy', kind, version })

/** Whether a message carries the envelope key that makes it modern. */
export function claimsModern(message: unknown): boolean {
  if (!isRecord(message) || !isRecord(message.params) || !isRecord(message.params._meta)) return false
  return Object.hasOwn(message.params._meta, META.version)
}

/** Whether something parsed is a JSON-RPC message of any kind. */
export function isMessage(message: unknown): boolean {
  if (!isRecord(message) || message.jsonrpc !== '2.0') return false
  if (message.method === undefined) return isResponse(message)
  if (typeof message.method !== 'string') return false
  if (message.id !== undefined && !isId(message.id)) return false
  return message.params === undefined || isRecord(message.params)
}

function isResponse(message: Record<string, unknown>): boolean {
  if (message.method !== undefined) return false
  if (isRecord(message.result)) return isId(message.id) && message.error === undefined
  // An error to a message whose id could not be read has none.
  return isRecord(message.error) && (message.id === undefined || message.id === null || isId(message.id))
}

function checkShape(r: Reading): Verdict | Fault | null {
  const { body } = r.input
  if (Array.isArray(body)) {
    if (body.length === 0) return fault(r, 'jsonrpc', RPC.invalidRequest, 'The batch is empty')
    if (body.some(claimsModern) || (r.version_header !== undefined && isModern(r.version_header)))
      return fault(r, 'jsonrpc', RPC.invalidRequest, `Batches do not exist in ${MODERN_VERSION} and later`)
    if (!body.every(isMessage))
      return fault(
        r,
        'jsonrpc',
        RPC.invalidRequest,
        'The batch holds something that is not a JSON-RPC message',
      )
    return legacy('batch', r.version_header)
  }
  if (isRecord(body) && typeof body.method === 'string' && isId(body.id)) r.id = body.id
  if (!isRecord(body) || !isMessage(body))
    return fault(r, 'jsonrpc', RPC.invalidRequest, 'The body is not a JSON-RPC message')
  if (isResponse(body)) return legacy('response', r.version_header)
  r.message = body
  r.method = body.method as string
  r.is_request = body.id !== undefined
  r.params = body.params as Record<string, unknown> | undefined
  r.meta = r.params !== undefined && isRecord(r.params._meta) ? r.params._meta : undefined
  return null
}

function checkEra(r: Reading): Verdict | Fault | null {
  if (r.meta !== undefined && Object.hasOwn(r.meta, META.version)) return null
  if (r.version_header === undefined || !isModern(r.version_header)) {
    const kind = !r.is_request ? 'notification' : r.method === 'initialize' ? 'initialize' : 'request'
    return legacy(kind, r.version_header)
  }
  if (r.is_request && r.method === 'initialize')
    return mismatch(r, 'era', 'MCP-Protocol-Version', 'method', 'names a revision that has no initialize')
  // A notification needs no envelope: the header alone tells its era.
  if (!r.is_request) r.version = r.version_header
  return null
}

function checkEnvelope(r: Reading): Fault | null {
  if (r.version !== '') return methodMismatch(r)
  const bad = (key: string, problem: string): Fault =>
    fault(r, 'envelope', RPC.invalidParams, `params._meta["${key}"] ${problem}`, {
      envelope: { key, problem },
    })
  const meta = r.meta ?? NO_RECORD
  const version = meta[META.version]
  const capabilities = meta[META.capabilities]
  const missing = r.is_request
    ? [META.version, META.capabilities].filter((key) => meta[key] === undefined)
    : []
  if (missing.length > 0)
    return fault(r, 'envelope', RPC.invalidParams, `params._meta lacks ${missing.join(' and ')}`, {
      envelope: { missing },
    })
  if (typeof version !== 'string') return bad(META.version, 'is not a string')
  if (r.is_request) {
    if (!isRecord(capabilities)) return bad(META.capabilities, 'is not an object')
    const info = meta[META.clientInfo]
    if (
      info !== undefined &&
      !(isRecord(info) && typeof info.name === 'string' && typeof info.version === 'string')
    )
      return bad(META.clientInfo, 'needs the strings name and version')
    const level = meta[LOG_LEVEL_KEY]
    if (level !== undefined && !LOG_LEVELS.has(level as string))
      return bad(LOG_LEVEL_KEY, 'is not a log level')
    if (meta.progressToken !== undefined && !isId(meta.progressToken))
      return bad('progressToken', 'is neither string nor integer')
  }
  r.version = version
  if (r.version_header !== undefined && r.version_header !== version)
    return mismatch(
      r,
      'envelope',
      'MCP-Protocol-Version',
      `params._meta["${META.version}"]`,
      'differs from the envelope',
    )
  return methodMismatch(r)
}

const methodMismatch = (r: Reading): Fault | null =>
  r.method_header !== undefined && r.method_header !== r.method
    ? mismatch(r, 'envelope', 'Mcp-Method', 'method', 'differs from the method of the body')
    : null

function checkVersion(r: Reading): Fault | null {
  if (r.input.supported.includes(r.version)) return null
  return fault(r, 'version', RPC.versionUnsupported, 'Unsupported protocol version', {
    supported: [...r.input.supported],
    requested: r.version,
  })
}

function checkHeaders(r: Reading): Fault | null {
  if (!r.is_request) return null
  if (r.version_header === undefined)
    return mismatch(r, 'headers', 'MCP-Protocol-Version', `params._meta["${META.version}"]`, 'is missing')
  if (r.method_header === undefined) return mismatch(r, 'headers', 'Mcp-Method', 'method', 'is missing')
  const source = NAME_SOURCE.get(r.method)
  if (source === undefined) return null
  const name = r.params?.[source]
  const header = headerOf(r.input.headers, 'mcp-name')
  if (header === undefined)
    return typeof name === 'string'
      ? mismatch(r, 'headers', 'Mcp-Name', `params.${source}`, 'is missing')
      : null
  const decoded = decodeHeaderValue(header)
  if (decoded === null)
    return mismatch(r, 'headers', 'Mcp-Name', `params.${source}`, 'is not valid base64 of UTF-8')
  if (typeof name === 'string' && decoded !== name)
    return mismatch(r, 'headers', 'Mcp-Name', `params.${source}`, `differs from params.${source}`)
  return null
}

function checkParams(r: Reading): Fault | null {
  if (r.input.schemaOf === undefined || !r.is_request || r.method !== 'tools/call') return null
  const tool = r.params?.name
  if (typeof tool !== 'string') return null
  return paramsFault(r.input.headers, r.params, r.input.schemaOf(tool), r.id)
}

const PARAM_TEXT = {
  missing: 'is missing',
  undecodable: 'is not valid base64 of UTF-8',
  different: 'differs from the argument',
} as const

/** The rung `params` alone, for callers that learn the tool's input schema only after the other rungs. */
export function paramsFault(
  headers: RequestHeaders,
  params: Record<string, unknown> | undefined,
  inputSchema: unknown,
  id: RpcId | null,
): Fault | null {
  for (const param of paramHeadersOf(inputSchema)) {
    const problem = paramProblem(param, params?.arguments, headerOf(headers, param.header))
    if (problem === null) continue
    const body = `params.arguments.${param.path.join('.')}`
    const data = { mismatch: { header: param.header, body } }
    const message = `${param.header} ${PARAM_TEXT[problem]}`
    return { rung: 'params', http_status: 400, code: RPC.headerMismatch, message, data, id }
  }
  return null
}

function checkMethod(r: Reading): Fault | null {
  if (!r.is_request || r.input.methods === undefined || r.input.methods.has(r.method)) return null
  return fault(r, 'method', RPC.methodNotFound, 'Method not found', undefined, 404)
}

/** The rungs in the order they answer. What comes after them (params of the method itself) is the server's to judge. */
export const LADDER: readonly Rung[] = [
  {
    name: 'http_method',
    why: 'only POST carries a message; GET and DELETE exist for legacy sessions alone and have no body to read',
    check: (r) => (r.input.http_method === 'POST' ? null : legacy('http_method', r.version_header)),
  },
  {
    name: 'json',
    why: 'nothing can be said about a body that is not JSON',
    check: (r) => (r.input.is_json ? null : fault(r, 'json', RPC.parse, 'The body is not JSON')),
  },
  {
    name: 'jsonrpc',
    why: 'era and envelope are read from a message, so it must be one; batches and posted responses are legacy only',
    check: checkShape,
  },
  {
    name: 'era',
    why: 'the body decides the era, because a hop may lose headers; a modern header alone still rules legacy out',
    check: checkEra,
  },
  {
    name: 'envelope',
    why: 'a claim with a broken envelope is an error and never legacy; only a whole one can be compared with headers',
    check: checkEnvelope,
  },
  {
    name: 'version',
    why: 'rules of a revision not served here must not be applied to it',
    check: checkVersion,
  },
  {
    name: 'headers',
    why: 'whoever acts on headers alone must be able to trust them; notifications need none',
    check: checkHeaders,
  },
  {
    name: 'params',
    why: 'needs the schema of the tool, and headers that are known to name the right tool',
    check: checkParams,
  },
  {
    name: 'method',
    why: 'an unknown method with false headers is first of all a false request',
    check: checkMethod,
  },
]

/** Climbs the ladder: the era and kind of the request, or the first fault. About a microsecond; allocates two small objects. */
export function climb(input: LadderInput): Verdict | Fault {
  const reading: Reading = {
    input,
    version_header: headerOf(input.headers, 'mcp-protocol-version'),
    method_header: headerOf(input.headers, 'mcp-method'),
    message: NO_RECORD,
    params: undefined,
    meta: undefined,
    method: '',
    id: null,
    is_request: false,
    version: '',
  }
  for (const rung of LADDER) {
    const answer = rung.check(reading)
    if (answer !== null) return answer
  }
  const { version, method, id } = reading
  return { era: 'modern', kind: reading.is_request ? 'request' : 'notification', version, method, id }
}

export const isFault = (answer: Verdict | Fault): answer is Fault => 'code' in answer

/** The JSON text that answers a fault. */
export function faultText({
  id,
  code,
  message,
  data,
}: Pick<Fault, 'id' | 'code' | 'message' | 'data'>): string {
  return JSON.stringify({ jsonrpc: '2.0', id, error: { code, message, ...(data && { data }) } })
}
