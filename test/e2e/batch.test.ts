/**
 * JSON-RPC batches of clients of MCP 2025-03-26, over every transport: each message a call with its own event, one answer.
 * What is refused whole stands in bad-input/requests.test.ts.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import WebSocket from 'ws'
import { FIXTURE } from '../proxy/host/harness.ts'
import { type Answer, callTool, open, send, toolCall } from '../support/client.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'
import { type Observed, ROOT, startObserved } from './support/observed.ts'
import { type StubServer, startStub } from './support/stub-server.ts'

const EVERYTHING = join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js')
const KEY = 'key-of-the-agent'
const HEADERS = { authorization: `Bearer ${KEY}` }
const MB = 1024 * 1024

type Loose = {
  id?: unknown
  method?: string
  result?: Record<string, unknown>
  error?: { code: number; message: string; data?: Record<string, unknown> }
}

let upstream: UpstreamStub
let forgetful: StubServer
let weir: Observed

beforeAll(async () => {
  upstream = await startUpstream({ sessions: true })
  forgetful = await startStub()
  weir = await startObserved({
    workers: 2,
    callers: { agent: { keys: [{ sha256: createHash('sha256').update(KEY).digest('hex') }] } },
    servers: {
      stub: { url: upstream.url, era: 'legacy' },
      forgetful: { url: forgetful.url, era: 'legacy' },
      fixture: { command: [process.execPath, FIXTURE] },
      all: { command: [process.execPath, EVERYTHING, 'stdio'] },
    },
  })
})
afterAll(async () => {
  await weir?.stop()
  await upstream?.end()
  await forgetful?.close()
})

const initialize = (version = '2025-03-26', capabilities: object = {}): object => ({
  jsonrpc: '2.0',
  id: 'open',
  method: 'initialize',
  params: { protocolVersion: version, capabilities, clientInfo: { name: 'batcher', version: '1' } },
})
const INITIALIZED = { jsonrpc: '2.0', method: 'notifications/initialized' }
const LIST = { jsonrpc: '2.0', id: 'list', method: 'tools/list' }
const urlOf = (path: string): string => `${weir.url}${path}`

/** Headers of a new session. */
async function session(path: string, capabilities: object = {}): Promise<Record<string, string>> {
  const hello = await send(urlOf(path), initialize('2025-03-26', capabilities), { headers: HEADERS })
  expect(hello.status).toBe(200)
  return { ...HEADERS, 'mcp-session-id': String(hello.headers['mcp-session-id']) }
}

const messagesOf = (answer: Answer): Loose[] => JSON.parse(answer.text) as Loose[]
/** Messages in the part of an event stream that has come so far. */
const eventsIn = (text: string): Loose[] =>
  text
    .split('\n\n')
    .slice(0, -1)
    .flatMap((frame) => /^data: (.*)$/m.exec(frame)?.[1] ?? [])
    .map((data) => JSON.parse(data) as Loose)
const ids = (messages: readonly Loose[]): unknown[] => messages.map((m) => m.id)

