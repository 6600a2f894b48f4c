/** `weir connect` as its users start it: a process with pipes, in front of a server that says what arrived. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { META, MODERN_VERSION } from '../../proxy/mcp/versions.ts'
import { type Command, run, scratch, start, until } from './support/weir.ts'

type Loose = Record<string, unknown> & { id?: unknown; method?: string; params?: Record<string, unknown> }
type Seen = { method: string; headers: IncomingHttpHeaders; message: Loose | null }

let server: Server
let url: string
let seen: Seen[]
let status: number
const running: Command[] = []

const RESULTS: Record<string, object> = {
  initialize: { protocolVersion: '2025-06-18', capabilities: {}, serverInfo: { name: 's', version: '1' } },
  'tools/list': {
    tools: [
      {
        name: 'grüße',
        inputSchema: { type: 'object', properties: { city: { type: 'string', 'x-mcp-header': 'City' } } },
      },
    ],
  },
}

beforeEach(async () => {
  seen = []
  status = 200
  server = createServer(async (req, res) => {
    let text = ''
    for await (const chunk of req) text += String(chunk)
    const message = text.startsWith('{') ? (JSON.parse(text) as Loose) : null
    seen.push({ method: req.method!, headers: req.headers, message })
    if (message === null && text !== '')
      return void res
        .writeHead(400, { 'content-type': 'application/json' })
        .end('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}')
    if (status !== 200)
      return void res.writeHead(status, { 'content-type': 'application/json' }).end('{"error":"no"}')
    if (req.method === 'GET') {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      return void res.write('data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n')
    }
    if (message?.id === undefined) return void res.writeHead(202).end()
    if (message.method === 'cut') return void req.socket.destroy()
    const answer = JSON.stringify({ jsonrpc: '2.0', id: message.id, result: RESULTS[message.method!] ?? {} })
    if (message.method === 'pretty')
      return void res
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify(JSON.parse(answer), null, 2).replaceAll('\n', '\r\n'))
    if (message.method === 'stream')
      return void res
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .end(`data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\ndata: ${answer}\n\n`)
    const headers = message.method === 'initialize' ? { 'mcp-session-id': 'the-session' } : {}
    res.writeHead(200, { 'content-type': 'application/json', ...headers }).end(answer)
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
})
afterEach(async () => {
  for (const { child } of running.splice(0)) child.kill('SIGKILL')
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

function connect(
  to = url,
  ...more: string[]
): Command & { say(...messages: object[]): void; heard(): Loose[] } {
  const { folder, remove } = scratch('')
  const command = start(folder, ['connect', to, ...more], { env: { ...process.env, WEIR_KEY: 'the-key' } })
  running.push(command)
  void command.done.then(remove)
  return {
    ...command,
    say: (...messages) => {
      for (const message of messages)
        command.child.stdin!.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
    },
    heard: () =>
      command
        .out()
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Loose),
  }
}
const answerTo = (client: { heard(): Loose[] }, id: unknown): Promise<Loose> =>
  until(() => client.heard().find((m) => m.id === id), `an answer to ${String(id)}`)

describe('connect', () => {
  it('keeps the session that HTTP asks for, hears what comes unasked, and ends with its input', async () => {
    const client = connect(url, '--header', 'x-weir-agent: a1')
    client.say(
      { id: 1, method: 'initialize', params: {} },
      { method: 'notifications/initialized' },
      { id: 'two', method: 'stream' },
    )
    expect(await answerTo(client, 'two')).toMatchObject({ result: {} })
    await until(
      () => client.heard().some((m) => m.method === 'notifications/tools/list_changed'),
      'the stream speaks',
    )
    expect(client.heard().map((m) => m.id ?? m.method)).toEqual(
      expect.arrayContaining([1, 'notifications/message', 'two']),
    )
    const posts = seen.filter((s) => s.method === 'POST')
    expect(posts.map((p) => p.message?.method)).toEqual(['initialize', 'notifications/initialized', 'stream'])
    for (const { headers } of seen)
      expect(headers).toMatchObject({ authorization: 'Bearer the-key', 'x-weir-agent': 'a1' })
    for (const { headers } of seen.slice(1))
      expect(headers).toMatchObject({ 'mcp-session-id': 'the-session', 'mcp-protocol-version': '2025-06-18' })
    client.child.stdin!.end()
    expect((await client.done).code).toBe(0)
    expect(seen.at(-1)!.method).toBe('DELETE')
  })

  it('repeats the envelope of modern messages in headers, those of tools too', async () => {
    const client = connect()
    const _meta = { [META.version]: MODERN_VERSION, [META.capabilities]: {} }
    client.say({ id: 1, method: 'tools/list', params: { _meta } })
    await answerTo(client, 1)
    client.say({ id: 2, method: 'tools/call', params: { name: 'grüße', arguments: { city: 'Köln' }, _meta } })
    await answerTo(client, 2)
    expect(seen[1]!.headers).toMatchObject({
      'mcp-protocol-version': MODERN_VERSION,
      'mcp-method': 'tools/call',
      'mcp-name': `=?base64?${Buffer.from('grüße').toString('base64')}?=`,
      'mcp-param-city': `=?base64?${Buffer.from('Köln').toString('base64')}?=`,
    })
    expect(seen[1]!.headers['mcp-session-id']).toBeUndefined()
  })

  it('an answer over several lines is one line', async () => {
    const client = connect()
    client.say({ id: 'p', method: 'pretty' })
    expect(await answerTo(client, 'p')).toEqual({ jsonrpc: '2.0', id: 'p', result: {} })
  })

  it('answers every request, whatever goes wrong', async () => {
    const client = connect()
    client.say({ id: 'cut', method: 'cut' })
    expect(await answerTo(client, 'cut')).toMatchObject({ error: { code: -32603 } })
    status = 401
    client.say({ id: 'refused', method: 'ping' })
    expect(await answerTo(client, 'refused')).toMatchObject({
      error: { message: 'HTTP 401', data: { status: 401, body: '{"error":"no"}' } },
    })
    client.child.stdin!.write('no json\n')
    expect(await answerTo(client, null)).toMatchObject({ error: { code: -32700, message: 'what?' } })
    const nowhere = connect('http://127.0.0.1:9/mcp')
    nowhere.say({ id: 'x', method: 'initialize' })
    expect(JSON.stringify(await answerTo(nowhere, 'x'))).toContain('Weir cannot be reached: ECONNREFUSED')
  })

  it.each([
    [['ftp://x'], /ftp:\/\/x is not an http/],
    [['http://x/', '--header', 'bad'], /--header is not a header/],
    [['http://x/', 'y'], /too many words/],
  ])('%j is used wrongly', async (words, why) => {
    const { folder, remove } = scratch('')
    const { code, err } = await run(folder, 'connect', ...words)
    expect(code).toBe(2)
    expect(err).toMatch(why)
    remove()
  })

  it('without a URL and a weir.yaml says what to write', async () => {
    const { code, err } = await run('/', 'connect')
    expect(code).toBe(1)
    expect(err).toContain('fix: name the endpoint: weir connect http://127.0.0.1:7332/mcp')
  })
})
