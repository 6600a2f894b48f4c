/**
 * A plain MCP client on node:http: one request, and whether its whole answer was seen. For single calls, streams, and load.
 * Each call carries an id of its own, by which it is found in the store.
 */
import { Agent, type IncomingMessage, request } from 'node:http'
import { isResponse } from '../../proxy/mcp/answer.ts'
import { frameData } from '../../proxy/mcp/frames.ts'

export type Answer = {
  /** The answer to the message was seen to its end. */
  isWhole: boolean
  status: number
  headers: Record<string, string | string[] | undefined>
  /** The JSON-RPC response, when one was seen. */
  message: {
    result?: Record<string, unknown>
    error?: { code: number; message: string; data?: Record<string, unknown> }
  } | null
  text: string
  error: string
}

export type SendOptions = {
  headers?: Record<string, string>
  agent?: Agent | false
  timeout_ms?: number
  /** Called with the first bytes that hold the result. */
  onResult?: () => void
  method?: string
}

export const ACCEPT = 'application/json, text/event-stream'

function findMessage(text: string, type: string): Answer['message'] {
  try {
    if (!type.startsWith('text/event-stream'))
      return text === '' ? null : (JSON.parse(text) as Answer['message'])
    // The Python SDK ends its lines with CR LF.
    for (const frame of text.split(/(?<=\n\n|\r\n\r\n)/)) {
      if (!/(?:\n|\r\n)\r?\n$/.test(frame)) continue
      const data = frameData(Buffer.from(frame))
      if (data !== null && isResponse(data)) return JSON.parse(data) as Answer['message']
    }
  } catch {
    // Half an answer is none.
  }
  return null
}

/** Sends one message and reads its answer. Never rejects: what went wrong is in the answer. */
export function send(url: string, body: unknown, options: SendOptions = {}): Promise<Answer> {
  return new Promise((resolve) => {
    const answer: Answer = { isWhole: false, status: 0, headers: {}, message: null, text: '', error: '' }
    let isSettled = false
    const settle = (error = ''): void => {
      if (isSettled) return
      isSettled = true
      clearTimeout(timer)
      answer.error = error
      answer.message = findMessage(answer.text, String(answer.headers['content-type'] ?? ''))
      answer.isWhole ||=
        answer.message !== null && String(answer.headers['content-type']).startsWith('text/event-stream')
      resolve(answer)
    }
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const req = request(
      url,
      {
        method: options.method ?? 'POST',
        agent: options.agent ?? false,
        headers: {
          'content-type': 'application/json',
          accept: ACCEPT,
          'content-length': Buffer.byteLength(text),
          ...options.headers,
        },
      },
      (res) => {
        answer.status = res.statusCode ?? 0
        answer.headers = res.headers
        let wasTold = false
        res.on('data', (chunk: Buffer) => {
          answer.text += chunk.toString('latin1')
          if (!wasTold && options.onResult && /"(result|error)"/.test(answer.text)) {
            wasTold = true
            options.onResult()
          }
        })
        res.on('end', () => {
          answer.isWhole = res.complete
          answer.text = Buffer.from(answer.text, 'latin1').toString()
          settle()
        })
        res.on('error', (error) => settle(error.message))
        res.on('close', () => settle('closed'))
      },
    )
    const timer = setTimeout(() => {
      req.destroy()
      settle('timeout')
    }, options.timeout_ms ?? 30_000)
    req.on('error', (error) => settle((error as NodeJS.ErrnoException).code ?? error.message))
    req.end(text)
  })
}

export const toolCall = (
  id: string | number,
  name: string,
  args: Record<string, unknown> = {},
  meta?: Record<string, unknown>,
): object => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args, ...(meta ? { _meta: meta } : {}) },
})

export const initialize = (id: string | number, name = 'test-client'): object => ({
  jsonrpc: '2.0',
  id,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name, version: '1' } },
})

/** Calls a tool and returns the answer. */
export const callTool = (
  url: string,
  id: string,
  tool: string,
  args: Record<string, unknown> = {},
  options: SendOptions = {},
): Promise<Answer> => send(url, toolCall(id, tool, args), options)