describe.each([
  ['one server', '/servers/stub/mcp', ''],
  ['all servers', '/mcp', 'stub_'],
])('at the endpoint of %s', (_name, path, prefix) => {
  test('each message is a call with its own event; one array answers them in the order of the requests', async () => {
    const headers = { ...(await session(path)), 'x-weir-agent': `batch${prefix}` }
    const batch = [
      INITIALIZED,
      toolCall('slow', `${prefix}slow`, { ms: 150, text: 'slow' }),
      toolCall(7, `${prefix}echo`, { text: 'second "text", [with] {all}' }),
      LIST,
      toolCall('none', `${prefix}nobody-has-this`),
      toolCall('failed', `${prefix}tool_error`),
    ]
    const answer = await send(urlOf(path), batch, { headers })
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json'])
    const messages = messagesOf(answer)
    expect(ids(messages)).toEqual(['slow', 7, 'list', 'none', 'failed'])
    expect(messages[1]!.result!.content).toMatchObject([{ text: 'second "text", [with] {all}' }])
    expect(messages[3]!.error!.code).toBe(-32602)
    const rows = await weir.events(`agent = 'batch${prefix}'`, batch.length)
    const shown = rows.map((r) => `${r.method} ${r.request_id} ${r.kind} ${r.outcome} ${r.transport}`)
    expect(shown.toSorted()).toEqual(
      [
        'notifications/initialized  notification ok http',
        'tools/call slow request ok http',
        'tools/call 7 request ok http',
        'tools/list list request ok http',
        'tools/call none request rpc_error http',
        'tools/call failed request tool_error http',
      ].toSorted(),
    )
    expect(new Set(rows.map((r) => r.session_id)).size).toBe(1)
    expect(rows.every((r) => r.endpoint === path && r.caller === 'agent')).toBe(true)
    expect(rows.every((r) => r.client_address !== '' && r.protocol_version === '2025-03-26')).toBe(true)
  })

  test('without requests it is accepted, without a body', async () => {
    const headers = { ...(await session(path)), 'x-weir-agent': `quiet${prefix}` }
    const other = { jsonrpc: '2.0', method: 'notifications/roots/list_changed' }
    const answer = await send(urlOf(path), [INITIALIZED, other], { headers })
    expect([answer.status, answer.text]).toEqual([202, ''])
    const rows = await weir.events(`agent = 'quiet${prefix}'`, 2)
    expect(rows.map((r) => r.method)).toEqual([INITIALIZED.method, other.method])
  })

  test('an id used twice gets two answers', async () => {
    const headers = await session(path)
    const twice = [toolCall(1, `${prefix}echo`), toolCall(1, `${prefix}echo`)]
    const answer = await send(urlOf(path), twice, { headers })
    expect(ids(messagesOf(answer))).toEqual([1, 1])
  })

  test('what a server says in between turns the answer into a stream', async () => {
    const headers = await session(path)
    const batch = [toolCall('first', `${prefix}echo`), toolCall('loud', `${prefix}sse_tick`), LIST]
    const answer = await open(urlOf(path), { method: 'POST', body: batch, headers })
    expect(answer.res.headers['content-type']).toBe('text/event-stream')
    await waitFor('all but the held one', () => eventsIn(answer.text()).length === 3)
    expect(eventsIn(answer.text()).some((m) => m.method === 'notifications/message')).toBe(true)
    await upstream.release()
    await answer.ended
    const answered = ids(eventsIn(answer.text()).filter((m) => m.method === undefined))
    expect(answered.toSorted()).toEqual(['first', 'list', 'loud'])
  })

  test('a client that leaves cancels nothing, and each call is recorded as left', async () => {
    const headers = { ...(await session(path)), 'x-weir-agent': `left${prefix}` }
    const before = await upstream.seen()
    const calls = ['never', 'held', 'sse_held'].map((name, i) => toolCall(`left-${i}`, prefix + name))
    const isThere = async (): Promise<boolean> =>
      (await upstream.seen()).arrived.length === before.arrived.length + calls.length
    const socket = new AbortController()
    const asked = fetch(urlOf(path), {
      method: 'POST',
      body: JSON.stringify(calls),
      headers: { ...headers, 'content-type': 'application/json', accept: 'application/json' },
      signal: socket.signal,
    }).catch(() => null)
    await waitFor('the calls are with the server', isThere)
    socket.abort()
    await asked
    const rows = await weir.events(`agent = 'left${prefix}'`, calls.length)
    expect(rows.map((r) => `${r.outcome} ${r.error_type}`)).toEqual(
      Array(calls.length).fill('cancelled client_gone'),
    )
    expect((await upstream.seen()).cancelled).toBe(before.cancelled)
  })

  test('a call of a running batch is cancelled like any other', async () => {
    const headers = { ...(await session(path)), 'x-weir-agent': `cancel${prefix}` }
    const before = (await upstream.seen()).arrived.length
    const batch = [toolCall('c-never', `${prefix}never`), toolCall('c-fine', `${prefix}echo`)]
    const running = send(urlOf(path), batch, { headers })
    await waitFor('both are there', async () => (await upstream.seen()).arrived.length === before + 2)
    const notice = {
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 'c-never', reason: 'enough' },
    }
    expect((await send(urlOf(path), [notice], { headers })).status).toBe(202)
    const messages = messagesOf(await running)
    expect(messages.find((m) => m.id === 'c-fine')!.result).toBeDefined()
    const rows = await weir.events(`agent = 'cancel${prefix}' AND method = 'tools/call'`, 2)
    expect(rows.map((r) => `${r.request_id} ${r.outcome}`).toSorted()).toEqual([
      'c-fine ok',
      'c-never cancelled',
    ])
  })

  test.each([
    ['sse_flood', 2, 150],
    ['download', 12, 25],
  ])(
    'a client that takes nothing of %s holds the server up, and nothing piles up in between',
    async (tool, count, mb) => {
      const headers = await session(path)
      const before = (await upstream.seen()).sent_bytes
      const batch = Array.from({ length: count }, (_, i) =>
        toolCall(`much-${i}`, prefix + tool, { bytes: mb * MB }),
      )
      const answer = await open(urlOf(path), { method: 'POST', body: batch, headers, isPaused: true })
      let last = -1
      let same = 0
      const sent = await waitFor('the server cannot send more', async () => {
        const { sent_bytes } = await upstream.seen()
        same = sent_bytes === last ? same + 1 : 0
        last = sent_bytes
        return same >= 20 && sent_bytes - before
      })
      expect(sent).toBeLessThan(100 * MB)
      let total = 0
      for await (const chunk of answer.res) total += (chunk as Buffer).length
      expect(total).toBeGreaterThan(count * (mb - 1) * MB)
    },
  )
})

