/** A small MCP server in this process, legacy with sessions, whose lists and moods a test sets. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

export type StubServer = {
  readonly url: string
  tools: string[]
  /** Entries of one page; 0: all at once. */
  page: number
  /** Sessions it knows; clear it to forget them. */
  readonly sessions: Set<string>
  /** Status for a session it does not know. */
  lost_status: number
  /** Answers every request with this status and no more, while it is set. */
  broken: number
  /** Methods in the order they came. */
  readonly seen: { method: string; params: Record<string, unknown>; session: string }[]
  close(): Promise<void>
}

type Message = { id?: unknown; method?: string; params?: Record<string, unknown> }

async function read(req: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

export async function startStub(tools: string[] = ['echo']): Promise<StubServer> {
  let next = 0
  const stub = {
    url: '',
    tools,
    page: 0,
    sessions: new Set<string>(),
    lost_status: 404,
    broken: 0,
    seen: [] as StubServer['seen'],
    close: async () => {
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    },
  }
  const answer = (
    res: ServerResponse,
    status: number,
    body: unknown,
    headers: Record<string, string> = {},
  ): void => {
    res
      .writeHead(status, { 'content-type': 'application/json', ...headers })
      .end(body === null ? undefined : JSON.stringify(body))
  }
  const http = createServer(async (req, res) => {
    const text = await read(req)
    if (stub.broken)
      return void res.writeHead(stub.broken, { 'content-type': 'text/html' }).end('<html>out of order</html>')
    if (req.method === 'GET') return answer(res, 405, null)
    const session = String(req.headers['mcp-session-id'] ?? '')
    if (req.method === 'DELETE') {
      stub.sessions.delete(session)
      return answer(res, 200, null)
    }
    const { id, method = '', params = {} } = JSON.parse(text) as Message
    stub.seen.push({ method, params, session })
    const result = (value: unknown, headers = {}): void =>
      answer(res, 200, { jsonrpc: '2.0', id, result: value }, headers)
    if (method === 'initialize') {
      const fresh = `stub-${process.pid}-${++next}`
      stub.sessions.add(fresh)
      return result(
        {
          protocolVersion: '2025-11-25',
          capabilities: { tools: {}, prompts: {} },
          serverInfo: { name: 'stub', version: '1' },
          instructions: `use ${stub.tools[0]}`,
        },
        { 'mcp-session-id': fresh },
      )
    }
    if (!stub.sessions.has(session))
      return answer(res, stub.lost_status, {
        jsonrpc: '2.0',
        id: null,
        error: {
          code: stub.lost_status === 404 ? -32001 : -32000,
          message: 'Bad Request: No valid session ID provided',
        },
      })
    if (id === undefined) return answer(res, 202, null)
    switch (method) {
      case 'tools/list': {
        const from = Number(params.cursor ?? 0)
        const to = stub.page === 0 ? stub.tools.length : from + stub.page
        const page = stub.tools.slice(from, to).map((name) => ({ name, inputSchema: { type: 'object' } }))
        return result({ tools: page, ...(to < stub.tools.length ? { nextCursor: String(to) } : {}) })
      }
      case 'prompts/list':
        return result({ prompts: [] })
      case 'tools/call':
        if (!stub.tools.includes(String(params.name)))
          return answer(res, 200, {
            jsonrpc: '2.0',
            id,
            error: { code: -32602, message: `Unknown tool: ${String(params.name)}` },
          })
        if (params.name === 'bad-request')
          return answer(res, 400, { jsonrpc: '2.0', id, error: { code: -32602, message: 'bad arguments' } })
        return result({ content: [{ type: 'text', text: `${String(params.name)} in ${session}` }] })
      default:
        return answer(res, 200, { jsonrpc: '2.0', id, error: { code: -32601, message: 'no such method' } })
    }
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  stub.url = `http://127.0.0.1:${(http.address() as { port: number }).port}/mcp`
  return stub
}
