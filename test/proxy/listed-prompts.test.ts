import { expect, test } from 'vitest'
import type { Call } from '../../proxy/call.ts'
import { ListedPrompts, type PromptsRead } from '../../proxy/listed-prompts.ts'

const call = (caller = 'ana', upstream_session = 's1'): Call =>
  ({ server: 'bank', identity: { caller }, upstream_session }) as unknown as Call

/** Lists of a server whose answers and clock are the test's. */
function open(names: string[]) {
  const world = { now: 1_000_000, names, isAway: false, asked: [] as string[] }
  const listed = new ListedPrompts(
    async ({ identity }): Promise<PromptsRead> => {
      world.asked.push(identity!.caller)
      if (world.isAway) throw new Error('away')
      return { names: world.names, ttl_ms: 0 }
    },
    () => world.now,
  )
  return { listed, world }
}

test('a name is looked for in the list of its caller, which is asked for once', async () => {
  const { listed, world } = open(['a'])
  expect(listed.has(call(), 'a')).toBe(false)
  expect(listed.isWhole(call())).toBe(false)
  await Promise.all([listed.seek(call()), listed.seek(call())])
  expect(listed.has(call(), 'a')).toBe(true)
  expect(listed.isWhole(call())).toBe(true)
  expect(listed.has(call('eve'), 'a')).toBe(false)
  for (let i = 0; i < 100; i++) expect(listed.seek(call())).toBeNull()
  expect(world.asked).toEqual(['ana'])
  world.now += 5_001
  await listed.seek(call())
  expect(world.asked).toHaveLength(2)
})

test('an old list serves on while a new one is fetched; one that changed, or lost its server, does not', async () => {
  const { listed, world } = open(['a'])
  await listed.seek(call())
  world.names = ['b']
  world.now += 61_000
  listed.use(call())
  expect(listed.has(call(), 'a')).toBe(true)
  await listed.seek(call())
  expect([listed.has(call(), 'a'), listed.has(call(), 'b')]).toEqual([false, true])
  listed.heard('other', '{"method":"notifications/prompts/list_changed"}')
  expect(listed.isWhole(call())).toBe(true)
  listed.heard('bank', '{"method":"notifications/prompts/list_changed"}')
  expect(listed.isWhole(call())).toBe(false)
  listed.forget(() => false)
  expect(listed.size).toEqual({ views: 0, chars: 0 })
})

test('a list that cannot be had makes one call of a session wait, and is not whole', async () => {
  const { listed, world } = open(['a'])
  world.isAway = true
  await listed.seek(call())
  expect(listed.isWhole(call())).toBe(false)
  expect(listed.seek(call())).toBeNull()
  expect(world.asked).toHaveLength(1)
  world.isAway = false
  await listed.seek(call('ana', 's2'))
  expect(listed.has(call(), 'a')).toBe(true)
})

test('what a caller was shown is there for it, before its list was ever asked for', () => {
  const { listed, world } = open([])
  listed.note(call(), 'bank', 'a')
  expect(listed.has(call(), 'a')).toBe(true)
  expect(listed.has(call('eve'), 'a')).toBe(false)
  expect(world.asked).toEqual([])
})

test('what is kept is bounded: in views, in entries of a list, and in characters', async () => {
  const { listed, world } = open([])
  for (let i = 0; i < 4_100; i++) listed.note(call(`c${i}`), 'bank', 'a')
  expect(listed.size.views).toBe(4_000)
  world.names = Array.from({ length: 25_000 }, (_, i) => `${i}`)
  await listed.seek(call('many'))
  expect(listed.has(call('many'), '19999')).toBe(true)
  expect(listed.has(call('many'), '20000')).toBe(false)
  world.names = Array.from({ length: 20_000 }, (_, i) => `${'x'.repeat(1_000)}${i}`)
  for (let i = 0; i < 6; i++) await listed.seek(call(`large${i}`))
  expect(listed.size.chars).toBeLessThanOrEqual(67_108_864)
  expect(listed.has(call('large5'), world.names[0]!)).toBe(true)
  expect(listed.size.views).toBeLessThan(10)
})
