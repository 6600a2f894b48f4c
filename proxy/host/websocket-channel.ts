/** A server behind a WebSocket with the subprotocol `mcp`: one message a frame, one connection a client of it. */
import WebSocket from 'ws'
import {
  ALIVE_MS,
  type ChannelEvents,
  Connection,
  FULL_BYTES,
  MESSAGE_MAX_BYTES,
  OPEN_MAX_MS,
  type Target,
} from './channel.ts'

const CLOSE_MAX_MS = 2_000
const SUBPROTOCOL = 'mcp'

export class WebSocketChannel extends Connection {
  readonly #socket: WebSocket
  /** Written before the connection stood. */
  #early: string[] | null = []
  #error: string | null = null
  #isAlive = true

  constructor({ url, headers }: Target, events: ChannelEvents) {
    super()
    const socket = new WebSocket(url, SUBPROTOCOL, {
      headers,
      handshakeTimeout: OPEN_MAX_MS,
      maxPayload: MESSAGE_MAX_BYTES,
      perMessageDeflate: false,
      followRedirects: false,
    })
    this.#socket = socket
    const alive = setInterval(() => this.#checkAlive(), ALIVE_MS).unref()
    socket.on('open', () => {
      for (const text of this.#early ?? []) this.#send(text)
      this.#early = null
      if (this.isHeld) socket.pause()
    })
    socket.on('message', (data: Buffer) => {
      this.#isAlive = true
      if (this.ended === null) events.line(data.toString())
    })
    socket.on('pong', () => {
      this.#isAlive = true
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error ??= error.code ?? error.message
    })
    socket.on('close', () => {
      clearInterval(alive)
      // Early messages that never left: the connection never stood.
      this.finish(this.#early === null ? null : (this.#error ?? 'closed before it was open'))
    })
  }

  write(text: string): void {
    if (this.isEnding) return
    if (this.#early) this.#early.push(text)
    else this.#send(text)
  }

  #send(text: string): void {
    this.#socket.send(text, () => this.taken())
  }

  /** Asks for a sign of life; one that was not given since the last time ends the connection. */
  #checkAlive(): void {
    if (this.#socket.readyState !== WebSocket.OPEN || this.isHeld) return
    if (!this.#isAlive) return this.#socket.terminate()
    this.#isAlive = false
    this.#socket.ping()
  }

  get isFull(): boolean {
    return this.#socket.bufferedAmount > FULL_BYTES
  }
  protected pause(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.pause()
  }
  protected resume(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.resume()
  }
  protected close(): void {
    this.resume()
    this.#socket.close(1000)
    const cut = setTimeout(() => this.destroy(), CLOSE_MAX_MS)
    void this.exited.then(() => clearTimeout(cut))
  }
  protected destroy(): void {
    this.#socket.terminate()
  }
}
