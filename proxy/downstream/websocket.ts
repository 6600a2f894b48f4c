/**
 * Clients over WebSocket (subprotocol `mcp`): one message a frame. Each message goes as a request of its own to this
 * worker's socket, where it is a call like any other: same stages, same event. The credentials are those of the handshake.
 * A message that cannot be taken ends the connection, and leaves its event here.
 */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { ErrorCode } from '../../event/error-table.ts'
import type { WebServer } from '../../net/listener-tls.ts'
import { Call } from '../call.ts'
import { asWeirError, toHttpJson, tooManySessions, WeirError } from '../errors.ts'
import { CallerCounts } from '../identity/caller-counts.ts'
import { certificateOf } from '../identity/certificate.ts'
import { type ClientSide, StreamableClient } from '../mcp/streamable-client.ts'
import { runStages } from '../pipeline.ts'
import type { Server } from '../serve.ts'
import { nowUs } from '../telemetry/clock.ts'
import { innerEndpoint } from './inner.ts'
import { ownServer, type Standing } from './standing.ts'
import type { Wiring } from './wiring.ts'

const SUBPROTOCOL = 'mcp'
const ALIVE_MS = 30_000
/** With more unsent bytes than this no more is read for the client. */
const LAG_MAX_BYTES = 1024 * 1024
const CLOSE_MAX_MS = 2_000
const GOING_AWAY = 1001
/** Of a connection whose credential is no longer valid. */
const POLICY_VIOLATION = 1008
/** What a frame was refused for, by the library's code. */
const REFUSALS: Readonly<Record<string, ErrorCode>> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 'payload_too_large',
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 'payload_too_large',
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 'payload_too_large',
  WS_ERR_INVALID_UTF8: 'parse_error',
}

export class WebSocketDoor {
  readonly #server: Server
  readonly #wiring: () => Wiring
  readonly #ownSocket: string
  readonly #standing: Standing
  readonly #sockets = new Map<WebSocket, StreamableClient>()
  readonly #held = new CallerCounts()
  #isDraining = false

  /** `ownSocket`: path of the Unix socket this worker listens on. */
  constructor(server: Server, wiring: () => Wiring, ownSocket: string, standing: Standing) {
    this.#server = server
    this.#wiring = wiring
    this.#ownSocket = ownSocket
    this.#standing = standing
  }

  get size(): number {
    return this.#sockets.size
  }

  /** `listener`: its number. */
  attach(http: WebServer, listener: number): void {
    const sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: this.#wiring().body_max_bytes,
      handleProtocols: () => SUBPROTOCOL,
    })
    http.on('upgrade', (req, socket, head) => {
      socket.on('error', () => {})
      this.#admit(req, listener).then(
        (handshake) => {
          const { caller } = handshake.identity!
          // However it ends, and if the handshake fails: the place is free again.
          if (socket.destroyed) this.#held.free(caller)
          else socket.once('close', () => this.#held.free(caller))
          sockets.handleUpgrade(req, socket, head, (client) => this.#serve(client, handshake))
        },
        (error) => refuse(socket, asWeirError(error)),
      )
    })
  }

  /** Lets each client go, once its calls are answered or the time is up, with the code that says to come back. */
  async drain(timeout_ms: number): Promise<void> {
    this.#isDraining = true
    await Promise.all(
      [...this.#sockets].map(async ([socket, client]) => {
        const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()))
        await client.idle(timeout_ms)
        socket.close(GOING_AWAY)
        const cut = setTimeout(() => socket.terminate(), CLOSE_MAX_MS)
        await gone
        clearTimeout(cut)
      }),
    )
  }

  /** Takes a place for the caller, which the handshake names. Throws what a POST from there would be refused with. */
  async #admit(req: IncomingMessage, listener: number): Promise<Call> {
    const wiring = this.#wiring()
    const path = (req.url ?? '/').split('?', 1)[0]!
    const route = wiring.routes.get(path)
    const peer = req.socket.remoteAddress ?? ''
    // The stages before the body look at the request only.
    const call = new Call(req, NO_ANSWER, route?.endpoint ?? { path, server: '' }, nowUs(), peer, false)
    call.listener = listener
    call.certificate = certificateOf(req.socket)
    await runStages(wiring.stages[listener]!.head, call)
    if (!route) throw new WeirError('path_unknown', path.slice(0, 200))
    if (this.#isDraining) throw new WeirError('draining')
    if (this.#sockets.size >= wiring.streams_max) throw new WeirError('streams_exhausted')
    const offered = (req.headers['sec-websocket-protocol'] ?? '').split(',').map((p) => p.trim())
    if (!offered.includes(SUBPROTOCOL)) throw new WeirError('invalid_request', 'the subprotocol is not mcp')
    const { caller } = call.identity!
    const max = wiring.sessions_per_caller_max
    if (!this.#held.take(caller, max)) throw tooManySessions(max)
    return call
  }

  #serve(socket: WebSocket, handshake: Call): void {
    const client = new StreamableClient(
      innerEndpoint(handshake, handshake.req.url ?? '/', this.#ownSocket, 'websocket'),
      sideOf(socket),
    )
    this.#sockets.set(socket, client)
    const ended = this.#standing.hold(handshake, ownServer(handshake), () => socket.close(POLICY_VIOLATION))
    let isAlive = true
    const alive = setInterval(() => {
      if (!isAlive) return socket.terminate()
      isAlive = false
      socket.ping()
    }, ALIVE_MS).unref()
    socket.on('pong', () => {
      isAlive = true
    })
    socket.on('message', (data: Buffer) => {
      isAlive = true
      client.send(data)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // Others are of the connection, not of a message.
      if (error.code?.startsWith('WS_ERR_')) this.#refused(handshake, error.code)
    })
    socket.on('close', () => {
      ended()
      clearInterval(alive)
      this.#sockets.delete(socket)
      void client.close()
    })
  }

  /** A message that the library did not take: it closes the connection with the code that says why. */
  #refused({ req, endpoint, peer_address, identity }: Call, code: string): void {
    const call = new Call(req, NO_ANSWER, endpoint, nowUs(), peer_address, false)
    call.identity = identity
    call.transport = 'websocket'
    const { spec, code: error_type } = new WeirError(REFUSALS[code] ?? 'invalid_request')
    call.fail(spec.outcome, spec.owner, error_type, `${spec.text} (${code})`, spec.rpc)
    call.http_status = spec.http
    this.#server.record(call)
  }
}

/** Takes what a stage says to pages: a handshake is none of theirs to read. */
const NO_ANSWER = { setHeader() {} } as unknown as ServerResponse

function sideOf(socket: WebSocket): ClientSide {
  const waiting: (() => void)[] = []
  return {
    message(text) {
      socket.send(text, () => {
        if (socket.bufferedAmount < LAG_MAX_BYTES) for (const go of waiting.splice(0)) go()
      })
      return socket.bufferedAmount < LAG_MAX_BYTES
    },
    ready: () => new Promise((resolve) => waiting.push(resolve)),
  }
}

function refuse(socket: Duplex, error: WeirError): void {
  const body = toHttpJson(error)
  const { http } = error.spec
  const fields = Object.entries(error.headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')
  socket.end(
    `HTTP/1.1 ${http} ${STATUS_CODES[http] ?? ''}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${fields}\r\n${body}`,
  )
}
