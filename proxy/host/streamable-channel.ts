/**
 * A streamable HTTP server as a line of messages, for the bridge: workers speak with such servers themselves whenever the
 * client is of the server's era. One channel is one session of the server, or none (modern).
 */
import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { contextHeaders } from '../mcp/propagate.ts'
import { POSTS_MAX, StreamableClient } from '../mcp/streamable-client.ts'
import { type ChannelEvents, Connection, OPEN_MAX_MS, type Target } from './channel.ts'

const CLOSE_MAX_MS = 3_000

export class StreamableChannel extends Connection {
  readonly #client: StreamableClient
  readonly #agent: HttpAgent
  #resumed: (() => void)[] = []

  constructor({ url, headers: own }: Target, events: ChannelEvents) {
    super()
    const isTls = url.protocol === 'https:'
    const request = isTls ? httpsRequest : httpRequest
    const agent = new (isTls ? HttpsAgent : HttpAgent)({ keepAlive: true })
    this.#agent = agent
    this.#client = new StreamableClient(
      {
        name: 'the server',
        request: (method, headers, message) => {
          const context = contextHeaders(message?.params?._meta)
          const all = { 'accept-encoding': 'identity', ...own, ...headers, ...context }
          const opened = request(url, { method, agent, headers: all })
          opened.on('socket', (socket) => {
            if (!socket.connecting) return
            const late = setTimeout(() => opened.destroy(new Error('no connection in time')), OPEN_MAX_MS)
            socket.once('connect', () => clearTimeout(late))
            socket.once('close', () => clearTimeout(late))
          })
          return opened
        },
      },
      {
        message: (text, about) => {
          if (this.ended === null) events.line(text, about)
          return !this.isHeld
        },
        ready: () => new Promise((resolve) => this.#resumed.push(resolve)),
        lost: () => this.finish(null, true),
        posted: () => this.taken(),
      },
    )
    void this.exited.then(() => {
      this.resume()
      void this.#client.close().finally(() => agent.destroy())
    })
  }

  write(text: string): void {
    if (!this.isEnding) this.#client.send(text)
  }

  get isFull(): boolean {
    return this.#client.posts >= POSTS_MAX - 1
  }

  protected pause(): void {}

  protected resume(): void {
    for (const go of this.#resumed.splice(0)) go()
  }

  protected close(): void {
    setTimeout(() => this.finish(null), CLOSE_MAX_MS).unref()
    void this.#client.close().then(() => this.finish(null))
  }

  protected destroy(): void {
    this.#agent.destroy()
    this.finish(null)
  }
}
