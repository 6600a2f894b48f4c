import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { call, eventsOf, fixture, type Harness, openSession, startHost, textOf, until } from './harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHost({
    one: fixture([], { processes_max: 100 }),
    shared: fixture([], { isolation: 'shared' }),
  })
})
afterAll(() => harness.close())

const openCalls = (name = 'one'): number => harness.host.metrics().servers[name]!.calls_open
const lost = (name = 'one'): { requests: number; notifications: number } =>
  harness.host.metrics().servers[name]!.undeliverable

describe('bytes', () => {
  const odd = [
    ['big integers', '{"n":12345678901234567890123,"f":1.10e+400}'],
    ['duplicate keys', '{"a":1,"a":2}'],
    ['odd whitespace', '{ "a" :\t[ 1 ,2 ]\t}'],
    ['escapes', '{"u":"\\u00e9\\/\\ud83d\\ude00é😀","s":"\\"id\\":1"}'],
  ] as const

  test.each(odd)('%s reach the child as they were sent', async (_name, args) => {
    const session = await openSession(harness, 'one', 'bytes')
    const head = '{"params" : {"name":"seen","arguments":'
    const answer = await harness.send(
      'one',
      `${head}${args}},"id":"x","jsonrpc":"2.0","method":"tools/call"}`,
      session,
    )
    const last = JSON.parse(textOf(answer)).at(-1) as string
    expect(last.replace(/"id":\d+/, '"id":"x"')).toBe(
      `${head}${args}},"id":"x","jsonrpc":"2.0","method":"tools/call"}`,
    )
  })

  test('newlines between tokens become spaces, for stdio has one line per message', async () => {
    const session = await openSession(harness, 'one', 'bytes')
    const answer = await harness.send(
      'one',
      JSON.stringify(call('seen', { a: 'x\ny' }), null, 2).replaceAll('\n', '\r\n'),
      session,
    )
    const last = JSON.parse(textOf(answer)).at(-1) as string
    expect(last).not.toMatch(/[\r\n]/)
    expect(JSON.parse(last).params.arguments).toEqual({ a: 'x\ny' })
  })

  test.each(odd)('%s reach the client as the child wrote them', async (_name, result) => {
    const session = await openSession(harness, 'one', 'bytes')
    const text = `{"result" :${result},  "id":$ID,"jsonrpc":"2.0" }`
    const answer = await harness.send('one', call('raw', { text }, 'my id'), session)
    expect(answer.text).toBe(text.replace('$ID', '"my id"'))
  })

  test.each(['7', '"7"', '12345678901234567890123', '"\\u0041"', '-0', '""'])(
    'the id %s comes back as it was spelled',
    async (id) => {
      const session = await openSession(harness, 'one', 'bytes')
      const body = JSON.stringify(call('pid', {}, 'ID')).replace('"ID"', id)
      expect((await harness.send('one', body, session)).text).toContain(`"id":${id},`)
    },
  )

  test.each(['7', '"7"', '"\\u0041"'])(
    'the progress token %s comes back as it was spelled',
    async (token) => {
      const session = await openSession(harness, 'one', 'bytes')
      const body = JSON.stringify(call('progress', {}, 1, { progressToken: 'T' })).replace('"T"', token)
      const events = eventsOf((await harness.send('one', body, session)).text)
      expect(events).toHaveLength(3)
      for (const event of events.slice(0, 2)) expect(event).toContain(`"progressToken":${token},`)
    },
  )

  test('a carriage return in a message does not break the stream', async () => {
    const session = await openSession(harness, 'one', 'bytes')
    const text =
      '{"jsonrpc":"2.0",\r"method":"notifications/message","params":{}}\r\n{"jsonrpc":"2.0","id":$ID,"result":{}}\r'
    const answer = await harness.send('one', call('raw', { text }), session)
    expect(answer.messages.map((message) => message.method ?? message.id)).toEqual([
      'notifications/message',
      2,
    ])
  })

  test('a batch of the child is taken apart', async () => {
    const session = await openSession(harness, 'one', 'bytes')
    const text =
      '[{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1.0}}, {"jsonrpc":"2.0","id":$ID,"result":{}}]'
    const events = eventsOf((await harness.send('one', call('raw', { text }), session)).text)
    expect(events).toEqual([
      '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1.0}}',
      '{"jsonrpc":"2.0","id":2,"result":{}}',
    ])
  })
})

