import { describe, expect, test } from 'vitest'
import { annotationsOf, UNANNOTATED } from '../../config/rule-facts.ts'
import type { Call } from '../../proxy/call.ts'
import { Definitions, type ToolsRead } from '../../proxy/definitions.ts'

const tool = (name: string, more: object = {}): Record<string, unknown> => ({
  name,
  inputSchema: { type: 'object', properties: { a: { type: 'string' } } },
  ...more,
})

/** Definitions of a server whose answers and clock are the test's. */
function open(first: unknown[] = [tool('read')]) {
  const world = { now: 1_000_000, tools: first as unknown[] | Error, ttl_ms: 0, asked: [] as Call[] }
  const held: (() => void)[] = []
  let isHolding = false
  const definitions = new Definitions(
    async (call): Promise<ToolsRead> => {
      world.asked.push(call)
      if (isHolding) await new Promise<void>((resolve) => held.push(resolve))
      if (world.tools instanceof Error) throw world.tools
      if (call.upstream_session === 'broken') throw new Error('session unknown')
      return { tools: world.tools, ttl_ms: world.ttl_ms }
    },
    () => world.now,
  )
  definitions.isWanted = true
  return {
    definitions,
    world,
    hold: () => (isHolding = true),
    letGo: () => {
      isHolding = false
      for (const go of held.splice(0)) go()
    },
  }
}

const call = (name = 'read', more: object = {}): Call =>
  ({
    method: 'tools/call',
    server: 'bank',
    tool: name,
    identity: { caller: 'ana' },
    upstream_protocol_version: '2025-11-25',
    upstream_session: 's1',
    outcome: 'ok',
    message: { params: {} },
    ...more,
  }) as unknown as Call
const list = (more: object = {}): Call => call('', { method: 'tools/list', ...more })
const answer = (tools: unknown[], more: object = {}): string =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools, ...more } })

test('hints without a word of the server are the cautious ones of the specification', () => {
  expect(UNANNOTATED).toEqual({ read_only: false, destructive: true, idempotent: false, open_world: true })
  expect(annotationsOf(tool('x').annotations)).toBe(UNANNOTATED)
  expect(annotationsOf(['readOnlyHint'])).toBe(UNANNOTATED)
  expect(annotationsOf({})).toEqual(UNANNOTATED)
  expect(annotationsOf({ readOnlyHint: 'true', destructiveHint: 0 })).toEqual(UNANNOTATED)
  expect(annotationsOf({ readOnlyHint: true, destructiveHint: true })).toEqual({
    read_only: true,
    destructive: false,
    idempotent: true,
    open_world: true,
  })
})

test('a tool is asked for when it is first called, by one question however many call at once', async () => {
  const { definitions, world, hold, letGo } = open()
  hold()
  const both = [definitions.of(call()), definitions.of(call()), definitions.of(call('other'))]
  expect(definitions.get(call())).toBeNull()
  letGo()
  const [one, two, none] = await Promise.all(both)
  expect(one).toMatchObject({ tool: 'read', annotations: UNANNOTATED, output: null })
  expect(one!.input!.value).toEqual(tool('read').inputSchema)
  expect(two).toBe(one)
  expect(none).toBeNull()
  expect(world.asked).toHaveLength(1)
  expect(definitions.of(call())).toBe(one)
})

test('what passes by is learned, and not asked for again', () => {
  const { definitions, world } = open()
  definitions.answered(list(), answer([tool('read', { annotations: { readOnlyHint: true } })]))
  expect(definitions.of(call())).toMatchObject({ annotations: { read_only: true } })
  definitions.listed(list(), 'bank', '2026-07-28', { result: { tools: [tool('read')] } })
  expect(definitions.get(call())).toMatchObject({ annotations: { read_only: true } })
  expect(definitions.get(call('read', { upstream_protocol_version: '2026-07-28' }))).toMatchObject({
    annotations: { read_only: false },
  })
  expect(world.asked).toHaveLength(0)
})

test('nothing is learned while no stage wants to know', () => {
  const { definitions } = open()
  definitions.isWanted = false
  definitions.answered(list(), answer([tool('read')]))
  expect(definitions.size).toEqual({ views: 0, definitions: 0, chars: 0 })
})

test('a caller is never judged by what another was told', async () => {
  const { definitions, world } = open([tool('read', { annotations: { readOnlyHint: true } })])
  await definitions.of(call())
  world.tools = [tool('read')]
  const other = await definitions.of(call('read', { identity: { caller: 'eve' } }))
  expect(other!.annotations.read_only).toBe(false)
  expect(definitions.get(call())!.annotations.read_only).toBe(true)
})

test('an old list serves on while a new one is fetched, and a removed tool is then unknown', async () => {
  const { definitions, world } = open([tool('read'), tool('gone')])
  const first = await definitions.of(call())
  world.tools = [tool('read', { title: 'New' })]
  world.now += 59_000
  expect(definitions.of(call())).toBe(first)
  expect(world.asked).toHaveLength(1)
  world.now += 2_000
  expect(definitions.of(call())).toBe(first)
  expect(world.asked).toHaveLength(2)
  await Promise.resolve(definitions.fresh(call()))
  expect(definitions.get(call())).not.toBe(first)
  expect(definitions.get(call('gone'))).toBeNull()
})

