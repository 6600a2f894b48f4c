/**
 * An MCP server of both eras whose tools hand out ids and take them back: search, read, status; and fail, which always does.
 * Without sessions, at /sessions with them. Beside it a forwarder that shares a few connections among all who come, as reverse proxies do.
 */
import { randomBytes } from 'node:crypto'
import {
  Agent,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'

const SHARED_CONNECTIONS = 3
const VERSIONS = { modern: '2026-07-28', legacy: '2025-11-25' } as const

type Rpc = { id?: unknown; method: string; params?: { name?: string; arguments?: Record<string, unknown> } }

const property = { type: 'string' }
const TOOLS = [
  { name: 'search', inputSchema: { type: 'object', properties: { query: property } } },
  { name: 'read', inputSchema: { type: 'object', properties: { id: property } } },
  { name: 'status', inputSchema: { type: 'object' } },
  { name: 'fail', inputSchema: { type: 'object' } },
]
const newId = (): string => `item-${randomBytes(6).toString('hex')}`

function textOf({ name, arguments: args }: NonNullable<Rpc['params']>): string {
  if (name === 'search') return JSON.stringify({ items: [newId(), newId(), newId()].map((id) => ({ id })) })
  if (name === 'read') return JSON.stringify({ id: args?.id, next: newId(), at: '2026-01-01T00:00:00Z' })
  return 'all services are up'
}

function resultOf({ method, params }: Rpc): object | null {
  const serverInfo = { name: 'handles', version: '1.0.0' }
  const capabilities = { tools: {} }
  const kept = { resultType: 'complete', ttlMs: 0, cacheScope: 'private' }
  switch (method) {
    case 'initialize':
      return { protocolVersion: VERSIONS.legacy, capabilities, serverInfo }
    case 'server/discover':
      return { ...kept, supportedVersions: [VERSIONS.modern], capabilities }
    case 'tools/list':
      return { ...kept, tools: TOOLS }
    case 'tools/call':
      if (params?.name === 'fail')
        return { resultType: 'complete', isError: true, content: [{ type: 'text', text: 'try again' }] }
      return { resultType: 'complete', content: [{ type: 'text', text: textOf(params ?? {}) }] }
    default:
      return null
  }
}

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  let body = ''
  for await (const chunk of req) body += chunk
  if (req.method === 'DELETE') return void res.writeHead(200).end()
  if (req.method !== 'POST') return void res.writeHead(405).end()
  const message = JSON.parse(body) as Rpc
  if (message.id === undefined) return void res.writeHead(202).end()
  const hasSessions = req.url?.startsWith('/sessions') && message.method === 'initialize'
  const result = resultOf(message)
  const text = JSON.stringify({
    jsonrpc: '2.0',
    id: message.id,
    ...(result ? { result } : { error: { code: -32601, message: 'no such method' } }),
  })
  res.writeHead(result ? 200 : 404, {
    'content-type': 'application/json',
    ...(hasSessions ? { 'mcp-session-id': randomBytes(16).toString('hex') } : {}),
  })
  res.end(text)
}

const listen = async (server: Server): Promise<string> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
const close = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })

export type Serving = { url: string; close(): Promise<void> }

export async function startHandleServer(): Promise<Serving> {
  const server = createServer((req, res) => {
    answer(req, res).catch(() => res.destroy())
  })
  return { url: await listen(server), close: () => close(server) }
}

/** Forwards everything to `target` over a few connections of its own. */
export async function startSharedProxy(target: string): Promise<Serving> {
  const agent = new Agent({ keepAlive: true, maxSockets: SHARED_CONNECTIONS })
  const server = createServer((req, res) => {
    const { connection: _connection, host: _host, ...headers } = req.headers
    const onward = request(`${target}${req.url}`, { agent, method: req.method, headers }, (from) => {
      res.writeHead(from.statusCode ?? 502, from.headers)
      from.pipe(res)
    })
    onward.on('error', () => res.destroy())
    req.pipe(onward)
  })
  return {
    url: await listen(server),
    async close() {
      agent.destroy()
      await close(server)
    },
  }
}
