/**
 * What tool definitions cost, end to end: real servers, clients of both eras at the roof and at a server's own endpoint,
 * and the figures of the store beside what the test adds up from the lists the clients got.
 */
import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as contextCosts from '../../collector/queries/context-costs.ts'
import * as toolChanges from '../../collector/queries/tool-changes.ts'
import * as toolDefinitions from '../../collector/queries/tool-definitions.ts'
import * as unusedTools from '../../collector/queries/unused-tools.ts'
import { run } from '../cli/support/weir.ts'
import { initialize, send } from '../support/client.ts'
import { waitFor } from '../support/wait.ts'
import { connect, type Kind } from './support/clients.ts'
import { type Observed, ROOT, startObserved } from './support/observed.ts'

const sha256 = (key: string): string => createHash('sha256').update(key).digest('hex')
const npm = (name: string): string => join(ROOT, 'node_modules/@modelcontextprotocol', name, 'dist/index.js')

type Tool = { name: string; [key: string]: unknown }

/** A legacy server of one JSON answer a request, whose tools a test sets. */
async function startShop(): Promise<{
  url: string
  tools: Tool[]
  page: number
  isStream: boolean
  close(): void
}> {
  const shop = { url: '', tools: [] as Tool[], page: 0, isStream: false, close: () => void http.close() }
  const http: Server = createServer(async (req, res) => {
    let text = ''
    for await (const chunk of req) text += String(chunk)
    if (req.method !== 'POST') return void res.writeHead(405).end()
    const { id, method, params } = JSON.parse(text) as {
      id?: number
      method: string
      params?: { cursor?: string }
    }
    if (id === undefined) return void res.writeHead(202).end()
    const from = Number(params?.cursor ?? 0)
    const to = shop.page === 0 ? shop.tools.length : from + shop.page
    const results: Record<string, object> = {
      initialize: {
        protocolVersion: '2025-11-25',
        capabilities: { tools: { listChanged: true } },
        serverInfo: { name: 'shop', version: '7.8.9' },
      },
      'tools/list': {
        tools: shop.tools.slice(from, to),
        ...(to < shop.tools.length ? { nextCursor: String(to) } : {}),
      },
      'tools/call': { content: [{ type: 'text', text: 'sold' }] },
    }
    const result = results[method]
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id,
      ...(result ? { result } : { error: { code: -32601, message: 'no such method' } }),
    })
    if (!shop.isStream) return void res.writeHead(200, { 'content-type': 'application/json' }).end(body)
    res.writeHead(200, { 'content-type': 'text/event-stream' }).end(`event: message\ndata: ${body}\n\n`)
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  shop.url = `http://127.0.0.1:${(http.address() as { port: number }).port}/mcp`
  return shop
}

const SECRETS = {
  mail: 'canary.person@private.example',
  key: 'sk-canary0123456789abcdefXYZ',
  bearer: 'canary-shop-bearer-4711',
}
const tool = (name: string, description: string, more: object = {}): Tool => ({
  name,
  description,
  inputSchema: { type: 'object', properties: { what: { type: 'string' } } },
  ...more,
})

let shop: Awaited<ReturnType<typeof startShop>>
let weir: Observed
const CALLERS = { ada: 'research', bob: 'ops', eve: 'lab' } as const
type Caller = keyof typeof CALLERS
const SERVERS = ['everything', 'memory', 'shop'] as const

const config = (more: object = {}): Record<string, unknown> => ({
  // A run of a client without a session is known to the worker that inferred it.
  workers: 1,
  callers: Object.fromEntries(
    Object.entries(CALLERS).map(([name, team]) => [name, { team, keys: [{ sha256: sha256(name) }] }]),
  ),
  servers: {
    everything: { command: [process.execPath, npm('server-everything'), 'stdio'] },
    memory: { command: [process.execPath, npm('server-memory')] },
    shop: { url: shop.url, era: 'legacy', credentials: { bearer: SECRETS.bearer } },
  },
  context: { usd_per_million_input_tokens: 3, teams: { ops: 0.25 } },
  ...more,
})

