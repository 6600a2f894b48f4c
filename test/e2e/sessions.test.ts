/** Legacy sessions: how many one caller may hold and how places become free, how long an id lives, and whose it is. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import WebSocket from 'ws'
import { FIXTURE } from '../proxy/host/harness.ts'
import { type Answer, initialize, type OpenAnswer, open, send, toolCall } from '../support/client.ts'
import { waitFor } from '../support/wait.ts'
import { type Observed, ROOT, startObserved } from './support/observed.ts'
import { type StubServer, startStub } from './support/stub-server.ts'

const EVERYTHING = join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js')
const sha256 = (key: string): string => createHash('sha256').update(key).digest('hex')
const callers = Object.fromEntries(
  ['alice', 'bob', 'carol', 'dave'].map((name) => [name, { keys: [{ sha256: sha256(`${name}-key`) }] }]),
)
const MAX = 2
const as = (caller: string, session = ''): Record<string, string> => ({
  authorization: `Bearer ${caller}-key`,
  ...(session ? { 'mcp-session-id': session } : {}),
})
const idOf = (answer: Answer): string => String(answer.headers['mcp-session-id'] ?? '')
const textOf = (answer: Answer): unknown => (answer.message?.result?.content as { text: string }[])?.[0]?.text

let stub: StubServer
beforeAll(async () => {
  stub = await startStub()
})
afterAll(() => stub?.close())

describe('the limit of a caller', () => {
  let weir: Observed
  beforeAll(async () => {
    weir = await startObserved({
      callers,
      servers: {
        stub: { url: stub.url, era: 'legacy' },
        fixture: { command: [process.execPath, FIXTURE] },
        all: { command: [process.execPath, EVERYTHING, 'stdio'] },
      },
      http: { sessions_per_caller_max: MAX },
    })
  })
  afterAll(() => weir?.stop())

  const begin = (path: string, caller: string, id = 'begin'): Promise<Answer> =>
    send(weir.url + path, initialize(id), { headers: as(caller) })
  const end = (path: string, caller: string, session: string): Promise<Answer> =>
    send(weir.url + path, '', { method: 'DELETE', headers: as(caller, session) })

  test.each([
    ['/mcp', 'roof'],
    ['/servers/fixture/mcp', 'host'],
  ])('at %s refuses one too many and says why, disturbs nobody, and gives places back', async (path, tag) => {
    const mine = [await begin(path, 'alice'), await begin(path, 'alice')].map(idOf)
    const theirs = idOf(await begin(path, 'bob'))
    const refused = await begin(path, 'alice', `over-${tag}`)
    expect([refused.status, idOf(refused)]).toEqual([429, ''])
    expect(refused.message!.error).toMatchObject({
      code: 10429,
      data: { weir: 'sessions_exhausted', limit: 'http.sessions_per_caller_max', value: MAX },
    })
    expect(String(refused.message!.error!.data!.fix)).toContain('DELETE')
    expect((await weir.events(`request_id = 'over-${tag}'`))[0]).toMatchObject({
      outcome: 'limited',
      owner: 'client',
      error_type: 'sessions_exhausted',
      caller: 'alice',
    })
    // All that were there still are, and others may come.
    const ping = { jsonrpc: '2.0', id: 'ping', method: 'ping' }
    for (const [caller, session] of [
      ['alice', mine[0]!],
      ['alice', mine[1]!],
      ['bob', theirs],
    ] as const)
      expect((await send(weir.url + path, ping, { headers: as(caller, session) })).message?.result).toEqual(
        {},
      )
    expect((await begin(path, 'carol')).status).toBe(200)
    // One ended is one free, once.
    expect((await end(path, 'alice', mine[0]!)).status).toBeLessThan(300)
    expect((await begin(path, 'alice')).status).toBe(200)
    expect((await begin(path, 'alice')).status).toBe(429)
    await end(path, 'alice', mine[0]!)
    expect((await begin(path, 'alice')).status).toBe(429)
  })

  test('at a hosted server does not count what the roof opens there', async () => {
    const direct = [await begin('/servers/all/mcp', 'dave'), await begin('/servers/all/mcp', 'dave')]
    expect(direct.map((d) => d.status)).toEqual([200, 200])
    expect((await begin('/servers/all/mcp', 'dave')).status).toBe(429)
    const roof = await begin('/mcp', 'dave')
    const answer = await send(`${weir.url}/mcp`, toolCall('sum', 'all_get-sum', { a: 1, b: 2 }), {
      headers: as('dave', idOf(roof)),
    })
    expect(JSON.stringify(answer.message?.result)).toContain('3')
    // No client can claim to be the roof.
    const claimed = await send(`${weir.url}/servers/all/mcp`, initialize('claim'), {
      headers: { ...as('dave'), 'weir-roof': '1' },
    })
    expect(claimed.status).toBe(429)
  })

  test('holds for streams of HTTP+SSE, which free their place as they close', async () => {
    const stream = (): Promise<OpenAnswer> => open(`${weir.url}/servers/stub/sse`, { headers: as('bob') })
    const held = [await stream(), await stream()]
    const refused = await stream()
    await refused.ended
    expect([refused.status, JSON.parse(refused.text()).error.data.value]).toEqual([429, MAX])
    expect((await open(`${weir.url}/sse`, { headers: as('alice') })).status).toBe(200)
    held[0]!.close()
    await waitFor('a place', async () => (await stream()).status === 200)
  })

  test('holds for WebSockets, which free their place as they close', async () => {
    const dial = async (caller: string): Promise<WebSocket | number> => {
      const socket = new WebSocket(`ws://127.0.0.1:${weir.port}/mcp`, 'mcp', { headers: as(caller) })
      socket.on('error', () => {})
      const refused = once(socket, 'unexpected-response').then(([, answer]) => answer as IncomingMessage)
      const answer = await Promise.race([once(socket, 'open'), refused])
      return Array.isArray(answer) ? socket : answer.statusCode!
    }
    const held = [await dial('bob'), await dial('bob')]
    expect(await dial('bob')).toBe(429)
    const other = await dial('alice')
    expect(other).toBeInstanceOf(WebSocket)
    ;(held[0] as WebSocket).terminate()
    const again = await waitFor('a place', async () => {
      const socket = await dial('bob')
      return socket instanceof WebSocket && socket
    })
    for (const socket of [held[1], other, again]) (socket as WebSocket).terminate()
  })

  test('of a new config holds at once', async () => {
    weir.weir.writeConfig({
      callers,
      servers: { stub: { url: stub.url, era: 'legacy' } },
      http: { sessions_per_caller_max: 1 },
    })
    process.kill(weir.weir.pid, 'SIGHUP')
    const refused = await waitFor('the new limit', async () => {
      const answer = await begin('/mcp', 'bob')
      return answer.message?.error?.data?.value === 1 && answer
    })
    expect(refused.status).toBe(429)
  })
})

test('sessions left alone give up their places', async () => {
  const weir = await startObserved({
    servers: {
      stub: { url: stub.url, era: 'legacy' },
      fixture: { command: [process.execPath, FIXTURE], idle_timeout_ms: 1000 },
    },
    http: { sessions_per_caller_max: 1, session_idle_ms: 1000 },
  })
  try {
    for (const path of ['/mcp', '/servers/fixture/mcp'])
      for (let i = 0; i < 3; i++)
        await waitFor(
          'a place',
          async () => (await send(weir.url + path, initialize(`idle-${i}`))).status === 200,
        )
  } finally {
    await weir.stop()
  }
})

test('a session id has an age, after which it is one like any that never was', async () => {
  const weir = await startObserved({
    servers: { stub: { url: stub.url, era: 'legacy' } },
    http: { session_max_age_ms: 2000 },
  })
  try {
    for (const path of ['/mcp', '/servers/stub/mcp']) {
      const url = weir.url + path
      const session = idOf(await send(url, initialize('aged')))
      const ask = (id: string): Promise<Answer> =>
        send(url, { jsonrpc: '2.0', id: 1, method: 'tools/list' }, { headers: { 'mcp-session-id': id } })
      expect((await ask(session)).status).toBe(200)
      const over = await waitFor('it is too old', async () => {
        const answer = await ask(session)
        return answer.status === 404 && answer
      })
      expect(over.text).toBe((await ask('weir1.never.was')).text)
      expect((await send(url, initialize('again'))).status).toBe(200)
    }
  } finally {
    await weir.stop()
  }
})

test('a session outlives its worker, and is nobody else’s before and after', async () => {
  const weir = await startObserved({ callers, servers: { stub: { url: stub.url, era: 'legacy' } } })
  try {
    const paths = [
      ['/servers/stub/mcp', 'echo'],
      ['/mcp', 'stub_echo'],
    ] as const
    const sessions = new Map<string, string>()
    for (const [path] of paths) {
      const hello = await send(weir.url + path, initialize('hello'), { headers: as('alice') })
      sessions.set(path, idOf(hello))
    }
    const call = (path: string, tool: string, caller: string, session: string): Promise<Answer> =>
      send(weir.url + path, toolCall('same', tool), { headers: as(caller, session) })
    const check = async (): Promise<unknown[]> => {
      const texts: unknown[] = []
      for (const [path, tool] of paths) {
        const session = sessions.get(path)!
        const mine = await call(path, tool, 'alice', session)
        expect(mine.status).toBe(200)
        texts.push(textOf(mine))
        const theirs = await call(path, tool, 'bob', session)
        const unknown = await call(path, tool, 'bob', 'weir1.never.was')
        expect([theirs.status, theirs.text]).toEqual([404, unknown.text])
        for (const method of ['GET', 'DELETE']) {
          const headers = { ...as('bob', session), accept: 'text/event-stream' }
          expect((await send(weir.url + path, '', { method, headers })).status).toBe(404)
        }
        // Nor does an id of one endpoint open another.
        const other = paths.find(([p]) => p !== path)![0]
        expect((await call(other, tool, 'alice', session)).status).toBe(404)
      }
      return texts
    }
    const before = await check()
    const [worker] = weir.weir.signal('worker', 'SIGKILL')
    await waitFor('a new worker serves', async () => {
      const pids = weir.weir.pids('worker')
      return pids.length === 1 && pids[0] !== worker && (await fetch(`${weir.url}/healthz`)).ok
    })
    const after = await check()
    // At one server the very session goes on; the roof opens a new one with the server.
    expect(after[0]).toBe(before[0])
    expect(after[1]).toMatch(/^echo in stub-/)
    const rows = await weir.events("method = 'tools/call' AND outcome = 'ok'", 4)
    for (const [path] of paths)
      expect(new Set(rows.filter((r) => r.endpoint === path).map((r) => r.session_id)).size).toBe(1)
  } finally {
    await weir.stop()
  }
})
