import { afterEach, describe, expect, test, vi } from 'vitest'
import { LIST_TOOLS_MAX, type ToolDefinition, type ToolList } from '../../event/catalogue.ts'
import type { Call } from '../../proxy/call.ts'
import { Catalogue, tokensOf } from '../../proxy/catalogue.ts'
import { waitFor } from '../support/wait.ts'

type Tool = { name: string; [key: string]: unknown }
const tool = (name: string, more: object = {}): Tool => ({
  name,
  description: `does ${name}`,
  inputSchema: { type: 'object', properties: { a: { type: 'string' } } },
  ...more,
})

/** A catalogue, and what it has written. */
function open(more: { redact?: (text: string) => string; keepsText?: boolean } = {}) {
  const lines: (ToolDefinition | ToolList)[] = []
  const spool = {
    takes: true,
    appendBeside(given: readonly string[]): boolean {
      if (spool.takes) lines.push(...given.map((line) => JSON.parse(line) as ToolList))
      return spool.takes
    },
  }
  const catalogue = new Catalogue(spool, { redact: (text) => text, keepsText: true, ...more })
  let id = 0
  /** The list_id of an answer with these tools. */
  const list = (
    tools: unknown,
    server = 'bank',
    wrap = (result: string, n: number): string => `{"jsonrpc":"2.0","id":${n},"result":${result}}`,
  ): string => {
    const call = {
      method: 'tools/list',
      server,
      endpoint: { path: `/servers/${server}/mcp` },
      outcome: 'ok',
      received_us: 1,
      list_id: '',
    }
    catalogue.answered(call as Call, wrap(JSON.stringify({ tools }), ++id))
    return call.list_id
  }
  return { catalogue, lines, spool, list }
}
const lists = (lines: readonly object[]): ToolList[] =>
  lines.filter((line): line is ToolList => 'list' in line)
const definitions = (lines: readonly object[]): ToolDefinition[] =>
  lines.filter((line): line is ToolDefinition => 'definition' in line)

afterEach(() => vi.restoreAllMocks())

test('a list is written once, with each definition before it, whatever else its answers say', () => {
  const { lines, list } = open()
  const tools = [tool('b'), tool('a', { annotations: { readOnlyHint: true } })]
  const id = list(tools)
  expect(id).toMatch(/^[0-9a-f]{32}$/)
  expect(lines.map((line) => ('list' in line ? 'list' : line.tool))).toEqual(['b', 'a', 'list'])
  expect(definitions(lines)).toMatchObject([
    { server: 'bank', tool: 'b', read_only: false, destructive: true, tokens: tokensOf('b', tools[0]!) },
    { tool: 'a', read_only: true, destructive: false, text: expect.stringContaining('"readOnlyHint":true') },
  ])
  expect(lists(lines)[0]).toMatchObject({
    list_id: id,
    parts: [
      {
        server: 'bank',
        tools: [
          ['a', expect.any(String), expect.any(Number)],
          ['b', expect.any(String), expect.any(Number)],
        ],
      },
    ],
  })
  // As SDK v1 writes it; and with a cursor, hints and more beside.
  expect(list(tools, 'bank', (result, n) => `{"result":${result},"jsonrpc":"2.0","id":${n}}`)).toBe(id)
  expect(
    list(
      tools,
      'bank',
      (result, n) => `{"result":{"ttlMs":${n},${result.slice(1, -1)},"nextCursor":"${n}"},"id":${n}}`,
    ),
  ).toBe(id)
  // Order of tools and of keys, icons and `_meta` make no other list.
  expect(
    list([
      { ...tools[1]!, icons: [{ src: 'data:,x' }] },
      { _meta: { at: 1 }, ...Object.fromEntries(Object.entries(tools[0]!).reverse()) },
    ]),
  ).toBe(id)
  expect(lines).toHaveLength(3)
})

