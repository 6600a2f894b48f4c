import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { call, fixture, type Harness, initialize, META, modern, startHost, textOf, until } from './harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHost({
    one: fixture(['--modern'], { processes_max: 100 }),
    shared: fixture(['--modern'], { isolation: 'shared' }),
    legacy: fixture(),
    exits: fixture(['--exit-on-discover']),
    pinned: fixture([], { era: 'legacy' }),
    known: fixture(['--modern'], { era: 'modern' }),
  })
})
afterAll(() => harness.close())

const send = (name: string, { body, headers }: ReturnType<typeof modern>, principal = 'alice') =>
  harness.send(name, body, { ...headers, 'weir-principal': principal })
const callOf = (tool: string, args: object = {}, id: unknown = 1, meta: object = {}) =>
  modern('tools/call', { name: tool, arguments: args }, id, meta)
const openCalls = (name = 'one'): number => harness.host.metrics().servers[name]!.calls_open

describe('a modern server', () => {
  test('needs no session, and is probed once', async () => {
    expect((await send('one', modern('server/discover'), 'probe')).messages[0]).toMatchObject({
      result: { supportedVersions: ['2026-07-28'] },
    })
    const answer = await send('one', callOf('seen'), 'probe')
    expect(answer.headers['mcp-session-id']).toBeUndefined()
    const methods = JSON.parse(textOf(answer)).map((line: string) => JSON.parse(line).method)
    expect(methods).not.toContain('initialize')
    const other = JSON.parse(textOf(await send('one', callOf('seen'), 'another'))).map(
      (line: string) => JSON.parse(line).method,
    )
    expect(other).not.toContain('server/discover')
  })

  test('gets the envelope as it was sent', async () => {
    const { body, headers } = callOf('seen', {}, 'ID')
    const text = JSON.stringify(body).replace(
      '"arguments":{}',
      '"arguments" : {"n":12345678901234567890123, "a":"\\u00e9"}',
    )
    const answer = await harness.send('one', text, headers)
    expect(
      JSON.parse(textOf(answer))
        .at(-1)
        .replace(/"id":\d+/, '"id":"ID"'),
    ).toBe(text)
    expect(answer.messages[0]!.id).toBe('ID')
  })

  test('principals have children of their own, calls of one principal interleave', async () => {
    const pid = async (principal: string): Promise<string> =>
      textOf(await send('one', callOf('pid', {}), principal))
    expect(await pid('alice')).toBe(await pid('alice'))
    expect(await pid('alice')).not.toBe(await pid('bob'))
    const held = send('one', callOf('hold', {}, 1))
    await until(() => openCalls() === 1)
    expect(textOf(await send('one', callOf('release', {}, 1)))).toBe('released')
    expect(textOf(await held)).toBe('held')
  })

  test('with isolation shared all principals are on one child', async () => {
    expect(textOf(await send('shared', callOf('pid'), 'a'))).toBe(
      textOf(await send('shared', callOf('pid'), 'b')),
    )
  })

  test('progress finds its call by token', async () => {
    const answer = await send('one', callOf('progress', {}, 1, { progressToken: 'tok' }))
    expect(answer.messages.map((message) => message.params?.progressToken)).toEqual(['tok', 'tok', undefined])
  })

  test('logs reach the only call that asked for them', async () => {
    const logLevel = { 'io.modelcontextprotocol/logLevel': 'warning' }
    expect((await send('one', callOf('log', { level: 'error' }, 1, logLevel))).messages).toHaveLength(2)
    expect((await send('one', callOf('log', { level: 'info' }, 1, logLevel))).messages).toHaveLength(1)
    expect((await send('one', callOf('log', { level: 'error' }))).messages).toHaveLength(1)
  })

  test('logs that could be of two calls reach nobody and are counted', async () => {
    const logLevel = { 'io.modelcontextprotocol/logLevel': 'debug' }
    const held = send('one', callOf('hold', {}, 1, logLevel))
    await until(() => openCalls() === 1)
    const before = harness.host.metrics().servers.one!.undeliverable.notifications
    expect((await send('one', callOf('log', {}, 2, logLevel))).messages).toHaveLength(1)
    expect(harness.host.metrics().servers.one!.undeliverable.notifications).toBe(before + 1)
    await send('one', callOf('release'))
    expect((await held).messages).toHaveLength(1)
  })

  test('may not ask: its request is answered with an error', async () => {
    expect(textOf(await send('one', callOf('ask')))).toContain('-32600')
  })

  test('a client that closes its stream cancels its call', async () => {
    const before = openCalls()
    const listen = modern('subscriptions/listen', { notifications: { toolsListChanged: true } }, 'L')
    const stream = await harness.open('one', listen.body, { ...listen.headers, 'weir-principal': 'closer' })
    await stream.next()
    stream.close()
    await until(() => openCalls() === before)
    const seen = JSON.parse(textOf(await send('one', callOf('seen'), 'closer'))).map((line: string) =>
      JSON.parse(line),
    )
    const sent = seen.find((message: { method: string }) => message.method === 'subscriptions/listen')
    const cancelled = seen.find((message: { method: string }) => message.method === 'notifications/cancelled')
    expect(cancelled.params.requestId).toBe(sent.id)
  })

  test("a listen stream carries the client's id as subscription id, to its graceful end", async () => {
    const listen = modern('subscriptions/listen', { notifications: {} }, 'my subscription')
    const stream = await harness.open('one', listen.body, { ...listen.headers, 'weir-principal': 'listener' })
    const key = 'io.modelcontextprotocol/subscriptionId'
    for (const method of ['notifications/subscriptions/acknowledged', 'notifications/tools/list_changed']) {
      const message = JSON.parse((await stream.next()) ?? '')
      expect([message.method, message.params._meta[key]]).toEqual([method, 'my subscription'])
    }
    await send('one', callOf('release'), 'listener')
    const end = JSON.parse((await stream.next()) ?? '')
    expect([end.id, end.result._meta[key]]).toEqual(['my subscription', 'my subscription'])
    expect(await stream.next()).toBeNull()
  })

  test('it ends a listen stream by cancelling it', async () => {
    const listen = modern('subscriptions/listen', { notifications: {} }, 5)
    const stream = await harness.open('one', listen.body, { ...listen.headers, 'weir-principal': 'ended' })
    await stream.next()
    await stream.next()
    const seen = JSON.parse(textOf(await send('one', callOf('seen'), 'ended'))).map((line: string) =>
      JSON.parse(line),
    )
    const { id } = seen.find((message: { method: string }) => message.method === 'subscriptions/listen')
    await send(
      'one',
      callOf('tell', { method: 'notifications/cancelled', params: { requestId: id } }),
      'ended',
    )
    expect(await stream.next()).toBeNull()
  })

  test('a crash answers all open calls, the next call gets a new child', async () => {
    const held = send('known', callOf('hold', {}, 'h'))
    await until(() => openCalls('known') === 1)
    await send('known', callOf('crash', { code: 4 }))
    expect((await held).messages[0]).toMatchObject({
      id: 'h',
      error: { code: -32603, data: { weir: 'upstream_closed', exit_code: 4 } },
    })
    await until(async () => (await send('known', modern('server/discover'))).status === 200)
  })
})