beforeAll(async () => {
  shop = await startShop()
  shop.tools = [
    tool('buy', `Ask ${SECRETS.mail} first; the key is ${SECRETS.key}, or ${SECRETS.bearer}`),
    tool('look', 'See what there is.', { annotations: { readOnlyHint: true }, _meta: { build: 1 } }),
    tool('burn', 'Never needed.'),
  ]
  weir = await startObserved(config())
  await weir.weir.storing()
})
afterAll(async () => {
  await weir?.stop()
  shop?.close()
})

/** Tokens as the rule says: what a model reads of a tool, a quarter of its bytes. */
const tokensOf = ({ name, description, inputSchema }: Tool): number =>
  Math.ceil(Buffer.byteLength(JSON.stringify({ name, description, inputSchema })) / 4)

/** Which server a listed tool belongs to, and its own name there. */
function owner(listed: string, endpoint: string): [server: string, name: string] {
  if (endpoint !== '/mcp') return [endpoint.split('/')[2]!, listed]
  const server = SERVERS.find((s) => listed.startsWith(`${s}_`))!
  return [server, listed.slice(server.length + 1)]
}

/** What the test expects: tokens by team and server, tokens by tool, sessions by tool. */
const read = {
  servers: new Map<string, number>(),
  tools: new Map<string, number>(),
  sessions: new Map<string, number>(),
}
const add = (map: Map<string, number>, key: string, n: number): void =>
  void map.set(key, (map.get(key) ?? 0) + n)
function note(caller: Caller, endpoint: string, tools: readonly Tool[]): void {
  for (const one of tools) {
    const [server, name] = owner(one.name, endpoint)
    add(read.servers, `${CALLERS[caller]} ${server}`, tokensOf(one))
    add(read.tools, `${server} ${name}`, tokensOf(one))
    add(read.sessions, `${server} ${name}`, 1)
  }
}

let n = 0
const session = async (kind: Kind, caller: Caller, endpoint: string) =>
  connect(kind, { url: `${weir.url}${endpoint}`, key: caller, tag: `ctx${n++}` })

const WINDOW = { from_ms: Date.now() - 3_600_000, to_ms: Date.now() + 3_600_000 }
const ofCost = async (): Promise<Record<string, number>> =>
  Object.fromEntries(
    (
      await weir.store.rows<{ team: string; server: string; tokens: number }>(
        "SELECT team, server, sum(tokens) AS tokens FROM v_context_costs WHERE server != '' GROUP BY team, server",
      )
    ).map((row) => [`${row.team} ${row.server}`, Number(row.tokens)]),
  )

