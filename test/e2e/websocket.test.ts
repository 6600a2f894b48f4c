/** Clients over WebSocket: who gets in, what is recorded, and how it ends. Everything else is in peers.test.ts. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import WebSocket from 'ws'
import { callTool, initialize, toolCall } from '../support/client.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'
import { type Observed, startObserved } from './support/observed.ts'

const KEY = 'key-of-the-agent'
const HEADERS = { authorization: `Bearer ${KEY}` }
let upstream: UpstreamStub
let weir: Observed
let at: string

beforeAll(async () => {
  upstream = await startUpstream({ sessions: true, keepBodies: true })
  weir = await startObserved({
    callers: { agent: { keys: [{ sha256: createHash('sha256').update(KEY).digest('hex') }] } },
    servers: { stub: { url: upstream.url, era: 'legacy' } },
  })
  at = `ws://127.0.0.1:${weir.port}/servers/stub/mcp`
})
afterAll(async () => {
  await weir?.stop()
  await upstream?.end()
})

type Loose = { id?: unknown; result?: unknown; error?: { message: string } }
type Line = {
  socket: WebSocket
  heard: Loose[]
  say(message: object): void
  answer(id: unknown): Promise<Loose>
}

async function open(headers: Record<string, string> = HEADERS): Promise<Line> {
  const socket = new WebSocket(at, 'mcp', { headers })
  const heard: Loose[] = []
  socket.on('message', (data: Buffer) => heard.push(JSON.parse(data.toString()) as Loose))
  await once(socket, 'open')
  return {
    socket,
    heard,
    say: (message) => socket.send(JSON.stringify(message)),
    answer: (id) => waitFor(`an answer to ${String(id)}`, () => heard.find((m) => m.id === id)),
  }
}

/** Status of a handshake that is refused. */
async function refused(url: string, protocols: string[], headers: Record<string, string>): Promise<number> {
  const socket = new WebSocket(url, protocols, { headers })
  socket.on('error', () => {})
  const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage]
  answer.resume()
  return answer.statusCode!
}

test.each([
  ['without a key', 401, () => refused(at, ['mcp'], {})],
  ['with a wrong key', 401, () => refused(at, ['mcp'], { authorization: 'Bearer x' })],
  ['from a foreign page', 403, () => refused(at, ['mcp'], { ...HEADERS, origin: 'https://evil.example' })],
  ['at no endpoint', 404, () => refused(at.replace('stub', 'nobody'), ['mcp'], HEADERS)],
  ['without the subprotocol', 400, () => refused(at, [], HEADERS)],
])('a handshake %s is refused with %i', async (_name, status, act) => {
  expect(await act()).toBe(status)
})

test('a page of an admitted origin gets in', async () => {
  const line = await open({ ...HEADERS, origin: 'http://localhost:3000' })
  line.say(initialize('of-a-page'))
  expect((await line.answer('of-a-page')).result).toBeDefined()
  line.socket.close()
})

test('each message is a call with an event of its own; the server sees no trace of the way', async () => {
  const line = await open({ ...HEADERS, 'x-weir-agent': 'over-ws' })
  line.say(initialize('ws-open'))
  await line.answer('ws-open')
  line.say({ jsonrpc: '2.0', method: 'notifications/initialized' })
  line.say(toolCall('ws-1', 'echo', { text: 'hi' }))
  expect(await line.answer('ws-1')).toMatchObject({ result: { content: [{ text: 'hi' }] } })
  line.say(toolCall('ws-2', 'nobody-has-this'))
  expect((await line.answer('ws-2')).error).toBeDefined()
  line.socket.close()
  const rows = await weir.events("agent = 'over-ws'", 4)
  expect(rows.map((row) => [row.method, row.outcome, row.transport])).toEqual([
    ['initialize', 'ok', 'websocket'],
    ['notifications/initialized', 'ok', 'websocket'],
    ['tools/call', 'ok', 'websocket'],
    ['tools/call', 'rpc_error', 'websocket'],
  ])
  expect(new Set(rows.slice(1).map((row) => row.session_id)).size).toBe(1)
  expect(rows.every((row) => row.caller === 'agent' && row.client_address === '127.0.0.1')).toBe(true)
  const { arrived } = await upstream.seen()
  const names = arrived
    .flatMap((a) => Object.keys(a.headers))
    .filter((name) => /weir|websocket|upgrade/.test(name))
  expect(names).toEqual(names.filter((name) => name === 'x-weir-agent'))
})