test('every worker finds the same ids; another text, server or tool is another', () => {
  const [one, two] = [open(), open()]
  const id = one.list([tool('a')])
  expect(two.list([tool('a')])).toBe(id)
  expect(two.list([tool('a')], 'shop')).not.toBe(id)
  expect(two.list([tool('a', { description: 'does a!' })])).not.toBe(id)
  expect(two.list([tool('a', { outputSchema: {} })])).not.toBe(id)
  expect(two.list([])).toMatch(/^[0-9a-f]{32}$/)
  expect(lists(two.lines).at(-1)!.parts).toMatchObject([{ server: 'bank', tools: [] }])
})

test('under the roof a definition is the same, its tokens are those of the longer name, and parts do not depend on each other', () => {
  const { catalogue, lines, list } = open()
  list([tool('a')])
  const at = (entries: [string, Tool][]): string => {
    const call = {
      method: 'tools/list',
      server: '',
      endpoint: { path: '/mcp' },
      outcome: 'ok',
      received_us: 1,
      list_id: '',
    } as Call
    const shown = entries.map(([server, one]) => ({ ...one, name: `${server}_${one.name}` }))
    catalogue.listed(call, JSON.stringify({ id: 1, result: { tools: shown } }), () => ({
      servers: [...new Set(entries.map(([server]) => server))],
      entries: entries.map(([server, one]) => ({ server, listed: `${server}_${one.name}`, tool: one })),
    }))
    return call.list_id
  }
  const both = at([
    ['bank', tool('a')],
    ['shop', tool('c')],
  ])
  const alone = at([['bank', tool('a')]])
  expect(both).not.toBe(alone)
  expect(definitions(lines).map((line) => line.tool)).toEqual(['a', 'c'])
  const [own, merged, single] = lists(lines)
  expect(merged!.parts[0]).toEqual(single!.parts[0])
  expect(own!.parts[0]!.part_id).not.toBe(single!.parts[0]!.part_id)
  expect(own!.parts[0]!.tools[0]![1]).toBe(single!.parts[0]!.tools[0]![1])
  expect(single!.parts[0]!.tools[0]![2]).toBe(tokensOf('bank_a', tool('a')))
})

test('what was written is written again after an hour, what the spool did not take with the next answer, all of it with new rules', () => {
  const { lines, spool, list, catalogue } = open()
  spool.takes = false
  const id = list([tool('a')])
  expect(id).not.toBe('')
  spool.takes = true
  expect(list([tool('a')])).toBe(id)
  expect(lines).toHaveLength(2)
  const now = performance.now()
  const clock = vi.spyOn(performance, 'now').mockReturnValue(now + 3_500_000)
  list([tool('a')])
  expect(lines).toHaveLength(2)
  clock.mockReturnValue(now + 3_700_000)
  list([tool('a')])
  expect(lines).toHaveLength(4)
  catalogue.options = { redact: (text) => text.replace('does', 'DOES'), keepsText: true }
  list([tool('a')])
  expect(definitions(lines).map((line) => line.text.includes('DOES'))).toEqual([false, false, true])
  catalogue.options = { redact: (text) => text, keepsText: false }
  list([tool('a')])
  expect(definitions(lines).at(-1)).toMatchObject({ text: '', hash: definitions(lines)[0]!.hash })
})

test('a definition is masked whole before it is cut', () => {
  const secret = 'sk-0123456789abcdef'
  const { lines, list } = open({ redact: (text) => text.replaceAll(secret, '[secret]') })
  list([tool('a', { description: `${'x'.repeat(16_300)} ${secret} ${'y'.repeat(9_000)}` })])
  const [line] = definitions(lines)
  expect(line!.text.length).toBe(16_384)
  expect(line!.text).not.toContain('sk-0123')
  expect(line!.bytes).toBeGreaterThan(25_000)
})

test('versions of servers come with what they say of themselves', () => {
  const { catalogue, lines, list } = open()
  const initialize = { method: 'initialize', server: 'bank', endpoint: { path: '/x' }, outcome: 'ok' } as Call
  catalogue.answered(initialize, '{"id":1,"result":{"serverInfo":{"name":"b","version":"1.2.3"}}}')
  catalogue.answered(initialize, '{"id":1,"result":{"serverInfo":{"version":7}}}')
  list([tool('a')])
  list(
    [tool('b')],
    'bank',
    (result) =>
      `{"result":{"_meta":{"io.modelcontextprotocol/serverInfo":{"version":"2.0"}},${result.slice(1)}}`,
  )
  expect(definitions(lines).map((line) => line.server_version)).toEqual(['1.2.3', '2.0'])
})