test('each session reads what it listed once, in either era, at the roof and at a server; the rest was never called', async () => {
  const kinds: [Kind, Caller, string][] = [
    ['sdk v1', 'ada', '/mcp'],
    ['sdk v2', 'bob', '/mcp'],
    ['sdk v2 auto', 'eve', '/mcp'],
    ['sdk v1', 'ada', '/servers/everything/mcp'],
    ['sdk v2 auto', 'bob', '/servers/memory/mcp'],
    ['sdk v2 auto', 'eve', '/servers/shop/mcp'],
    ['websocket', 'ada', '/servers/shop/mcp'],
  ]
  const called = new Set<string>()
  for (const [kind, caller, endpoint] of kinds) {
    const client = await session(kind, caller, endpoint)
    const tools = await client.tools()
    expect(tools.length, `${kind} ${endpoint}`).toBeGreaterThan(0)
    // A client that lists again reads nothing new.
    expect(await client.tools()).toEqual(tools)
    note(caller, endpoint, tools)
    const wanted = caller === 'bob' ? 'read_graph' : caller === 'eve' ? 'look' : 'echo'
    const listed = tools.find((one) => owner(one.name, endpoint)[1] === wanted)
    if (listed) {
      await client.call(listed.name, wanted === 'echo' ? { message: 'x' } : {})
      called.add(owner(listed.name, endpoint).join(' '))
    }
    await client.close()
  }
  expect(called.size).toBe(3)
  await weir.events("method = 'tools/list'", kinds.length)
  expect(
    await weir.store.rows("SELECT count() AS n FROM calls WHERE method = 'tools/list' AND list_id = ''"),
  ).toEqual([{ n: 0 }])
  expect(await ofCost()).toEqual(Object.fromEntries(read.servers))

  // The price of a team that has one, and of all others.
  const priced = await waitFor('the prices are in the store', async () => {
    const rows = await contextCosts.run(weir.store, { ...WINDOW, by: 'team' })
    return rows.every((row) => row.cost_nano !== null) && rows
  })
  const expected = new Map<string, number>()
  for (const [key, tokens] of read.servers) add(expected, key.split(' ')[0]!, tokens)
  expect(Object.fromEntries(priced.map((row) => [row.name, Number(row.cost_nano)]))).toEqual({
    research: expected.get('research')! * 3000,
    ops: expected.get('ops')! * 250,
    lab: expected.get('lab')! * 3000,
  })

  const { rows, totals } = await unusedTools.run(weir.store, WINDOW)
  const unused = [...read.tools].filter(([key]) => !called.has(key))
  expect(unused.length).toBeGreaterThan(15)
  expect(
    Object.fromEntries(
      rows.map((row) => [`${row.server} ${row.tool}`, [Number(row.context_tokens), row.sessions]]),
    ),
  ).toEqual(Object.fromEntries(unused.map(([key, tokens]) => [key, [tokens, read.sessions.get(key)]])))
  expect(Number(totals.context_tokens)).toBe(
    [...read.tools.values()].reduce((sum, tokens) => sum + tokens, 0),
  )

  // The command prints the same.
  const json = await run(weir.weir.folder.path, 'unused', '--json', '--window', '1d')
  expect(json.err).toBe('')
  expect((JSON.parse(json.out) as { rows: object[] }).rows).toEqual(rows)
  const text = (await run(weir.weir.folder.path, 'unused')).out
  expect(text).toMatch(
    /^last 30d: 7 sessions read [\d,]+ tokens of \d+ tool definitions \(\$0\.\d+\)\nlisted, never called: \d+ tools, /,
  )
  expect(text).toMatch(/shop +burn +\d+ +5 +\d+ +\$0\.\d+/)
  expect((await run(weir.weir.folder.path, 'unused', '--team', 'nobody')).out).toBe(
    'no tools were listed in the last 30d by callers of nobody\n',
  )
  expect(await run(weir.weir.folder.path, 'unused', '--window', '3 moons')).toMatchObject({ code: 2 })
}, 120_000)

test('definitions are kept masked, with hints and versions; secrets in them reach nothing', async () => {
  const definitions = await toolDefinitions.run(weir.store)
  expect(definitions.map((row) => `${row.server} ${row.tool}`).sort()).toEqual([...read.tools.keys()].sort())
  const of = (name: string) => definitions.find((row) => row.server === 'shop' && row.tool === name)
  expect(of('look')).toMatchObject({
    read_only: 1,
    destructive: 0,
    versions: 1,
    server_version: '7.8.9',
    tokens: tokensOf(shop.tools[1]!),
  })
  expect(of('buy')).toMatchObject({ read_only: 0, destructive: 1 })
  // One definition each, whatever the era and the endpoint it was seen through.
  expect(definitions.filter((row) => row.versions !== 1)).toEqual([])
  expect(definitions.find((row) => row.server === 'memory')?.server_version).toMatch(/^\d/)
  const [version] = await toolDefinitions.versions(weir.store, { server: 'shop', tool: 'buy' })
  expect(version!.definition).toContain('Ask [email] first')
  const dump = await weir.store.dump()
  expect(dump).toContain('See what there is.')
  for (const [name, secret] of Object.entries(SECRETS)) {
    expect(dump, name).not.toContain(secret)
    expect(weir.weir.output, name).not.toContain(secret)
  }
})

test('a definition that changes is a change, read again by a session that lists it, once', async () => {
  const before = await ofCost()
  const client = await session('sdk v1', 'ada', '/mcp')
  const first = await client.tools()
  note('ada', '/mcp', first)
  shop.tools = [shop.tools[0]!, tool('look', 'See what there is, today.'), shop.tools[2]!]
  const second = await client.tools()
  await client.tools()
  note(
    'ada',
    '/mcp',
    second.filter((one) => one.name.startsWith('shop_')),
  )
  await client.close()
  await weir.settled()
  const after = await waitFor('the last listing is stored', async () => {
    const costs = await ofCost()
    return costs['research shop'] === read.servers.get('research shop') && costs
  })
  expect(after).toEqual(Object.fromEntries(read.servers))
  expect(after['research memory']! - (before['research memory'] ?? 0)).toBeGreaterThan(0)
  const changes = await toolChanges.run(weir.store, WINDOW)
  expect(changes).toMatchObject([
    { server: 'shop', tool: 'look', version: 2, tokens_before: changes[0]!.tokens - 2 },
  ])
  expect(JSON.parse(changes[0]!.definition)).toEqual(shop.tools[1])
  const now = await toolDefinitions.run(weir.store, { server: 'shop' })
  expect(now.find((row) => row.tool === 'look')).toMatchObject({
    versions: 2,
    hash: changes[0]!.hash,
    read_only: 0,
  })
}, 60_000)

