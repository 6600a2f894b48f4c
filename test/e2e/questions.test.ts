/**
 * What servers ask clients, through a server's own endpoint and under the roof, on the stream of a call and of a session:
 * one event each with its true outcome, a child of the call that caused it, and nothing private in it.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AskArguments } from '../support/asking-tool.ts'
import { type Answer, initialize, type OpenAnswer, open, send, toolCall } from '../support/client.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'
import { connect, type Kind } from './support/clients.ts'
import { freePort, goServer, type Peer, startGoServer, startPeer } from './support/go-server.ts'
import { type Observed, ROOT, type Row, startObserved } from './support/observed.ts'

const EVERYTHING = join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js')
const CANARY = 'canary-4711-of-a-private-question'
const binary = goServer()

let stub: UpstreamStub
let everything: Peer
let go: Peer | null = null
let weir: Observed

beforeAll(async () => {
  stub = await startUpstream({ sessions: true })
  const port = await freePort()
  everything = await startPeer(process.execPath, [EVERYTHING, 'streamableHttp'], port, '/mcp', {
    PORT: String(port),
  })
  go = binary === null ? null : await startGoServer(binary, 'modern')
  weir = await startObserved({
    log: { level: 'debug' },
    labels: { agent: { header: 'x-weir-agent' } },
    servers: {
      stub: { url: stub.url, era: 'legacy', timeout_ms: 30_000 },
      hurried: { url: stub.url, era: 'legacy', timeout_ms: 300 },
      kept: { url: stub.url, era: 'legacy' },
      web: { url: everything.url, era: 'legacy' },
      io: { command: [process.execPath, EVERYTHING, 'stdio'] },
      ...(go ? { go: { url: go.url } } : {}),
    },
    capture: { keep: [{ tools: 'kept_*', arguments: true, results: true }] },
  })
})
afterAll(async () => {
  await weir?.stop()
  await stub?.end()
  await everything?.stop()
  await go?.stop()
})

type Place = { path: string; prefix: string; server: string }
const STUBS: readonly Place[] = [
  { path: '/servers/stub/mcp', prefix: '', server: 'stub' },
  { path: '/mcp', prefix: 'stub_', server: 'stub' },
]
let count = 0

/** A session, and what a client does in it. */
async function openSession({ path, prefix }: Place) {
  const url = weir.url + path
  const opened = await send(url, initialize('open', 'asked'), {})
  const headers = { 'mcp-session-id': String(opened.headers['mcp-session-id']), 'x-weir-agent': 'asked-one' }
  const n = count++
  return {
    url,
    headers,
    /** Calls `ask`, whose question gets an id of its own; the id as the client sees it. */
    async call(args: Omit<AskArguments, 'as'>): Promise<OpenAnswer & { as: string; id: string }> {
      const as = `q${n}-${count++}`
      const id = `c-${as}`
      const stream = await open(url, {
        method: 'POST',
        body: toolCall(id, `${prefix}ask`, { ...args, as }),
        headers,
      })
      return { ...stream, as, id }
    },
    answer: (seen: string | number, body: object): Promise<Answer> =>
      send(url, { jsonrpc: '2.0', id: seen, ...body }, { headers }),
    end: (): Promise<Answer> => send(url, '', { method: 'DELETE', headers }),
  }
}

/** The first request in a stream. */
async function questionIn(stream: { text(): string }): Promise<{ id: string; method: string }> {
  return waitFor('the question', () => {
    for (const line of stream.text().split('\n')) {
      if (!line.startsWith('data: {')) continue
      const message = JSON.parse(line.slice(6)) as { id?: string; method?: string }
      if (message.method && message.id !== undefined) return message as { id: string; method: string }
    }
    return null
  })
}

const eventsOf = async (as: string): Promise<Row> => {
  const rows = await weir.events(`request_id = '${as}' AND kind = 'server_request'`)
  expect(rows.length).toBe(1)
  return rows[0]!
}

