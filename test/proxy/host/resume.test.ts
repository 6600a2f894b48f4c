/** Streams that broke: what a legacy client gets when it comes back with the id of the last event it saw. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { call, fixture, type Harness, openSession, type Stream, startHost, until } from './harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHost({ one: fixture([], { processes_max: 100 }) })
})
afterAll(() => harness.close())

const TOKEN = { progressToken: 'T' }
type Headers = Record<string, string>
const resume = (session: Headers, id: string): Promise<Stream> =>
  harness.open('one', null, { ...session, 'last-event-id': id })
const rest = async (stream: Stream): Promise<string[]> => {
  const seen: string[] = []
  for (let text = await stream.next(); text !== null; text = await stream.next()) {
    const message = JSON.parse(text)
    seen.push(message.params?.progress ?? message.result?.content[0].text ?? message.method)
  }
  return seen
}
/** A call that has said one thing and is not answered. */
const begin = async (session: Headers, id: unknown = 1): Promise<Stream> => {
  const stream = await harness.open('one', call('steps', {}, id, TOKEN), session)
  expect(JSON.parse((await stream.next()) ?? '').params.progress).toBe(1)
  return stream
}
const release = (session: Headers): Promise<unknown> =>
  harness.send('one', call('release', {}, 'release'), session)
const callsOpen = (): number => harness.host.metrics().servers.one!.calls_open

describe('a call whose client lost the connection', () => {
  test('goes on, and its answer waits', async () => {
    const session = await openSession(harness, 'one', 'waits')
    const broken = await begin(session)
    broken.close()
    await release(session)
    await until(() => callsOpen() === 0)
    expect(await rest(await resume(session, broken.lastId()))).toEqual([2, 'done'])
    // What has arrived is not sent again.
    const half = await resume(session, broken.lastId())
    await half.next()
    const ids = [...half.raw().matchAll(/^id: (.*)$/gm)].map((m) => m[1]!)
    expect(await rest(await resume(session, ids[0]!))).toEqual(['done'])
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('gives the rest as it comes when it is not answered yet, and then the stream ends', async () => {
    const session = await openSession(harness, 'one', 'live')
    const broken = await begin(session)
    broken.close()
    const resumed = await resume(session, broken.lastId())
    expect([resumed.status, resumed.headers['content-type']]).toEqual([200, 'text/event-stream'])
    expect(callsOpen()).toBe(1)
    await release(session)
    expect(await rest(resumed)).toEqual([2, 'done'])
  })

  test('gives nothing of other streams', async () => {
    const session = await openSession(harness, 'one', 'apart')
    const standing = await harness.open('one', null, session)
    const [a, b] = [await begin(session, 'a'), await begin(session, 'b')]
    a.close()
    await harness.send('one', call('tell', { method: 'notifications/tools/list_changed' }, 't'), session)
    await release(session)
    expect(await rest(b)).toEqual([2, 'done'])
    const resumed = await resume(session, a.lastId())
    expect(await rest(resumed)).toEqual([2, 'done'])
    expect(resumed.raw()).toContain('"id":"a"')
    expect(await standing.next()).toContain('list_changed')
    standing.close()
  })

  test('is read by whoever came last', async () => {
    const session = await openSession(harness, 'one', 'taken')
    const first = await begin(session)
    const second = await resume(session, first.lastId())
    expect(await first.next()).toBeNull()
    await release(session)
    expect(await rest(second)).toEqual([2, 'done'])
  })

  test('is resumed in no other session, and by no other caller', async () => {
    const mine = await openSession(harness, 'one', 'mine')
    const broken = await begin(mine)
    broken.close()
    const other = await openSession(harness, 'one', 'mine')
    expect((await resume(other, broken.lastId())).status).toBe(400)
    expect((await resume({ ...mine, 'weir-principal': 'theirs' }, broken.lastId())).status).toBe(404)
    await release(mine)
  })
})

describe('ids', () => {
  test('that lead nowhere are refused, without saying that the session is over', async () => {
    const session = await openSession(harness, 'one', 'nowhere')
    const { status } = await resume(session, 'abc')
    expect(status).toBe(400)
    const { messages } = await harness.send('one', '', { ...session, 'last-event-id': 'x-1-2' }, 'GET')
    expect(messages[0]!.error.data.weir).toBe('event_unknown')
    expect((await harness.send('one', call('pid'), session)).status).toBe(200)
  })

  test('of the last event of a stream tell the client to stop asking', async () => {
    const session = await openSession(harness, 'one', 'over')
    const stream = await begin(session)
    await release(session)
    await rest(stream)
    const over = await harness.send('one', '', { ...session, 'last-event-id': stream.lastId() }, 'GET')
    expect([over.status, over.messages[0]!.error.data.weir]).toEqual([405, 'stream_over'])
  })

  test.each([
    ['2025-11-25', true],
    ['2025-06-18', false],
    ['2025-03-26', false],
  ])('%s: streams begin with an event without data: %s', async (protocolVersion, isPrimed) => {
    const session = {
      ...(await openSession(harness, 'one', `primed-${protocolVersion}`, { protocolVersion })),
      'mcp-protocol-version': protocolVersion,
    }
    const stream = await begin(session)
    const standing = await harness.open('one', null, session)
    await harness.send('one', call('tell', { method: 'notifications/tools/list_changed' }, 't'), session)
    await standing.next()
    for (const one of [stream, standing]) {
      expect(/^id: \S+\nretry: \d+\ndata: \n\nevent/.test(one.raw())).toBe(isPrimed)
      expect(one.raw()).toMatch(/event: message\nid: \S+\ndata: \{/)
      expect(/^data: $/m.test(one.raw())).toBe(isPrimed)
    }
    standing.close()
    await release(session)
  })

  test('are not given to the roof, nor where the answer is plain', async () => {
    const session = await openSession(harness, 'one', 'plain')
    const plain = await harness.send('one', call('pid'), session)
    expect(plain.headers['content-type']).toBe('application/json')
    const opened = await harness.send(
      'one',
      {
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-11-25', capabilities: {} },
      },
      { 'weir-principal': 'roof', 'weir-roof': '1' },
    )
    const headers = { 'weir-principal': 'roof', 'mcp-session-id': String(opened.headers['mcp-session-id']) }
    expect((await harness.send('one', call('progress', {}, 1, TOKEN), headers)).text).not.toContain('id: ')
  })
})

describe('the standalone stream', () => {
  test('gives what was told while nobody read it, then goes on', async () => {
    const session = await openSession(harness, 'one', 'standing')
    const tell = (n: number): Promise<unknown> =>
      harness.send('one', call('tell', { method: `notifications/n${n}/list_changed` }, n), session)
    const broken = await harness.open('one', null, session)
    await tell(1)
    expect(await broken.next()).toContain('n1')
    const seen = broken.lastId()
    await tell(2)
    await broken.next()
    broken.close()
    await tell(3)
    const resumed = await resume(session, seen)
    expect(await resumed.next()).toContain('n2')
    expect(await resumed.next()).toContain('n3')
    await tell(4)
    expect(await resumed.next()).toContain('n4')
    resumed.close()
  })
})