describe('the form of the answer', () => {
  test('is JSON when the answer comes first', async () => {
    const answer = await harness.send('one', call('pid'), await openSession(harness, 'one', 'form'))
    expect(answer.headers['content-type']).toBe('application/json')
    expect(String(answer.headers['weir-queue-us'])).toMatch(/^\d+$/)
  })

  test('is a stream when something else comes first, opened at once', async () => {
    const session = await openSession(harness, 'one', 'form')
    const stream = await harness.open('one', call('ask', {}, 5), session)
    expect(stream.headers['content-type']).toBe('text/event-stream')
    const asked = JSON.parse((await stream.next()) ?? '')
    expect(asked.method).toBe('elicitation/create')
    await harness.send('one', { jsonrpc: '2.0', id: asked.id, result: { action: 'accept' } }, session)
    expect(JSON.parse((await stream.next()) ?? '')).toMatchObject({ id: 5 })
    expect(await stream.next()).toBeNull()
  })
})

describe('two sessions of one child', () => {
  test('use equal ids and tokens without meeting', async () => {
    const [a, b] = [await openSession(harness, 'one', 'twin'), await openSession(harness, 'one', 'twin')]
    const meta = { progressToken: 1 }
    const held = harness.send('one', call('hold', { who: 'a' }, 1, meta), a)
    await until(() => openCalls() === 1)
    const answer = await harness.send('one', call('progress', {}, 1, meta), b)
    expect(answer.messages.map((message) => message.params?.progress ?? message.id)).toEqual([1, 2, 1])
    await harness.send('one', call('release', {}, 2), b)
    expect((await held).messages).toMatchObject([{ id: 1, result: { content: [{ text: 'held' }] } }])
  })

  test('an id in use is refused within a session', async () => {
    const session = await openSession(harness, 'one', 'again')
    const held = harness.send('one', call('hold', {}, 1), session)
    await until(() => openCalls() === 1)
    expect((await harness.send('one', call('pid', {}, 1), session)).status).toBe(400)
    expect((await harness.send('one', call('pid', {}, '1'), session)).status).toBe(200)
    await harness.send('one', call('release', {}, 3), session)
    expect(textOf(await held)).toBe('held')
  })

  test('only the one that was asked may answer', async () => {
    const [a, b] = [await openSession(harness, 'one', 'asked'), await openSession(harness, 'one', 'asked')]
    const stream = await harness.open('one', call('ask', {}, 1), a)
    const { id } = JSON.parse((await stream.next()) ?? '')
    const forged = await harness.send('one', { jsonrpc: '2.0', id, result: { from: 'b' } }, b)
    expect(forged.status).toBe(202)
    expect(harness.host.metrics().servers.one!.answers_unmatched).toBeGreaterThan(0)
    await harness.send('one', { jsonrpc: '2.0', id, result: { from: 'a' } }, a)
    expect(await stream.next()).toContain('{\\"from\\":\\"a\\"}')
  })

  test('list changes reach each, once; resource updates those who subscribed', async () => {
    const [a, b] = [await openSession(harness, 'one', 'lists'), await openSession(harness, 'one', 'lists')]
    const [streamA, streamB] = [await harness.open('one', null, a), await harness.open('one', null, b)]
    await harness.send(
      'one',
      { jsonrpc: '2.0', id: 9, method: 'resources/subscribe', params: { uri: 'x:1' } },
      b,
    )
    const told = await harness.send(
      'one',
      call('tell', { method: 'notifications/resources/updated', params: { uri: 'x:1' } }),
      a,
    )
    expect(told.headers['content-type']).toBe('application/json')
    await harness.send('one', call('tell', { method: 'notifications/tools/list_changed' }), a)
    expect(JSON.parse((await streamA.next()) ?? '').method).toBe('notifications/tools/list_changed')
    expect(JSON.parse((await streamB.next()) ?? '').method).toBe('notifications/resources/updated')
    expect(JSON.parse((await streamB.next()) ?? '').method).toBe('notifications/tools/list_changed')
  })

  test('a resource stays subscribed until the last one leaves', async () => {
    const [a, b] = [await openSession(harness, 'one', 'subs'), await openSession(harness, 'one', 'subs')]
    const request = (method: string): object => ({
      jsonrpc: '2.0',
      id: method,
      method,
      params: { uri: 'x:1' },
    })
    for (const session of [a, b]) await harness.send('one', request('resources/subscribe'), session)
    const left = await harness.send('one', request('resources/unsubscribe'), a)
    expect(left.messages).toEqual([{ jsonrpc: '2.0', id: 'resources/unsubscribe', result: {} }])
    expect(textOf(await harness.send('one', call('seen'), a))).not.toContain('resources/unsubscribe')
    await harness.send('one', '', b, 'DELETE')
    expect(textOf(await harness.send('one', call('seen'), a))).toContain('resources/unsubscribe')
  })

  test('the child logs at the most verbose level, each gets its own', async () => {
    const [a, b] = [await openSession(harness, 'one', 'levels'), await openSession(harness, 'one', 'levels')]
    const level = (name: string): object => ({
      jsonrpc: '2.0',
      id: 8,
      method: 'logging/setLevel',
      params: { level: name },
    })
    await harness.send('one', level('debug'), a)
    await harness.send('one', level('error'), b)
    const seen = JSON.parse(textOf(await harness.send('one', call('seen'), a))) as string[]
    expect(
      seen.filter((line) => line.includes('setLevel')).map((line) => JSON.parse(line).params.level),
    ).toEqual(['debug', 'debug'])
    expect((await harness.send('one', call('log', { level: 'info' }), a)).messages).toHaveLength(2)
    expect((await harness.send('one', call('log', { level: 'info' }), b)).messages).toHaveLength(1)
    expect((await harness.send('one', call('log', { level: 'error' }), b)).messages).toHaveLength(2)
  })
})