for (const place of STUBS)
  describe(`on the stream of a call at ${place.path}`, () => {
    test('an answer: a child of the call, with both sizes', async () => {
      const session = await openSession(place)
      const params = { message: CANARY }
      const call = await session.call({ method: 'elicitation/create', params })
      const seen = await questionIn(call)
      expect(seen.id).toBe(place.prefix ? `stub:"${call.as}"` : call.as)
      const body = { result: { action: 'accept', content: { secret: CANARY } } }
      expect((await session.answer(seen.id, body)).status).toBe(202)
      await call.ended
      expect(call.text()).toContain(`secret`)
      const asked = await eventsOf(call.as)
      const [caused] = await weir.events(`request_id = '${call.id}'`)
      expect(asked).toMatchObject({
        method: 'elicitation/create',
        server: 'stub',
        tool: 'ask',
        exposed_name: `${place.prefix}ask`,
        endpoint: place.path,
        outcome: 'ok',
        owner: 'none',
        error_type: '',
        trace_id: caused!.trace_id,
        run_id: caused!.run_id,
        parent_span_id: caused!.client_span_id,
        session_id: caused!.session_id,
        caller: 'local',
        agent: 'asked-one',
        client_name: 'asked',
        era: 'legacy',
        transport: 'http',
        upstream_transport: 'http',
        protocol_version: caused!.protocol_version,
        request_bytes: Buffer.byteLength(
          JSON.stringify({ method: 'elicitation/create', params, jsonrpc: '2.0', id: call.as }),
        ),
        response_bytes: Buffer.byteLength(JSON.stringify({ jsonrpc: '2.0', id: seen.id, ...body })),
        arguments_bytes: Buffer.byteLength(JSON.stringify(params)),
        overhead_us: 0,
      })
      expect(asked.arguments_hash).toMatch(/^[0-9a-f]{32}$/)
      expect(asked.result_hash).toMatch(/^[0-9a-f]{32}$/)
      expect(
        new Set([asked.span_id, asked.client_span_id, caused!.span_id, caused!.client_span_id]).size,
      ).toBe(4)
      expect(asked.duration_us).toBeLessThanOrEqual(caused!.duration_us)
      expect(asked.wait_us).toBe(asked.duration_us)
    })

    test('an error of the client is its own failure, and its text stays private', async () => {
      const session = await openSession(place)
      const call = await session.call({ method: 'sampling/createMessage' })
      const seen = await questionIn(call)
      await session.answer(seen.id, { error: { code: -1, message: `no: ${CANARY}` } })
      await call.ended
      expect(await eventsOf(call.as)).toMatchObject({
        outcome: 'rpc_error',
        owner: 'client',
        error_type: '-1',
        error_code: -1,
        error_message: '',
      })
    })

    test('a server that does not wait, or takes it back, or breaks off', async () => {
      const session = await openSession(place)
      const ends: unknown[] = []
      for (const next of ['result', 'withdraw', 'cut'] as const) {
        const call = await session.call({ method: 'roots/list', next })
        await call.ended
        // Under the roof the client knows the question by another id, and so is told with that one.
        if (next === 'withdraw')
          expect(call.text()).toContain(
            `"requestId":${JSON.stringify(place.prefix ? `stub:"${call.as}"` : call.as)}`,
          )
        const { outcome, owner, error_type } = await eventsOf(call.as)
        ends.push([outcome, owner, error_type])
      }
      expect(ends).toEqual([
        ['cancelled', 'upstream', 'unanswered'],
        ['cancelled', 'upstream', 'withdrawn'],
        ['cancelled', 'upstream', 'upstream_closed'],
      ])
    })

    test('a client that leaves, and one that cancels its call', async () => {
      const session = await openSession(place)
      const left = await session.call({ method: 'roots/list' })
      await questionIn(left)
      left.close()
      expect(await eventsOf(left.as)).toMatchObject({
        outcome: 'cancelled',
        owner: 'client',
        error_type: 'client_gone',
      })
      const cancelled = await session.call({ method: 'roots/list' })
      await questionIn(cancelled)
      const params = { requestId: cancelled.id }
      await send(
        session.url,
        { jsonrpc: '2.0', method: 'notifications/cancelled', params },
        { headers: session.headers },
      )
      expect(await eventsOf(cancelled.as)).toMatchObject({
        outcome: 'cancelled',
        owner: 'client',
        error_type: 'cancelled',
      })
    })

    test('one too large to be held is measured all the same', async () => {
      const session = await openSession(place)
      const bytes = 700_000
      const call = await session.call({ method: 'sampling/createMessage', bytes })
      const seen = await waitFor('the end of the question', () =>
        /"id":("(?:[^"\\]|\\.)*")\}\n\n/.exec(call.text()),
      )
      await session.answer(JSON.parse(seen[1]!) as string, { result: {} })
      await call.ended
      const asked = await eventsOf(call.as)
      expect(asked).toMatchObject({ outcome: 'ok', method: 'sampling/createMessage' })
      expect(Number(asked.request_bytes)).toBeGreaterThan(bytes)
    })
  })

