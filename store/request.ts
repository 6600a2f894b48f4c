/**
 * One request of the ClickHouse HTTP interface, sorted: who asks, which settings, parameters and format.
 * Pure: reads the URL and headers, never the body.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Role } from './admission.ts'
import { StoreError } from './errors.ts'
import type { Credentials, StoreOptions } from './options.ts'

export type Ask = {
  id: string
  query: string
  database: string
  /** Format when the statement names none. */
  default_format: string
  settings: Map<string, string>
  parameters: Map<string, string>
  client_revision: number
  wait_end_of_query: boolean
  /** Whether the client takes a compressed answer; ClickHouse wants to be told twice. */
  enable_http_compression: boolean
}

/** Parameters of the interface itself; what is neither here nor `param_*` is a setting. */
const own = new Set(
  `query database default_format query_id user password session_id session_timeout session_check close_session
  session_affinity role quota_key compress decompress client_protocol_version wait_end_of_query buffer_size
  enable_http_compression http_zlib_compression_level send_progress_in_http_headers
  http_headers_progress_interval_ms cancel_http_readonly_queries_on_client_close`.split(/\s+/),
)

const isOn = (value: string | null): boolean => value === '1' || value === 'true'

/** `req`'s header, the first when it came twice. */
export function headerOf(req: IncomingMessage, name: string): string {
  const value = req.headers[name]
  return (Array.isArray(value) ? value[0] : value) ?? ''
}

/** Reads the URL. Throws for what the store does not speak, with the way out. */
export function readAsk(req: IncomingMessage, url: URL, id: string, database: string): Ask {
  const search = url.searchParams
  for (const name of ['compress', 'decompress'])
    if (isOn(search.get(name)))
      throw new StoreError(
        48,
        'NOT_IMPLEMENTED',
        `${name}=1 asks for ClickHouse's own block compression, which the embedded store does not speak; switch it off in the client, or use HTTP compression (Accept-Encoding with enable_http_compression=1, Content-Encoding)`,
      )
  // Each request is a session of its own, so there is never an earlier one to find.
  if (isOn(search.get('session_check')))
    throw new StoreError(
      372,
      'SESSION_NOT_FOUND',
      'Session not found: the embedded store keeps no sessions between requests',
    )
  const settings = new Map<string, string>()
  const parameters = new Map<string, string>()
  for (const [name, value] of search) {
    if (name.startsWith('param_')) parameters.set(name.slice(6), value)
    else if (!own.has(name)) settings.set(name, value)
  }
  const wanted = headerOf(req, 'x-clickhouse-database') || search.get('database') || ''
  return {
    id,
    query: search.get('query') ?? '',
    // `default` is what clients send when nobody chose; in this engine it would be the file system.
    database: wanted === '' || wanted === 'default' ? database : wanted,
    default_format: headerOf(req, 'x-clickhouse-format') || search.get('default_format') || 'TabSeparated',
    settings,
    parameters,
    client_revision: Number(search.get('client_protocol_version')) || 0,
    wait_end_of_query: isOn(search.get('wait_end_of_query')),
    enable_http_compression: isOn(search.get('enable_http_compression')),
  }
}

/** A query id the client may choose, as ClickHouse allows; null when it chose none that is fit for a header. */
export function chosenId(req: IncomingMessage, url: URL): string | null {
  const id = url.searchParams.get('query_id') || headerOf(req, 'x-clickhouse-query-id')
  return /^[\x21-\x7e]{1,128}$/.test(id) ? id : null
}

function credentialsOf(req: IncomingMessage, url: URL): { user: string; password: string; given: boolean } {
  const basic = /^Basic (.+)$/i.exec(headerOf(req, 'authorization'))
  if (basic) {
    const [user, ...rest] = Buffer.from(basic[1]!, 'base64').toString().split(':')
    return { user: user ?? '', password: rest.join(':'), given: true }
  }
  const user = headerOf(req, 'x-clickhouse-user') || url.searchParams.get('user') || ''
  const password = headerOf(req, 'x-clickhouse-key') || url.searchParams.get('password') || ''
  return { user, password, given: user !== '' || password !== '' }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
const isSame = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b))

const holds = (owner: Credentials, user: string, password: string): boolean =>
  isSame(user, owner.user) && isSame(password, owner.password)

/** Whose request this is. Throws code 516 for credentials that are nobody's. */
export function roleOf(
  req: IncomingMessage,
  url: URL,
  options: Pick<StoreOptions, 'writer' | 'reader'>,
): Role {
  const { user, password, given } = credentialsOf(req, url)
  if (holds(options.writer, user, password)) return 'writer'
  if (options.reader && holds(options.reader, user, password)) return 'reader'
  const isOpen = options.reader === null || options.reader.password === ''
  if (isOpen && password === '' && (user === '' || user === 'default')) return 'reader'
  throw new StoreError(
    516,
    'AUTHENTICATION_FAILED',
    `${user || 'default'}: Authentication failed: password is incorrect, or there is no user with such name`,
    given ? 403 : 401,
  )
}

/**
 * Throws for a web page that talks to a store on this machine. Without a password the address is all that protects
 * it, and a page can reach that: by a plain form, or by a name of its own that resolves to 127.0.0.1.
 */
export function refuseWebPages(req: IncomingMessage, isLoopback: boolean): void {
  const site = headerOf(req, 'sec-fetch-site')
  const isForeign =
    headerOf(req, 'origin') !== '' || (site !== '' && site !== 'none' && site !== 'same-origin')
  const host = headerOf(req, 'host').replace(/:\d+$/, '').toLowerCase()
  const isStrange = isLoopback && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|::1|)$/.test(host)
  if (isForeign || isStrange)
    throw new StoreError(
      516,
      'AUTHENTICATION_FAILED',
      'a request from a web page needs credentials: set store.reader with a password and send it',
    )
}