describe('statuses', () => {
  test.each([
    ['an unknown method', modern('nope'), 404, -32601],
    ['initialize with an envelope', modern('initialize'), 404, -32601],
    ['an unknown tool, as the operation itself failed', callOf('nope'), 200, -32602],
    [
      'a missing header',
      { ...callOf('pid'), headers: { 'mcp-protocol-version': '2026-07-28' } as Record<string, string> },
      400,
      -32020,
    ],
  ])('%s', async (_name, request, status, code) => {
    const answer = await send('one', request)
    expect([answer.status, answer.messages[0]!.error.code]).toEqual([status, code])
  })

  test('the id of a refused request keeps its spelling', async () => {
    const { body } = callOf('pid', {}, 'ID')
    const text = JSON.stringify(body).replace('"ID"', '12345678901234567890123')
    expect((await harness.send('one', text)).text).toContain('"id":12345678901234567890123,')
  })

  test('GET and DELETE do not exist', async () => {
    for (const method of ['GET', 'DELETE']) {
      const answer = await harness.send('one', '', { 'mcp-protocol-version': '2026-07-28' }, method)
      expect([answer.status, answer.headers.allow]).toEqual([405, 'POST'])
    }
  })

  test('notifications are accepted and start nothing', async () => {
    const body = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1, _meta: META } }
    const started = harness.host.metrics().servers.known!.started
    const answer = await harness.send('known', body, { 'weir-principal': 'nobody' })
    expect([answer.status, answer.text]).toEqual([202, ''])
    expect(harness.host.metrics().servers.known!.started).toBe(started)
  })
})

describe('Mcp-Param headers', () => {
  const request = (args: object, more: Record<string, string> = {}): ReturnType<typeof modern> => {
    const { body, headers } = callOf('pid', args)
    return { body, headers: { ...headers, ...more } }
  }
  test.each([
    ['missing', request({ region: 'eu' }), 400],
    ['different', request({ region: 'eu' }, { 'mcp-param-region': 'us' }), 400],
    ['equal', request({ region: 'eu' }, { 'mcp-param-region': 'eu' }), 200],
    ['not asked for', request({}), 200],
  ])('%s', async (_name, given, status) => {
    const answer = await send('one', given)
    expect(answer.status).toBe(status)
    if (status === 400) expect(answer.messages[0]).toMatchObject({ id: 1, error: { code: -32020 } })
  })
})

describe('a legacy server', () => {
  test('is discovered as what its initialize says', async () => {
    const answer = await send('legacy', modern('server/discover', {}, 'd'))
    expect([answer.status, answer.messages[0]]).toMatchObject([
      200,
      {
        id: 'd',
        result: { resultType: 'complete', supportedVersions: ['2026-07-28'], cacheScope: 'private' },
      },
    ])
    expect(answer.headers['weir-upstream-version']).toBe('2025-11-25')
  })

  test.each(['legacy', 'exits', 'pinned'])('%s: calls are bridged', async (name) => {
    const answer = await send(name, callOf('pid'))
    expect(answer.messages[0]).toMatchObject({ id: 1, result: { resultType: 'complete' } })
  })

  test('the tried-out child is gone, and its death does not delay the legacy one', async () => {
    await send('exits', modern('server/discover'))
    expect((await harness.send('exits', initialize())).status).toBe(200)
    await until(
      () => Object.values(harness.host.metrics().servers.exits!.processes).reduce((a, b) => a + b) === 1,
    )
    expect(harness.host.metrics().servers.exits).toMatchObject({ crashes: 0, started: 2 })
  })

  test('a verdict is remembered', async () => {
    await send('legacy', modern('server/discover'))
    const { started } = harness.host.metrics().servers.legacy!
    await Promise.all(Array.from({ length: 4 }, (_, i) => send('legacy', modern('server/discover'), `p${i}`)))
    // A child for each caller, and none to try out.
    expect(harness.host.metrics().servers.legacy!.started).toBe(started + 4)
  })

  test('a legacy call beside it is not disturbed', async () => {
    const opened = await harness.send('legacy', initialize())
    const session = { 'mcp-session-id': String(opened.headers['mcp-session-id']) }
    await send('legacy', callOf('pid'))
    expect((await harness.send('legacy', call('pid'), session)).status).toBe(200)
  })
})
