/**
 * Servers that speak the modern era alone, over HTTP and stdio. With modern clients: as they are. With legacy clients, over
 * every transport: an `input_required` answer has to become questions to the client, and change streams notifications.
 */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { initialize, open, send, toolCall } from '../support/client.ts'
import { waitFor } from '../support/wait.ts'
import { connect, type Kind, type Result, type TestClient } from './support/clients.ts'
import { freePort, type Peer, startPeer } from './support/go-server.ts'
import { type Observed, ROOT, startObserved } from './support/observed.ts'

const SERVER = join(ROOT, 'test/e2e/support/modern-only-server.ts')
const ENVELOPE = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
}
const texts = (result: Result): string =>
  (result.content as { text?: string }[]).map((c) => c.text ?? '').join('\n')

let http: Peer
let weir: Observed
let count = 0
const tagOf = (): string => `down${count++}`

beforeAll(async () => {
  const port = await freePort()
  http = await startPeer(process.execPath, [SERVER, String(port)], port, '/mcp')
  weir = await startObserved({
    servers: {
      web: { url: http.url },
      io: { command: [process.execPath, SERVER] },
    },
  })
})
afterAll(async () => {
  await weir?.stop()
  await http?.stop()
})

type Place = { path: string; prefix: string; server: string }
/** The one resource of each. */
const NOTES: Record<string, string> = { web: 'note://http', io: 'note://stdio' }
const PLACES: readonly Place[] = [
  { path: '/servers/web/mcp', prefix: '', server: 'web' },
  { path: '/servers/io/mcp', prefix: '', server: 'io' },
  { path: '/mcp', prefix: 'web_', server: 'web' },
  { path: '/mcp', prefix: 'io_', server: 'io' },
]

/** Every question a server may ask, and that its answer arrives where it was asked for. */
async function asks(client: TestClient, prefix: string): Promise<void> {
  const { tag } = client
  const call = async (name: string): Promise<string> => texts(await client.call(prefix + name))
  expect(await call('ask_name')).toBe(`hello ${tag}`)
  expect(await call('ask_model')).toBe(`sampled by ${tag}`)
  expect(await call('ask_roots')).toBe(`file:///${tag}`)
  expect(await call('ask_all')).toBe(`${tag}, sampled by ${tag}, file:///${tag}`)
  expect(await call('ask_twice')).toBe(`${tag} and ${tag}`)
  expect(await call('come_again')).toBe('seen before')
  const prompt = await client.prompt(`${prefix}ask_prompt`)
  expect(JSON.stringify(prompt.messages)).toContain(`for ${tag}`)
}

describe('modern clients', () => {
  test('the server itself asks, and is answered', async () => {
    const client = await connect('sdk v2 auto', { url: http.url, tag: tagOf() })
    await asks(client, '')
    await client.close()
    // And speaks nothing else: this is what a legacy client meets without a translator.
    const refused = await send(http.url, initialize(1))
    expect(refused.message?.error?.code).toBe(-32022)
  })

  test.for(PLACES)('$server at $path: asks and is answered', async ({ path, prefix }) => {
    const tag = tagOf()
    const client = await connect('sdk v2 auto', { url: weir.url + path, tag })
    await asks(client, prefix)
    await client.close()
    const rows = await weir.events(`agent = '${tag}' AND method IN ('tools/call', 'prompts/get')`, 14)
    // Each round is a call of its own: the ones that asked say so.
    expect(rows.filter((r) => r.outcome === 'input_required').length).toBe(8)
    expect(rows.filter((r) => r.outcome === 'ok').length).toBe(7)
  })

  test.for(['', '/servers/web/mcp', '/servers/io/mcp', '/mcp'])('hears of changes at %s', async (path) => {
    const url = path === '' ? http.url : weir.url + path
    const modern = (id: string, method: string, params: Record<string, unknown>) => ({
      body: { jsonrpc: '2.0', id, method, params: { ...params, _meta: ENVELOPE } },
      headers: {
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': method,
        ...(typeof params.name === 'string' ? { 'mcp-name': params.name } : {}),
      },
    })
    const notifications = {
      toolsListChanged: true,
      resourceSubscriptions: [path.includes('io') ? NOTES.io : NOTES.web],
    }
    const prefix = path === '/mcp' ? 'web_' : ''
    const stream = await open(url, {
      method: 'POST',
      ...modern('listen', 'subscriptions/listen', { notifications }),
    })
    await waitFor('it is acknowledged', () => stream.text().includes('subscriptions/acknowledged'))
    for (const name of ['touch', 'grow']) {
      const { body, headers } = modern(name, 'tools/call', { name: prefix + name })
      expect((await send(url, body, { headers })).message?.result).toBeDefined()
    }
    await waitFor('both are told', () =>
      ['notifications/resources/updated', 'notifications/tools/list_changed'].every((method) =>
        stream.text().includes(method),
      ),
    )
    expect(stream.text()).toContain('"io.modelcontextprotocol/subscriptionId":"listen"')
    stream.close()
  })
})

type Run = Place & { kind: Kind }
const RUNS: readonly Run[] = [
  ...PLACES.map((place) => ({ kind: 'sdk v1' as const, ...place })),
  { kind: 'sdk v2', ...PLACES[0]! },
  { kind: 'connect', ...PLACES[1]! },
  { kind: 'sse', ...PLACES[0]! },
  { kind: 'websocket', ...PLACES[1]! },
  { kind: 'websocket', ...PLACES[2]! },
]

