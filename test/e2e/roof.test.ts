/**
 * /mcp: many servers under one roof. Names and their way back, merged lists with pages and without a server that is down,
 * sessions that outlive a lost upstream session, a reload and the worker that held them, two workers, the modern era.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Answer, initialize, open, send, toolCall } from '../support/client.ts'
import { waitFor } from '../support/wait.ts'
import { freePort, goServer, type Peer, startGoServer } from './support/go-server.ts'
import { type Observed, type Row, startObserved } from './support/observed.ts'
import { type StubServer, startStub } from './support/stub-server.ts'

const LONG = `${'very-long-name-'.repeat(6)}end`
type Tool = { name: string }

let n = 0
const nextId = (): string => `roof-${n++}`

/** A legacy client by hand: one session at /mcp. */
class Session {
  readonly url: string
  readonly headers: Record<string, string>
  constructor(url: string, answer: Answer, headers: Record<string, string> = {}) {
    this.url = url
    this.headers = { ...headers, 'mcp-session-id': String(answer.headers['mcp-session-id']) }
  }
  static async open(weir: Observed): Promise<Session & { hello: Answer }> {
    const url = `${weir.url}/mcp`
    const hello = await send(url, initialize(nextId()))
    expect(hello.status).toBe(200)
    const session = Object.assign(new Session(url, hello), { hello })
    expect(
      (await send(url, { jsonrpc: '2.0', method: 'notifications/initialized' }, { headers: session.headers }))
        .status,
    ).toBe(202)
    return session
  }
  ask(method: string, params: object = {}, id: unknown = nextId()): Promise<Answer> {
    return send(this.url, { jsonrpc: '2.0', id, method, params }, { headers: this.headers })
  }
  call(name: string, id = nextId()): Promise<Answer> {
    return send(this.url, toolCall(id, name), { headers: this.headers })
  }
  async tools(): Promise<string[]> {
    const all: string[] = []
    let cursor: unknown
    do {
      const { message } = await this.ask('tools/list', cursor === undefined ? {} : { cursor })
      all.push(...(message!.result!.tools as Tool[]).map((t) => t.name))
      cursor = message!.result!.nextCursor
    } while (cursor !== undefined)
    return all
  }
}
const textOf = (answer: Answer): string =>
  (answer.message?.result?.content as { text: string }[] | undefined)?.[0]?.text ?? answer.text

describe('names', () => {
  let stubs: Record<string, StubServer>
  let weir: Observed
  beforeAll(async () => {
    stubs = {
      a: await startStub(['b-c_d', 'x', LONG, `${LONG}2`]),
      'a-b': await startStub(['c_d', 'x']),
      'a-b-c': await startStub(['d', 'x']),
    }
    weir = await startObserved({
      workers: 2,
      roof: { separator: '-' },
      servers: Object.fromEntries(Object.entries(stubs).map(([name, s]) => [name, { url: s.url }])),
    })
  })
  afterAll(async () => {
    await weir?.stop()
    await Promise.all(Object.values(stubs).map((s) => s.close()))
  })

  test('every name is one, fits, and leads back to its tool, whatever the keys contain', async () => {
    const session = await Session.open(weir)
    const names = await session.tools()
    expect(names.length).toBe(8)
    expect(new Set(names).size).toBe(8)
    for (const name of names) expect(name).toMatch(/^[A-Za-z0-9_.-]{1,64}$/)
    expect(names).toEqual(await session.tools())
    const ids: string[] = []
    for (const name of names) {
      const id = nextId()
      ids.push(id)
      expect((await session.call(name, id)).message?.result, name).toBeDefined()
    }
    const rows = await weir.events(`request_id IN (${ids.map((i) => `'${i}'`).join(',')})`, 8)
    expect(new Set(rows.map((r) => `${r.server}|${r.tool}`))).toEqual(
      new Set(Object.entries(stubs).flatMap(([server, s]) => s.tools.map((tool) => `${server}|${tool}`))),
    )
    for (const row of rows) expect(names).toContain(row.exposed_name)
  })

  test('a cut name is known to a worker that never listed it', async () => {
    const names = await (await Session.open(weir)).tools()
    const cut = names.filter((name) => /-[0-9a-f]{8}$/.test(name))
    expect(cut.length).toBeGreaterThanOrEqual(2)
    const pids = weir.weir.signal('worker', 'SIGKILL')
    await waitFor(
      'new workers',
      () => weir.weir.pids('worker').length === 2 && !weir.weir.pids('worker').some((p) => pids.includes(p)),
    )
    const fresh = await waitFor('an answer', () => Session.open(weir))
    for (const name of cut) expect((await fresh.call(name)).message?.result, name).toBeDefined()
  })

  test('an unknown name is told apart from an unknown server', async () => {
    const session = await Session.open(weir)
    const id = nextId()
    const strange = await session.call('nobody', id)
    expect(strange.status).toBe(200)
    expect(strange.message?.error).toMatchObject({ code: -32602, data: { weir: 'tool_unknown' } })
    expect((await weir.events(`request_id = '${id}'`))[0]).toMatchObject({
      outcome: 'invalid',
      owner: 'client',
      error_type: 'tool_unknown',
      tool: '',
      exposed_name: 'nobody',
      server: '',
    })
    expect((await session.call('a-b-c-nothing')).message?.error).toMatchObject({
      code: -32602,
      message: 'Unknown tool: nothing',
    })
  })
})

