/** Pages of other origins: what a browser may ask, send and read, as bytes on sockets. A real one is in browser.test.ts. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { initialize, open, send } from '../support/client.ts'
import { waitFor } from '../support/wait.ts'
import { type Observed, startObserved } from './support/observed.ts'
import { exchange, post, type RawAnswer, type RawServer, sized, startRawServer } from './support/raw.ts'
import { type StubServer, startStub } from './support/stub-server.ts'

const APP = 'https://app.example'
const KEY = 'Authorization: Bearer key-of-the-page'
const LIST = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
const FOREIGN_WORDS = [
  'Access-Control-Allow-Origin: *',
  'Access-Control-Allow-Credentials: true',
  'Access-Control-Expose-Headers: x-secret',
  'Vary: Accept',
]

let raw: RawServer
let stub: StubServer
let weir: Observed

beforeAll(async () => {
  raw = await startRawServer(() =>
    sized('200 OK', 'application/json', '{"jsonrpc":"2.0","id":1,"result":{}}', FOREIGN_WORDS),
  )
  stub = await startStub()
  weir = await startObserved({
    workers: 2,
    callers: { page: { keys: [{ sha256: createHash('sha256').update('key-of-the-page').digest('hex') }] } },
    servers: { raw: { url: `http://127.0.0.1:${raw.port}/` }, stub: { url: stub.url, era: 'legacy' } },
    http: { allowed_origins: [APP], body_max_bytes: 10_000 },
  })
})
afterAll(async () => {
  await weir?.stop()
  await raw?.close()
  await stub?.close()
})

const ask = (line: string, headers: readonly string[]): Promise<RawAnswer> =>
  exchange(weir.port, [
    `${line} HTTP/1.1\r\n${['Host: localhost', ...headers].map((h) => `${h}\r\n`).join('')}\r\n`,
  ])
const preflight = (path: string, origin: string, headers = 'content-type'): Promise<RawAnswer> =>
  ask(`OPTIONS ${path}`, [
    `Origin: ${origin}`,
    'Access-Control-Request-Method: POST',
    `Access-Control-Request-Headers: ${headers}`,
  ])
/** All values of a header. */
const all = (answer: RawAnswer, name: string): string[] =>
  answer.headers.filter(([n]) => n === name).map(([, value]) => value)
const corsOf = (answer: RawAnswer): string[] =>
  answer.headers.map(([name]) => name).filter((name) => name.startsWith('access-control-'))

describe('a preflight', () => {
  const PATHS = ['/mcp', '/sse', '/message', '/servers/raw/mcp', '/servers/raw/sse', '/servers/raw/message']

  // A server that does not exist is answered like one that does: no key is shown here.
  test.each([...PATHS, '/servers/none/mcp'])('to %s says what may be sent', async (path) => {
    const answer = await preflight(path, APP)
    expect([answer.status, answer.body.length]).toEqual([204, 0])
    expect(all(answer, 'access-control-allow-origin')).toEqual([APP])
    expect(all(answer, 'access-control-allow-methods')).toEqual(['GET, POST, DELETE'])
    expect(all(answer, 'access-control-allow-headers')[0]!.split(', ')).toEqual([
      'content-type',
      'accept',
      'authorization',
      'mcp-protocol-version',
      'mcp-method',
      'mcp-name',
      'mcp-session-id',
      'last-event-id',
      'traceparent',
      'tracestate',
      'baggage',
      'x-weir-agent',
      'x-weir-run',
      'x-weir-project',
    ])
    expect(Number(all(answer, 'access-control-max-age')[0])).toBeGreaterThan(0)
    expect(all(answer, 'access-control-allow-credentials')).toEqual([])
    expect(all(answer, 'vary')).toEqual(['Origin'])
  })

  test('allows the headers that are named after arguments, and none that only look so', async () => {
    const asked = 'Mcp-Param-City, mcp-param-é, mcp-param-, x-other,mcp-param-a:b, mcp-param-region'
    const answer = await preflight('/mcp', APP, asked)
    const extra = all(answer, 'access-control-allow-headers')[0]!.split(', ').slice(14)
    expect(extra).toEqual(['mcp-param-city', 'mcp-param-region'])
  })

  test('of a page on this machine is answered, as its calls are', async () => {
    const answer = await preflight('/mcp', 'http://localhost:6274')
    expect(all(answer, 'access-control-allow-origin')).toEqual(['http://localhost:6274'])
  })

  test.each(['https://evil.example', 'null', 'http://app.example', 'https://app.example.evil.example'])(
    'of %s is refused and told nothing',
    async (origin) => {
      const answer = await preflight('/mcp', origin)
      expect([answer.status, corsOf(answer)]).toEqual([403, []])
    },
  )

  test('that is none is what it was: a method that is not there, or a path', async () => {
    const bare = await ask('OPTIONS /mcp', [KEY])
    expect([bare.status, corsOf(bare)]).toEqual([405, []])
    expect((await ask('OPTIONS /mcp', [KEY, `Origin: ${APP}`])).status).toBe(405)
    expect((await preflight('/healthz', APP)).status).toBe(404)
    expect((await preflight('/servers/a/b/mcp', APP)).status).toBe(401)
  })
})

