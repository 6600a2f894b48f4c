/** Lists that come as streams, large, in pieces, again on the stream of a session, or unreadable: no way leads around the rules. */
import { createServer, type ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { initialize, open, send } from '../support/client.ts'
import { waitFor } from '../support/wait.ts'
import { type Observed, startObserved } from './support/observed.ts'

type Mood = 'stream' | 'pieces' | 'batch' | 'large' | 'gzip' | 'broken' | 'unfinished' | 'html' | 'held'
let mood: Mood = 'stream'
const TOOLS = ['open_a', 'secret_b', 'open_c']
const filler = 'x'.repeat(400_000)
const list = (id: unknown): string =>
  JSON.stringify({
    jsonrpc: '2.0',
    id,
    result: {
      tools: TOOLS.map((name) => ({
        name,
        description: mood === 'large' ? filler : '',
        inputSchema: { type: 'object' },
      })),
    },
  })
const SSE = { 'content-type': 'text/event-stream' }
const JSON_TYPE = { 'content-type': 'application/json' }

function answerList(res: ServerResponse, id: unknown): void {
  const text = list(id)
  switch (mood) {
    case 'stream':
    case 'large':
      res.writeHead(200, SSE).write(': hello\n\n')
      return void res.end(`id: 1\nevent: message\ndata: ${text}\n\n`)
    case 'pieces': {
      res.writeHead(200, SSE)
      const frame = `event: message\r\ndata: ${text.replace('"tools":', '\r\ndata: "tools":')}\r\n\r\n`
      for (const piece of frame.match(/.{1,7}/gs)!) res.write(piece)
      return void res.end()
    }
    case 'batch':
      return void res
        .writeHead(200, SSE)
        .end(`data: [${text},{"jsonrpc":"2.0","method":"notifications/x"}]\n\n`)
    case 'gzip':
      return void res.writeHead(200, { ...JSON_TYPE, 'content-encoding': 'gzip' }).end(gzipSync(text))
    case 'broken':
      return void res.writeHead(200, JSON_TYPE).end(text.slice(0, -20))
    case 'unfinished':
      return void res.writeHead(200, SSE).end(`data: ${text}`)
    case 'html':
      return void res.writeHead(200, { 'content-type': 'text/html' }).end(text)
  }
}

/** Streams that stay open, and methods that came. */
const held = new Set<ServerResponse>()
const came: string[] = []
const server = createServer(async (req, res) => {
  if (req.method === 'GET' && mood === 'held') {
    res.writeHead(200, SSE).flushHeaders()
    held.add(res)
    return void res.on('close', () => held.delete(res))
  }
  if (req.method === 'GET')
    // What broke off of a list comes again, and once more.
    return void res.writeHead(200, SSE).end(`id: 9\ndata: ${list(1)}\n\nid: 10\ndata: ${list(2)}\n\n`)
  let text = ''
  for await (const chunk of req) text += String(chunk)
  const { id, method } = JSON.parse(text) as { id?: unknown; method: string }
  came.push(method)
  if (id === undefined) return void res.writeHead(202).end()
  if (method === 'tools/list') return answerList(res, id)
  const result = {
    protocolVersion: '2025-11-25',
    capabilities: { tools: {}, logging: {} },
    serverInfo: { name: 's', version: '1' },
  }
  res
    .writeHead(200, { ...JSON_TYPE, 'mcp-session-id': 'abc' })
    .end(JSON.stringify({ jsonrpc: '2.0', id, result }))
})
let weir: Observed
let config: Record<string, unknown>
let url: string
let headers: Record<string, string>
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  config = {
    servers: { s: { url: `http://127.0.0.1:${port}/mcp`, era: 'legacy' } },
    rules: [{ deny: 'secrets', tools: 'secret_*' }],
  }
  weir = await startObserved(config)
  url = `${weir.url}/servers/s/mcp`
  const hello = await send(url, initialize(1))
  headers = { 'mcp-session-id': String(hello.headers['mcp-session-id']) }
})
afterAll(async () => {
  await weir?.stop()
  server.closeAllConnections()
  server.close()
})
const ask = (id: string) => send(url, { jsonrpc: '2.0', id, method: 'tools/list' }, { headers })

test.each<Mood>(['stream', 'pieces', 'batch', 'large', 'unfinished'])(
  'a list that comes as %s shows what may be used',
  async (kind) => {
    mood = kind
    const { status, text } = await ask(`l-${kind}`)
    expect(status).toBe(200)
    expect(text).toContain('open_a')
    expect(text).toContain('open_c')
    expect(text).not.toContain('secret_b')
  },
)
test.each<Mood>(['gzip', 'broken', 'html'])('a list that comes as %s is not shown at all', async (kind) => {
  mood = kind
  const { status, text, message } = await ask(`l-${kind}`)
  expect(text).not.toMatch(/secret_b|open_a/)
  expect(status).toBe(502)
  expect(message?.error?.data).toMatchObject({ weir: 'upstream_protocol' })
})
test('a list that comes again on the stream of a session is filtered each time', async () => {
  mood = 'stream'
  const { text } = await send(url, '', {
    method: 'GET',
    headers: { ...headers, accept: 'text/event-stream', 'last-event-id': '1' },
  })
  expect(text.match(/open_c/g)).toHaveLength(2)
  expect(text).not.toContain('secret_b')
})
test('the cost of a list is that of what the client got to see', async () => {
  mood = 'stream'
  await ask('metered')
  const [row] = await weir.events("request_id = 'metered'")
  expect(row).toMatchObject({ outcome: 'ok', list_items: 2 })
  const tools = await waitFor('the list is stored', async () => {
    const found = await weir.store.rows<{ tool: string }>(
      `SELECT DISTINCT tool FROM tool_lists WHERE list_id = '${row!.list_id}' ORDER BY tool`,
    )
    return found.length > 0 && found.map(({ tool }) => tool)
  })
  expect(tools).toEqual(['open_a', 'open_c'])
})

test('a rule that takes a server away ends the streams that hear it, and nothing is heard or told of it any more', async () => {
  mood = 'held'
  const hello = await send(`${weir.url}/mcp`, initialize(1))
  const roof = { 'mcp-session-id': String(hello.headers['mcp-session-id']) }
  const own = await open(url, { headers })
  const merged = await open(`${weir.url}/mcp`, { headers: roof })
  await waitFor('both hear the server', () => held.size === 2)
  weir.weir.writeConfig({ ...config, rules: [{ deny: 'all of it', servers: 's' }] })
  await Promise.all([own.ended, merged.ended])
  expect(
    (await send(url, '', { method: 'GET', headers: { ...headers, accept: 'text/event-stream' } })).status,
  ).toBe(404)

  const again = await open(`${weir.url}/mcp`, { headers: roof })
  expect(again.status).toBe(200)
  came.length = 0
  const tell = (message: object) => send(`${weir.url}/mcp`, { jsonrpc: '2.0', ...message }, { headers: roof })
  expect((await tell({ method: 'notifications/x' })).status).toBe(202)
  expect((await tell({ id: 1, method: 'logging/setLevel', params: { level: 'debug' } })).status).toBe(200)
  expect(came).toEqual([])
  expect(held.size).toBe(0)
  again.close()
})