test('a session is found by a batch that comes to another worker', async () => {
  const headers = { ...(await session('/mcp')), 'x-weir-agent': 'roaming' }
  for (let i = 0; i < 8; i++) {
    const answer = await send(urlOf('/mcp'), [toolCall(`r-${i}`, 'stub_echo', { text: 'x' }), LIST], {
      headers,
    })
    expect(ids(messagesOf(answer))).toEqual([`r-${i}`, 'list'])
  }
  const rows = await weir.events("agent = 'roaming'", 16)
  expect(rows).toHaveLength(16)
  expect(new Set(rows.map((r) => r.worker)).size).toBe(1)
  expect(new Set(rows.map((r) => r.transport))).toEqual(new Set(['http']))
})

test.each([
  ['one server', '/servers/all/mcp', ''],
  ['all servers', '/mcp', 'all_'],
])('a question of a server reaches the client while its batch runs, at %s', async (_name, path, prefix) => {
  const headers = await session(path, { sampling: {} })
  await send(urlOf(path), INITIALIZED, { headers })
  const ask = toolCall('ask', `${prefix}trigger-sampling-request`, { prompt: 'hi', maxTokens: 10 })
  const batch = [ask, toolCall('sum', `${prefix}get-sum`, { a: 2, b: 3 })]
  const answer = await open(urlOf(path), { method: 'POST', body: batch, headers })
  const question = await waitFor('the question', () =>
    eventsIn(answer.text()).find((m) => m.method === 'sampling/createMessage'),
  )
  const reply = {
    jsonrpc: '2.0',
    id: question.id,
    result: { model: 'm', role: 'assistant', content: { type: 'text', text: 'the answer to it' } },
  }
  // Answers may come in a batch too.
  expect((await send(urlOf(path), [reply], { headers })).status).toBe(202)
  await answer.ended
  const messages = eventsIn(answer.text())
  expect(JSON.stringify(messages.find((m) => m.id === 'ask')!.result)).toContain('the answer to it')
  expect(JSON.stringify(messages.find((m) => m.id === 'sum')!.result)).toContain('5')
})