describe('an answer', () => {
  const call = (path: string, body: string, ...headers: string[]): Promise<RawAnswer> =>
    exchange(weir.port, [post(path, weir.port, body, headers)])
  const ORIGIN = `Origin: ${APP}`

  test('can be read by the page, and the words of the server behind do not count', async () => {
    const answer = await call('/servers/raw/mcp', LIST, KEY, ORIGIN)
    expect(answer.status).toBe(200)
    expect(all(answer, 'access-control-allow-origin')).toEqual([APP])
    expect(all(answer, 'access-control-expose-headers')).toEqual(['mcp-session-id, www-authenticate'])
    expect(all(answer, 'access-control-allow-credentials')).toEqual([])
    expect(all(answer, 'vary')).toEqual(['Accept, Origin'])
  })

  test('to a program is untouched', async () => {
    const answer = await call('/servers/raw/mcp', LIST, KEY)
    expect(corsOf(answer)).toEqual(FOREIGN_WORDS.slice(0, 3).map((w) => w.split(':')[0]!.toLowerCase()))
    expect(all(answer, 'vary')).toEqual(['Accept'])
    expect(corsOf(await call('/mcp', LIST, KEY))).toEqual([])
  })

  const ERRORS: [number, string, () => Promise<RawAnswer>][] = [
    [401, 'without a key', () => call('/mcp', LIST, ORIGIN)],
    [404, 'at no server', () => call('/servers/none/mcp', LIST, KEY, ORIGIN)],
    [404, 'of no session', () => call('/mcp', LIST, KEY, ORIGIN, 'Mcp-Session-Id: x')],
    [400, 'that is no JSON', () => call('/mcp', 'what', KEY, ORIGIN)],
    [400, 'of an empty batch', () => call('/mcp', '[]', KEY, ORIGIN)],
    [413, 'that is too large', () => call('/mcp', 'x'.repeat(20_000), KEY, ORIGIN)],
    [405, 'by another method', () => ask('PUT /mcp', [KEY, ORIGIN])],
    [
      405,
      'for a stream without a session',
      () => ask('GET /mcp', [KEY, ORIGIN, 'Accept: text/event-stream']),
    ],
    [406, 'for a stream of something else', () => ask('GET /mcp', [KEY, ORIGIN, 'Accept: text/html'])],
    [404, 'to no SSE session', () => call('/message?sessionId=w1.00', LIST, KEY, ORIGIN)],
  ]
  test.each(ERRORS)('%i %s can be read too', async (status, _name, act) => {
    const answer = await act()
    expect(answer.status).toBe(status)
    expect(all(answer, 'access-control-allow-origin')).toEqual([APP])
    expect(all(answer, 'access-control-expose-headers')).toHaveLength(1)
    expect(all(answer, 'vary')).toEqual(['Origin'])
  })

  test('to a page that is not admitted says nothing but 403', async () => {
    const answer = await call('/servers/raw/mcp', LIST, KEY, 'Origin: https://evil.example')
    expect([answer.status, corsOf(answer), all(answer, 'vary')]).toEqual([403, [], []])
  })

  test('says it once, also when another worker gave it, and on streams', async () => {
    const page = { authorization: 'Bearer key-of-the-page', origin: APP }
    const hello = await send(`${weir.url}/mcp`, initialize('hello'), { headers: page })
    const id = String(hello.headers['mcp-session-id'])
    for (let i = 0; i < 6; i++) {
      const answer = await call('/mcp', LIST, KEY, ORIGIN, `Mcp-Session-Id: ${id}`)
      expect(answer.status).toBe(200)
      for (const name of ['access-control-allow-origin', 'access-control-expose-headers', 'vary'])
        expect(all(answer, name)).toHaveLength(1)
    }
    for (const path of ['/mcp', '/sse', '/servers/stub/sse']) {
      const headers = { ...page, ...(path === '/mcp' ? { 'mcp-session-id': id } : {}) }
      const stream = await open(weir.url + path, { headers })
      expect([stream.status, stream.res.headers['access-control-allow-origin']]).toEqual([200, APP])
      stream.close()
    }
    const batch = await call('/mcp', `[${LIST}]`, KEY, ORIGIN, `Mcp-Session-Id: ${id}`, 'Connection: close')
    expect(all(batch, 'access-control-allow-origin')).toEqual([APP])
  })
})

test('a preflight leaves no event; what it allowed does', async () => {
  const count = async (): Promise<number> => {
    await weir.settled()
    return (await weir.events('1', 0)).length
  }
  const before = await count()
  await preflight('/mcp', APP)
  await preflight('/mcp', 'https://evil.example')
  await exchange(weir.port, [post('/servers/raw/mcp', weir.port, LIST, [KEY, `Origin: ${APP}`])])
  await waitFor('the call is a row', async () => (await count()) > before)
  expect(await count()).toBe(before + 1)
})