describe('legacy clients', () => {
  for (const { kind, path, prefix, server } of RUNS)
    describe(`${kind} at ${path}, ${server}`, () => {
      let client: TestClient
      const tag = tagOf()
      const call = async (name: string, args?: Result): Promise<string> =>
        texts(await client.call(prefix + name, args))
      beforeAll(async () => {
        client = await connect(kind, { url: weir.url + path, key: '', tag })
      })
      afterAll(() => client?.close())

      test('sees the server as a legacy one', async () => {
        expect(client.instructions).toContain('ask politely')
        const tools = (await client.tools()).filter((tool) => tool.name.startsWith(prefix))
        expect(tools.map((tool) => tool.name)).toContain(`${prefix}ask_name`)
        expect(await call('plain', { text: 'as it is' })).toBe('as it is')
        expect((await client.prompts()).map((p) => p.name)).toContain(`${prefix}ask_prompt`)
        const [resource] = await client.resources()
        expect(JSON.stringify(await client.read(resource!.uri))).toContain('a note')
        expect(await client.call(`${prefix}fail`)).toMatchObject({ isError: true })
      })

      test('is asked for what the server wants, and every call leaves one event that is done', async () => {
        await asks(client, prefix)
        const rows = await weir.events(`agent = '${tag}' AND kind = 'request' AND tool LIKE '%ask%'`, 6)
        expect(rows.map((row) => row.outcome)).toEqual(rows.map(() => 'ok'))
        expect(rows.length).toBe(6)
        const asked = client.heard.map((h) => h.method)
        expect(asked.filter((method) => method === 'elicitation/create').length).toBe(5)
        expect(asked.filter((method) => method === 'sampling/createMessage').length).toBe(2)
        expect(asked.filter((method) => method === 'roots/list').length).toBe(2)
      })

      test('hears of progress, and of logs once it has asked for them', async () => {
        const steps: unknown[] = []
        const told = (): number => client.heard.filter((h) => h.method === 'notifications/message').length
        const before = told()
        await client.call(`${prefix}steps`, {}, { onprogress: (step) => steps.push(step) })
        expect(steps.length).toBe(2)
        expect(told()).toBe(before)
        await client.level('debug')
        expect(await call('steps')).toBe('level debug')
        await waitFor('the log arrives', () => told() > before)
      })

      test('hears of changes of a resource it watches, and of new tools', async () => {
        const heard = (method: string): boolean => client.heard.some((h) => h.method === method)
        await client.resources()
        await client.subscribe(NOTES[server]!)
        await call('touch')
        await waitFor('the change is told', () => heard('notifications/resources/updated'))
        await call('grow')
        await waitFor('the new tool is there', async () =>
          (await client.tools()).some((tool) => tool.name === `${prefix}grown`),
        )
      })

      test('a cancel reaches the server', async () => {
        const before = Number(await call('how_many_abandoned'))
        const stop = new AbortController()
        const waiting = client.call(`${prefix}wait`, {}, { signal: stop.signal }).catch((error) => error)
        await waitFor('the call is open', async () => (await weir.weir.metric('weir_calls_open')) > 0)
        stop.abort()
        await waiting
        await waitFor('the server knows', async () => Number(await call('how_many_abandoned')) === before + 1)
      })

      test('headers that a tool asks for are there', async () => {
        await client.tools()
        expect(await call('by_header', { region: 'süd' })).toBe('süd')
      })
    })

  describe('on the wire', () => {
    async function session(
      path: string,
      capabilities: object = {},
    ): Promise<(body: object) => ReturnType<typeof send>> {
      const hello = initialize(0) as { params: Record<string, unknown> }
      hello.params.capabilities = capabilities
      const opened = await send(weir.url + path, hello)
      expect(opened.message?.result).toMatchObject({ protocolVersion: '2025-11-25' })
      // What belongs to the modern era stays there.
      for (const key of ['resultType', 'ttlMs', 'cacheScope', 'supportedVersions'])
        expect(opened.message?.result).not.toHaveProperty(key)
      const headers = {
        'mcp-session-id': String(opened.headers['mcp-session-id']),
        'mcp-protocol-version': '2025-11-25',
      }
      expect(
        (await send(weir.url + path, { jsonrpc: '2.0', method: 'notifications/initialized' }, { headers }))
          .status,
      ).toBe(202)
      return (body) => send(weir.url + path, body, { headers })
    }
    const direct = PLACES.filter((place) => place.prefix === '')

    test.for(direct)('$path: results are legacy results', async ({ path }) => {
      const ask = await session(path)
      const list = await ask({ jsonrpc: '2.0', id: 'list', method: 'tools/list' })
      for (const key of ['resultType', 'ttlMs', 'cacheScope'])
        expect(list.message?.result).not.toHaveProperty(key)
      const tools = list.message?.result?.tools as { name: string; outputSchema?: { type: string } }[]
      // Before 2026-07-28 structured content is an object, and so is its schema.
      expect(tools.find((tool) => tool.name === 'list_of_two')?.outputSchema?.type).toBe('object')
      const two = await ask(toolCall('two', 'list_of_two'))
      expect(two.message?.result?.structuredContent).toEqual({ result: [1, 2] })
      expect(two.message?.result).not.toHaveProperty('resultType')
      expect((await ask({ jsonrpc: '2.0', id: 'p', method: 'ping' })).message?.result).toEqual({})
      expect((await ask(toolCall('none', 'nobody'))).message?.error?.code).toBe(-32602)
      const unknown = await ask({ jsonrpc: '2.0', id: 'u', method: 'no/such' })
      expect(unknown.message?.error?.code).toBe(-32601)
    })

    test.for(direct)('$path: a client that cannot be asked gets an answer all the same', async ({ path }) => {
      const ask = await session(path)
      const answer = await ask(toolCall('mute', 'ask_name'))
      expect(answer.message?.error !== undefined || answer.message?.result?.isError === true).toBe(true)
      expect((await weir.events("request_id = 'mute'")).length).toBeGreaterThan(0)
    })
  })
})
