import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openGuard } from '../../../collector/api/guard.ts'
import { openSlots } from '../../../collector/api/slots.ts'
import { openLog } from '../../../collector/log.ts'
import { type Collector, openCollector } from '../../../collector/wire.ts'
import { makeEvent, newBatchId, segmentOf, sendBatch } from '../support/events.ts'
import { collectorOptions } from '../support/processes.ts'

let collector: Collector
/** Nothing listens there. */
const NOWHERE = 'http://127.0.0.1:9'

beforeAll(async () => {
  collector = await openCollector(
    collectorOptions(NOWHERE),
    openLog('error', () => {}),
  )
})
afterAll(() => collector.drain())

const ask = (
  path: string,
  headers: Record<string, string>,
): Promise<{ status: number; body: string; headers: object }> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(collector.address)
    request({ host: hostname, port, path, headers }, (response) => {
      let body = ''
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode!, body, headers: response.headers }))
    })
      .on('error', reject)
      .end()
  })

describe('a page in a browser cannot use a service on loopback', () => {
  test.each(['/healthz', '/readyz', '/metrics', '/v1/traces', '/nowhere'])(
    '%s refuses a foreign Host',
    async (path) => {
      expect(await ask(path, { host: 'evil.example:7333' })).toMatchObject({ status: 403 })
      expect(await ask(path, { host: '127.0.0.1.evil.example' })).toMatchObject({ status: 403 })
    },
  )
  test('a foreign Origin is refused, a loopback one is not, and nobody gets CORS headers', async () => {
    expect(await ask('/healthz', { host: 'localhost', origin: 'https://evil.example' })).toMatchObject({
      status: 403,
    })
    expect(await ask('/healthz', { host: 'localhost', origin: 'null' })).toMatchObject({ status: 403 })
    const answer = await ask('/healthz', { host: 'localhost:7333', origin: 'http://localhost:3000' })
    expect(answer.status).toBe(200)
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
  })
})

describe('without a store', () => {
  test('it lives, says it is not ready, and asks senders to come again', async () => {
    expect(await ask('/healthz', { host: 'localhost' })).toMatchObject({ status: 200 })
    const ready = await ask('/readyz', { host: 'localhost' })
    expect(ready.status).toBe(503)
    expect(JSON.parse(ready.body)).toMatchObject({
      ready: false,
      parts: { store: { ok: false }, schema: { ok: false } },
    })
    const sent = await sendBatch(collector.address, newBatchId(), segmentOf([makeEvent()]))
    expect(sent).toMatchObject({
      status: 503,
      retryAfter: expect.any(String),
      body: { error: { code: 'store_unavailable' } },
    })
  })
  test('the wrong token is refused before anything else', async () => {
    expect(
      await sendBatch(collector.address, newBatchId(), segmentOf([makeEvent()]), { token: '' }),
    ).toMatchObject({ status: 401 })
  })
  test('an unknown path is told in the same shape', async () => {
    const answer = await ask('/nowhere', { host: 'localhost' })
    expect(JSON.parse(answer.body)).toMatchObject({ error: { code: 'path_unknown' } })
  })
})

type Request = Parameters<ReturnType<typeof openGuard>['checkCaller']>[0]
const from = (remoteAddress: string, headers: Record<string, string> = {}): Request =>
  ({
    headers: { host: 'weir.internal', ...headers },
    raw: { socket: { remoteAddress } },
  }) as unknown as Request
const options = {
  listen: '0.0.0.0:7333',
  intake_token: 'a-long-enough-token',
  caller_keys: [] as string[],
  allowed_hosts: [],
  allowed_origins: [],
}
const keyHash = createHash('sha256').update('key-1').digest('hex')

test('without keys OTLP is for this machine, with keys for their holders', () => {
  const open = openGuard(options)
  expect(() => open.checkCaller(from('127.0.0.1'))).not.toThrow()
  expect(() => open.checkCaller(from('::ffff:127.0.0.1'))).not.toThrow()
  expect(() => open.checkCaller(from('10.0.0.1'))).toThrow()
  expect(() => open.checkCaller(from('127.0.0.1', { 'x-forwarded-for': '10.0.0.1' }))).toThrow()
  const keyed = openGuard({ ...options, caller_keys: [keyHash] })
  expect(() => keyed.checkCaller(from('127.0.0.1'))).toThrow()
  expect(() => keyed.checkCaller(from('10.0.0.1', { authorization: 'Bearer key-1' }))).not.toThrow()
  expect(() => keyed.checkCaller(from('10.0.0.1', { authorization: 'Bearer key-2' }))).toThrow()
  expect(() => keyed.checkCaller(from('10.0.0.1', { authorization: `Bearer ${keyHash}` }))).toThrow()
  expect(() => keyed.checkReader(from('127.0.0.1'))).not.toThrow()
  expect(() => keyed.checkReader(from('10.0.0.1'))).toThrow()
})

test('a key that has run out opens nothing, and callers without keys do not open the door again', () => {
  const bearer = { authorization: 'Bearer key-1' }
  const until = (ms: number) =>
    openGuard({ ...options, caller_keys: [keyHash], key_expiries: { [keyHash]: Date.now() + ms } })
  expect(() => until(60_000).checkCaller(from('10.0.0.1', bearer))).not.toThrow()
  expect(() => until(60_000).checkConsole(from('10.0.0.1'), { digest: keyHash })).not.toThrow()
  expect(() => until(-1).checkCaller(from('10.0.0.1', bearer))).toThrow()
  expect(() => until(-1).checkReader(from('10.0.0.1', bearer))).toThrow()
  expect(() => until(-1).checkConsole(from('10.0.0.1'), { digest: keyHash })).toThrow()
  expect(() => openGuard({ ...options, has_callers: true }).checkCaller(from('127.0.0.1'))).toThrow()
})

test('an empty intake token lets nobody in', () => {
  const guard = openGuard({ ...options, intake_token: '' })
  expect(() => guard.checkIntake(from('127.0.0.1', { authorization: 'Bearer ' }))).toThrow()
  expect(() => guard.checkIntake(from('127.0.0.1'))).toThrow()
})

test('a listener for others takes any name until the operator lists them', () => {
  expect(() => openGuard(options).checkOrigin(from('10.0.0.1'))).not.toThrow()
  expect(() =>
    openGuard({ ...options, allowed_hosts: ['other.internal'] }).checkOrigin(from('10.0.0.1')),
  ).toThrow()
  expect(() =>
    openGuard({ ...options, allowed_hosts: ['weir.internal'] }).checkOrigin(from('10.0.0.1')),
  ).not.toThrow()
})

test('the public name of the console is ours, and yet does not tell who sits at this machine', () => {
  const login = { public_url: 'https://weir.example.com', issuers: [], callers: {} }
  const guard = openGuard({ ...options, listen: '127.0.0.1:7333', login })
  const asked = (host: string): Request => from('127.0.0.1', { host })
  expect(() => guard.checkOrigin(asked('weir.example.com'))).not.toThrow()
  expect(() => guard.checkOrigin(asked('evil.example.com'))).toThrow()
  expect(() => guard.checkConsole(asked('weir.example.com'), null)).toThrow()
  expect(() => guard.checkConsole(asked('localhost'), null)).not.toThrow()
})

test('places for bodies are given in turn, and beyond the queue nobody waits', async () => {
  const slots = openSlots(1, 1)
  const first = await slots.take()
  const second = slots.take()
  await expect(slots.take()).rejects.toMatchObject({ status: 503 })
  first()
  first()
  const release = await second
  expect(slots.inUse).toBe(1)
  release()
  expect(slots.inUse).toBe(0)
})