for (const place of STUBS)
  describe(`on the stream of a session at ${place.path}`, () => {
    test('an answer: in the trace of the session, without a parent', async () => {
      const session = await openSession(place)
      const stream = await open(session.url, { headers: session.headers })
      await waitFor('the server has the stream', async () => (await stub.seen()).openStreams > 0)
      const call = await session.call({ method: 'roots/list', on: 'session' })
      const seen = await questionIn(stream)
      // The stream may go and come again: the question stays.
      stream.close()
      expect((await session.answer(seen.id, { result: { roots: [] } })).status).toBe(202)
      await call.ended
      const asked = await eventsOf(call.as)
      const [caused] = await weir.events(`request_id = '${call.id}'`)
      expect(asked).toMatchObject({
        outcome: 'ok',
        parent_span_id: '',
        tool: '',
        trace_id: caused!.session_id,
        session_id: caused!.session_id,
        run_id: caused!.session_id,
        run_source: 'session',
        agent: 'asked-one',
        client_name: 'asked',
        era: 'legacy',
        server: 'stub',
        upstream_endpoint: stub.url,
      })
    })

    test('the end of the session is its end', async () => {
      const session = await openSession(place)
      const stream = await open(session.url, { headers: session.headers })
      await waitFor('the server has the stream', async () => (await stub.seen()).openStreams > 0)
      const call = await session.call({ method: 'roots/list', on: 'session', next: 'result' })
      await questionIn(stream)
      await session.end()
      expect(await eventsOf(call.as)).toMatchObject({
        outcome: 'cancelled',
        owner: 'client',
        error_type: 'session_ended',
        parent_span_id: '',
      })
      stream.close()
    })
  })

test('a call that took too long: nobody answered in time', async () => {
  const session = await openSession({ path: '/servers/hurried/mcp', prefix: '', server: 'hurried' })
  const call = await session.call({ method: 'roots/list' })
  await call.ended
  expect(await eventsOf(call.as)).toMatchObject({
    outcome: 'timeout',
    owner: 'client',
    error_type: 'unanswered',
  })
})

test('an answer that nobody asked for is passed on and leaves no event', async () => {
  const session = await openSession(STUBS[0]!)
  expect((await session.answer('nobody-asked', { result: {} })).status).toBe(202)
  expect((await stub.seen()).answers.some((body) => body.includes('nobody-asked'))).toBe(true)
  await weir.settled()
  expect(await weir.store.number("SELECT count() FROM calls WHERE request_id = 'nobody-asked'")).toBe(0)
})

