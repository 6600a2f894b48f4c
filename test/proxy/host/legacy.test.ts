import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  call,
  fixture,
  type Harness,
  INITIALIZED,
  initialize,
  openSession,
  startHost,
  textOf,
} from './harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHost({ one: fixture(), 'modern-only': fixture(['--modern'], { era: 'modern' }) })
})
afterAll(() => harness.close())

describe('before a session', () => {
  test.each([
    ['no principal', { 'weir-principal': '' }, 400, 'principal_missing'],
    ['a wrong content type', { 'content-type': 'text/plain' }, 415, 'content_type'],
    ['no content type', { 'content-type': '' }, 415, 'content_type'],
    ['JSON only accepted', { accept: 'application/json' }, 406, 'not_acceptable'],
    ['event streams only accepted', { accept: 'text/event-stream' }, 406, 'not_acceptable'],
    ['no Accept', { accept: '' }, 406, 'not_acceptable'],
    ['an unsupported version', { 'mcp-protocol-version': '1999-01-01' }, 400, 'version_unsupported'],
  ])('%s is refused', async (_name, headers, status, weir) => {
    const answer = await harness.send('one', initialize(), headers)
    expect(answer.status).toBe(status)
    expect(answer.messages[0]!.error.data.weir).toBe(weir)
  })

  test.each([
    ['parameters of the content type', { 'content-type': 'Application/JSON; charset=utf-8' }],
    ['wildcards', { accept: '*/*' }],
    ['group wildcards and weights', { accept: 'application/*;q=0.5, text/*' }],
  ])('%s are accepted', async (_name, headers) => {
    expect((await harness.send('one', initialize(), headers)).status).toBe(200)
  })

  test('an unknown server is 404', async () => {
    expect((await harness.send('nobody', initialize())).status).toBe(404)
  })

  test('a body that is not JSON is a parse error', async () => {
    const answer = await harness.send('one', '{"jsonrpc":')
    expect([answer.status, answer.messages[0]!.error.code, answer.messages[0]!.id]).toEqual([
      400,
      -32700,
      null,
    ])
  })

  test.each(['POST', 'GET', 'DELETE'])('%s without a session id is 400', async (method) => {
    const answer = await harness.send('one', call('pid'), {}, method)
    expect([answer.status, answer.messages[0]!.error.data.weir]).toEqual([400, 'session_missing'])
  })

  test.each(['POST', 'GET', 'DELETE'])('%s with an unknown session id is 404', async (method) => {
    const answer = await harness.send('one', call('pid'), { 'mcp-session-id': 'nope' }, method)
    expect([answer.status, answer.messages[0]!.error.data.weir]).toEqual([404, 'session_unknown'])
  })

  test('other methods are 405 and name the allowed ones', async () => {
    const answer = await harness.send('one', '', {}, 'PUT')
    expect([answer.status, answer.headers.allow]).toEqual([405, 'GET, POST, DELETE'])
  })

  test('a server that is modern by config has neither GET nor DELETE', async () => {
    for (const method of ['GET', 'DELETE']) {
      const answer = await harness.send('modern-only', '', {}, method)
      expect([answer.status, answer.headers.allow]).toEqual([405, 'POST'])
    }
  })
})