test('the pages of a listing are one reading', async () => {
  shop.page = 2
  const client = await session('sdk v1', 'eve', '/servers/shop/mcp')
  const tools = await client.tools()
  expect(tools.length).toBe(3)
  await client.tools()
  note('eve', '/servers/shop/mcp', tools)
  await client.close()
  shop.page = 0
  await waitFor(
    'the pages are stored',
    async () => (await ofCost())['lab shop'] === read.servers.get('lab shop'),
  )
  expect(await ofCost()).toEqual(Object.fromEntries(read.servers))
}, 60_000)

test.each(['a body', 'a stream'])(
  'ten thousand tools in %s are read, pass untouched and are stored once',
  async (form) => {
    const kept = shop.tools
    shop.isStream = form === 'a stream'
    shop.tools = Array.from({ length: 10_000 }, (_, i) =>
      tool(`big${i}`, `Tool ${i} of ${form}: ${'does a thing; '.repeat(12)}`),
    )
    const url = `${weir.url}/servers/shop/mcp`
    const headers = { authorization: 'Bearer eve', 'x-weir-run': `big ${form}` }
    await send(url, initialize('big-init'), { headers })
    const ask = { jsonrpc: '2.0', id: `big-${form}`, method: 'tools/list' }
    const direct = await send(shop.url, ask)
    const through = await send(url, ask, { headers, timeout_ms: 60_000 })
    expect(through.isWhole).toBe(true)
    expect(through.text === direct.text, 'every byte is the same').toBe(true)
    expect(direct.text.length).toBeGreaterThan(2_900_000)
    const [event] = await weir.events(`request_id = 'big-${form}'`)
    expect(event).toMatchObject({
      outcome: 'ok',
      list_items: 10_000,
      list_id: expect.stringMatching(/^[0-9a-f]{32}$/),
    })
    const sum = shop.tools.reduce((tokens, one) => tokens + tokensOf(one), 0)
    // A list of this size is read after its answer has left.
    const stored = await waitFor('the list is stored', async () => {
      const [row] = await weir.store.rows<{ tools: number; tokens: number }>(
        'SELECT count() AS tools, sum(tokens) AS tokens FROM (SELECT tool, sum(tokens) AS tokens FROM tool_lists WHERE list_id = {id:String} GROUP BY tool)',
        { id: event!.list_id },
      )
      return row!.tools > 0 && row
    })
    expect(stored).toEqual({ tools: 10_000, tokens: sum })
    // Again: nothing is written a second time.
    const lines = () => weir.store.number('SELECT count() FROM tool_lists')
    const before = await lines()
    await send(url, { ...ask, id: `again-${form}` }, { headers, timeout_ms: 60_000 })
    const [again] = await weir.events(`request_id = 'again-${form}'`)
    expect(again!.list_id).toBe(event!.list_id)
    expect(await lines()).toBe(before)
    shop.tools = kept
    shop.isStream = false
  },
  120_000,
)

test('without capture.definitions the text is not kept; sizes and hashes are', async () => {
  weir.weir.writeConfig(config({ capture: { definitions: false } }))
  process.kill(weir.weir.pid, 'SIGHUP')
  shop.tools = [tool('secretive', 'nobody shall read this')]
  await waitFor('the new config is in force', () => weir.weir.metric('weir_config_reloads_total', 'done'))
  const client = await session('sdk v1', 'eve', '/servers/shop/mcp')
  await client.tools()
  await client.close()
  const found = await waitFor('the definition is stored', async () => {
    const [row] = await toolDefinitions.versions(weir.store, { server: 'shop', tool: 'secretive' })
    return row
  })
  expect(found).toMatchObject({
    definition: '',
    tokens: tokensOf(shop.tools[0]!),
    hash: expect.stringMatching(/^[0-9a-f]{32}$/),
  })
}, 60_000)