export type OpenAnswer = {
  readonly status: number
  readonly res: IncomingMessage
  readonly ended: Promise<void>
  text(): string
  close(): void
}

/** Opens an answer and leaves it open: a GET stream, or a call whose body is read only by the caller of `res`. */
export function open(
  url: string,
  options: { method?: string; body?: unknown; headers?: Record<string, string>; isPaused?: boolean } = {},
): Promise<OpenAnswer> {
  return new Promise((resolve, reject) => {
    const text = options.body === undefined ? '' : JSON.stringify(options.body)
    const req = request(
      url,
      {
        method: options.method ?? 'GET',
        agent: false,
        headers: {
          accept: options.body === undefined ? 'text/event-stream' : ACCEPT,
          ...(text ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) } : {}),
          ...options.headers,
        },
      },
      (res) => {
        let seen = ''
        const ended = new Promise<void>((done) => res.once('close', done))
        res.on('error', () => {})
        if (!options.isPaused) res.on('data', (chunk: Buffer) => (seen += chunk.toString()))
        resolve({ status: res.statusCode ?? 0, res, ended, text: () => seen, close: () => req.destroy() })
      },
    )
    req.on('error', reject)
    req.end(text)
  })
}

export type CallRecord = {
  id: string
  isAnswered: boolean
  status: number
  outcome: 'ok' | 'error' | 'none'
  error: string
}

export type LoadOptions = {
  /** Where to send: asked before every call, so that an installation may come back elsewhere. */
  url: () => string
  prefix: string
  clients: number
  /** At most this many calls in all. */
  calls_max: number
  /** Which call to make. */
  tool?: (n: number) => { name: string; args: Record<string, unknown> }
  /** Opens a session first and names it in every call. */
  session?: boolean
  timeout_ms?: number
  /** Pause of a client between its calls. */
  pace_ms?: number
}

/** Calls from several clients at once, each on its own kept-alive connection, until told to stop or the bound is reached. */
export class Load {
  readonly records: CallRecord[] = []
  readonly #options: LoadOptions
  readonly #running: Promise<void>[] = []
  #next = 0
  #isStopping = false

  constructor(options: LoadOptions) {
    this.#options = options
    for (let i = 0; i < options.clients; i++) this.#running.push(this.#client())
  }

  get answered(): string[] {
    return this.records.filter((r) => r.isAnswered).map((r) => r.id)
  }

  async #client(): Promise<void> {
    const { url, prefix, calls_max, timeout_ms = 30_000, pace_ms = 0 } = this.#options
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    let session = ''
    const tell = async (body: object, id: string): Promise<Answer> => {
      const answer = await send(url(), body, {
        agent,
        timeout_ms,
        headers: session ? { 'mcp-session-id': session } : {},
      })
      this.records.push({
        id,
        isAnswered: answer.isWhole && answer.message !== null,
        status: answer.status,
        outcome: answer.message?.result ? 'ok' : answer.message?.error ? 'error' : 'none',
        error: answer.error,
      })
      return answer
    }
    try {
      while (!this.#isStopping && this.#next < calls_max) {
        const n = this.#next++
        if (this.#options.session && session === '') {
          const id = `${prefix}i${n}`
          const answer = await tell(initialize(id), id)
          session = String(answer.headers['mcp-session-id'] ?? '')
          if (session === '') await new Promise((resolve) => setTimeout(resolve, 20))
          continue
        }
        const { name, args } = this.#options.tool?.(n) ?? { name: 'echo', args: { text: 'hello' } }
        const id = `${prefix}${n}`
        const answer = await tell(toolCall(id, name, args), id)
        if (answer.status === 404) session = ''
        // Nobody there for the moment: a client that spins would only measure itself.
        if (!answer.isWhole || pace_ms > 0)
          await new Promise((resolve) => setTimeout(resolve, Math.max(10, pace_ms)))
      }
    } finally {
      agent.destroy()
    }
  }

  /** No new calls; resolves when those under way have ended. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await this.done()
  }

  async done(): Promise<void> {
    await Promise.all(this.#running)
  }
}