test('a server may ask for its list to be kept longer, not shorter and not for ever', async () => {
  const { definitions, world } = open()
  world.ttl_ms = 1e12
  await definitions.of(call())
  world.now += 3_599_000
  definitions.of(call())
  expect(world.asked).toHaveLength(1)
  world.now += 2_000
  definitions.of(call())
  expect(world.asked).toHaveLength(2)
})

test('after list_changed the next call asks, on whatever stream it was heard', async () => {
  const { definitions, world } = open()
  await definitions.of(call())
  definitions.heard('other', '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')
  definitions.of(call())
  expect(world.asked).toHaveLength(1)
  definitions.heard('bank', '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')
  definitions.of(call())
  expect(world.asked).toHaveLength(2)
})

describe('a list that cannot be had', () => {
  test('makes one call of a session wait, and no other', async () => {
    const { definitions, world } = open()
    world.tools = new Error('no')
    expect(await definitions.of(call())).toBeNull()
    expect(definitions.of(call())).toBeNull()
    expect(world.asked).toHaveLength(1)
    world.tools = [tool('read')]
    world.now += 5_001
    expect(definitions.of(call())).toBeNull()
    expect(await definitions.fresh(call())).toMatchObject({ tool: 'read' })
  })

  test('in one session does not hide the tools of another', async () => {
    const broken = call('read', { upstream_session: 'broken' })
    const { definitions, hold, letGo } = open()
    hold()
    const both = [definitions.of(broken), definitions.of(call())]
    letGo()
    expect(await both[1]).toMatchObject({ tool: 'read' })
    const { definitions: again } = open()
    expect(await again.of(broken)).toBeNull()
    expect(await again.of(call())).toMatchObject({ tool: 'read' })
  })
})

test('unknown names make nobody ask without end', async () => {
  const { definitions, world } = open()
  await definitions.of(call('a'))
  for (let i = 0; i < 100; i++) expect(definitions.of(call(`b${i}`))).toBeNull()
  expect(world.asked).toHaveLength(1)
})

describe('what is kept', () => {
  test('equal definitions of many callers are kept once, and go with the last of them', async () => {
    const { definitions } = open([tool('read'), tool('write')])
    for (let i = 0; i < 50; i++) await definitions.of(call('read', { identity: { caller: `c${i}` } }))
    const { views, definitions: kept, chars } = definitions.size
    expect({ views, kept }).toEqual({ views: 50, kept: 2 })
    definitions.forget(() => false)
    expect(definitions.size).toEqual({ views: 0, definitions: 0, chars: 0 })
    expect(chars).toBeGreaterThan(0)
  })

  test('is bounded in views, whatever revisions a client claims', async () => {
    const { definitions } = open()
    for (let i = 0; i < 50; i++)
      await definitions.of(call('read', { upstream_protocol_version: `2025-${i}` }))
    expect(definitions.size.views).toBe(1)
    for (let i = 0; i < 2_100; i++) await definitions.of(call('read', { identity: { caller: `c${i}` } }))
    expect(definitions.size).toMatchObject({ views: 2_000, definitions: 1 })
  })

  test('is bounded in characters: the oldest views go', async () => {
    const { definitions, world } = open()
    for (let i = 0; i < 300; i++) {
      world.tools = [
        tool('read', { inputSchema: { type: 'object', description: `${i}`.padEnd(250_000, 'x') } }),
      ]
      await definitions.of(call('read', { identity: { caller: `c${i}` } }))
    }
    expect(definitions.size.chars).toBeLessThan(67_200_000)
    expect(definitions.size.views).toBeGreaterThan(200)
    expect(definitions.get(call('read', { identity: { caller: 'c299' } }))).not.toBeNull()
  })

  test('a schema too large to keep is said to be so, one nested too deep leaves its tool unknown', async () => {
    let deep: object = {}
    for (let i = 0; i < 100_000; i++) deep = { items: deep }
    const huge = tool('huge', { inputSchema: { description: 'x'.repeat(300_000) } })
    const { definitions } = open([huge, tool('deep', { inputSchema: deep }), tool('read')])
    expect((await definitions.of(call('huge')))!.input).toMatchObject({ fault: 'too large', value: null })
    expect(definitions.get(call('deep'))).toBeNull()
    expect(definitions.get(call())).not.toBeNull()
  })

  test('what is no list, or no tool, is passed over', () => {
    const { definitions } = open()
    definitions.listed(list(), 'bank', '2025-11-25', { result: { tools: 'none' } })
    definitions.listed(list(), 'bank', '2025-11-25', null)
    definitions.answered(list(), '{"result":{"tools":[}')
    definitions.answered(list(), '{"result":{"tools":{}}}')
    definitions.answered(
      list(),
      answer([null, 5, {}, { name: 7 }, tool('read'), tool('read', { title: 'second' })]),
    )
    expect(definitions.size).toMatchObject({ views: 1, definitions: 1 })
  })
})
