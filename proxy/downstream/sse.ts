/**
 * Clients over HTTP+SSE (2024-11-05): GET …/sse opens a stream that names where messages are posted to. Each message goes
 * as a request of its own to this worker's socket, where it is a call like any other. A session is a stream: it lives in
 * one worker, whose slot stands in its id. Source: MCP 2024-11-05, basic/transports.
 */
import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Call } from '../call.ts'
import { tooManySessions, WeirError } from '../errors.ts'
import { CallerCounts } from '../identity/caller-counts.ts'
import { EVENT_STREAM, messageFrame } from '../mcp/frames.ts'
import { StreamableClient } from '../mcp/streamable-client.ts'
import { hopToOwner } from './hop.ts'
import { type InnerEndpoint, innerEndpoint } from './inner.ts'

/** Idle streams get a comment this often, so that nothing between takes them for dead. */
const COMMENT_MS = 15_000
const PATH = /^(\/servers\/[^/]+)?\/(sse|message)$/

type Session = {
  inner: InnerEndpoint
  client: StreamableClient
  caller: string
  path: string
  res: ServerResponse
}

/** What a path of this transport stands for; null for other paths. */
export function ssePath(path: string): { endpoint: string; isMessage: boolean } | null {
  const match = PATH.exec(path)
  return match && { endpoint: `${match[1] ?? ''}/mcp`, isMessage: match[2] === 'message' }
}

export class SseDoor {
  readonly #slot: string
  /** Path of the Unix socket of the worker in a slot. */
  readonly #socketOf: (slot: string) => string
  readonly #sessions = new Map<string, Session>()
  readonly #held = new CallerCounts()

  constructor(slot: string, socketOf: (slot: string) => string) {
    this.#slot = slot
    this.#socketOf = socketOf
  }

  /** Opens the stream of a session; `path` is the endpoint its messages are for. At most `max` of one caller. */
  open(call: Call, path: string, max: number): void {
    const { res } = call
    const { caller } = call.identity!
    if (!this.#held.take(caller, max)) throw tooManySessions(max)
    const id = `${this.#slot}.${randomBytes(16).toString('hex')}`
    const inner = innerEndpoint(call, path, this.#socketOf(this.#slot), 'sse')
    const client = new StreamableClient(inner, {
      message: (text) => res.write(messageFrame(text)),
      ready: () => new Promise((resolve) => res.once('drain', resolve)),
    })
    this.#sessions.set(id, { inner, client, caller, path, res })
    const comment = setInterval(() => res.write(': keep-alive\n\n'), COMMENT_MS).unref()
    res.on('close', () => {
      clearInterval(comment)
      this.#sessions.delete(id)
      this.#held.free(caller)
      void client.close()
    })
    res.writeHead(200, EVENT_STREAM)
    res.write(`event: endpoint\ndata: ${path.replace(/mcp$/, 'message')}?sessionId=${id}\n\n`)
  }

  get size(): number {
    return this.#sessions.size
  }

  /** Ends each stream once its calls are answered or the time is up. */
  async drain(timeout_ms: number): Promise<void> {
    await Promise.all(
      [...this.#sessions.values()].map(async ({ client, res }) => {
        await client.idle(timeout_ms)
        res.end('retry: 1000\n\n')
      }),
    )
  }

  /** Takes a message for a session, here or in the worker that has it. */
  async take(call: Call, path: string): Promise<void> {
    const id = new URL(call.req.url ?? '/', 'http://x').searchParams.get('sessionId') ?? ''
    const slot = id.split('.', 1)[0]!
    if (
      slot !== this.#slot &&
      !call.isHop &&
      /^w\d+$/.test(slot) &&
      (await hopToOwner(call, this.#socketOf(slot)))
    )
      return
    const session = this.#sessions.get(id)
    if (!session || session.caller !== call.identity!.caller || session.path !== path)
      throw new WeirError('session_unknown')
    session.inner.renew(call)
    session.client.send(call.body)
    call.res.writeHead(202, { 'content-type': 'text/plain', 'content-length': 8 }).end('Accepted')
  }
}
