/**
 * Stands between a client and Weir and counts what Weir must have recorded: every POST that is not an answer to a
 * server's question, by the method its body names, and every question of a server. Passes bytes and headers as they are.
 */
import { createServer, request, type Server } from 'node:http'
import { FrameSplitter, frameData } from '../../proxy/mcp/frames.ts'

export type CountingRelay = {
  readonly url: string
  /** POSTs that carry a call, by method; `refused` when Weir turned them away before it read them. */
  readonly counts: Map<string, number>
  /** What servers asked clients, by method: requests in streams, and entries of `input_required` results. */
  readonly questions: Map<string, number>
  /** Requests among them (with an id). */
  requests: number
  /** All POSTs that must leave an event. */
  calls: number
  close(): Promise<void>
}

function methodOf(text: string): { method: string; isRequest: boolean } | null {
  try {
    const message = JSON.parse(text) as { method?: unknown; id?: unknown; result?: unknown; error?: unknown }
    if (typeof message === 'object' && message !== null && !Array.isArray(message)) {
      if (message.method === undefined && (message.result !== undefined || message.error !== undefined))
        return null
      if (typeof message.method === 'string')
        return { method: message.method, isRequest: message.id !== undefined }
    }
  } catch {
    // Counted as unreadable.
  }
  return { method: '', isRequest: false }
}

/** Methods of the questions in one message of a server. */
function questionsIn(text: string): string[] {
  try {
    const message = JSON.parse(text) as {
      id?: unknown
      method?: unknown
      result?: { resultType?: unknown; inputRequests?: Record<string, { method: string }> }
    }
    if (typeof message.method === 'string') return message.id === undefined ? [] : [message.method]
    if (message.result?.resultType === 'input_required')
      return Object.values(message.result.inputRequests ?? {}).map((question) => question.method)
  } catch {
    // Half a message asks nothing.
  }
  return []
}

/** Relays to `port` of this machine. */
export async function startCountingRelay(port: number): Promise<CountingRelay> {
  const counts = new Map<string, number>()
  const questions = new Map<string, number>()
  const look = (text: string): void => {
    for (const method of questionsIn(text)) questions.set(method, (questions.get(method) ?? 0) + 1)
  }
  const relay = { requests: 0, calls: 0 }
  const server: Server = createServer((req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('end', () => {
      const body = Buffer.concat(chunks)
      const onward = request(
        { host: '127.0.0.1', port, method: req.method, path: req.url, headers: req.rawHeaders, agent: false },
        (answer) => {
          if (req.method === 'POST') {
            const call = methodOf(body.toString())
            if (call !== null) {
              const isRead = answer.statusCode !== 403 && answer.statusCode !== 401
              const key = isRead ? call.method : 'refused'
              counts.set(key, (counts.get(key) ?? 0) + 1)
              relay.calls++
              if (isRead && call.isRequest) relay.requests++
            }
          }
          const ignore = (): void => {}
          const splitter = new FrameSplitter({
            frame: (bytes) => look(frameData(bytes) ?? ''),
            piece: ignore,
            lastPiece: ignore,
          })
          const isStream = String(answer.headers['content-type']).startsWith('text/event-stream')
          const plain: Buffer[] = []
          answer.on('data', (chunk: Buffer) => (isStream ? splitter.push(chunk) : plain.push(chunk)))
          answer.on('end', () => look(Buffer.concat(plain).toString()))
          res.writeHead(answer.statusCode!, answer.rawHeaders)
          res.flushHeaders()
          answer.pipe(res)
          answer.on('error', () => res.destroy())
        },
      )
      onward.on('error', () => res.destroy())
      res.on('close', () => onward.destroy())
      onward.end(body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address() as { port: number }
  return {
    url: `http://localhost:${address.port}`,
    counts,
    questions,
    get requests() {
      return relay.requests
    },
    get calls() {
      return relay.calls
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
