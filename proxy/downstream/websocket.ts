/**
 * Clients over WebSocket (subprotocol `mcp`): one message a frame. Each message goes as a request of its own to this
 * worker's socket, where it is a call like any other: same stages, same event. The credentials are those of the handshake.
 */
import { type Server as HttpServer, type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { Call } from '../call.ts'
import { asWeirError, toHttpJson, tooManySessions, WeirError } from '../errors.ts'
import { CallerCounts } from '../identity/caller-counts.ts'
import { type ClientSide, StreamableClient } from '../mcp/streamable-client.ts'
import { runStages } from '../pipeline.ts'
import { nowUs } from '../telemetry/clock.ts'
import { innerEndpoint } from './inner.ts'
import type { Wiring } from './wiring.ts'

const SUBPROTOCOL = 'mcp'
const ALIVE_MS = 30_000
/** With more unsent bytes than this no more is read for the client. */
const LAG_MAX_BYTES = 1024 * 1024
const CLOSE_MAX_MS = 2_000
const GOING_AWAY = 1001

export class WebSocketDoor {
  readonly #wiring: () => Wiring
  readonly #ownSocket: string
  readonly #sockets = new Map<WebSocket, StreamableClient>()
  readonly #held = new CallerCounts()
  #isDraining = false

  /** `ownSocket`: path of the Unix socket this worker listens on. */
  constructor(wiring: () => Wiring, ownSocket: string) {
    this.#wiring = wiring
    this.#ownSocket = ownSocket
  }

  get size(): number {
    return this.#sockets.size
  }

  attach(http: HttpServer): void {
    const sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: this.#wiring().body_max_bytes,
      handleProtocols: () => SUBPROTOCOL,
    })
    http.on('upgrade', (req, socket, head) => {
      socket.on('error', () => {})
      this.#admit(req).then(
        (caller) => {
          // However it ends, and if the handshake fails: the place is free again.
          if (socket.destroyed) this.#held.free(caller)
          else socket.once('close', () => this.#held.free(caller))
          sockets.handleUpgrade(req, socket, head, (client) => this.#serve(client, req))
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

  /** Takes a place for the caller, and says who that is. Throws what a POST from there would be refused with. */
  async #admit(req: IncomingMessage): Promise<string> {
    const wiring = this.#wiring()
    const path = (req.url ?? '/').split('?', 1)[0]!
    const route = wiring.routes.get(path)
    const peer = req.socket.remoteAddress ?? ''
    // The stages before the body look at the request only.
    const call = new Call(req, NO_ANSWER, route?.endpoint ?? { path, server: '' }, nowUs(), peer, false)
    await runStages(wiring.stages.head, call)
    if (!route) throw new WeirError('path_unknown', path.slice(0, 200))
    if (this.#isDraining) throw new WeirError('draining')
    if (this.#sockets.size >= wiring.streams_max) throw new WeirError('streams_exhausted')
    const offered = (req.headers['sec-websocket-protocol'] ?? '').split(',').map((p) => p.trim())
    if (!offered.includes(SUBPROTOCOL)) throw new WeirError('invalid_request', 'the subprotocol is not mcp')
    const { caller } = call.identity!
    const max = wiring.sessions_per_caller_max
    if (!this.#held.take(caller, max)) throw tooManySessions(max)
    return caller
  }

  #serve(socket: WebSocket, req: IncomingMessage): void {
    const peer = req.socket.remoteAddress ?? ''
    const client = new StreamableClient(
      innerEndpoint(req, peer, req.url ?? '/', this.#ownSocket, 'websocket'),
      sideOf(socket),
    )
    this.#sockets.set(socket, client)
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
    socket.on('error', () => {})
    socket.on('close', () => {
      clearInterval(alive)
      this.#sockets.delete(socket)
      void client.close()
    })
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
  socket.end(
    `HTTP/1.1 ${http} ${STATUS_CODES[http] ?? ''}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}
