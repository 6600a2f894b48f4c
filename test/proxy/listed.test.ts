import { expect, test } from 'vitest'
import type { Call } from '../../proxy/call.ts'
import { Listed, type NamesRead } from '../../proxy/listed.ts'

const call = (caller = 'ana', upstream_session = 's1'): Call =>
  ({ server: 'bank', identity: { caller }, upstream_session }) as unknown as Call

/** Lists of a server whose answers and clock are the test's. */
function open(names: string[], templates: string[] = []) {
  const world = { now: 1_000_000, names, templates, isAway: false, asked: [] as string[] }
  const listed = new Listed(
    async ({ identity }, area): Promise<NamesRead> => {
      world.asked.push(`${area} for ${identity!.caller}`)
      if (world.isAway) throw new Error('away')
      return { names: world.names, templates: world.templates, ttl_ms: 0 }
    },
    () => world.now,
  )
  return { listed, world }
}

test('a name is looked for in the list of its kind and caller, and asked for once', async () => {
  const { listed, world } = open(['a'])
  expect(listed.has(call(), 'prompt', 'a')).toBe(false)
  expect(listed.isWhole(call(), 'prompt')).toBe(false)
  await Promise.all([listed.seek(call(), 'prompt'), listed.seek(call(), 'prompt')])
  expect(listed.has(call(), 'prompt', 'a')).toBe(true)
  expect(listed.isWhole(call(), 'prompt')).toBe(true)
  expect(listed.has(call(), 'resource', 'a')).toBe(false)
  expect(listed.has(call('eve'), 'prompt', 'a')).toBe(false)
  for (let i = 0; i < 100; i++) expect(listed.seek(call(), 'prompt')).toBeNull()
  expect(world.asked).toEqual(['prompt for ana'])
  world.now += 5_001
  await listed.seek(call(), 'prompt')
  expect(world.asked).toHaveLength(2)
})

test('a resource is there by itself or as one of a template, and a template by its own text', async () => {
  const { listed } = open(['x://a'], ['x://{area}/rates', 'x://static'])
  await listed.seek(call(), 'resource')
  const has = (uri: string) => listed.has(call(), 'resource', uri)
  expect(['x://a', 'x://b/rates', 'x://static'].map(has)).toEqual([true, true, true])
  expect(['x://b', 'y://b/rates', 'x://b/rates/c', ''].map(has)).toEqual([false, false, false, false])
  expect(listed.has(call(), 'template', 'x://{area}/rates')).toBe(true)
  expect(listed.has(call(), 'template', 'x://{other}/rates')).toBe(false)
})

test('an old list serves on while a new one is fetched; one that changed, or lost its server, does not', async () => {
  const { listed, world } = open(['a'])
  await listed.seek(call(), 'prompt')
  world.names = ['b']
  world.now += 61_000
  listed.use(call(), 'prompt')
  expect(listed.has(call(), 'prompt', 'a')).toBe(true)
  await listed.seek(call(), 'prompt')
  expect([listed.has(call(), 'prompt', 'a'), listed.has(call(), 'prompt', 'b')]).toEqual([false, true])
  listed.heard('other', '{"method":"notifications/prompts/list_changed"}')
  expect(listed.isWhole(call(), 'prompt')).toBe(true)
  listed.heard('bank', '{"method":"notifications/prompts/list_changed"}')
  expect(listed.isWhole(call(), 'prompt')).toBe(false)
  listed.forget(() => false)
  expect(listed.size).toEqual({ views: 0, chars: 0 })
})

test('a list that cannot be had makes one call of a session wait, and is not whole', async () => {
  const { listed, world } = open(['a'])
  world.isAway = true
  await listed.seek(call(), 'prompt')
  expect(listed.isWhole(call(), 'prompt')).toBe(false)
  expect(listed.seek(call(), 'prompt')).toBeNull()
  expect(world.asked).toHaveLength(1)
  world.isAway = false
  await listed.seek(call('ana', 's2'), 'prompt')
  expect(listed.has(call(), 'prompt', 'a')).toBe(true)
})

test('what a caller was shown is there for it, before its list was ever asked for', () => {
  const { listed, world } = open([])
  listed.note(call(), 'bank', 'prompt', 'a')
  listed.note(call(), 'bank', 'template', 'x://{a}')
  expect(listed.has(call(), 'prompt', 'a')).toBe(true)
  expect(listed.has(call(), 'resource', 'x://b')).toBe(true)
  expect(listed.has(call('eve'), 'prompt', 'a')).toBe(false)
  expect(world.asked).toEqual([])
})

test('what is kept is bounded: in views, in entries of a list, and in characters', async () => {
  const { listed, world } = open([])
  for (let i = 0; i < 4_100; i++) listed.note(call(`c${i}`), 'bank', 'prompt', 'a')
  expect(listed.size.views).toBe(4_000)
  world.names = Array.from({ length: 25_000 }, (_, i) => `${i}`)
  await listed.seek(call('many'), 'prompt')
  expect(listed.has(call('many'), 'prompt', '19999')).toBe(true)
  expect(listed.has(call('many'), 'prompt', '20000')).toBe(false)
  world.names = Array.from({ length: 20_000 }, (_, i) => `${'x'.repeat(1_000)}${i}`)
  for (let i = 0; i < 6; i++) await listed.seek(call(`large${i}`), 'prompt')
  expect(listed.size.chars).toBeLessThanOrEqual(67_108_864)
  expect(listed.has(call('large5'), 'prompt', world.names[0]!)).toBe(true)
  expect(listed.size.views).toBeLessThan(10)
})
