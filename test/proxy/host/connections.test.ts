/**
 * Servers at the other end of a connection: HTTP+SSE and WebSocket. The peers that behave are in test/e2e/peers.test.ts;
 * here are those that do not, and what becomes of the calls.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import type { HostedServer } from '../../../proxy/host/options.ts'
import { waitFor } from '../../support/wait.ts'
import { type Harness, type Loose, server, startHost } from './harness.ts'

const INITIALIZE = {
  jsonrpc: '2.0',
  id: 'i',
  method: 'initialize',
  params: { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'c', version: '1' } },
}
const call = (id: string, name: string): object => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: {} },
})

/** What both peers do with a message; `say` sends one back. */
type Peer = { say(text: string): void; cut(): void }
function behave(message: Loose, peer: Peer): void {
  const answer = (result: unknown): void =>
    peer.say(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }))
  if (message.method === 'initialize')
    answer({ protocolVersion: '2024-11-05', capabilities: {}, serverInfo: { name: 's', version: '1' } })
  else if (message.params?.name === 'echo') answer({ content: [{ type: 'text', text: 'echo' }] })
  else if (message.params?.name === 'large')
    answer({ content: [{ type: 'text', text: 'x'.repeat(1_000_000) }] })
  else if (message.params?.name === 'cut') peer.cut()
}

let http: Server
let url: string
let host: Harness
let onGet: (req: IncomingMessage, res: ServerResponse) => void
let posted: { headers: IncomingMessage['headers']; message: Loose }[]
let streams: ServerResponse[]
let answerPost: number