test('what a capture rule names is kept, nothing else is found anywhere', async () => {
  const session = await openSession({ path: '/servers/kept/mcp', prefix: '', server: 'kept' })
  const call = await session.call({ method: 'elicitation/create', params: { message: 'kept question' } })
  await session.answer((await questionIn(call)).id, { result: { content: 'kept answer' } })
  await call.ended
  const { event_id } = await eventsOf(call.as)
  const payloads = await waitFor('both payloads are rows', async () => {
    const found = await weir.store.rows<{ part: string; body: string }>(
      `SELECT part, body FROM call_payloads WHERE event_id = '${event_id}' ORDER BY part`,
    )
    return found.length === 2 && found
  })
  expect(payloads[0]).toMatchObject({ part: 'arguments', body: '{"message":"kept question"}' })
  expect(payloads[1]!.body).toContain('kept answer')
  const places = [await weir.store.dump(), weir.weir.output, weir.weir.spoolText, await weir.weir.metrics()]
  expect(places[0]).toContain('elicitation/create')
  for (const text of places) expect(text).not.toContain(CANARY)
})

const CLIENTS: { kind: Kind; path: string; prefix: string; server: string }[] = [
  { kind: 'sdk v1', path: '/servers/web/mcp', prefix: '', server: 'web' },
  { kind: 'sdk v1', path: '/mcp', prefix: 'web_', server: 'web' },
  { kind: 'sdk v2', path: '/servers/io/mcp', prefix: '', server: 'io' },
  { kind: 'sdk v2', path: '/mcp', prefix: 'io_', server: 'io' },
  { kind: 'websocket', path: '/servers/web/mcp', prefix: '', server: 'web' },
  { kind: 'sse', path: '/servers/io/mcp', prefix: '', server: 'io' },
]
for (const { kind, path, prefix, server } of CLIENTS)
  test(`${kind} at ${path}: as many events as ${server} asked questions`, async () => {
    const tag = `asked-${count++}`
    const client = await connect(kind, { url: weir.url + path, tag })
    const needed = (name: string): Promise<unknown> =>
      waitFor(name, async () => (await client.tools()).some((t) => t.name === prefix + name))
    try {
      await needed('trigger-sampling-request')
      await client.call(`${prefix}trigger-sampling-request`, { prompt: CANARY, maxTokens: 5 })
      await client.call(`${prefix}trigger-elicitation-request`)
    } finally {
      await client.close()
    }
    const where = `client_name = 'client-${tag}' AND kind = 'server_request' AND server = '${server}'`
    // Under the roof other servers ask for roots too.
    const rows = await weir.events(where, 2)
    const byMethod = (method: string): Row[] => rows.filter((row) => row.method === method)
    for (const method of ['sampling/createMessage', 'elicitation/create']) {
      expect(byMethod(method).length).toBe(client.heard.filter((h) => h.method === method).length)
      expect(byMethod(method)[0]).toMatchObject({ outcome: 'ok', server, agent: tag, endpoint: path })
    }
    const calls = await weir.events(`client_name = 'client-${tag}' AND method = 'tools/call'`, 2)
    for (const row of rows) {
      if (row.parent_span_id === '') continue
      const caused = calls.find((c) => c.client_span_id === row.parent_span_id)
      expect(caused).toMatchObject({ trace_id: row.trace_id, tool: row.tool })
    }
    expect(byMethod('sampling/createMessage')[0]!.parent_span_id).not.toBe('')
  })