describe('messages without an address', () => {
  test('go to the only open call', async () => {
    const session = await openSession(harness, 'one', 'only')
    const stream = await harness.open('one', null, session)
    const answer = await harness.send('one', call('log', { data: 'mine' }), session)
    expect(answer.messages[0]).toMatchObject({ method: 'notifications/message', params: { data: 'mine' } })
    stream.close()
    expect(await stream.next()).toBeNull()
  })

  test('go to the newest call of the session when it has several', async () => {
    const session = await openSession(harness, 'one', 'newest')
    const held = harness.send('one', call('hold', {}, 1), session)
    await until(() => openCalls() === 1)
    expect((await harness.send('one', call('log', {}, 2), session)).messages).toHaveLength(2)
    await harness.send('one', call('release', {}, 3), session)
    expect((await held).messages).toHaveLength(1)
  })

  test('go to the standalone stream when no call is open, and wait a moment for it', async () => {
    const session = await openSession(harness, 'one', 'wait')
    const text = '{"jsonrpc":"2.0","id":$ID,"result":{}}\n{"jsonrpc":"2.0","id":"r1","method":"roots/list"}'
    await harness.send('one', call('raw', { text }), session)
    const stream = await harness.open('one', null, session)
    expect(JSON.parse((await stream.next()) ?? '')).toEqual({
      jsonrpc: '2.0',
      id: 'r1',
      method: 'roots/list',
    })
    await harness.send('one', { jsonrpc: '2.0', id: 'r1', result: { roots: [] } }, session)
    await until(async () => textOf(await harness.send('one', call('seen'), session)).includes('roots\\":[]'))
  })

  test('a withdrawn question is withdrawn where it was asked', async () => {
    const session = await openSession(harness, 'one', 'withdraw')
    const stream = await harness.open('one', call('ask', { id: 77 }, 1), session)
    await stream.next()
    await harness.send(
      'one',
      call('tell', { method: 'notifications/cancelled', params: { requestId: 77 } }, 2),
      session,
    )
    expect(JSON.parse((await stream.next()) ?? '')).toMatchObject({
      method: 'notifications/cancelled',
      params: { requestId: 77 },
    })
    await harness.send('one', { jsonrpc: '2.0', id: 77, result: {} }, session)
    expect(textOf(await harness.send('one', call('seen', {}, 3), session))).not.toContain(
      '\\"id\\":77,\\"result',
    )
    await harness.send('one', '', session, 'DELETE')
  })

  test('late progress is counted and reaches nobody', async () => {
    const session = await openSession(harness, 'one', 'late')
    const before = lost().notifications
    expect(
      (await harness.send('one', call('late_progress', {}, 1, { progressToken: 1 }), session)).messages,
    ).toHaveLength(1)
    await until(() => lost().notifications === before + 1)
  })

  test('on a shared child they never cross from one principal to another', async () => {
    const a = await openSession(harness, 'shared', 'alice')
    const b = await openSession(harness, 'shared', 'bob')
    const streams = [await harness.open('shared', null, a), await harness.open('shared', null, b)]
    const held = harness.send('shared', call('hold', {}, 1), a)
    await until(() => openCalls('shared') === 1)
    const before = lost('shared')
    const asked = await harness.send('shared', call('ask', {}, 1), b)
    expect(textOf(asked)).toContain('"code":-32603')
    await harness.send('shared', call('log', { data: 'private' }, 2), b)
    expect(lost('shared')).toEqual({ requests: before.requests + 1, notifications: before.notifications + 1 })
    await harness.send('shared', call('release', {}, 3), b)
    expect((await held).messages).toHaveLength(1)
    for (const stream of streams) {
      stream.close()
      expect(await stream.next()).toBeNull()
    }
  })

  test('a ping of the child nobody can take is answered by the host', async () => {
    const a = await openSession(harness, 'shared', 'alice')
    const b = await openSession(harness, 'shared', 'bob')
    const held = harness.send('shared', call('hold', {}, 1), a)
    await until(() => openCalls('shared') === 1)
    expect(textOf(await harness.send('shared', call('ask', { method: 'ping' }, 1), b))).toBe('{}')
    await harness.send('shared', call('release', {}, 3), b)
    await held
  })
})