test('progress of a stdio server reaches the client, and the batch goes on', async () => {
  const headers = await session('/servers/fixture/mcp')
  const batch = [
    toolCall('p', 'progress', {}, { progressToken: 'token' }),
    toolCall('bad', 'no-such-tool'),
    toolCall('pid', 'pid'),
  ]
  const answer = await open(urlOf('/servers/fixture/mcp'), { method: 'POST', body: batch, headers })
  await answer.ended
  const messages = eventsIn(answer.text())
  expect(messages.filter((m) => m.method === 'notifications/progress')).toHaveLength(2)
  expect(ids(messages.filter((m) => m.method === undefined)).toSorted()).toEqual(['bad', 'p', 'pid'])
})

test('a server that forgot the session is heard: the whole batch gets its 404', async () => {
  const path = '/servers/forgetful/mcp'
  const headers = await session(path)
  forgetful.sessions.clear()
  const answer = await send(urlOf(path), [toolCall(1, 'echo'), LIST], { headers })
  expect(answer.status).toBe(404)
  expect(ids(messagesOf(answer))).toEqual([1, 'list'])
  expect((await send(urlOf(path), [INITIALIZED], { headers })).status).toBe(404)
})

test('a session of the roof that speaks a later revision takes no batch, also without the header', async () => {
  const hello = await send(urlOf('/mcp'), initialize('2025-11-25'), { headers: HEADERS })
  const headers = {
    ...HEADERS,
    'mcp-session-id': String(hello.headers['mcp-session-id']),
    'x-weir-agent': 'newer',
  }
  const answer = await send(urlOf('/mcp'), [LIST], { headers })
  expect([answer.status, answer.message?.error?.data?.weir]).toEqual([400, 'batch_unsupported'])
  // Refused whole: one event, and what is inside was not served.
  await weir.settled()
  expect(await weir.events("method = 'tools/list' AND agent = 'newer'", 0)).toEqual([])
})

test('a stranger’s batch is refused as one call', async () => {
  const { status } = await send(urlOf('/mcp'), [LIST, LIST, LIST], {
    headers: { 'x-weir-agent': 'stranger', 'user-agent': 'stranger' },
  })
  expect(status).toBe(401)
  const rows = await weir.events("error_type = 'unauthenticated'")
  expect(rows).toHaveLength(1)
})

test('a drain lets a batch finish', async () => {
  const own = await startObserved({ servers: { stub: { url: upstream.url, era: 'legacy' } } })
  const url = `${own.url}/servers/stub/mcp`
  const held = (await upstream.seen()).held
  const running = send(url, [toolCall('d-1', 'held'), toolCall('d-2', 'held')], {})
  await waitFor('both are with the server', async () => (await upstream.seen()).held === held + 2)
  const stopped = own.stop()
  // A connection that is still taken, but by nobody, must not be waited for.
  const ready = (): Promise<Response | null> =>
    fetch(`${own.url}/readyz`, { signal: AbortSignal.timeout(1000) }).catch(() => null)
  await waitFor('the drain has begun', async () => (await ready())?.status !== 200)
  await upstream.release()
  expect(ids(messagesOf(await running))).toEqual(['d-1', 'd-2'])
  await stopped
})

