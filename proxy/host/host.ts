/**
 * All stdio servers of a machine behind one Unix domain socket, each as a streamable HTTP endpoint `/servers/<name>/mcp`.
 * Checks what is the same for every server (principal, media types, size), then hands over. The socket's folder guards
 * access: who can open the socket may speak as any principal.
 */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { headerOf } from '../mcp/ladder.ts'
import { RPC } from '../mcp/versions.ts'
import { Log } from './log.ts'
import { groupMemory } from './memory.ts'
import { type HostedServer, type HostOptions, PRINCIPAL_HEADER } from './options.ts'
import { asRefusal, Refusal } from './refusal.ts'
import { Server, type ServerMetrics } from './server.ts'
import { OpenStreams } from './sse-stream.ts'

/** Workers bound bodies by config; this only keeps a broken one from filling the memory. */
const BODY_MAX_BYTES = 64 * 1024 * 1024
/** The kernel's bound on socket paths, without the closing zero. */
const SOCKET_PATH_MAX_BYTES = 107
const SWEEP_MS = 1000
const MEMORY_MS = 1000
const STREAM_TICK_MS = 5000
const DRAIN_TIMEOUT_MS = 30_000
const PATH = /^\/servers\/([A-Za-z0-9-]+)\/mcp$/
const METHODS = 'GET, POST, DELETE'

export type HostMetrics = { streams_open: number; servers: Record<string, ServerMetrics> }

export class Host {
  readonly #env: Readonly<Record<string, string | undefined>>
  readonly #streams = new OpenStreams()
  readonly #http = createServer({ keepAliveTimeout: 75_000, headersTimeout: 15_000, requestTimeout: 30_000 })
  #log: Log
  #options: HostOptions | null = null
  #servers = new Map<string, Server>()
  /** Changed or removed servers whose calls are not finished. */
  readonly #retired = new Set<Server>()
  #timers: NodeJS.Timeout[] = []
  #is_draining = false
  #is_weighing = false

  /** `env`: what children inherit an allow-listed part of. */
  constructor(env: Readonly<Record<string, string | undefined>>, log: Log = new Log('info')) {
    this.#env = env
    this.#log = log
    this.#http.on('request', (httpRequest, res) => this.#serve(httpRequest, res))
  }

