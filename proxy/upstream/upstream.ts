/**
 * One MCP server as the proxy sees it: where it is, and how to send it a message. Only file besides the roof's collector
 * that imports undici. A stdio, SSE or WebSocket server is one too: its host speaks the same HTTP over a Unix socket.
 * Long streams have connections of their own: held in the calls' pool they would slow every call down.
 */
import { type Dispatcher, Pool } from 'undici'
import type { ServerConfig } from '../../config/schema.ts'
import {
  isHosted,
  ownHeaders,
  publicUrl,
  transportOf,
  type UpstreamTransport,
} from '../../config/transport.ts'
import { EraProbe, type Eras } from './eras.ts'

const KEEP_ALIVE_MS = 4_000
const CONNECT_TIMEOUT_MS = 10_000
const HEADER_BYTES_MAX = 65_536

export class Upstream {
  readonly name: string
  readonly config: ServerConfig
  readonly transport: UpstreamTransport
  /** Kept by the host, which speaks HTTP with us on its behalf. */
  readonly isHosted: boolean
  /** Without credentials, as recorded. */
  readonly endpoint: string
  /** Headers that every request to it carries, flat. */
  readonly headers: readonly string[]
  /** Names among them that a client's header must not double. */
  readonly ownNames: ReadonlySet<string>
  /** What was seen of it last. */
  readonly health: { isUp: boolean; at_ms: number; reason: string }
  /** The same server by way of the host, which speaks both eras for it; null when that is the only way anyhow. */
  readonly bridge: Upstream | null
  readonly #eras: EraProbe | null
  readonly #calls: Pool
  readonly #streams: Pool
  readonly #origin: string
  readonly #path: string

  /** `direct`: the same server without the bridge, when this is to be its bridge. */
  constructor(name: string, config: ServerConfig, hostSocket: string, direct: Upstream | null = null) {
    this.name = name
    this.config = config
    this.transport = transportOf(config)
    this.isHosted = direct !== null || isHosted(config)
    this.health = direct?.health ?? { isUp: true, at_ms: 0, reason: 'not contacted yet' }
    this.bridge = this.isHosted ? null : new Upstream(name, config, hostSocket, this)
    this.#eras = this.bridge && new EraProbe(this)
    const url = new URL(this.isHosted ? `http://localhost/servers/${name}/mcp` : config.url!)
    this.#origin = url.origin
    this.#path = url.pathname + url.search
    this.endpoint = config.url === undefined ? `stdio:${name}` : publicUrl(config.url)
    const options = {
      pipelining: 1,
      allowH2: false,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectTimeout: CONNECT_TIMEOUT_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
      ...(this.isHosted ? { socketPath: hostSocket } : {}),
    }
    this.#calls = new Pool(this.#origin, { ...options, connections: config.connections_max })
    this.#streams = new Pool(this.#origin, { ...options, connections: null })
    // To the host go none: it adds them itself towards the server.
    const own = this.isHosted ? [] : ownHeaders(config)
    this.headers = ['accept-encoding', 'identity', ...own.flat()]
    this.ownNames = new Set(own.map(([header]) => header))
  }

  /** The way for a modern client: straight when the server is modern, or nobody knows; else over the bridge. */
  modernWay(): Upstream | Promise<Upstream> {
    if (this.#eras === null) return this
    const way = (eras: Eras | null): Upstream => (eras === null || eras.isModern ? this : this.bridge!)
    const known = this.#eras.of()
    return known instanceof Promise ? known.then(way) : way(known)
  }

  /** The way for a legacy client, as far as known: the bridge for a server that was seen to refuse. */
  legacyWay(): Upstream {
    return this.#eras?.known?.isLegacy === false ? this.bridge! : this
  }

  /** The way after this server refused an `initialize`. Resolves with itself when there is no other. */
  async wayAfterRefusal(): Promise<Upstream> {
    return (await this.#eras?.refused())?.isLegacy === false ? this.bridge! : this
  }

  /** Sends one message. `headers` is flat and already holds this.headers. Everything after is told to `handler`. */
  send(
    method: 'POST' | 'GET' | 'DELETE',
    headers: string[],
    body: Buffer | string | null,
    handler: Dispatcher.DispatchHandler,
    isStream = false,
  ): void {
    const pool = isStream ? this.#streams : this.#calls
    pool.dispatch({ origin: this.#origin, path: this.#path, method, headers, body }, handler)
  }

  /** Sends one message whose answer nobody waits for. */
  tell(method: 'POST' | 'DELETE', headers: string[], body: string | null): void {
    this.send(method, headers, body, {
      onRequestStart() {},
      onResponseStart() {},
      onResponseData() {},
      onResponseEnd() {},
      onResponseError() {},
    })
  }

  saw(isUp: boolean, reason: string): void {
    this.health.isUp = isUp
    this.health.at_ms = Date.now()
    this.health.reason = reason
  }

  /** Lets requests in flight finish. */
  async close(): Promise<void> {
    await Promise.allSettled([this.#calls.close(), this.#streams.close(), this.bridge?.close()])
  }

  /** Ends everything now. */
  async destroy(): Promise<void> {
    await Promise.allSettled([this.#calls.destroy(), this.#streams.destroy(), this.bridge?.destroy()])
  }
}

/** Headers of a hop; the others of a client travel on. (RFC 9110 section 7.6.1, and what belongs to Weir.) */
const NOT_FORWARDED = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
  'host',
  'content-length',
  'authorization',
  'cookie',
  'accept-encoding',
  'traceparent',
  'tracestate',
  'mcp-session-id',
  'weir-principal',
  'weir-roof',
  'weir-hop-peer',
  'weir-hop-transport',
  'weir-hop-listener',
  'weir-hop-certificate',
  'origin',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
])

/** The client's headers that a server may see, after the upstream's own. Flat. */
export function forwardedHeaders(
  upstream: Upstream,
  rawHeaders: readonly string[],
  caller: string,
): string[] {
  const out = [...upstream.headers]
  if (upstream.isHosted) out.push('weir-principal', caller)
  const hasOwn = upstream.ownNames.size > 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = forwardedName(rawHeaders[i]!)
    if (name !== '' && !(hasOwn && upstream.ownNames.has(name))) out.push(name, rawHeaders[i + 1]!)
  }
  return out
}

/** Names seen, as they are forwarded; '' for those that are not. Clients send the same few again and again. */
const forwardedNames = new Map<string, string>()
const NAMES_MAX = 500

function forwardedName(raw: string): string {
  const known = forwardedNames.get(raw)
  if (known !== undefined) return known
  const lower = raw.toLowerCase()
  const name = NOT_FORWARDED.has(lower) ? '' : lower
  if (forwardedNames.size < NAMES_MAX) forwardedNames.set(raw, name)
  return name
}

const NOT_RETURNED = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'mcp-session-id',
  'weir-queue-us',
  'weir-upstream-version',
])

/** The server's headers that the client may see. Flat. */
export function returnedHeaders(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  keepLength: boolean,
): string[] {
  const out: string[] = []
  for (const name in headers) {
    if (NOT_RETURNED.has(name) || (name === 'content-length' && !keepLength)) continue
    const value = headers[name]
    if (typeof value === 'string') out.push(name, value)
    else if (value) for (const one of value) out.push(name, one)
  }
  return out
}
