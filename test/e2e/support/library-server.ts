/**
 * An MCP server in this process with prompts, resources and templates, of either era, that keeps what it was asked and tells
 * every stream what a test wants told. What is called `secret` is there for rules to forbid.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Library = {
  readonly url: string
  /** What was asked, in order: method and what it names. */
  readonly seen: string[]
  /** Streams that clients hold open. */
  readonly streams: Set<ServerResponse>
  /** Lists cannot be had while this is set. */
  isBroken: boolean
  /** Says a message, or its JSON text, on every open stream. */
  tell(message: object | string): void
  close(): Promise<void>
}

type Ask = {
  id?: unknown
  method?: string
  params?: {
    name?: string
    uri?: string
    ref?: { name?: string; uri?: string }
    notifications?: object
    _meta?: Record<string, unknown>
  }
}
const SSE = { 'content-type': 'text/event-stream' }
const frame = (message: object | string): string =>
  `event: message\ndata: ${typeof message === 'string' ? message : JSON.stringify(message)}\n\n`
export const updated = (uri: string): object => ({
  jsonrpc: '2.0',
  method: 'notifications/resources/updated',
  params: { uri },
})

async function read(req: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/** `scheme`: of its URIs, so that two libraries have none in common. */
export async function startLibrary(scheme: string, era: 'legacy' | 'modern'): Promise<Library> {
  const prompts = ['open', 'secret']
  const uris = [`${scheme}://open/a`, `${scheme}://secret/b`]
  const templates = [`${scheme}://files/{name}`, `${scheme}://secret/{name}`]
  const lists: Record<string, object> = {
    'tools/list': { tools: [{ name: 'busy', inputSchema: { type: 'object' } }] },
    'prompts/list': { prompts: prompts.map((name) => ({ name })) },
    'resources/list': { resources: uris.map((uri) => ({ uri, name: uri })) },
    'resources/templates/list': {
      resourceTemplates: templates.map((uriTemplate) => ({ uriTemplate, name: uriTemplate })),
    },
  }
  const about = { capabilities: { tools: {}, prompts: {}, resources: { subscribe: true }, completions: {} } }
  const serverInfo = { name: scheme, version: '1' }
  const streams = new Set<ServerResponse>()

  function resultOf({ method = '', params = {} }: Ask): object | null {
    switch (method) {
      case 'initialize':
        return era === 'legacy' ? { protocolVersion: '2025-11-25', ...about, serverInfo } : null
      case 'server/discover':
        return era === 'modern' ? { supportedVersions: ['2026-07-28'], ...about, serverInfo } : null
      case 'prompts/get':
        return { messages: [{ role: 'user', content: { type: 'text', text: String(params.name) } }] }
      case 'resources/read':
        return { contents: [{ uri: params.uri, text: 'words' }] }
      case 'completion/complete':
        return { completion: { values: ['one'] } }
      case 'resources/subscribe':
      case 'resources/unsubscribe':
        return {}
      default:
        return library.isBroken ? null : (lists[method] ?? null)
    }
  }
  function hold(res: ServerResponse): void {
    streams.add(res)
    res.once('close', () => streams.delete(res))
    res.writeHead(200, SSE).write(': here\n\n')
  }

  const http = createServer(async (req, res) => {
    if (req.method === 'GET') return hold(res)
    if (req.method === 'DELETE') return void res.writeHead(200).end()
    const ask = JSON.parse(await read(req)) as Ask
    const { id, method = '', params = {} } = ask
    library.seen.push(`${method} ${params.name ?? params.uri ?? params.ref?.name ?? params.ref?.uri ?? ''}`)
    if (id === undefined) return void res.writeHead(202).end()
    if (method === 'subscriptions/listen') {
      hold(res)
      const _meta = { 'io.modelcontextprotocol/subscriptionId': id }
      const acknowledged = { _meta, notifications: params.notifications }
      return void res.write(
        frame({
          jsonrpc: '2.0',
          method: 'notifications/subscriptions/acknowledged',
          params: acknowledged,
        }),
      )
    }
    if (method === 'tools/call') {
      res.writeHead(200, SSE)
      for (const uri of uris) res.write(frame(updated(uri)))
      return void res.end(frame({ jsonrpc: '2.0', id, result: { content: [] } }))
    }
    const found = resultOf(ask)
    const result = found && (era === 'modern' ? { resultType: 'complete', ...found } : found)
    const error = { code: library.isBroken ? -32603 : -32601, message: 'no such method' }
    res
      .writeHead(200, {
        'content-type': 'application/json',
        ...(method === 'initialize' && { 'mcp-session-id': `s-${Math.random()}` }),
      })
      .end(JSON.stringify(result ? { jsonrpc: '2.0', id, result } : { jsonrpc: '2.0', id, error }))
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const library: Library = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`,
    seen: [],
    streams,
    isBroken: false,
    tell(message) {
      for (const res of streams) res.write(frame(message))
    },
    close: async () => {
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    },
  }
  return library
}
