/** Limits of a fleet: two proxies of two workers each, one real redis-server, which is frozen, killed and started again. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, callTool, open, toolCall } from '../support/client.ts'
import { startWeir, type Weir } from '../support/installation.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'

let redis: RedisServer
let upstream: UpstreamStub
const weirs: Weir[] = []

const config = (more: { store?: object; instance: string }): Record<string, unknown> => ({
  workers: 2,
  instance: more.instance,
  collector: { url: 'http://127.0.0.1:9', token: 'token-of-a-collector-that-is-away' },
  spool: { segment_age_ms: 600_000 },
  servers: Object.fromEntries(
    ['exact', 'pace', 'three', 'kept', 'frozen', 'fresh', 'burst'].map((name) => [
      name,
      { url: upstream.url, era: 'legacy', price: { per_call_usd: 1 } },
    ]),
  ),
  limits: [
    { name: 'exact', quota: '15/day', servers: ['exact'] },
    { name: 'pace', rate: '20/s', burst: 5, servers: ['pace'] },
    { name: 'three', concurrency: 3, servers: ['three'] },
    { name: 'kept', spend_usd: '20/month', servers: ['kept'] },
    { name: 'frozen', quota: '10000/day', servers: ['frozen'] },
    { name: 'burst', rate: '10/h', burst: 40, servers: ['burst'] },
  ],
  limits_store: { redis: { url: redis.url, timeout_ms: 500, share: 0.5, ...more.store } },
})

const startProxy = async (instance: string, store?: object): Promise<Weir> => {
  const weir = await startWeir({ verb: 'proxy', config: config({ instance, ...(store ? { store } : {}) }) })
  weirs.push(weir)
  return weir
}
const isUp = async (weir: Weir, up: 0 | 1): Promise<void> =>
  void (await waitFor(
    `Redis is ${up ? '' : 'not '}up`,
    async () => (await weir.metric('weir_limits_store_up')) === up,
  ))

let a: Weir
let b: Weir
beforeAll(async () => {
  ;[redis, upstream] = await Promise.all([startRedis(), startUpstream({ sessions: true })])
  ;[a, b] = await Promise.all([startProxy('a'), startProxy('b')])
  await Promise.all([isUp(a, 1), isUp(b, 1)])
}, 120_000)
afterAll(async () => {
  for (const weir of weirs) await weir.remove()
  redis?.thaw()
  await redis?.kill()
  await upstream?.end()
})

let n = 0
const call = (weir: Weir, server: string, tool = 'echo'): Promise<Answer> =>
  callTool(`${weir.addresses.proxy}/servers/${server}/mcp`, `${server}-${n++}`, tool)
const repeat = (calls: number, act: (i: number) => Promise<Answer>): Promise<Answer[]> =>
  Promise.all(Array.from({ length: calls }, (_, i) => act(i)))
const passed = (answers: readonly Answer[]): number => answers.filter((one) => one.message?.result).length

describe('while Redis is well', () => {
  test('a quota is exact over proxies and workers', async () => {
    expect(passed(await repeat(60, (i) => call(i % 2 ? a : b, 'exact')))).toBe(15)
    expect(await redis.dump()).toMatch(/\{weir\}:quota exact:\d+=15/)
  })

  test('a rate is one for all', async () => {
    const begun_ms = performance.now()
    const answers: Answer[] = []
    for (let i = 0; i < 4; i++) answers.push(...(await repeat(20, (k) => call(k % 2 ? a : b, 'pace'))))
    expect(passed(answers)).toBeLessThanOrEqual(5 + ((performance.now() - begun_ms) * 20) / 1000)
    expect(passed(answers)).toBeGreaterThanOrEqual(5)
  })

  test('concurrency is one for all; what a killed proxy had is free when its hold runs out', async () => {
    const doomed = await startProxy('doomed')
    await isUp(doomed, 1)
    const held = (weir: Weir, id: string): void =>
      void open(`${weir.addresses.proxy}/servers/three/mcp`, {
        method: 'POST',
        body: toolCall(id, 'held'),
      }).catch(() => {})
    for (let i = 0; i < 5; i++) held(doomed, `doomed-${i}`)
    await waitFor('three are with the server', async () => (await upstream.seen()).held === 3)
    expect((await call(a, 'three')).message?.error?.data).toMatchObject({
      weir: 'concurrency_limited',
      taken: '3',
    })
    await doomed.kill()
    expect((await call(b, 'three')).status).toBe(429)
    await waitFor('there is room', async () => (await call(a, 'three')).status === 200)
  }, 90_000)
})

test('killed and started again without its data: money that was spent stays spent, and what was spent meanwhile counts', async () => {
  expect(passed(await repeat(8, (i) => call(i % 2 ? a : b, 'kept')))).toBe(8)
  await redis.kill()
  await Promise.all([isUp(a, 0), isUp(b, 0)])
  // Twelve are left; half of them is the share of each. One that has not heard of the other's four thinks that sixteen are.
  const meanwhile = await Promise.all([repeat(20, () => call(a, 'kept')), repeat(20, () => call(b, 'kept'))])
  const [at_a, at_b] = meanwhile.map(passed) as [number, number]
  expect(at_a).toBeGreaterThanOrEqual(5)
  expect(at_a).toBeLessThanOrEqual(8)
  expect(at_b).toBeLessThanOrEqual(8)
  expect(await a.metric('weir_limits_store_fallbacks_total')).toBeGreaterThan(0)
  await redis.start()
  await Promise.all([isUp(a, 1), isUp(b, 1)])
  const after = passed(await repeat(20, (i) => call(i % 2 ? a : b, 'kept')))
  expect(8 + at_a + at_b + after).toBeGreaterThanOrEqual(20)
  expect(8 + at_a + at_b + after).toBeLessThanOrEqual(24)
  await waitFor('the sum is in Redis', async () =>
    /\{weir\}:spend kept:\d+=2\d000000000\b/.test(await redis.dump()),
  )
}, 90_000)

test('killed and started again without its data: a burst that was had meanwhile is not had once more', async () => {
  await redis.kill()
  await Promise.all([isUp(a, 0), isUp(b, 0)])
  const alone = await repeat(60, (i) => call(i % 2 ? a : b, 'burst'))
  expect(passed(alone)).toBe(40)
  await redis.start()
  await Promise.all([isUp(a, 1), isUp(b, 1)])
  expect(passed(await repeat(20, (i) => call(i % 2 ? a : b, 'burst')))).toBeLessThanOrEqual(1)
})

test('frozen: a call waits for the timeout once, the next ones not at all; thawed, it is asked again', async () => {
  const strict = await startProxy('strict', { fallback: 'refuse' })
  await isUp(strict, 1)
  redis.freeze()
  const [local, refused] = await Promise.all([call(a, 'frozen'), call(strict, 'frozen')])
  expect(local.status).toBe(200)
  expect(refused.status).toBe(503)
  expect(refused.message?.error).toMatchObject({
    code: 10506,
    data: { weir: 'limits_unavailable', limit: { name: 'frozen', kind: 'quota' } },
  })
  expect(await a.metric('weir_limits_store_fallbacks_total', 'reason="slow"')).toBeGreaterThan(0)
  const slow = await a.metric('weir_limits_store_fallbacks_total', 'reason="slow"')
  expect(passed(await repeat(10, () => call(a, 'frozen')))).toBe(10)
  expect(await a.metric('weir_limits_store_fallbacks_total', 'reason="slow"')).toBe(slow)
  // A call that no limit names does not care.
  expect((await call(strict, 'fresh')).status).toBe(200)
  redis.thaw()
  await Promise.all([isUp(a, 1), isUp(strict, 1)])
  expect((await call(strict, 'frozen')).status).toBe(200)
}, 60_000)

test('its password is in no output, metric, event or answer', async () => {
  for (const weir of weirs.slice(0, 2)) {
    const seen = weir.output + weir.spoolText + (await weir.metrics())
    expect(seen).toContain('weir_limits_store_up')
    expect(seen).not.toContain(redis.password)
  }
})