describe('cancelling', () => {
  test('names the call by the id the child knows, and ends the stream without an answer', async () => {
    const session = await openSession(harness, 'one', 'cancel')
    const held = harness.send('one', call('hold', {}, 'c1'), session)
    await until(() => openCalls() === 1)
    const params = { requestId: 'c1', reason: 'enough' }
    expect(
      (await harness.send('one', { jsonrpc: '2.0', method: 'notifications/cancelled', params }, session))
        .status,
    ).toBe(202)
    expect((await held).messages).toEqual([])
    expect(openCalls()).toBe(0)
    const seen = JSON.parse(textOf(await harness.send('one', call('seen'), session))).map((line: string) =>
      JSON.parse(line),
    )
    const sent = seen.find((m: { params?: { name?: string } }) => m.params?.name === 'hold')
    expect(seen.find((m: { method: string }) => m.method === 'notifications/cancelled').params).toEqual({
      ...params,
      requestId: sent.id,
    })
  })

  test('a late answer is dropped, and the id can be used again', async () => {
    const session = await openSession(harness, 'one', 'late-answer')
    const held = harness.send('one', call('hold', {}, 1), session)
    await until(() => openCalls() === 1)
    await harness.send(
      'one',
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } },
      session,
    )
    await held
    expect((await harness.send('one', call('release', {}, 1), session)).messages).toMatchObject([{ id: 1 }])
    expect(textOf(await harness.send('one', call('pid', {}, 1), session))).toMatch(/^\d+$/)
  })

  test('a client that leaves has not cancelled, and its call does not stay', async () => {
    const session = await openSession(harness, 'one', 'leave')
    const stream = await harness.open('one', call('ask', {}, 1), session)
    const { id } = JSON.parse((await stream.next()) ?? '')
    stream.close()
    expect(textOf(await harness.send('one', call('seen', {}, 2), session))).not.toContain('cancelled')
    await harness.send('one', { jsonrpc: '2.0', id, result: {} }, session)
    await until(() => openCalls() === 0)
  })
})
