import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  call,
  fixture,
  type Harness,
  INITIALIZED,
  initialize,
  isRunning,
  openSession,
  startHost,
  textOf,
  until,
} from './harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHost({
    caller: fixture([], { processes_max: 32 }),
    shared: fixture([], { isolation: 'shared' }),
    session: fixture([], { isolation: 'session' }),
    idle: fixture([], { idle_timeout_ms: 1000 }),
    two: fixture([], { processes_max: 2 }),
  })
})
afterAll(() => harness.close())

const pid = async (name: string, principal: string, more: object = {}): Promise<string> =>
  textOf(await harness.send(name, call('pid'), await openSession(harness, name, principal, more)))

test('caller: sessions of one principal share a child, others get their own', async () => {
  const alice = await pid('caller', 'alice')
  expect(await pid('caller', 'alice')).toBe(alice)
  expect(await pid('caller', 'bob')).not.toBe(alice)
})

test('caller: a client that can be asked gets a child of its own, for each session', async () => {
  const asked = { capabilities: { sampling: {} } }
  expect(await pid('caller', 'dora', asked)).not.toBe(await pid('caller', 'dora', asked))
})

test('caller: other capabilities or another version are another child, the order of keys is not', async () => {
  const plain = await pid('caller', 'carol', {
    capabilities: { tasks: {}, experimental: { tools: {}, context: {} } },
  })
  expect(
    await pid('caller', 'carol', { capabilities: { experimental: { context: {}, tools: {} }, tasks: {} } }),
  ).toBe(plain)
  expect(await pid('caller', 'carol', { capabilities: { tasks: {} } })).not.toBe(plain)
  expect(await pid('caller', 'carol', { protocolVersion: '2025-06-18' })).not.toBe(
    await pid('caller', 'carol'),
  )
})

test('shared: all principals are on one child, but sessions stay theirs', async () => {
  expect(await pid('shared', 'alice')).toBe(await pid('shared', 'bob'))
  const session = await openSession(harness, 'shared', 'alice')
  expect((await harness.send('shared', call('pid'), { ...session, 'weir-principal': 'bob' })).status).toBe(
    404,
  )
})

test('session: every session has a child, which ends with it at once', async () => {
  const session = await openSession(harness, 'session', 'alice')
  const first = textOf(await harness.send('session', call('pid'), session))
  expect(await pid('session', 'alice')).not.toBe(first)
  await harness.send('session', '', session, 'DELETE')
  await until(() => !isRunning(Number(first)))
})

test('sessions that start at the same time share one new child', async () => {
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => harness.send('caller', initialize(), { 'weir-principal': 'rush' })),
  )
  const names = new Set(answers.map((answer) => answer.messages[0]!.result.serverInfo.name))
  expect(names.size).toBe(1)
})

test('a child nobody uses is ended after its idle time, a session too, but not while a stream is open', async () => {
  const kept = await openSession(harness, 'idle', 'kept')
  const stream = await harness.open('idle', null, kept)
  const left = await openSession(harness, 'idle', 'left')
  const left_pid = Number(textOf(await harness.send('idle', call('pid'), left)))
  await until(() => !isRunning(left_pid))
  expect((await harness.send('idle', call('pid'), left)).status).toBe(404)
  expect((await harness.send('idle', call('pid'), kept)).status).toBe(200)
  stream.close()
})

test('the cap holds: a new child must wait for an idle one to leave, or is refused', async () => {
  const sessions = [await openSession(harness, 'two', 'a'), await openSession(harness, 'two', 'b')]
  const refused = await harness.send('two', initialize({}, 'r'), { 'weir-principal': 'c' })
  expect([refused.status, refused.headers['retry-after'], refused.messages[0]!.id]).toEqual([503, '1', 'r'])
  expect(refused.messages[0]!.error.data.weir).toBe('processes_max')
  await harness.send('two', '', sessions[0]!, 'DELETE')
  const next = await harness.send('two', initialize(), { 'weir-principal': 'c' })
  expect(next.status).toBe(200)
  expect(harness.host.metrics().servers.two!.processes).toMatchObject({ busy: 0, idle: 2, starting: 0 })
  const waiting = await Promise.all(
    ['d', 'e', 'f'].map((p) => harness.send('two', initialize(), { 'weir-principal': p })),
  )
  expect(waiting.map((answer) => answer.status)).toEqual([503, 503, 503])
})

test("a session's first message may come before another's initialized: the child is still initialized first", async () => {
  const who = { 'weir-principal': 'order' }
  const first = await harness.send('caller', initialize(), who)
  const second = await harness.send('caller', initialize(), who)
  const of = (answer: typeof first): Record<string, string> => ({
    ...who,
    'mcp-session-id': String(answer.headers['mcp-session-id']),
  })
  await harness.send('caller', INITIALIZED, of(second))
  const seen = JSON.parse(textOf(await harness.send('caller', call('seen'), of(second)))) as string[]
  await harness.send('caller', INITIALIZED, of(first))
  expect(seen.map((line) => JSON.parse(line).method)).toEqual([
    'initialize',
    'notifications/initialized',
    'tools/call',
  ])
})
