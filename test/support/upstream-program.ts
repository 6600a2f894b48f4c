/**
 * An MCP server that does what the name of the tool says, in a process of its own: `node upstream-program.ts`.
 * Speaks both eras; `/_seen` tells what arrived and on which sockets, `/_release` lets held answers go.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type AskArguments, Asking } from './asking-tool.ts'

type Message = {
  id?: number | string
  method?: string
  params?: {
    name?: string
    arguments?: Record<string, unknown>
    _meta?: Record<string, unknown>
    protocolVersion?: string
  }
}

const VERSION = 'io.modelcontextprotocol/protocolVersion'
const keepsSessions = process.argv.includes('--sessions')
let sockets = 0
const kinds = new Map<Socket, { id: number; calls: number; streams: number }>()
const arrived: {
  id: string
  tool: string
  at_ms: number
  body: string
  headers: Record<string, unknown>
  wasOnDisk: boolean
}[] = []
/** Folder whose files are searched, at the moment a call arrives, for the trace id it carries. */
const spool = process.argv.find((a) => a.startsWith('--spool='))?.slice('--spool='.length) ?? ''
const held = new Set<() => void>()
const asking = new Asking()
let cancelled = 0
let isKeepingBodies = process.argv.includes('--keep-bodies')
let openStreams = 0
let abandoned = 0
let sent_bytes = 0

function isOnDisk(body: string): boolean {
  const trace_id = /"traceparent":"00-([0-9a-f]{32})-/.exec(body)?.[1]
  if (!trace_id) return false
  // A file may be renamed between listing and reading: then the list is read again.
  for (let tries = 0; tries < 20; tries++)
    try {
      return readdirSync(spool)
        .filter((f) => /\.(open|ndjson)$/.test(f))
        .some((f) =>
          readFileSync(`${spool}/${f}`, 'utf8')
            .split('\n')
            .some((line) => line.startsWith('{"intent":1') && line.includes(trace_id) && line.endsWith('}')),
        )
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  return false
}

const json = (res: ServerResponse, body: unknown, headers: Record<string, string> = {}): ServerResponse => {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return res
    .writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      ...headers,
    })
    .end(text)
}
const result = (id: Message['id'], value: unknown): string =>
  JSON.stringify({ jsonrpc: '2.0', id, result: value })
const textResult = (id: Message['id'], text: string, more: object = {}): string =>
  result(id, { content: [{ type: 'text', text }], ...more })
const frame = (text: string): string => `event: message\ndata: ${text}\n\n`
const note = (n: number): string =>
  JSON.stringify({
    jsonrpc: '2.0',
    method: 'notifications/message',
    params: { level: 'info', data: `step ${n}` },
  })
const sse = (res: ServerResponse): void => {
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  res.flushHeaders()
}
const hold = (res: ServerResponse, then: () => void): ServerResponse => {
  const go = (): void => {
    held.delete(go)
    then()
  }
  held.add(go)
  return res.once('close', () => held.delete(go))
}

/** Sends `total` bytes in pieces, as fast as the other side takes them. */
function pour(res: ServerResponse, total: number, piece: Buffer, then: () => void): void {
  let left = total
  const go = (): void => {
    while (left > 0) {
      if (res.destroyed) return
      const part = left >= piece.length ? piece : piece.subarray(0, left)
      left -= part.length
      sent_bytes += part.length
      if (!res.write(part)) {
        res.once('drain', go)
        return
      }
    }
    then()
  }
  go()
}

function callTool(message: Message, req: IncomingMessage, res: ServerResponse): unknown {
  const { id } = message
  const args = message.params?.arguments ?? {}
  const text = String(args.text ?? 'ok')
  const bytes = Number(args.bytes ?? 0)
  const done = textResult(id, text)
  switch (message.params?.name) {
    case 'echo':
      return json(res, textResult(id, bytes > 0 ? 'x'.repeat(bytes) : text))
    case 'sse':
      sse(res)
      res.write(frame(note(1)))
      res.end(frame(done))
      return
    case 'sse_held':
      sse(res)
      return hold(res, () => res.end(frame(done)))
    case 'sse_tick':
      sse(res)
      res.write(frame(note(1)))
      return hold(res, () => res.end(frame(done)))
    case 'held':
      return hold(res, () => json(res, done))
    case 'slow':
      setTimeout(() => json(res, done), Number(args.ms ?? 50))
      return
    case 'never':
      return
    case 'download': {
      const head = `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"content":[{"type":"text","text":"`
      const tail = '"}]}}'
      res.writeHead(200, {
        'content-type': 'application/json',
        'content-length': head.length + bytes + tail.length,
      })
      res.write(head)
      return pour(res, bytes, Buffer.alloc(65_536, 120), () => res.end(tail))
    }
    case 'sse_flood': {
      sse(res)
      const piece = Buffer.from(
        frame(
          JSON.stringify({
            jsonrpc: '2.0',
            method: 'notifications/message',
            params: { level: 'info', data: 'y'.repeat(32_000) },
          }),
        ),
      )
      const whole = Math.max(1, Math.floor(bytes / piece.length)) * piece.length
      return pour(res, whole, piece, () => res.end(frame(done)))
    }
    case 'sse_large': {
      sse(res)
      const first = args.member ? `"structuredContent":{"method":"x"},` : ''
      const isError = args.error ? ',"isError":true' : ''
      res.write(
        `event: message\ndata: {"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{${first}"content":[{"type":"text","text":"`,
      )
      return pour(res, bytes, Buffer.alloc(65_536, 120), () => res.end(`"}]${isError}}}\n\n`))
    }
    case 'rpc_error':
      return json(
        res,
        JSON.stringify({ jsonrpc: '2.0', id, error: { code: Number(args.code ?? -32000), message: text } }),
      )
    case 'tool_error':
      return json(res, textResult(id, text, { isError: true }))
    case 'http_error':
      res.writeHead(Number(args.status ?? 500), { 'content-type': 'text/plain' }).end(text)
      return
    case 'garbage':
      res.writeHead(200, { 'content-type': 'application/json' }).end('<html>')
      return
    case 'ask':
      return asking.call(id, args as AskArguments, req, res)
    case 'input_required':
      return json(
        res,
        result(id, { resultType: 'input_required', inputRequests: args.inputRequests, requestState: 's' }),
      )
    case 'cut_before':
      req.socket.destroy()
      return
    case 'cut_body':
      res.writeHead(200, { 'content-type': 'application/json', 'content-length': 100_000 })
      res.write(done.slice(0, -2) + 'z'.repeat(40_000), () => req.socket.destroy())
      return
    case 'cut_sse':
      sse(res)
      res.write(frame(note(1)) + frame(done).slice(0, 20), () => req.socket.destroy())
      return
    case 'half_frame':
      sse(res)
      res.end(frame(note(1)) + frame(done).trimEnd().slice(0, -4))
      return
    default:
      return json(
        res,
        JSON.stringify({
          jsonrpc: '2.0',
          id,
          error: { code: -32602, message: `Unknown tool: ${message.params?.name}` },
        }),
      )
  }
}

