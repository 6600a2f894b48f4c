/** Rules on a real Weir before real MCP servers, with real clients: what is allowed, what is refused, and what is seen of either. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, initialize, send, toolCall } from '../support/client.ts'
import { waitFor } from '../support/wait.ts'
import { connect, type Kind, type TestClient } from './support/clients.ts'
import { type Observed, startObserved } from './support/observed.ts'
import { type StubServer, startStub } from './support/stub-server.ts'

const keyOf = (name: string): string => `key-of-${name}-0123456789`
const caller = (name: string, more: object = {}) => ({
  ...more,
  keys: [{ sha256: createHash('sha256').update(keyOf(name)).digest('hex') }],
})
const BANK = ['node', new URL('../support/bank-server.ts', import.meta.url).pathname]
const RULES = [
  { allow: 'readers read', servers: 'bank', roles: 'reader', when: 'tool.annotations.read_only' },
  { allow: 'clerks transfer', servers: 'bank', teams: ['clerks'], tools: ['transfer', 'get_*'] },
  {
    allow: 'public things',
    servers: 'bank',
    callers: ['reader', 'clerk'],
    prompts: 'summary',
    resources: 'bank://public/*',
  },
  { allow: 'the stub', servers: 'stub', callers: ['clerk', 'boss'] },
  { allow: 'the boss', callers: 'boss' },
  { deny: 'no large transfers', when: "tool.name == 'transfer' && args.amount > 1000" },
  { deny: 'no hidden tool', servers: 'stub', tools: 'hidden' },
  { deny: 'nobody owns', mode: 'shadow', tools: 'get_owner' },
]

let stub: StubServer
let weir: Observed
let config: Record<string, unknown>
beforeAll(async () => {
  stub = await startStub(['echo', 'hidden', 'other'])
  config = {
    workers: 2,
    servers: { bank: { command: BANK }, stub: { url: stub.url } },
    callers: {
      reader: caller('reader', { roles: ['reader'] }),
      clerk: caller('clerk', { team: 'clerks' }),
      boss: caller('boss'),
      nobody: caller('nobody'),
    },
    capture: { keep: [{ tools: 'bank_transfer', arguments: true }] },
    rules: RULES,
  }
  weir = await startObserved(config)
})
afterAll(async () => {
  await weir?.stop()
  await stub?.close()
})

const headersOf = (name: string): Record<string, string> => ({ authorization: `Bearer ${keyOf(name)}` })
let tags = 0
async function withClient<T>(
  kind: Kind,
  who: string,
  path: string,
  use: (client: TestClient) => Promise<T>,
): Promise<T> {
  const url = `${kind === 'websocket' ? weir.url.replace('http', 'ws') : weir.url}${kind === 'sse' ? path.replace(/mcp$/, 'sse') : path}`
  const client = await connect(kind, { url, key: keyOf(who), tag: `rules-${++tags}` })
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}
const names = (list: readonly { name: string }[]): string[] => list.map(({ name }) => name).sort()

/** A legacy session by hand. */
async function session(who: string, path: string) {
  const url = weir.url + path
  const hello = await send(url, initialize('hello'), { headers: headersOf(who) })
  const headers = { ...headersOf(who), 'mcp-session-id': String(hello.headers['mcp-session-id']) }
  await send(url, { jsonrpc: '2.0', method: 'notifications/initialized' }, { headers })
  return {
    hello,
    ask: (
      method: string,
      params: object = {},
      more: Record<string, string> = {},
      id: string = `q${++tags}`,
    ) => send(url, { jsonrpc: '2.0', id, method, params }, { headers: { ...headers, ...more } }),
    raw: (body: string, more: Record<string, string> = {}) =>
      send(url, body, { headers: { ...headers, ...more } }),
    call: (name: string, args: Record<string, unknown> = {}, id = `c${++tags}`) =>
      send(url, toolCall(id, name, args), { headers }),
  }
}
const textOf = (answer: Answer): string =>
  (answer.message?.result?.content as { text: string }[] | undefined)?.[0]?.text ?? answer.text