  /** Listens. Resolves with the socket path; throws when a server's command cannot be read or the socket is in use. */
  async start(options: HostOptions): Promise<string> {
    if (Buffer.byteLength(options.socket) > SOCKET_PATH_MAX_BYTES)
      throw new Error(`the socket path is longer than ${SOCKET_PATH_MAX_BYTES} bytes: ${options.socket}`)
    this.#apply(options)
    await removeStale(options.socket)
    await new Promise<void>((resolve, reject) => {
      this.#http.once('error', reject)
      this.#http.listen(options.socket, () => {
        this.#http.off('error', reject)
        resolve()
      })
    })
    chmodSync(options.socket, 0o600)
    this.#timers = [
      setInterval(() => this.#sweep(Date.now()), SWEEP_MS),
      setInterval(() => this.#streams.tick(Date.now()), STREAM_TICK_MS),
      setInterval(() => void this.#weigh(), MEMORY_MS),
    ]
    return options.socket
  }

  /** Swaps in new options whole, or throws and keeps the old ones. Changed and removed servers finish their calls first. */
  reload(options: HostOptions): void {
    if (options.socket !== this.#options?.socket)
      throw new Error('the socket cannot change while the host runs')
    this.#apply(options)
  }

  /** Finishes calls in flight, ends all children, closes the socket. */
  async drain(): Promise<void> {
    this.#is_draining = true
    const closed = new Promise((resolve) => this.#http.close(resolve))
    const wait_ms = this.#options?.drain_timeout_ms ?? DRAIN_TIMEOUT_MS
    const all = [...this.#servers.values(), ...this.#retired]
    await Promise.all(all.map((server) => server.retire(wait_ms)))
    for (const timer of this.#timers) clearInterval(timer)
    this.#http.closeIdleConnections()
    // A worker that does not read its answer would hold the drain for ever.
    const cut = setTimeout(() => this.#http.closeAllConnections(), 1000)
    await closed
    clearTimeout(cut)
  }

  metrics(): HostMetrics {
    const servers: Record<string, ServerMetrics> = {}
    for (const [name, server] of this.#servers) servers[name] = server.metrics()
    return { streams_open: this.#streams.size, servers }
  }

  status(): object {
    return {
      socket: this.#options?.socket ?? '',
      is_draining: this.#is_draining,
      servers_retiring: [...this.#retired].map((server) => server.name),
      ...this.metrics(),
    }
  }

  #apply(options: HostOptions): void {
    // First make everything that can fail, then change.
    const next = new Map<string, Server>()
    for (const [name, config] of Object.entries(options.servers)) {
      const current = this.#servers.get(name)
      const keeps = current !== undefined && childrenOf(current.config) === childrenOf(config)
      try {
        next.set(name, keeps ? current : new Server(name, config, this.#env, this.#log, this.#streams))
      } catch (error) {
        throw new Error(`server "${name}": ${(error as Error).message}`, { cause: error })
      }
    }
    const before = this.#servers
    this.#servers = next
    this.#options = options
    this.#log.level = options.log_level
    for (const [name, config] of Object.entries(options.servers)) next.get(name)?.adjust(config)
    for (const server of before.values()) if (next.get(server.name) !== server) this.#retire(server)
  }

  #retire(server: Server): void {
    this.#retired.add(server)
    void server.retire(server.config.timeout_max_ms).then(() => this.#retired.delete(server))
  }

  #sweep(now_ms: number): void {
    for (const server of this.#servers.values()) server.sweep(now_ms)
    for (const server of this.#retired) server.sweep(now_ms)
  }

  /** Ends children that hold more memory than they may. Looks at nothing when no server has a bound. */
  async #weigh(): Promise<void> {
    if (this.#is_weighing) return
    const found = [...this.#servers.values(), ...this.#retired].flatMap((server) =>
      [...server.watched].map(([group, child]) => ({ server, group, child })),
    )
    if (found.length === 0) return
    this.#is_weighing = true
    const held = await groupMemory(new Set(found.map(({ group }) => group)))
    this.#is_weighing = false
    for (const { server, group, child } of found) {
      const { memory_max_bytes = Number.POSITIVE_INFINITY } = server.config
      const memory_bytes = held.get(group) ?? 0
      if (memory_bytes <= memory_max_bytes || child.isEnding) continue
      const what = { server: server.name, pid: group, memory_bytes, memory_max_bytes }
      this.#log.line('error', 'the server holds more memory than it may and is ended', what)
      child.tooLarge?.(memory_bytes, memory_max_bytes)
    }
  }

  #serve(httpRequest: IncomingMessage, res: ServerResponse): void {
    httpRequest.on('error', () => {})
    res.on('error', () => {})
    try {
      this.#route(httpRequest, res)
    } catch (error) {
      this.#refuse(res, error)
    }
  }

  #route(httpRequest: IncomingMessage, res: ServerResponse): void {
    const principal = headerOf(httpRequest.headers, PRINCIPAL_HEADER)
    if (principal === undefined || principal === '')
      throw new Refusal(
        400,
        'principal_missing',
        `the header ${PRINCIPAL_HEADER} is missing`,
        {},
        RPC.invalidRequest,
      )
    const name = PATH.exec(httpRequest.url ?? '')?.[1]
    const server = name === undefined ? undefined : this.#serverFor(name, httpRequest)
    if (server === undefined)
      throw new Refusal(404, 'server_unknown', 'there is no such server here', {}, RPC.invalidRequest)
    if (this.#is_draining)
      throw new Refusal(503, 'draining', 'the host is stopping', { retry_after_ms: 1000 })
    switch (httpRequest.method) {
      case 'POST':
        this.#post(server, httpRequest, res, principal)
        return
      case 'GET':
        if (!accepts(httpRequest, 'text/event-stream')) throw notAcceptable('text/event-stream')
        server.get(httpRequest, res, principal)
        return
      case 'DELETE':
        server.delete(httpRequest, principal)
        res.writeHead(204).end()
        return
      default:
        throw new Refusal(
          405,
          'method_not_allowed',
          `allowed methods: ${METHODS}`,
          { allow: METHODS },
          RPC.invalidRequest,
        )
    }
  }

  /** The server of a name; for a session of its predecessor that is not finished yet, that one. */
  #serverFor(name: string, httpRequest: IncomingMessage): Server | undefined {
    const current = this.#servers.get(name)
    const session = headerOf(httpRequest.headers, 'mcp-session-id')
    if (session === undefined || current?.legacy.sessions.has(session)) return current
    for (const server of this.#retired)
      if (server.name === name && server.legacy.sessions.has(session)) return server
    return current
  }

  #post(server: Server, httpRequest: IncomingMessage, res: ServerResponse, principal: string): void {
    const type = httpRequest.headers['content-type'] ?? ''
    if (type.split(';', 1)[0]!.trim().toLowerCase() !== 'application/json')
      throw new Refusal(415, 'content_type', 'Content-Type must be application/json', {}, RPC.invalidRequest)
    if (!accepts(httpRequest, 'application/json') || !accepts(httpRequest, 'text/event-stream'))
      throw notAcceptable('application/json and text/event-stream')
    const chunks: Buffer[] = []
    let size = 0
    httpRequest.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= BODY_MAX_BYTES) chunks.push(chunk)
    })
    httpRequest.on('end', () => {
      if (size > BODY_MAX_BYTES) {
        const why = `a body has at most ${BODY_MAX_BYTES} bytes`
        return this.#refuse(res, new Refusal(413, 'body_too_large', why, {}, RPC.invalidRequest))
      }
      const bytes = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
      void server.post(httpRequest, res, principal, bytes.toString('utf8'))
    })
  }

  #refuse(res: ServerResponse, error: unknown): void {
    const refusal = asRefusal(error)
    if (!(error instanceof Refusal))
      this.#log.line('error', 'the host failed', { why: String((error as Error)?.stack) })
    if (res.headersSent) return void res.destroy()
    const text = refusal.text('null')
    res.writeHead(refusal.http_status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      ...refusal.headers,
    })
    res.end(text)
  }
}

const notAcceptable = (types: string): Refusal =>
  new Refusal(406, 'not_acceptable', `Accept must list ${types}`, {}, RPC.invalidRequest)

/** Whether the Accept header takes a media type. Quality values are not weighed: MCP clients must list both forms. */
function accepts(httpRequest: IncomingMessage, type: string): boolean {
  const group = `${type.split('/', 1)[0]}/*`
  for (const part of (httpRequest.headers.accept ?? '').split(',')) {
    const range = part.split(';', 1)[0]!.trim().toLowerCase()
    if (range === type || range === group || range === '*/*') return true
  }
  return false
}

/** What of a config the running children depend on, as comparable text. */
const childrenOf = (server: HostedServer): string => {
  const { command, args, env, cwd, isolation, era, url, transport, headers, credentials } = server
  const sorted = [env, headers].map((record) => Object.entries(record).sort())
  return JSON.stringify([command, args, cwd, isolation, era, url, transport, credentials.bearer, sorted])
}

/** Removes the socket a dead host left. Throws when a living one answers on it, or when something else stands there. */
async function removeStale(path: string): Promise<void> {
  try {
    if (!lstatSync(path).isSocket()) throw new Error(`${path} exists and is not a socket`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  const isAlive = await new Promise<boolean>((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
  if (isAlive) throw new Error(`another host already listens on ${path}`)
  unlinkSync(path)
}
