/** Clients over HTTP+SSE (2024-11-05): who gets in, whose sessions are whose, and how it ends. The rest is in peers.test.ts. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { initialize, type OpenAnswer, open, send, toolCall } from '../support/client.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'
import { type Observed, startObserved } from './support/observed.ts'

const sha256 = (key: string): string => createHash('sha256').update(key).digest('hex')
const ALICE = { authorization: 'Bearer alice-key' }
const BOB = { authorization: 'Bearer bob-key' }
let upstream: UpstreamStub
let weir: Observed
let at: string

beforeAll(async () => {
  upstream = await startUpstream({ sessions: true })
  weir = await startObserved({
    callers: {
      alice: { keys: [{ sha256: sha256('alice-key') }] },
      bob: { keys: [{ sha256: sha256('bob-key') }] },
    },
    servers: { stub: { url: upstream.url, era: 'legacy' }, other: { url: upstream.url, era: 'legacy' } },
  })
  at = `${weir.url}/servers/stub`
})
afterAll(async () => {
  await weir?.stop()
  await upstream?.end()
})

async function session(headers = ALICE): Promise<{ stream: OpenAnswer; endpoint: string }> {
  const stream = await open(`${at}/sse`, { headers })
  const path = await waitFor(
    'the endpoint is named',
    () => /event: endpoint\ndata: (\S+)\n/.exec(stream.text())?.[1],
  )
  return { stream, endpoint: new URL(path, weir.url).href }
}

test('a message is taken with 202, and answered on the stream as an event named message', async () => {
  const { stream, endpoint } = await session()
  expect((await send(endpoint, initialize('s-open'), { headers: ALICE })).status).toBe(202)
  await waitFor('the answer', () => stream.text().includes('"s-open"'))
  await send(endpoint, toolCall('s-1', 'echo', { text: 'hi' }), { headers: ALICE })
  await waitFor('the answer', () => /event: message\ndata: .*"s-1"/.test(stream.text()))
  stream.close()
  const [row] = await weir.events("request_id = 's-1'")
  expect(row).toMatchObject({
    transport: 'sse',
    outcome: 'ok',
    caller: 'alice',
    endpoint: '/servers/stub/mcp',
  })
})

test('a session is its caller’s and its endpoint’s; others learn nothing of it', async () => {
  const { stream, endpoint } = await session()
  expect((await send(endpoint, initialize('x'), { headers: BOB })).status).toBe(404)
  expect((await send(endpoint.replace('stub', 'other'), initialize('x'), { headers: ALICE })).status).toBe(
    404,
  )
  expect((await send(endpoint, initialize('x'), {})).status).toBe(401)
  expect((await send(`${at}/message?sessionId=w1.00`, initialize('x'), { headers: ALICE })).status).toBe(404)
  expect((await send(`${at}/message`, initialize('x'), { headers: ALICE })).status).toBe(404)
  expect((await send(endpoint, 'x', { headers: { ...ALICE, 'content-type': 'text/plain' } })).status).toBe(
    415,
  )
  // Each of them has left an event, whoever it was.
  const rows = await weir.events("transport = 'sse' AND kind = 'unreadable'", 6)
  expect(rows.map((r) => [r.error_type, r.http_status, r.caller, r.endpoint])).toEqual([
    ['session_unknown', 404, 'bob', '/servers/stub/mcp'],
    ['session_unknown', 404, 'alice', '/servers/other/mcp'],
    ['unauthenticated', 401, '', '/servers/stub/mcp'],
    ['session_unknown', 404, 'alice', '/servers/stub/mcp'],
    ['session_unknown', 404, 'alice', '/servers/stub/mcp'],
    ['content_type', 415, 'alice', '/servers/stub/mcp'],
  ])
  stream.close()
  await waitFor(
    'it ends with its stream',
    async () => (await send(endpoint, initialize('x'), { headers: ALICE })).status === 404,
  )
})

test('paths and methods that are not there are refused like any other', async () => {
  expect((await open(`${at}/sse`, {})).status).toBe(401)
  expect((await open(`${weir.url}/servers/nobody/sse`, { headers: ALICE })).status).toBe(404)
  expect((await send(`${at}/sse`, initialize('x'), { headers: ALICE })).status).toBe(404)
})

test('a drain lets the call finish and then ends the stream', async () => {
  const { stream, endpoint } = await session()
  await send(endpoint, initialize('d-open'), { headers: ALICE })
  await waitFor('the answer', () => stream.text().includes('"d-open"'))
  await send(endpoint, toolCall('d-held', 'held'), { headers: ALICE })
  await waitFor('the call is with the server', async () => (await upstream.seen()).held === 1)
  weir.weir.signal('worker', 'SIGTERM')
  await new Promise((resolve) => setTimeout(resolve, 300))
  await upstream.release()
  await stream.ended
  expect(stream.text()).toContain('"d-held"')
  expect((await weir.events("request_id = 'd-held'"))[0]).toMatchObject({ outcome: 'ok' })
})