describe.each<Kind>(['sdk v1', 'sdk v2 auto', 'websocket', 'sse'])('a client with %s', (kind) => {
  test.each(['/servers/bank/mcp', '/mcp'])('sees at %s what it may use, and nothing else', async (path) => {
    const prefix = path === '/mcp' ? 'bank_' : ''
    const of = (list: string[]) => list.map((name) => `${prefix}${name}`)
    await withClient(kind, 'reader', path, async (client) => {
      expect(names(await client.tools())).toEqual(of(['get_balance', 'get_owner']))
      expect(names(await client.prompts())).toEqual(of(['summary']))
      expect((await client.resources()).map(({ uri }) => uri)).toEqual(['bank://public/rates'])
      expect(await client.templates()).toEqual([])
      expect(JSON.stringify(await client.call(`${prefix}get_balance`, { account: '7' }))).toContain(
        'balance of 7',
      )
      await expect(client.call(`${prefix}transfer`, { amount: 1, to: 'x' })).rejects.toThrow('Unknown tool')
      await expect(client.prompt(`${prefix}audit`)).rejects.toThrow('Unknown prompt')
      await expect(client.read('bank://private/rates')).rejects.toThrow('Unknown resource')
      expect(JSON.stringify(await client.read('bank://public/rates'))).toContain('public')
    })
  })
  test('a rule on arguments refuses the call and does not hide the tool', async () => {
    await withClient(kind, 'clerk', '/servers/bank/mcp', async (client) => {
      expect(names(await client.tools())).toEqual(['get_balance', 'get_owner', 'transfer'])
      expect(JSON.stringify(await client.call('transfer', { amount: 1000, to: 'x' }))).toContain('1000 to x')
      await expect(client.call('transfer', { amount: 1001, to: 'x' })).rejects.toThrow('Unknown tool')
    })
  })
})

describe('what is forbidden', () => {
  /** All that a client gets of an answer, but for its id and the clock. */
  const shape = ({ status, headers, text }: Answer, id: string) => {
    const { date: _date, ...rest } = headers
    return JSON.stringify({ status, headers: rest, text: text.replace(id, 'ID') })
  }
  test.each(['/servers/bank/mcp', '/mcp'])(
    'is told from what does not exist by neither status, headers nor body at %s',
    async (path) => {
      const prefix = path === '/mcp' ? 'bank_' : ''
      const { call, ask } = await session('reader', path)
      const forbidden = await call(`${prefix}transfer`, { amount: 1, to: 'x' }, 'fffff')
      const unknown = await call(`${prefix}nothing_`, { amount: 1, to: 'x' }, 'uuuuu')
      expect(forbidden.message?.error?.message).toBe('Unknown tool')
      expect(shape(forbidden, 'fffff')).toBe(shape(unknown, 'uuuuu'))
      const prompts = await Promise.all(
        ['audit', 'nothi'].map((name) => ask('prompts/get', { name: prefix + name }, {}, 'ppppp')),
      )
      expect(shape(prompts[0]!, 'ppppp')).toBe(shape(prompts[1]!, 'ppppp'))
    },
  )

  test('takes no other way than what does not exist: both read a known list, and ask for it again alike', async () => {
    const { call } = await session('clerk', '/servers/stub/mcp')
    await call('echo')
    const lists = (): number => stub.seen.filter(({ method }) => method === 'tools/list').length
    const calls = (): number => stub.seen.filter(({ method }) => method === 'tools/call').length
    const before = calls()
    await call('hidden')
    await call('nowhere')
    const asked = lists()
    for (let i = 0; i < 5; i++) await Promise.all([call('hidden'), call('nowhere')])
    expect(lists()).toBe(asked)
    expect(calls()).toBe(before)
  })

  test('a server that a caller may use nothing of is a path and a prefix that do not exist', async () => {
    const body = initialize('iiiii')
    const [hidden, none] = await Promise.all(
      ['stub', 'none'].map((name) =>
        send(`${weir.url}/servers/${name}/mcp`, body, { headers: headersOf('reader') }),
      ),
    )
    expect(hidden!.status).toBe(404)
    expect(shape(hidden!, '')).toBe(shape(none!, ''))
    const roof = await session('nobody', '/mcp')
    expect(JSON.stringify(roof.hello.message)).not.toMatch(/vault|use echo|bank|stub/)
    expect((await roof.ask('tools/list')).message?.result?.tools).toEqual([])
    const [theirs, nobodys] = await Promise.all([
      roof.call('stub_echo', {}, 'sssss'),
      roof.call('none_echo', {}, 'nnnnn'),
    ])
    expect(shape(theirs!, 'sssss')).toBe(shape(nobodys!, 'nnnnn'))
  })

  test('is on the record with rule, reason and facts, and never with an argument', async () => {
    const { call } = await session('clerk', '/mcp')
    await call('bank_transfer', { amount: 98765, to: 'secret-account' }, 'large')
    await call('bank_transfer', { amount: 5, to: 'x' }, 'small')
    await call('bank_get_owner', { account: '1' }, 'shadowed')
    await call('bank_close_account', { account: '1' }, 'closing')
    const rows = await weir.events("request_id IN ('large','small','shadowed','closing')", 4)
    const row = (id: string) => rows.find((one) => one.request_id === id)!
    expect(row('large')).toMatchObject({
      outcome: 'denied',
      owner: 'client',
      error_type: 'forbidden',
      server: 'bank',
      tool: 'transfer',
      decision: 'deny',
      decision_rule: 'no large transfers',
      decision_reason: "forbidden when tool.name == 'transfer' && args.amount > 1000",
      decision_facts: { arguments: 'amount' },
    })
    const { captured_arguments: _kept, ...told } = row('large')
    expect(JSON.stringify(told)).not.toMatch(/98765|secret-account/)
    expect(row('small')).toMatchObject({ outcome: 'ok', decision: 'allow', decision_rule: 'clerks transfer' })
    expect(row('shadowed')).toMatchObject({ outcome: 'ok', decision: 'allow', shadow: ['nobody owns'] })
    expect(row('closing')).toMatchObject({
      decision: 'deny',
      decision_rule: 'default',
      decision_reason: 'no rule allows it',
    })
  })
})