describe('merged lists and sessions', () => {
  let one: StubServer
  let two: StubServer
  let weir: Observed
  let dead: number
  const config = (): Record<string, unknown> => ({
    workers: 2,
    servers: {
      one: { url: one.url, list_timeout_ms: 2000 },
      two: { url: two.url, list_timeout_ms: 2000 },
      dead: { url: `http://127.0.0.1:${dead}/mcp`, list_timeout_ms: 2000 },
    },
  })
  beforeAll(async () => {
    ;[one, two, dead] = await Promise.all([
      startStub(['t1', 't2', 't3', 't4', 't5', 'bad-request']),
      startStub(['u1', 'u2']),
      freePort(),
    ])
    weir = await startObserved(config())
  })
  afterAll(async () => {
    await weir?.stop()
    await Promise.all([one?.close(), two?.close()])
  })
  beforeEach(() => {
    for (const stub of [one, two]) Object.assign(stub, { page: 0, lost_status: 404, broken: 0 })
  })
  afterEach(() => {
    for (const stub of [one, two]) stub.seen.length = 0
  })
  const eventOf = async (id: string): Promise<Row> => {
    const rows = await weir.events(`request_id = '${id}'`)
    expect(rows.length).toBe(1)
    return rows[0]!
  }

  test('a server that is down is missed, named, and hurts nobody', async () => {
    const session = await Session.open(weir)
    expect(session.hello.message?.result).toMatchObject({
      serverInfo: { name: 'weir' },
      capabilities: { tools: {}, prompts: {} },
      _meta: { 'dev.weir/missed': [{ server: 'dead', reason: 'upstream_unavailable' }] },
    })
    expect(session.hello.message?.result?.instructions).toBe('## one\n\nuse t1\n\n## two\n\nuse u1')
    const id = nextId()
    const list = await session.ask('tools/list', {}, id)
    expect((list.message!.result!.tools as Tool[]).map((t) => t.name)).toEqual([
      'one_t1',
      'one_t2',
      'one_t3',
      'one_t4',
      'one_t5',
      'one_bad-request',
      'two_u1',
      'two_u2',
    ])
    expect(list.message?.result?._meta).toEqual({
      'dev.weir/missed': [{ server: 'dead', reason: 'upstream_unavailable' }],
    })
    const row = await eventOf(id)
    expect(row).toMatchObject({
      outcome: 'ok',
      owner: 'none',
      missed_servers: ['dead'],
      attempts: 3,
      list_items: 8,
      method: 'tools/list',
      server: '',
    })
    const attempts = row.upstream_attempts as { server: string; outcome: string; error_type: string }[]
    expect(attempts.map((a) => [a.server, a.outcome, a.error_type])).toEqual([
      ['one', 'ok', ''],
      ['two', 'ok', ''],
      ['dead', 'unavailable', 'upstream_unavailable'],
    ])
  })

  test('a call to the server that is down is refused as what it is', async () => {
    const session = await Session.open(weir)
    const id = nextId()
    const answer = await session.call('dead_x', id)
    expect(answer.status).toBe(503)
    expect(answer.message?.error).toMatchObject({
      code: 10503,
      data: { weir: 'upstream_unavailable', retry: 'after' },
    })
    expect(await eventOf(id)).toMatchObject({
      outcome: 'unavailable',
      owner: 'capacity',
      server: 'dead',
      tool: 'x',
      exposed_name: 'dead_x',
    })
  })

  test('pages of several servers: each entry once, and cursors cannot be made or moved', async () => {
    one.page = 2
    const session = await Session.open(weir)
    expect(await session.tools()).toEqual([
      'one_t1',
      'one_t2',
      'two_u1',
      'two_u2',
      'one_t3',
      'one_t4',
      'one_t5',
      'one_bad-request',
    ])
    const first = await session.ask('tools/list')
    const cursor = first.message!.result!.nextCursor as string
    for (const bad of [
      `${cursor}x`,
      cursor.slice(1),
      '',
      'AAAA.BBBB',
      7,
      null,
      { a: 1 },
      `x`.repeat(70_000),
    ]) {
      const id = nextId()
      expect(
        (await session.ask('tools/list', { cursor: bad }, id)).message?.error,
        String(bad).slice(0, 20),
      ).toMatchObject({ code: -32602, data: { weir: 'cursor_invalid' } })
    }
    expect((await session.ask('prompts/list', { cursor })).message?.error).toMatchObject({
      code: -32602,
      data: { weir: 'cursor_invalid' },
    })
  })

  for (const status of [404, 400])
    test(`a session that its server lost (${status}) is opened again, once, and the call is made`, async () => {
      one.lost_status = status
      const session = await Session.open(weir)
      expect((await session.call('one_t1')).status).toBe(200)
      one.sessions.clear()
      one.seen.length = 0
      const id = nextId()
      const answer = await session.call('one_t2', id)
      expect(textOf(answer)).toMatch(/^t2 in stub-/)
      expect(one.seen.filter((s) => s.method !== 'notifications/initialized').map((s) => s.method)).toEqual([
        'tools/call',
        'initialize',
        'tools/call',
      ])
      expect(await eventOf(id)).toMatchObject({ outcome: 'ok', attempts: 2, server: 'one', tool: 't2' })
      one.sessions.clear()
      expect((await session.tools()).length).toBe(8)
    })

  test('a 400 that is not about the session is the answer, and the session stays', async () => {
    const session = await Session.open(weir)
    await session.call('one_t1')
    one.seen.length = 0
    const id = nextId()
    const answer = await session.call('one_bad-request', id)
    expect(answer.status).toBe(400)
    expect(answer.message?.error).toMatchObject({ code: -32602, message: 'bad arguments' })
    expect(one.seen.map((s) => s.method)).toEqual(['tools/call'])
    expect(await eventOf(id)).toMatchObject({ outcome: 'rpc_error', owner: 'client', attempts: 1 })
  })

  test('a server in trouble answers for itself', async () => {
    const session = await Session.open(weir)
    await session.call('two_u1')
    two.broken = 502
    const id = nextId()
    const answer = await session.call('two_u1', id)
    expect(answer.status).toBe(502)
    expect(answer.text).toBe('<html>out of order</html>')
    expect(await eventOf(id)).toMatchObject({
      outcome: 'upstream_error',
      owner: 'upstream',
      error_type: '502',
    })
    const list = nextId()
    expect((await session.ask('tools/list', {}, list)).message?.result?._meta).toMatchObject({
      'dev.weir/missed': [{ server: 'two' }, { server: 'dead' }],
    })
    expect((await eventOf(list)).missed_servers).toEqual(['two', 'dead'])
  })

  test('two workers: every worker serves the session, through the one that holds it, and each call is one event', async () => {
    const sessions = await Promise.all([0, 1, 2, 3].map(() => Session.open(weir)))
    const ids: string[] = []
    // A new connection each time: the workers take turns.
    for (const session of sessions)
      for (let i = 0; i < 6; i++) {
        const id = nextId()
        ids.push(id)
        expect((await session.call('one_t1', id)).status).toBe(200)
      }
    const rows = await weir.events(`request_id IN (${ids.map((i) => `'${i}'`).join(',')})`, ids.length)
    expect(rows.length).toBe(ids.length)
    for (const of of Object.values(Object.groupBy(rows, (r) => String(r.session_id))))
      expect(new Set(of!.map((r) => r.worker)).size).toBe(1)
    expect(new Set(rows.map((r) => r.worker))).toEqual(new Set(['w1', 'w2']))
    expect(rows.every((r) => r.client_address !== '')).toBe(true)
  })

  test('one stream for a session: the second is refused, whichever worker is asked', async () => {
    const session = await Session.open(weir)
    const first = await open(session.url, { headers: session.headers })
    expect(first.status).toBe(200)
    for (let i = 0; i < 3; i++) {
      const second = await send(session.url, '', {
        method: 'GET',
        headers: { ...session.headers, accept: 'text/event-stream' },
      })
      expect(second.status).toBe(409)
    }
    first.close()
    await waitFor('the stream is free', async () => {
      const again = await open(session.url, { headers: session.headers })
      again.close()
      return again.status === 200
    })
  })

  test('the worker that held a session dies: the session goes on elsewhere', async () => {
    const session = await Session.open(weir)
    expect((await session.call('one_t1')).status).toBe(200)
    const pids = weir.weir.signal('worker', 'SIGKILL')
    await waitFor(
      'new workers',
      () => weir.weir.pids('worker').length === 2 && !weir.weir.pids('worker').some((p) => pids.includes(p)),
    )
    const id = nextId()
    await waitFor('an answer', async () => (await session.call('one_t2', id)).status === 200)
    expect((await session.tools()).length).toBe(8)
    expect(one.seen.filter((s) => s.method === 'notifications/initialized').length).toBeGreaterThanOrEqual(2)
  })

  test('a reload: sessions stay, a server that came in is served, one that was changed is opened anew', async () => {
    const session = await Session.open(weir)
    expect((await session.call('two_u1')).status).toBe(200)
    const three = await startStub(['v1'])
    const moved = await startStub(['u1', 'u9'])
    try {
      const before = weir.weir.output.length
      const next = config()
      weir.weir.writeConfig({
        ...next,
        servers: { ...(next.servers as object), two: { url: moved.url }, three: { url: three.url } },
      })
      await waitFor('the reload', () => /config (not )?reloaded/.test(weir.weir.output.slice(before)))
      expect(weir.weir.output.slice(before)).toContain('config reloaded')
      expect(textOf(await session.call('two_u9'))).toMatch(/^u9 in stub-/)
      expect(textOf(await session.call('three_v1'))).toMatch(/^v1 in stub-/)
      expect(textOf(await session.call('one_t1'))).toMatch(/^t1 in stub-/)
      expect(await session.tools()).toEqual(expect.arrayContaining(['one_t1', 'two_u9', 'three_v1']))
    } finally {
      const before = weir.weir.output.length
      weir.weir.writeConfig(config())
      await waitFor('the reload', () => /config (not )?reloaded/.test(weir.weir.output.slice(before)))
      await Promise.all([three.close(), moved.close()])
    }
  })

  test('what the roof answers itself: ping, an unknown method, a level, no session', async () => {
    const session = await Session.open(weir)
    expect((await session.ask('ping')).message?.result).toEqual({})
    expect((await session.ask('logging/setLevel', { level: 'debug' })).message?.result).toEqual({})
    const unknown = await session.ask('no/such')
    expect([unknown.status, unknown.message?.error?.code]).toEqual([200, -32601])
    const none = await send(session.url, { jsonrpc: '2.0', id: 1, method: 'tools/list' })
    expect([none.status, none.message?.error?.data?.weir]).toEqual([400, 'session_required'])
    expect((await send(session.url, '', { method: 'DELETE', headers: session.headers })).status).toBe(200)
  })
})