describe('lines', () => {
  const BATCH = [INITIALIZED, toolCall('w-1', 'echo', { text: 'yes' }), LIST]

  test('over WebSocket', async () => {
    const at = `ws://127.0.0.1:${weir.port}/servers/stub/mcp`
    const socket = new WebSocket(at, 'mcp', { headers: { ...HEADERS, 'x-weir-agent': 'ws-batch' } })
    const heard: unknown[] = []
    socket.on('message', (data: Buffer) => heard.push(JSON.parse(data.toString())))
    await once(socket, 'open')
    socket.send(JSON.stringify(initialize()))
    await waitFor('the session', () => heard.length === 1)
    socket.send(JSON.stringify(BATCH))
    await waitFor('the batch', () => heard.length === 2)
    expect(ids(heard[1] as Loose[])).toEqual(['w-1', 'list'])
    socket.send('[]')
    await waitFor('the refusal', () => heard.length === 3)
    expect((heard[2] as Loose).error!.data!.weir).toBe('batch_empty')
    socket.send(JSON.stringify([LIST, initialize()]))
    await waitFor('the errors', () => heard.length === 5)
    expect(heard.slice(3)).toMatchObject(
      ['list', 'open'].map((id) => ({ id, error: { code: -32600, data: { weir: 'batch_initialize' } } })),
    )
    socket.close()
    expect(await weir.events("error_type = 'batch_empty'")).toMatchObject([
      { transport: 'websocket', kind: 'unreadable', owner: 'client' },
    ])
    expect(await weir.events("error_type = 'batch_initialize'")).toHaveLength(1)
    const rows = await weir.events("agent = 'ws-batch'", 4)
    expect(rows.map((r) => `${r.method} ${r.outcome} ${r.transport}`).toSorted()).toEqual(
      [
        'initialize ok websocket',
        'notifications/initialized ok websocket',
        'tools/call ok websocket',
        'tools/list ok websocket',
      ].toSorted(),
    )
  })

  test('over HTTP+SSE', async () => {
    const headers = { ...HEADERS, 'x-weir-agent': 'sse-batch' }
    const stream = await open(urlOf('/servers/stub/sse'), { headers })
    const path = await waitFor(
      'the endpoint is named',
      () => /event: endpoint\ndata: (\S+)\n/.exec(stream.text())?.[1],
    )
    await send(urlOf(path), initialize('2024-11-05'), { headers })
    await waitFor('the session', () => stream.text().includes('"open"'))
    expect((await send(urlOf(path), BATCH, { headers })).status).toBe(202)
    const answers = await waitFor('the batch', () =>
      eventsIn(stream.text().replace(/^event: endpoint\n.*\n\n/, '')).find(Array.isArray),
    )
    expect(ids(answers as unknown as Loose[])).toEqual(['w-1', 'list'])
    stream.close()
    const rows = await weir.events("agent = 'sse-batch'", 4)
    expect(rows.map((r) => `${r.method} ${r.transport}`).toSorted()).toEqual([
      'initialize sse',
      'notifications/initialized sse',
      'tools/call sse',
      'tools/list sse',
    ])
  })
})

test("the SDK's client sends a batch and hears each answer", async () => {
  const transport = new StreamableHTTPClientTransport(new URL(urlOf('/mcp')), {
    requestInit: { headers: HEADERS },
  })
  const heard: JSONRPCMessage[] = []
  transport.onmessage = (message) => void heard.push(message)
  await transport.start()
  await transport.send(initialize() as JSONRPCMessage)
  await waitFor('the session', () => heard.length === 1)
  transport.setProtocolVersion('2025-03-26')
  const batch = [toolCall('sdk-1', 'stub_echo'), LIST, toolCall('sdk-2', 'stub_sse')]
  await transport.send(batch as unknown as JSONRPCMessage[])
  await waitFor('the answers', () => heard.filter((m) => 'id' in m && !('method' in m)).length === 4)
  expect(heard.map((m) => ('id' in m ? m.id : 'method' in m && m.method)).toSorted()).toEqual(
    ['open', 'sdk-1', 'list', 'sdk-2', 'notifications/message'].toSorted(),
  )
  await transport.close()
})

test('beside batches single calls go on as ever', async () => {
  const answer = await callTool(
    urlOf('/servers/stub/mcp'),
    'single',
    'echo',
    { text: 'one' },
    { headers: HEADERS },
  )
  expect(answer.message!.result!.content).toMatchObject([{ text: 'one' }])
})
