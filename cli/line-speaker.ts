/** Questions and answers over a line of messages, whatever carries it. Answers the server's own questions politely. */
import { RPC } from '../proxy/mcp/versions.ts'
import type { RpcMessage, Speaker } from './probe.ts'

/** A legacy server may say nothing at all to a question before initialize. */
const DISCOVER_MAX_MS = 3_000

type Waiting = { resolve: (message: RpcMessage) => void; reject: (error: Error) => void }

export class LineSpeaker {
  readonly #write: (text: string) => void
  readonly #waiting = new Map<number, Waiting>()
  #failure: Error | null = null
  #next = 1

  constructor(write: (text: string) => void, deadline: AbortSignal) {
    this.#write = write
    deadline.addEventListener('abort', () => this.fail(new Error('no answer in time')), { once: true })
  }

  /** The line is broken: whoever waits is told, and whoever asks later. The first reason stands. */
  fail(error: Error): void {
    this.#failure ??= error
    for (const { reject } of this.#waiting.values()) reject(this.#failure)
    this.#waiting.clear()
  }

  /** A message of the server. */
  line(text: string): void {
    let message: RpcMessage
    try {
      message = JSON.parse(text) as RpcMessage
    } catch {
      return
    }
    if (message.method === undefined) {
      this.#waiting.get(message.id as number)?.resolve(message)
      this.#waiting.delete(message.id as number)
    } else if (message.id !== undefined) {
      const answer =
        message.method === 'ping'
          ? { result: {} }
          : { error: { code: RPC.methodNotFound, message: 'not here' } }
      this.#write(JSON.stringify({ jsonrpc: '2.0', id: message.id, ...answer }))
    }
  }

  speaker(close: () => Promise<void>): Speaker {
    return {
      ask: (method, params) => {
        if (this.#failure) return Promise.reject(this.#failure)
        const id = this.#next++
        return new Promise((resolve, reject) => {
          this.#waiting.set(id, { resolve, reject })
          this.#write(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
          if (method === 'server/discover')
            setTimeout(() => reject(new Error('no answer to server/discover')), DISCOVER_MAX_MS).unref()
        })
      },
      notify: (method) => Promise.resolve(this.#write(JSON.stringify({ jsonrpc: '2.0', method }))),
      close,
    }
  }
}