describe('what cannot be read leaves an empty id, and nothing behind', () => {
  const deep = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
  test.each<[string, unknown]>([
    ['no list', undefined],
    ['a list that is none', 'tools'],
    ['too many tools', Array.from({ length: LIST_TOOLS_MAX + 1 }, (_, i) => ({ name: `t${i}` }))],
  ])('%s', async (_, tools) => {
    const { catalogue, lines, list } = open()
    list(tools)
    await waitFor('it was looked at', () => catalogue.size.waiting === 0)
    expect(lines).toEqual([])
    expect(catalogue.size).toEqual({ lists: 0, definitions: 0, waiting: 0 })
  })
  test('a schema nested without end', () => {
    const { catalogue, lines } = open()
    const call = {
      method: 'tools/list',
      server: 'bank',
      endpoint: { path: '/x' },
      outcome: 'ok',
      received_us: 1,
      list_id: '',
    } as Call
    const schema = deep(9_000)
    catalogue.answered(call, `{"id":1,"result":{"tools":[{"name":"a","inputSchema":${schema}}]}}`)
    expect(call.list_id).toBe('')
    expect(lines).toEqual([])
  })
  test('an answer that failed', () => {
    const { catalogue } = open()
    const call = {
      method: 'tools/list',
      server: 'bank',
      endpoint: { path: '/x' },
      outcome: 'rpc_error',
      list_id: '',
    } as Call
    catalogue.answered(call, '{"id":1,"error":{"code":-32603}}')
    expect(call.list_id).toBe('')
  })
  test('entries without a name, and a second one under a name', () => {
    const { lines, list } = open()
    list([null, 7, {}, { name: 3 }, tool('a'), tool('a', { description: 'another' })])
    expect(definitions(lines).map((line) => line.text.includes('does a'))).toEqual([true])
  })
})

test('a long list is told by its id at once, read in slices afterwards, and all of it is there at the end', async () => {
  const { catalogue, lines, list } = open()
  const tools = Array.from({ length: 10_000 }, (_, i) => tool(`t${i}`))
  const id = list(tools)
  expect(id).toMatch(/^[0-9a-f]{32}$/)
  expect(lines).toEqual([])
  // The same once more while it is read.
  expect(list(tools)).toBe(id)
  expect(catalogue.size.waiting).toBe(1)
  let turns = 0
  await waitFor('it is read', () => ++turns > 0 && catalogue.size.waiting === 0)
  expect(definitions(lines)).toHaveLength(10_000)
  expect(lists(lines)).toHaveLength(1)
  expect(lists(lines)[0]!.list_id).toBe(id)
  expect(list(tools)).toBe(id)
  expect(lines).toHaveLength(10_001)
  // A process that ends reads the rest at once.
  const other = open()
  other.list(tools)
  other.catalogue.finish()
  expect(lists(other.lines)).toHaveLength(1)
  expect(other.catalogue.size.waiting).toBe(0)
})

test('what is remembered is bounded, however many tools pass', () => {
  const { catalogue, list, lines } = open({ keepsText: false })
  for (let round = 0; round < 4; round++) {
    list(Array.from({ length: 10_000 }, (_, i) => ({ name: `r${round}t${i}` })))
    catalogue.finish()
    lines.length = 0
  }
  expect(catalogue.size.definitions).toBe(30_000)
  for (let round = 0; round < 1_050; round++) list([{ name: `s${round}` }])
  expect(catalogue.size).toEqual({ lists: 1_000, definitions: 30_000, waiting: 0 })
  // More long answers than are kept waiting: each has its id, the last ones are read when they come again.
  const ids = Array.from({ length: 9 }, (_, n) =>
    list(Array.from({ length: 5_000 }, (_, i) => ({ name: `w${n}t${i}` }))),
  )
  expect(new Set(ids).size).toBe(9)
  expect(catalogue.size.waiting).toBe(4)
  catalogue.finish()
})