beforeEach(async () => {
  posted = []
  streams = []
  answerPost = 202
  onGet = (_req, res) => {
    res
      .writeHead(200, { 'content-type': 'text/event-stream' })
      .write(': hello\n\nevent: endpoint\ndata: /post?s=1\n\n')
    streams.push(res)
  }
  http = createServer(async (req, res) => {
    if (req.method === 'GET') return onGet(req, res)
    let text = ''
    for await (const chunk of req) text += String(chunk)
    const message = JSON.parse(text) as Loose
    posted.push({ headers: req.headers, message })
    res.writeHead(answerPost).end()
    const stream = streams.at(-1)!
    behave(message, {
      say: (json) => void stream.write(`event: message\ndata: ${json}\n\n`),
      cut: () => void stream.destroy(),
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => http.once('listening', resolve))
  url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/sse`
})
afterEach(async () => {
  await host?.close()
  http.closeAllConnections()
  await new Promise((resolve) => http.close(resolve))
})

const connection = (to: string, more: Partial<HostedServer> = {}): HostedServer => {
  const { command: _, ...rest } = server([])
  return { ...rest, url: to, era: 'legacy', ...more }
}
async function session(name = 's'): Promise<Record<string, string>> {
  const answer = await host.send(name, INITIALIZE)
  expect(answer.messages[0]?.result).toBeDefined()
  return { 'mcp-session-id': String(answer.headers['mcp-session-id']) }
}

describe('HTTP+SSE', () => {
  const sse = (to = url, more: Partial<HostedServer> = {}): HostedServer =>
    connection(to, { transport: 'sse', ...more })

  test('messages are posted to the endpoint the stream names, in order, with our credentials', async () => {
    host = await startHost({
      s: sse(url, { credentials: { bearer: 'ours' }, headers: { 'X-Team': 'blue' } }),
    })
    const headers = await session()
    const answers = await Promise.all(
      ['1', '2', '3', '4'].map((id) => host.send('s', call(id, 'echo'), headers)),
    )
    expect(answers.map((a) => a.messages[0]!.id)).toEqual(['1', '2', '3', '4'])
    expect(posted.map((p) => p.message.method)).toEqual(['initialize', ...Array(4).fill('tools/call')])
    for (const { headers: sent } of posted)
      expect(sent).toMatchObject({ authorization: 'Bearer ours', 'x-team': 'blue' })
  })

  test('an answer of a megabyte in one event arrives whole', async () => {
    host = await startHost({ s: sse() })
    const answer = await host.send('s', call('big', 'large'), await session())
    expect(answer.messages[0]!.result.content[0].text.length).toBe(1_000_000)
  })

  test('a stream that breaks ends its calls with a reason, and the next session gets a new one', async () => {
    host = await startHost({ s: sse() })
    const answer = await host.send('s', call('c', 'cut'), await session())
    expect(answer.messages[0]!.error).toMatchObject({ data: { weir: 'upstream_closed' } })
    await waitFor('it serves again', async () => {
      const opened = await host.send('s', INITIALIZE)
      return opened.messages[0]?.result !== undefined
    })
    expect(streams.length).toBe(2)
  })

  test('a message that is not taken breaks the connection instead of waiting for ever', async () => {
    host = await startHost({ s: sse() })
    const headers = await session()
    answerPost = 404
    const answer = await host.send('s', call('lost', 'never'), headers)
    expect(answer.messages[0]!.error.data.weir).toBe('upstream_closed')
  })

  test.each([
    [
      'an address of another host',
      (res: ServerResponse) =>
        res
          .writeHead(200, { 'content-type': 'text/event-stream' })
          .write('event: endpoint\ndata: http://evil.example/post\n\n'),
      /on another host/,
    ],
    [
      'a page',
      (res: ServerResponse) => res.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      /HTTP 200 with text\/html/,
    ],
    ['a refusal', (res: ServerResponse) => res.writeHead(401).end(), /HTTP 401/],
    [
      'an end before its endpoint',
      (res: ServerResponse) => res.writeHead(200, { 'content-type': 'text/event-stream' }).end(),
      /ended before it named an endpoint/,
    ],
  ])('%s instead of a stream is a failed connection with its reason', async (_name, act, why) => {
    onGet = (_req, res) => void act(res)
    host = await startHost({ s: sse(url, { credentials: { bearer: 'ours' } }) })
    const answer = await host.send('s', INITIALIZE)
    expect(answer.status).toBe(502)
    expect(answer.messages[0]!.error.data.weir).toBe('connect_failed')
    expect(answer.messages[0]!.error.message).toMatch(why)
    expect(answer.text).not.toContain('ours')
    expect(posted).toEqual([])
  })

  test('a server that is not there is named without its secrets', async () => {
    host = await startHost({ s: sse('http://user:secret@127.0.0.1:9/sse?token=secret') })
    const answer = await host.send('s', INITIALIZE)
    expect(answer.messages[0]!.error.message).toBe(
      'http://127.0.0.1:9/sse cannot be reached: nobody listens there',
    )
    expect(host.log.join('')).not.toContain('secret')
  })
})

describe('WebSocket', () => {
  let sockets: WebSocketServer
  let open: WebSocket[]
  beforeEach(() => {
    open = []
    sockets = new WebSocketServer({ server: http, handleProtocols: () => 'mcp' })
    sockets.on('connection', (socket) => {
      open.push(socket)
      socket.on('message', (data: Buffer) =>
        behave(JSON.parse(data.toString()) as Loose, {
          say: (json) => socket.send(json),
          cut: () => socket.terminate(),
        }),
      )
    })
  })
  const ws = (more: Partial<HostedServer> = {}): HostedServer => connection(url.replace('http', 'ws'), more)

  test('a caller has a connection of its own, and it closes with idleness', async () => {
    host = await startHost({ s: ws({ idle_timeout_ms: 1000 }) })
    const headers = await session()
    expect((await host.send('s', call('1', 'echo'), headers)).messages[0]!.result).toBeDefined()
    await host.send('s', { ...INITIALIZE, id: 'j' }, { 'weir-principal': 'bob' })
    expect(open.length).toBe(2)
    await host.send('s', '', headers, 'DELETE')
    await waitFor('the connection nobody uses is closed', () => open[0]!.readyState === open[0]!.CLOSED)
  })

  test('a broken connection ends its calls with a reason, and the next session gets a new one', async () => {
    host = await startHost({ s: ws() })
    const answer = await host.send('s', call('c', 'cut'), await session())
    expect(answer.messages[0]!.error.data.weir).toBe('upstream_closed')
    await waitFor('it serves again', async () => (await host.send('s', INITIALIZE)).messages[0]?.result)
  })

  test('a refused handshake says the status', async () => {
    sockets.options.verifyClient = () => false
    host = await startHost({ s: ws() })
    const answer = await host.send('s', INITIALIZE)
    expect(answer.messages[0]!.error.message).toMatch(/cannot be reached: .*401/)
  })

  test('a client that stops reading stops the server, and memory stays flat', async () => {
    host = await startHost({ s: ws() })
    const headers = await session()
    const stream = await host.open('s', null, headers)
    stream.pause()
    const note = JSON.stringify({
      jsonrpc: '2.0',
      method: 'notifications/message',
      params: { level: 'info', data: 'y'.repeat(100_000) },
    })
    let sent = 0
    const socket = open[0]!
    let before = -1
    let same = 0
    // Filled until nothing more leaves: kernel buffers and the host hold some megabytes, no more.
    await waitFor('the server cannot send more', () => {
      same = socket.bufferedAmount > 0 && socket.bufferedAmount === before ? same + 1 : 0
      if (socket.bufferedAmount < 1_000_000) for (let i = 0; i < 20; i++, sent++) socket.send(note)
      before = socket.bufferedAmount
      return same >= 5
    })
    expect(sent * note.length).toBeLessThan(40_000_000)
    stream.resume()
    await waitFor('the rest flows again', () => socket.bufferedAmount === 0)
    stream.close()
  })
})