test('what cannot be read is answered and recorded, and the line lives on', async () => {
  const line = await open({ ...HEADERS, 'x-weir-agent': 'garbled' })
  line.socket.send('{"jsonrpc":')
  expect(await line.answer(null)).toMatchObject({ error: { code: -32700 } })
  line.say(initialize('after-garbage'))
  expect((await line.answer('after-garbage')).result).toBeDefined()
  line.socket.close()
  expect((await weir.events("transport = 'websocket' AND kind = 'unreadable'"))[0]).toMatchObject({
    outcome: 'invalid',
    caller: 'agent',
  })
})

test.each([
  ['that is no UTF-8', Buffer.from([0x22, 0xff, 0x22]), 1007, 'parse_error', 400],
  ['that is too large', Buffer.alloc(4_194_305, 120), 1009, 'payload_too_large', 413],
] as const)('a message %s ends the line, and leaves an event', async (_name, bytes, ...what) => {
  const [code, error_type, http_status] = what
  const line = await open()
  const closed = once(line.socket, 'close')
  line.socket.send(bytes, { binary: false })
  expect((await closed)[0]).toBe(code)
  const rows = await weir.events(
    `transport = 'websocket' AND error_type = '${error_type}' AND caller = 'agent'`,
  )
  expect(
    rows.filter((row) => row.error_message !== '' && row.http_status === http_status).at(-1),
  ).toMatchObject({
    kind: 'unreadable',
    outcome: 'invalid',
    endpoint: '/servers/stub/mcp',
  })
})

test('over TCP nobody can say that he came through the inner door', async () => {
  const headers = { ...HEADERS, 'weir-hop-peer': '10.1.2.3', 'weir-hop-transport': 'carrier-pigeon' }
  await callTool(`${weir.url}/servers/stub/mcp`, 'spoof', 'echo', {}, { headers })
  const [row] = await weir.events("request_id = 'spoof'")
  expect(row).toMatchObject({ transport: 'http' })
  expect(row!.client_address).not.toBe('10.1.2.3')
  const arrived = (await upstream.seen()).arrived.find((a) => a.id === 'spoof')!
  expect(Object.keys(arrived.headers).filter((name) => name.startsWith('weir-hop'))).toEqual([])
})

test('a client that leaves is recorded as one', async () => {
  const line = await open()
  line.say(initialize('gone-open'))
  await line.answer('gone-open')
  line.say(toolCall('ws-gone', 'never'))
  await waitFor('the call is with the server', async () =>
    (await upstream.seen()).arrived.some((a) => a.id === 'ws-gone'),
  )
  line.socket.terminate()
  expect((await weir.events("request_id = 'ws-gone'"))[0]).toMatchObject({
    outcome: 'cancelled',
    owner: 'client',
  })
})

test("the SDK's own WebSocket client works where no key is asked for, and a drain lets its call finish", async () => {
  const own = await startObserved({ servers: { stub: { url: upstream.url, era: 'legacy' } } })
  const client = new Client({ name: 'sdk', version: '1' })
  const url = new URL(`ws://127.0.0.1:${own.port}/servers/stub/mcp`)
  await client.connect(new WebSocketClientTransport(url) as Transport)
  expect((await client.callTool({ name: 'echo', arguments: { text: 'yes' } })).content).toMatchObject([
    { text: 'yes' },
  ])
  const held = client.callTool({ name: 'held', arguments: {} })
  await waitFor('the call is with the server', async () => (await upstream.seen()).held === 1)
  const stopped = own.stop()
  // A connection that is still taken, but by nobody, must not be waited for.
  const ready = (): Promise<Response | null> =>
    fetch(`${own.url}/readyz`, { signal: AbortSignal.timeout(1000) }).catch(() => null)
  await waitFor('the drain has begun', async () => (await ready())?.status !== 200)
  await upstream.release()
  expect((await held).content).toBeDefined()
  await stopped
})