describe('the modern era', () => {
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} }, roots: {} },
    'io.modelcontextprotocol/clientInfo': { name: 'modern', version: '1' },
  }
  const headers = (name: string) => ({
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/call',
    'mcp-name': name,
  })

  test('each question of an input_required result is an event of its own', async () => {
    const inputRequests = {
      name: { method: 'elicitation/create', params: { message: CANARY } },
      where: { method: 'roots/list' },
    }
    const id = `input-${count++}`
    const body = toolCall(id, 'input_required', { inputRequests }, meta)
    const answer = await send(`${weir.url}/servers/stub/mcp`, body, { headers: headers('input_required') })
    expect(answer.message?.result?.resultType).toBe('input_required')
    const [caused] = await weir.events(`request_id = '${id}'`)
    const asked = await weir.events(`parent_span_id = '${caused!.client_span_id}'`, 2)
    asked.sort((a, b) => String(a.request_id).localeCompare(String(b.request_id)))
    expect(asked.map((row) => [row.request_id, row.method, row.outcome, row.owner])).toEqual([
      ['name', 'elicitation/create', 'input_required', 'none'],
      ['where', 'roots/list', 'input_required', 'none'],
    ])
    expect(asked[0]).toMatchObject({
      kind: 'server_request',
      trace_id: caused!.trace_id,
      tool: 'input_required',
      server: 'stub',
      era: 'modern',
      session_id: '',
      client_span_id: '',
      duration_us: 0,
      request_bytes: Buffer.byteLength(JSON.stringify(inputRequests.name)),
      response_bytes: 0,
    })
  })

  test.skipIf(binary === null)('of the Go server, which a real client answers by asking again', async () => {
    const tag = `asked-${count++}`
    const client = await connect('sdk v2 auto', { url: `${weir.url}/servers/go/mcp`, tag })
    try {
      await client.call('test_input_required_result_elicitation')
    } finally {
      await client.close()
    }
    const rows = await weir.events(`agent = '${tag}' AND tool = 'test_input_required_result_elicitation'`, 3)
    expect(rows.map((row) => [row.kind, row.method, row.outcome]).sort()).toEqual([
      ['request', 'tools/call', 'input_required'],
      ['request', 'tools/call', 'ok'],
      ['server_request', 'elicitation/create', 'input_required'],
    ])
  })
})

test('weir trace draws them below their call, weir tail --all names them', async () => {
  const session = await openSession(STUBS[0]!)
  const call = await session.call({ method: 'roots/list' })
  await session.answer((await questionIn(call)).id, { result: { roots: [] } })
  await call.ended
  const { trace_id } = await eventsOf(call.as)
  const command = async (...args: string[]): Promise<string[]> => {
    const argv = [join(ROOT, 'weir.ts'), ...args, '--config', weir.weir.configFile]
    return (await promisify(execFile)(process.execPath, argv)).stdout.split('\n')
  }
  const lines = await command('trace', String(trace_id))
  const at = lines.findIndex((line) => line.includes('tools/call ask [weir stub]'))
  const below = lines.slice(at).filter((line) => /\[(→|stub)/.test(line))
  expect(below.map((line) => /\[[^\]]*\]/.exec(line)![0])).toEqual(['[→ stub]', '[stub asks]', '[→ client]'])
  const tail = ['tail', '--no-follow', '-n', '200']
  expect((await command(...tail, '--all')).some((line) => line.includes('← roots/list ask'))).toBe(true)
  expect((await command(...tail, '--outcome', 'ok')).some((line) => line.includes('←'))).toBe(false)
})

test('they are no calls: no figure counts them, a view and a metric of their own do', async () => {
  await weir.settled()
  const { store } = weir
  const asked = await store.number("SELECT count() FROM calls WHERE kind = 'server_request'")
  expect(asked).toBeGreaterThan(20)
  expect(await store.number('SELECT count() FROM v_server_requests')).toBe(asked)
  const calls = await store.number("SELECT count() FROM calls WHERE kind = 'request'")
  for (const view of ['v_tool_5m', 'v_usage_1d'])
    expect(await store.number(`SELECT sum(calls) FROM ${view}`), view).toBe(calls)
  expect(await store.number("SELECT count() FROM v_calls WHERE method = 'elicitation/create'")).toBe(0)
  expect(await weir.weir.metric('weir_server_request_duration_seconds_count')).toBe(asked)
  expect(await weir.weir.metric('mcp_server_operation_duration_seconds_count', 'elicitation/create')).toBe(0)
})