describe('a session', () => {
  test('has an id of visible ASCII that nobody guesses, and reports the time it waited', async () => {
    const answers = await Promise.all([harness.send('one', initialize()), harness.send('one', initialize())])
    const ids = answers.map((answer) => String(answer.headers['mcp-session-id']))
    for (const id of ids) expect(id).toMatch(/^[\x21-\x7e]{32,}$/)
    expect(ids[0]).not.toBe(ids[1])
    for (const answer of answers) expect(String(answer.headers['weir-queue-us'])).toMatch(/^\d+$/)
  })

  test("replays the child's initialize answer with the id of each client, and initializes the child once", async () => {
    const principal = { 'weir-principal': 'replay' }
    const first = await harness.send('one', initialize({}, 'first'), principal)
    const second = await harness.send('one', initialize({}, 99), principal)
    expect(first.text.replace('"first"', '99')).toBe(second.text)
    for (const { headers } of [first, second])
      await harness.send('one', INITIALIZED, {
        ...principal,
        'mcp-session-id': String(headers['mcp-session-id']),
      })
    const seen = await harness.send('one', call('seen'), {
      ...principal,
      'mcp-session-id': String(first.headers['mcp-session-id']),
    })
    const methods = JSON.parse(textOf(seen)).map((line: string) => JSON.parse(line).method)
    expect(methods).toEqual(['initialize', 'notifications/initialized', 'tools/call'])
  })

  test('belongs to its principal: to others it does not exist', async () => {
    const session = await openSession(harness, 'one')
    for (const method of ['POST', 'GET', 'DELETE']) {
      const answer = await harness.send(
        'one',
        call('pid'),
        { ...session, 'weir-principal': 'mallory' },
        method,
      )
      expect(answer.status).toBe(404)
    }
    expect((await harness.send('one', call('pid'), session)).status).toBe(200)
  })

  test('is initialized once', async () => {
    const session = await openSession(harness, 'one')
    const answer = await harness.send('one', initialize(), session)
    expect([answer.status, answer.messages[0]!.error.data.weir]).toEqual([400, 'session_open'])
  })

  test('ends with DELETE', async () => {
    const session = await openSession(harness, 'one')
    expect((await harness.send('one', '', session, 'DELETE')).status).toBe(204)
    expect((await harness.send('one', call('pid'), session)).status).toBe(404)
    expect((await harness.send('one', '', session, 'DELETE')).status).toBe(404)
  })

  test('notifications and answers nobody waits for are accepted with 202 and no body', async () => {
    const session = await openSession(harness, 'one')
    for (const body of [
      { jsonrpc: '2.0', method: 'notifications/roots/list_changed' },
      { jsonrpc: '2.0', id: 'never asked', result: {} },
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'never sent' } },
    ]) {
      const answer = await harness.send('one', body, session)
      expect([answer.status, answer.text]).toEqual([202, ''])
    }
    const seen = textOf(await harness.send('one', call('seen'), session))
    expect(seen).toContain('roots/list_changed')
    expect(seen).not.toContain('never')
  })

  test('has one standalone stream', async () => {
    const session = await openSession(harness, 'one')
    const stream = await harness.open('one', null, session)
    expect([stream.status, stream.headers['content-type'], stream.headers['x-accel-buffering']]).toEqual([
      200,
      'text/event-stream',
      'no',
    ])
    expect((await harness.send('one', '', session, 'GET')).status).toBe(409)
    stream.close()
    await expect.poll(async () => (await harness.open('one', null, session)).status).toBe(200)
  })

  test('a stream needs Accept: text/event-stream', async () => {
    const session = await openSession(harness, 'one')
    expect((await harness.send('one', '', { ...session, accept: 'application/json' }, 'GET')).status).toBe(
      406,
    )
  })

  test('DELETE ends its streams and answers its open calls', async () => {
    const session = await openSession(harness, 'one', 'deleter')
    const stream = await harness.open('one', null, session)
    const open = harness.send('one', call('hold', {}, 7), session)
    await expect.poll(() => harness.host.metrics().servers.one!.calls_open).toBe(1)
    await harness.send('one', '', session, 'DELETE')
    expect(await stream.next()).toBeNull()
    const answer = await open
    expect([answer.messages[0]!.id, answer.messages[0]!.error.data.weir]).toEqual([7, 'session_ended'])
    const other = await openSession(harness, 'one', 'deleter')
    expect(textOf(await harness.send('one', call('seen'), other))).toContain('notifications/cancelled')
  })

  test("a child's refusal of initialize is the answer, and there is no session", async () => {
    const answer = await harness.send('one', initialize({ _meta: { fail: true } }, 'x'), {
      'weir-principal': 'refused',
    })
    expect(answer.status).toBe(200)
    expect(answer.messages).toEqual([
      { jsonrpc: '2.0', id: 'x', error: { code: -32000, message: 'not today' } },
    ])
    expect(answer.headers['mcp-session-id']).toBeUndefined()
  })
})

describe('batches', () => {
  const old = async (): Promise<Record<string, string>> => ({
    ...(await openSession(harness, 'one', 'batcher', { protocolVersion: '2025-03-26' })),
    'mcp-protocol-version': '2025-03-26',
  })

  test('calls of a batch are answered as one', async () => {
    const session = await old()
    const answer = await harness.send(
      'one',
      [call('pid', {}, 1), INITIALIZED, call('pid', {}, 'two')],
      session,
    )
    expect(answer.status).toBe(200)
    expect(answer.messages.map((message) => message.id)).toEqual([1, 'two'])
  })

  test('a batch becomes a stream when its calls say more', async () => {
    const session = await old()
    const answer = await harness.send('one', [call('pid', {}, 1), call('log', { data: 'hey' }, 2)], session)
    expect(answer.headers['content-type']).toBe('text/event-stream')
    expect(answer.messages.map((message) => message.id ?? message.method)).toEqual([
      1,
      'notifications/message',
      2,
    ])
  })

  test('a batch without calls is accepted', async () => {
    const answer = await harness.send('one', [{ jsonrpc: '2.0', method: 'notifications/x' }], await old())
    expect([answer.status, answer.text]).toEqual([202, ''])
  })

  test('later revisions have none', async () => {
    const answer = await harness.send('one', [call('pid')], await openSession(harness, 'one'))
    expect([answer.status, answer.messages[0]!.error.data.weir]).toEqual([400, 'batch_unsupported'])
  })
})