const binary = goServer()
describe.skipIf(binary === null)('the modern era', () => {
  const META = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'modern', version: '3' },
  }
  let peers: Peer[]
  let weir: Observed
  beforeAll(async () => {
    peers = await Promise.all([startGoServer(binary!, 'modern'), startGoServer(binary!, 'modern')])
    weir = await startObserved({ servers: { one: { url: peers[0]!.url }, two: { url: peers[1]!.url } } })
  })
  afterAll(async () => {
    await weir?.stop()
    await Promise.all((peers ?? []).map((p) => p.stop()))
  })
  const ask = (
    method: string,
    params: Record<string, unknown> = {},
    headers: Record<string, string> = {},
    id: string | number = nextId(),
  ): Promise<Answer> =>
    send(
      `${weir.url}/mcp`,
      { jsonrpc: '2.0', id, method, params: { ...params, _meta: META } },
      { headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...headers } },
    )

  test('discover: versions, union of capabilities', async () => {
    const id = nextId()
    const { message, status } = await ask('server/discover', {}, {}, id)
    expect(status).toBe(200)
    expect(message?.result).toMatchObject({
      resultType: 'complete',
      _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'weir' } },
    })
    expect(message?.result?.supportedVersions).toContain('2026-07-28')
    expect(message?.result?.ttlMs).toBeTypeOf('number')
    const capabilities = message?.result?.capabilities as Record<string, Record<string, unknown>>
    expect(Object.keys(capabilities)).toEqual(expect.arrayContaining(['tools', 'prompts', 'resources']))
    expect(capabilities.tools).toMatchObject({ listChanged: true })
    expect((await weir.events(`request_id = '${id}'`))[0]).toMatchObject({
      outcome: 'ok',
      era: 'modern',
      method: 'server/discover',
      client_name: 'modern',
      client_version: '3',
      session_id: '',
      attempts: 2,
    })
  })

  test('lists of both servers, calls to each, under their own names upstream', async () => {
    const tools = ((await ask('tools/list')).message!.result!.tools as Tool[]).map((t) => t.name)
    expect(tools).toEqual(expect.arrayContaining(['one_test_simple_text', 'two_test_simple_text']))
    expect(new Set(tools).size).toBe(tools.length)
    for (const server of ['one', 'two']) {
      const name = `${server}_test_simple_text`
      const id = nextId()
      const answer = await ask('tools/call', { name, arguments: {} }, { 'mcp-name': name }, id)
      expect(answer.message?.result?.content, answer.text).toMatchObject([{ type: 'text' }])
      expect((await weir.events(`request_id = '${id}'`))[0]).toMatchObject({
        outcome: 'ok',
        server,
        tool: 'test_simple_text',
        exposed_name: name,
        era: 'modern',
        protocol_version: '2026-07-28',
        content_text: 1,
      })
    }
    const prompts = (await ask('prompts/list')).message?.result?.prompts as Tool[]
    expect(prompts.some((p) => p.name.startsWith('two_'))).toBe(true)
    const prompt = prompts.find((p) => p.name === 'two_test_simple_prompt')!
    expect(
      (await ask('prompts/get', { name: prompt.name }, { 'mcp-name': prompt.name })).message?.result
        ?.messages,
    ).toBeDefined()
    const resources = (await ask('resources/list')).message?.result?.resources as { uri: string }[]
    const { uri } = resources[0]!
    expect(
      (await ask('resources/read', { uri }, { 'mcp-name': uri })).message?.result?.contents,
    ).toBeDefined()
  })

  test('a tool that asks for input: the outcome says so', async () => {
    const name = 'one_test_input_required_result_elicitation'
    const id = nextId()
    const meta = { ...META, 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } } }
    const answer = await send(
      `${weir.url}/mcp`,
      { jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: {}, _meta: meta } },
      { headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': name } },
    )
    expect(answer.message?.result?.resultType, answer.text).toBe('input_required')
    expect((await weir.events(`request_id = '${id}'`))[0]).toMatchObject({
      outcome: 'input_required',
      owner: 'none',
      error_type: '',
      error_fingerprint: '',
    })
  })

  const FAULTS: Record<
    string,
    {
      headers?: Record<string, string>
      params?: Record<string, unknown>
      method?: string
      status: number
      code: number
    }
  > = {
    'another method in the header': { headers: { 'mcp-method': 'tools/list' }, status: 400, code: -32020 },
    'another name in the header': {
      headers: { 'mcp-name': 'two_test_simple_text' },
      status: 400,
      code: -32020,
    },
    'no name in the header': { headers: {}, status: 400, code: -32020 },
    'a name that is not base64': { headers: { 'mcp-name': '=?base64?***?=' }, status: 400, code: -32020 },
    'another version in the header': {
      headers: { 'mcp-protocol-version': '2025-11-25', 'mcp-name': 'one_test_simple_text' },
      status: 400,
      code: -32020,
    },
    'an unknown method': { method: 'tools/nothing', status: 404, code: -32601 },
    'a removed method': { method: 'ping', status: 404, code: -32601 },
    'a strange cursor': { method: 'tools/list', params: { cursor: 'x' }, status: 200, code: -32602 },
    'an unknown tool': {
      params: { name: 'nobody' },
      headers: { 'mcp-name': 'nobody' },
      status: 200,
      code: -32602,
    },
    'an unknown resource': {
      method: 'resources/read',
      params: { uri: 'x://nothing' },
      headers: { 'mcp-name': 'x://nothing' },
      status: 200,
      code: -32602,
    },
    'a strange ref': {
      method: 'completion/complete',
      params: { ref: { type: 'ref/x' }, argument: {} },
      status: 400,
      code: -32602,
    },
  }
  for (const [
    name,
    {
      method = 'tools/call',
      params = { name: 'one_test_simple_text', arguments: {} },
      headers = {},
      status,
      code,
    },
  ] of Object.entries(FAULTS))
    test(`refused: ${name}`, async () => {
      const id = nextId()
      const answer = await ask(method, params, headers, id)
      expect([answer.status, answer.message?.error?.code, (answer.message as { id?: unknown }).id]).toEqual([
        status,
        code,
        id,
      ])
      expect((await weir.events(`request_id = '${id}'`))[0]).toMatchObject({
        outcome: 'invalid',
        owner: 'client',
        error_code: code,
        http_status: status,
      })
    })

  test('refused: a version nobody serves, with the list of those that are', async () => {
    const meta = { ...META, 'io.modelcontextprotocol/protocolVersion': '2099-01-01' }
    const answer = await send(
      `${weir.url}/mcp`,
      { jsonrpc: '2.0', id: 5, method: 'tools/list', params: { _meta: meta } },
      { headers: { 'mcp-protocol-version': '2099-01-01', 'mcp-method': 'tools/list' } },
    )
    expect([answer.status, answer.message?.error?.code]).toEqual([400, -32022])
    expect(answer.message?.error?.data).toEqual({ supported: ['2026-07-28'], requested: '2099-01-01' })
  })
})