const TOOLS = [
  'echo',
  'sse',
  'sse_held',
  'sse_tick',
  'held',
  'slow',
  'never',
  'download',
  'sse_flood',
  'sse_large',
  'rpc_error',
  'tool_error',
  'http_error',
  'garbage',
  'ask',
  'input_required',
  'cut_before',
  'cut_body',
  'cut_sse',
  'half_frame',
]
const tools = TOOLS.map((name) => ({
  name,
  description: name,
  inputSchema: { type: 'object', additionalProperties: true },
}))

function post(message: Message, text: string, req: IncomingMessage, res: ServerResponse): unknown {
  const { id, method } = message
  const isModern = message.params?._meta?.[VERSION] !== undefined
  const use = kinds.get(req.socket)!
  if (method === 'subscriptions/listen') use.streams++
  else use.calls++
  if (method === undefined) return asking.answered(id, text, res)
  switch (method) {
    case 'initialize':
      return json(
        res,
        result(id, {
          protocolVersion: message.params?.protocolVersion ?? '2025-11-25',
          capabilities: { tools: {} },
          serverInfo: { name: 'stub', version: '1' },
        }),
        keepsSessions ? { 'mcp-session-id': `upstream-session-${Math.random().toString(36).slice(2)}` } : {},
      )
    case 'server/discover':
      if (!isModern)
        return json(
          res,
          JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } }),
        )
      return json(
        res,
        result(id, {
          resultType: 'complete',
          supportedVersions: ['2026-07-28'],
          capabilities: { tools: {} },
          serverInfo: { name: 'stub', version: '1' },
        }),
      )
    case 'ping':
      return json(res, result(id, {}))
    case 'tools/list':
      return json(res, result(id, { tools }))
    case 'tools/call':
      arrived.push({
        id: String(id),
        tool: String(message.params?.name),
        at_ms: Date.now(),
        body: isKeepingBodies ? text : '',
        headers: isKeepingBodies ? req.headers : {},
        wasOnDisk: spool !== '' && isOnDisk(text),
      })
      return callTool(message, req, res)
    case 'subscriptions/listen':
      openStreams++
      res.once('close', () => openStreams--)
      sse(res)
      res.write(
        frame(
          JSON.stringify({
            jsonrpc: '2.0',
            method: 'notifications/subscriptions/acknowledged',
            params: { _meta: { 'io.modelcontextprotocol/subscriptionId': id } },
          }),
        ),
      )
      return
    case 'notifications/cancelled':
      cancelled++
      res.writeHead(202).end()
      return
    default:
      if (id === undefined) res.writeHead(202).end()
      else
        json(
          res,
          JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } }),
        )
  }
}

const server = createServer({ keepAliveTimeout: 60_000 }, (req, res): unknown => {
  const url = new URL(req.url ?? '/', 'http://stub')
  if (url.pathname === '/_seen')
    return json(
      res,
      {
        arrived,
        answers: asking.answers,
        held: held.size,
        cancelled,
        openStreams,
        abandoned,
        sent_bytes,
        sockets: [...kinds.values()],
      },
      { connection: 'close' },
    )
  if (url.pathname === '/_release') {
    const count = held.size
    for (const go of [...held]) go()
    return json(res, { released: count }, { connection: 'close' })
  }
  if (url.pathname === '/_keep') {
    isKeepingBodies = true
    return json(res, {}, { connection: 'close' })
  }
  res.on('error', () => {})
  res.once('close', () => {
    if (!res.writableFinished) abandoned++
  })
  let use = kinds.get(req.socket)
  if (!use) {
    use = { id: ++sockets, calls: 0, streams: 0 }
    kinds.set(req.socket, use)
    req.socket.once('close', () => kinds.delete(req.socket))
  }
  if (req.method === 'GET') {
    use.streams++
    openStreams++
    res.once('close', () => openStreams--)
    sse(res)
    res.write(': here\n\n')
    asking.opened(req, res)
    return
  }
  if (req.method === 'DELETE') {
    use.calls++
    return res.writeHead(204).end()
  }
  const chunks: Buffer[] = []
  req.on('error', () => {})
  req.on('data', (chunk: Buffer) => chunks.push(chunk))
  req.on('end', () => {
    const text = Buffer.concat(chunks).toString()
    post(JSON.parse(text) as Message, text, req, res)
  })
})
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as { port: number }).port })}\n`)
})
process.on('disconnect', () => process.exit(0))