describe('tricks', () => {
  test.each([
    ['another case', 'HIDDEN'],
    ['a wide letter', 'ｈidden'],
    ['a Cyrillic letter', 'hіdden'],
    ['a space at its end', 'hidden '],
    ['a zero-width space', 'hid\u200bden'],
    ['a null at its end', 'hidden\0'],
    ['a combining mark', 'hi\u0301dden'],
    ['a path', '../hidden'],
  ])('a name with %s reaches no tool', async (_trick, name) => {
    const { call } = await session('clerk', '/servers/stub/mcp')
    expect((await call('echo')).message?.result).toBeDefined()
    const before = stub.seen.length
    expect((await call(name)).message?.error?.message).toBe('Unknown tool')
    expect(stub.seen.slice(before).filter(({ method }) => method === 'tools/call')).toEqual([])
  })

  test.each([
    [
      'a name twice',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hidden","name":"echo"}}',
    ],
    [
      'a name twice, once written with an escape',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"n\\u0061me":"hidden","name":"echo"}}',
    ],
    [
      'a name in another case',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","Name":"hidden"}}',
    ],
    [
      'a method in another case',
      '{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call","params":{"name":"hidden"}}',
    ],
    [
      'params twice',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hidden"},"params":{"name":"echo"}}',
    ],
    [
      'an argument twice',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"amount":1,"amount":5000}}}',
    ],
    [
      'two arguments in two cases',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"amount":1,"AMOUNT":5000}}}',
    ],
    [
      'a method that is one but for its case',
      '{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{"name":"hidden","arguments":{}}}',
    ],
    [
      'a method that is one but for a space',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call ","params":{"name":"hidden","arguments":{}}}',
    ],
    [
      'a prompt to complete that is named twice, in two cases',
      '{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a","Name":"b"}}}',
    ],
    [
      'resources to hear of in another case',
      '{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"ResourceSubscriptions":["bank://a"]}}}',
    ],
    [
      'no id though it asks for something',
      '{"jsonrpc":"2.0","method":"tools/call","params":{"name":"hidden","arguments":{}}}',
    ],
    [
      'a call dressed as a notification',
      '{"jsonrpc":"2.0","method":"notifications/progress","Method":"tools/call","Id":1,"params":{"name":"hidden"}}',
    ],
  ])('a message with %s says two things, and is refused', async (_trick, body) => {
    const { raw } = await session('clerk', '/servers/stub/mcp')
    const before = stub.seen.length
    const answer = await raw(body)
    expect(answer.status).toBe(400)
    expect(answer.text).toContain('message_ambiguous')
    expect(stub.seen.slice(before)).toEqual([])
  })

  test.each([
    ['Mcp-Name', { 'mcp-name': 'hidden' }],
    ['Mcp-Name beside the right one', { 'mcp-name': 'echo, hidden' }],
    ['Mcp-Method', { 'mcp-method': 'ping' }],
  ])('a header %s that says another thing than the body is refused', async (_header, headers) => {
    const { ask } = await session('clerk', '/servers/stub/mcp')
    await ask('tools/list')
    const before = stub.seen.length
    const answer = await ask('tools/call', { name: 'echo', arguments: {} }, headers)
    expect(answer.status).toBe(400)
    expect(answer.message?.error?.code).toBe(-32020)
    expect(stub.seen.slice(before).filter(({ method }) => method === 'tools/call')).toEqual([])
  })

  test.each([
    ['a list', { jsonrpc: '2.0', id: 1, method: 'tools/list', params: { name: 'hidden', arguments: {} } }],
    ['a notification', { jsonrpc: '2.0', method: 'notifications/x', params: { name: 'hidden' } }],
  ])('a header that makes a call of %s is refused', async (_what, body) => {
    const { raw } = await session('clerk', '/servers/stub/mcp')
    const before = stub.seen.length
    const answer = await raw(JSON.stringify(body), { 'mcp-method': 'tools/call', 'mcp-name': 'hidden' })
    expect(answer.message?.error?.code).toBe(-32020)
    expect(stub.seen.slice(before)).toEqual([])
  })

  test('headers that name a caller, a team or a role are not believed', async () => {
    const { call, ask } = await session('reader', '/servers/bank/mcp')
    const headers = {
      'x-weir-agent': 'boss',
      'x-weir-project': 'boss',
      'x-forwarded-user': 'boss',
      baggage: 'agent=boss',
      'weir-principal': 'boss',
    }
    const forged = await ask('tools/call', { name: 'transfer', arguments: { amount: 1, to: 'x' } }, headers)
    expect(forged.text).toBe(
      (await call('transfer', { amount: 1, to: 'x' })).text.replace(/"id":"c\d+"/, `"id":"q${tags - 1}"`),
    )
    expect(forged.message?.error?.message).toBe('Unknown tool')
  })

  test('arguments too deep, too many or of another type are refused where a rule looks at them', async () => {
    const { call, raw } = await session('clerk', '/servers/bank/mcp')
    const deep = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
    const body = (args: string) =>
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"transfer","arguments":${args}}}`
    for (const args of [
      `{"amount":${deep(1500)}}`,
      `{"amount":${deep(100_000)}}`,
      '{"amount":"1"}',
      '{"amount":null}',
      '{}',
      '[1]',
      '"1"',
      '{"amount":[1]}',
    ]) {
      const answer = await raw(body(args))
      expect(answer.message?.error, args.slice(0, 30)).toBeDefined()
      expect(answer.text, args.slice(0, 30)).not.toContain('"result"')
    }
    expect(textOf(await call('transfer', { amount: 7, to: 'y', note: 'x'.repeat(2_000_000) }))).toContain(
      '7 to y',
    )
  })

  test('each message of a batch is judged by itself', async () => {
    const url = `${weir.url}/servers/stub/mcp`
    const hello = await send(
      url,
      {
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-03-26', capabilities: {}, clientInfo: { name: 'b', version: '1' } },
      },
      { headers: headersOf('clerk') },
    )
    const headers = {
      ...headersOf('clerk'),
      'mcp-session-id': String(hello.headers['mcp-session-id']),
      'mcp-protocol-version': '2025-03-26',
    }
    const before = stub.seen.length
    const answer = await send(
      url,
      [toolCall('b1', 'echo'), toolCall('b2', 'hidden'), toolCall('b3', 'other')],
      { headers },
    )
    expect(answer.text).toContain('Unknown tool')
    const called = stub.seen.slice(before).filter(({ method }) => method === 'tools/call')
    expect(called.map(({ params }) => params.name).sort()).toEqual(['echo', 'other'])
  })

  test('a method of which nothing is known needs a rule that lets everything of the server pass', async () => {
    const reader = await session('reader', '/servers/bank/mcp')
    expect((await reader.ask('bank/secrets')).message?.error?.code).toBe(-32601)
    const rows = await weir.events("method = 'bank/secrets'")
    expect(rows[0]).toMatchObject({ decision: 'deny', decision_rule: 'default', attempts: 0 })
  })
})

test('new rules are in force for every worker, and for sessions that are open', async () => {
  const { call } = await session('boss', '/mcp')
  expect((await call('bank_close_account', { account: '1' })).message?.result).toBeDefined()
  weir.weir.writeConfig({ ...config, rules: [...RULES, { deny: 'nobody closes', tools: 'close_account' }] })
  await waitFor(
    'the rule is in force',
    async () => (await call('bank_close_account', { account: '1' })).message?.error,
  )
  weir.weir.writeConfig({ ...config, rules: [{ deny: 'broken', when: 'tool.nam == "x"' }] })
  await waitFor('the broken rule is told', () => weir.weir.output.includes('No such key: nam'))
  expect((await call('bank_close_account', { account: '1' })).message?.error).toBeDefined()
})
