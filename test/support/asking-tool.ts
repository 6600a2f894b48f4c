/**
 * The tool `ask` of the upstream program: a server that asks its client something while it is called. Its arguments say what,
 * under which id, on which stream, and how it goes on: waiting for the answer, without it, or taking the question back.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

export type AskArguments = {
  /** Id of the question, as the server writes it. */
  as: string | number
  method: string
  params?: Record<string, unknown>
  /** Stream the question goes out on: of the call, or of the session. */
  on?: 'call' | 'session'
  /** `wait` for the answer, `result` at once, `withdraw` the question and then give the result, or `cut` the connection. */
  next?: 'wait' | 'result' | 'withdraw' | 'cut'
  /** Takes it back on the stream of the session instead, and never gives a result. */
  back_on_session?: boolean
  /** Bytes of text in the params. */
  bytes?: number
}
type Wire = { jsonrpc: '2.0'; id?: string | number; method?: string; params?: unknown; result?: unknown }

const frame = (message: Wire): string => `event: message\ndata: ${JSON.stringify(message)}\n\n`
/** Keeps the order in which SDKs write a request: the id last. */
const question = ({ as, method, params = {}, bytes = 0 }: AskArguments): Wire => ({
  method,
  params: bytes > 0 ? { ...params, text: 'q'.repeat(bytes) } : params,
  jsonrpc: '2.0',
  id: as,
})

export class Asking {
  /** Bodies of all answers that came. */
  readonly answers: string[] = []
  readonly #streams = new Map<string, ServerResponse>()
  readonly #waiting = new Map<string, (answer: string) => void>()

  /** The stream of a session has been opened. */
  opened(req: IncomingMessage, res: ServerResponse): void {
    this.#streams.set(String(req.headers['mcp-session-id'] ?? ''), res)
  }

  call(id: string | number | undefined, args: AskArguments, req: IncomingMessage, res: ServerResponse): void {
    const session = this.#streams.get(String(req.headers['mcp-session-id'] ?? ''))
    const { on = 'call', next = 'wait' } = args
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.flushHeaders()
    const stream = on === 'call' ? res : session
    if (!stream) throw new Error('the session has no stream')
    const end = (text: string): void => {
      const result = { content: [{ type: 'text', text }] }
      res.end(frame({ jsonrpc: '2.0', ...(id === undefined ? {} : { id }), result }))
    }
    if (next === 'wait') this.#waiting.set(JSON.stringify(args.as), end)
    stream.write(frame(question(args)))
    if (next === 'withdraw')
      (args.back_on_session ? session! : stream).write(
        frame({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: args.as } }),
      )
    if (next === 'result' || (next === 'withdraw' && !args.back_on_session)) end('went on')
    if (next === 'cut') setImmediate(() => req.socket.destroy())
  }

  /** A message without a method: the client answers. */
  answered(id: string | number | undefined, text: string, res: ServerResponse): void {
    this.answers.push(text)
    const waiting = this.#waiting.get(JSON.stringify(id))
    this.#waiting.delete(JSON.stringify(id))
    // The result first: it races the answer's own acknowledgement through the proxy.
    waiting?.(text)
    res.writeHead(202).end()
  }
}
