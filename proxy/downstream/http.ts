/**
 * Streamable HTTP towards clients, on node:http: reads bodies within bounds, hands POST, GET and DELETE to the route of
 * the path, and serves health and metrics beside them. Knows nothing of upstreams.
 */
import { rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { ServerOptions } from 'node:https'
import { isLoopback } from '../../config/address.ts'
import type { Config } from '../../config/schema.ts'
import type { ListenerTls } from '../../config/tls.ts'
import { readTls, TlsListener, type WebServer } from '../../net/listener-tls.ts'
import { Call, type Endpoint } from '../call.ts'
import { isPreflight, preflightHeaders } from '../cors.ts'
import { WeirError } from '../errors.ts'
import { certificateOf, fromHopText } from '../identity/certificate.ts'
import type { SessionSeal } from '../identity/session-id.ts'
import { STREAM_METHODS } from '../mcp/versions.ts'
import { HOP_LISTENER } from '../options.ts'
import type { Route, Server } from '../serve.ts'
import { nowUs } from '../telemetry/clock.ts'
import { BatchDoor, beginsArray } from './batch.ts'
import { SseDoor, ssePath } from './sse.ts'
import { ownServer, Standing } from './standing.ts'
import { WebSocketDoor } from './websocket.ts'
import { HOP_CERTIFICATE, HOP_PEER, HOP_TRANSPORT, type Wiring } from './wiring.ts'

/** A peer that went away without a word is noticed by TCP after this long. */
const KEEP_ALIVE_PROBE_MS = 30_000
const ignore = (): void => {}
const LOCAL_PEER = '127.0.0.1'
const JSON_TYPE = /^application\/json\s*(?:;|$)/i
/** The bytes are judged as UTF-8, and sent on with their type: a server must not read other words in them. */
const OTHER_CHARSET = /charset\s*\*?\s*=(?!\s*"?utf-?8"?\s*(?:;|$))/i
const NOWHERE: Endpoint = { path: '', server: '' }

/**
 * Where requests come in: a listener of the config by its number, the socket between workers, or the one that `weir connect`
 * opens on behalf of a client over stdio.
 */
export type Door =
  | {
      readonly kind: 'tcp'
      readonly host: string
      readonly port: number
      readonly listener: number
      readonly tls: ListenerTls | undefined
    }
  | { readonly kind: 'workers' | 'local'; readonly path: string }

export class Downstream {
  readonly #server: Server
  readonly #wiring: () => Wiring
  readonly #listeners: WebServer[] = []
  /** By listener. */
  readonly #tls = new Map<number, TlsListener>()
  readonly #streams = new Set<ServerResponse>()
  readonly #standing = new Standing()
  readonly #door: WebSocketDoor
  readonly #sse: SseDoor
  readonly #batches: BatchDoor
  isDraining = false
  calls_open = 0

  /** `slot`: this worker's; `socketOf`: path of a worker's Unix socket. Clients over other transports come in by our own. */
  constructor(
    server: Server,
    wiring: () => Wiring,
    seal: SessionSeal,
    slot: string,
    socketOf: (slot: string) => string,
  ) {
    this.#server = server
    this.#wiring = wiring
    this.#door = new WebSocketDoor(server, wiring, socketOf(slot), this.#standing)
    this.#sse = new SseDoor(slot, socketOf)
    this.#batches = new BatchDoor(server, seal, slot, socketOf)
  }

  get streams_open(): number {
    return this.#streams.size + this.#door.size + this.#sse.size
  }

  /** Listens at a door. Resolves with the port (0 for a socket). */
  listen(door: Door): Promise<number> {
    const isTcp = door.kind === 'tcp'
    const options: ServerOptions = {
      keepAliveTimeout: 75_000,
      requestTimeout: 30_000,
      headersTimeout: 15_000,
      requireHostHeader: isTcp,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
      // Any other wish (h2c, which some clients send with every POST) is none of ours, and the request is served as it is.
      shouldUpgradeCallback: (req) => req.method === 'GET' && /^websocket$/i.test(req.headers.upgrade ?? ''),
    }
    const http = isTcp && door.tls ? this.#tlsServer(door.listener, door.tls, options) : createServer(options)
    http.on('request', ((req, res) => this.#request(req, res, door)) satisfies RequestListener)
    http.keepAliveTimeoutBuffer = 1000
    this.#listeners.push(http)
    if (isTcp) this.#door.attach(http, door.listener)
    return new Promise((resolve, reject) => {
      http.once('error', reject)
      // The socket between workers is this worker's alone; the others are shared through the supervisor.
      if (door.kind === 'workers') rmSync(door.path, { force: true })
      const at = door.kind === 'tcp' ? { host: door.host, port: door.port } : { path: door.path }
      http.listen({ ...at, exclusive: door.kind === 'workers' }, () => {
        http.off('error', reject)
        const address = http.address()
        resolve(typeof address === 'object' && address ? address.port : 0)
      })
    })
  }

  #tlsServer(listener: number, tls: ListenerTls, options: ServerOptions): WebServer {
    const made = new TlsListener(tls, options, this.#server.log)
    this.#tls.set(listener, made)
    made.server.on('tlsClientError', () =>
      this.#server.metrics.add('weir_tls_failures_total', 1, [String(listener)]),
    )
    return made.server
  }

  /** Takes over the certificates of a config; all of them can be read, or it throws and none is taken. */
  adoptTls(listen: Config['listen']): void {
    for (const { tls } of listen) if (tls) readTls(tls)
    for (const [i, { tls }] of listen.entries()) if (tls) this.#tls.get(i)?.adopt(tls)
  }

  #request(req: IncomingMessage, res: ServerResponse, door: Door): void {
    const url = req.url ?? '/'
    const query = url.indexOf('?')
    const path = query < 0 ? url : url.slice(0, query)
    const wiring = this.#wiring()
    const route = wiring.routes.get(path)
    const isHop = door.kind === 'workers'
    const peer = door.kind === 'tcp' ? (req.socket.remoteAddress ?? '') : innerPeer(req, isHop)
    const endpoint = route?.endpoint ?? oldEndpoint(path, wiring)
    const call = new Call(req, res, endpoint, nowUs(), peer, isHop)
    if (door.kind === 'tcp') {
      call.listener = door.listener
      if (door.tls) call.certificate = certificateOf(req.socket)
    } else {
      if (isHop) call.certificate = fromHopText(req.headers[HOP_CERTIFICATE])
      call.transport = isHop ? String(req.headers[HOP_TRANSPORT] ?? 'http') : 'stdio'
      const listener = Number(req.headers[HOP_LISTENER] ?? 0)
      call.listener = wiring.stages[listener] ? listener : 0
    }
    // A drain ends streams that others still write to: that is no reason to fall over.
    res.on('error', ignore)
    const isPost = route !== undefined && req.method === 'POST'
    if (isPost) this.calls_open++
    res.on('close', () => {
      if (isPost) this.calls_open--
      call.onClientGone?.()
    })
    if (!route) {
      if (this.#preflight(call, path, wiring)) return
      if (!this.#oldTransport(call, path, wiring)) this.#other(call, path, wiring)
      return
    }
    const stages = wiring.stages[call.listener]!
    switch (req.method) {
      case 'POST':
        return this.#server.run(call, stages.head, () =>
          this.#readBody(call, wiring, () =>
            beginsArray(call.body)
              ? this.#server.run(call, [], () => this.#batches.take(call, wiring.batch_max))
              : this.#server.run(call, stages.params, () => {
                  if (STREAM_METHODS.has(call.method)) this.#holdStream(call, wiring)
                  return route.forward(call)
                }),
          ),
        )
      case 'GET':
        this.#isNoCall(call)
        return this.#server.run(call, stages.head, () => this.#openStream(call, route, wiring))
      case 'DELETE':
        this.#isNoCall(call)
        return this.#server.run(call, stages.head, () => route.endSession(call))
      default:
        if (this.#preflight(call, path, wiring)) return
        this.#isNoCall(call)
        this.#server.run(call, stages.head, () => {
          throw new WeirError('method_not_allowed')
        })
    }
  }

  /** Streams and session ends are no calls: they leave no event, only a count. */
  #isNoCall(call: Call): void {
    call.isRecorded = true
  }

  #openStream(call: Call, route: Route, wiring: Wiring): void | Promise<void> {
    if (this.isDraining) throw new WeirError('draining')
    if (!/text\/event-stream|\*\/\*|text\/\*/.test(call.req.headers.accept ?? ''))
      throw new WeirError('not_acceptable')
    this.#holdStream(call, wiring)
    return route.openStream(call)
  }

  /** Counts a stream until it closes, or refuses one too many. */
  #holdStream(call: Call, wiring: Wiring): void {
    const { res } = call
    if (this.#streams.size >= wiring.streams_max) throw new WeirError('streams_exhausted')
    this.#streams.add(res)
    res.once('close', () => this.#streams.delete(res))
    this.#stand(call, wiring.reached(call))
  }

  /** From now on the stream stands and falls with its credential, and with the servers it hears. */
  #stand(call: Call, heard: readonly string[]): void {
    call.res.once(
      'close',
      this.#standing.hold(call, heard, (why) => this.#server.refuse(call, why)),
    )
  }

  /** A new config is in force: streams that it would not let in, or not hear the same servers, are closed. */
  recheck(): Promise<void> {
    const { stages, reached } = this.#wiring()
    return this.#standing.recheck({ head: ({ listener }) => stages[listener]?.head ?? [], reached })
  }

  #readBody(call: Call, wiring: Wiring, then: () => void): void {
    const { req } = call
    const type = req.headers['content-type'] ?? ''
    if (this.isDraining) throw new WeirError('draining')
    if (type !== 'application/json' && (!JSON_TYPE.test(type) || OTHER_CHARSET.test(type)))
      throw new WeirError('content_type', type.slice(0, 100))
    if (req.headers['content-encoding'] !== undefined && req.headers['content-encoding'] !== 'identity')
      throw new WeirError('content_type', 'content-encoding is not supported')
    const max = wiring.body_max_bytes
    if (Number(req.headers['content-length'] ?? 0) > max) throw new WeirError('payload_too_large')
    const chunks: Buffer[] = []
    let size = 0
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > max) {
        if (size - chunk.length > max) return
        call.onClientGone = null
        return this.#server.refuse(call, new WeirError('payload_too_large'))
      }
      chunks.push(chunk)
    })
    call.whenClientGone(() => {
      call.body_us = nowUs()
      call.fail('cancelled', 'client', 'client_gone', 'the request was not sent to its end')
      call.http_status = 499
      this.#server.record(call)
    })
    req.on('end', () => {
      if (size > max) return
      call.onClientGone = null
      call.body_us = nowUs()
      call.body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
      then()
    })
    req.on('error', ignore)
  }

  /** A browser's question before a page may call. It shows no credentials: only its Origin is judged. */
  #preflight(call: Call, path: string, wiring: Wiring): boolean {
    const { method, headers } = call.req
    if (!isPreflight(method, path, headers)) return false
    this.#isNoCall(call)
    const admit = wiring.stages[call.listener]!.head.filter((s) => s.name === 'admit')
    this.#server.run(call, admit, () =>
      this.#server.answer(call, 204, '', preflightHeaders(headers, wiring.page_headers)),
    )
    return true
  }

  /**
   * HTTP+SSE of 2024-11-05. False when the path is none of its. What it posts are calls once they come in by our socket;
   * what is refused before that leaves its event here.
   */
  #oldTransport(call: Call, path: string, wiring: Wiring): boolean {
    const at = ssePath(path)
    const method = at?.isMessage ? 'POST' : 'GET'
    if (!at || call.req.method !== method || !wiring.routes.has(at.endpoint)) return false
    call.transport = 'sse'
    if (!at.isMessage) this.#isNoCall(call)
    this.#server.run(call, wiring.stages[call.listener]!.head, () => {
      if (at.isMessage)
        return this.#readBody(call, wiring, () =>
          this.#server.run(call, [], () => this.#sse.take(call, at.endpoint)),
        )
      if (this.isDraining) throw new WeirError('draining')
      if (this.streams_open >= wiring.streams_max) throw new WeirError('streams_exhausted')
      this.#sse.open(call, at.endpoint, wiring.sessions_per_caller_max)
      this.#stand(call, ownServer(call))
    })
    return true
  }

  #other(call: Call, path: string, wiring: Wiring): void {
    call.isRecorded = true
    const { req, res } = call
    // Without a key nobody learns which servers there are.
    const isGuarded = path.startsWith('/servers/')
    const stages = wiring.stages[call.listener]!.head.filter((s) => isGuarded || s.name === 'admit')
    this.#server.run(call, stages, async () => {
      const isRead = req.method === 'GET' || req.method === 'HEAD'
      const metadata = isRead ? wiring.resourceMetadata(call) : null
      const page = metadata
        ? { status: 200, type: 'application/json', body: JSON.stringify(metadata) }
        : isRead
          ? await wiring.plain(path, await this.#isTrusted(call, wiring))
          : null
      if (!page) throw new WeirError('path_unknown', path.slice(0, 200))
      res.writeHead(page.status, {
        'content-type': page.type,
        'content-length': Buffer.byteLength(page.body),
        'cache-control': 'no-store',
      })
      res.end(req.method === 'HEAD' ? undefined : page.body)
    })
  }

  /** Whether the peer may see names and figures: loopback, or a caller. */
  async #isTrusted(call: Call, wiring: Wiring): Promise<boolean> {
    if (isLoopback(call.peer_address)) return true
    try {
      await wiring.stages[call.listener]!.head.find((s) => s.name === 'identify')?.before(call)
      return call.identity !== null
    } catch {
      return false
    }
  }

  /** Tells streams to come back later, refuses new work, resolves when all calls have ended or the time is up. */
  async drain(timeout_ms: number): Promise<void> {
    this.isDraining = true
    const closed: Promise<void>[] = this.#listeners.map(
      (l) => new Promise<void>((resolve) => l.close(() => resolve())),
    )
    // One that is still being opened would otherwise be held open until the time is up.
    for (const stream of this.#streams) {
      if (stream.headersSent) stream.end('retry: 1000\n\n')
      else stream.destroy()
    }
    const idle = setInterval(() => {
      for (const l of this.#listeners) l.closeIdleConnections()
    }, 100)
    const late = new Promise<void>((resolve) => setTimeout(resolve, timeout_ms).unref())
    closed.push(this.#door.drain(timeout_ms), this.#sse.drain(timeout_ms))
    await Promise.race([Promise.all(closed), late])
    clearInterval(idle)
    this.#server.isCutting = true
    for (const l of this.#listeners) l.closeAllConnections()
  }
}

/** The endpoint that a path of the old transport is for. */
function oldEndpoint(path: string, wiring: Wiring): Endpoint {
  const at = ssePath(path)
  return (at && wiring.routes.get(at.endpoint)?.endpoint) ?? NOWHERE
}

/** Who is behind a socket: whom another worker names, or a process of this machine. */
const innerPeer = (req: IncomingMessage, isHop: boolean): string =>
  isHop ? String(req.headers[HOP_PEER] ?? '') : LOCAL_PEER
