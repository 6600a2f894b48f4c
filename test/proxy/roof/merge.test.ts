import { describe, expect, test } from 'vitest'
import {
  listParams,
  mergeCapabilities,
  mergeEntries,
  mergeInstructions,
  missedMeta,
  nextPositions,
} from '../../../proxy/roof/merge.ts'
import { Names, Resources } from '../../../proxy/roof/names.ts'

test('capabilities: whatever any server has, but for what cannot be told apart', () => {
  expect(
    mergeCapabilities([
      { tools: { listChanged: false }, tasks: {}, experimental: { x: {} } },
      { tools: { listChanged: true }, logging: {}, odd: 'x' },
      { tools: {}, resources: { subscribe: true } },
      { resources: { subscribe: false } },
    ]),
  ).toEqual({
    tools: { listChanged: true },
    logging: {},
    resources: { subscribe: true },
  })
  expect(mergeCapabilities([])).toEqual({})
})
test('instructions: each under its server, none for those without', () => {
  expect(
    mergeInstructions([
      { server: 'a', instructions: 'x' },
      { server: 'b', instructions: '' },
      { server: 'c', instructions: 'y' },
    ]),
  ).toBe('## a\n\nx\n\n## c\n\ny')
})
describe('entries', () => {
  const merge = (method: string, ...results: Record<string, unknown>[]) =>
    mergeEntries(
      method,
      results.map((result, i) => ({ server: 'ab'[i]!, result })),
      new Names(['a', 'b'], '_', 64),
      new Resources(),
    )
  test('keep their fields and get their names', () => {
    expect(
      merge('tools/list', { tools: [{ name: 'x', future: { y: 1 } }] }, { tools: [{ name: 'x' }] }),
    ).toEqual([{ name: 'a_x', future: { y: 1 } }, { name: 'b_x' }])
  })
  test('that are none are left out', () => {
    expect(merge('tools/list', { tools: [null, 7, {}, { name: 7 }] }, { tools: 'x' })).toEqual([])
  })
  test('resources of the same URI appear once', () => {
    expect(
      merge(
        'resources/list',
        { resources: [{ uri: 'x://1' }] },
        { resources: [{ uri: 'x://1' }, { uri: 'x://2' }] },
      ),
    ).toEqual([{ uri: 'x://1' }, { uri: 'x://2' }])
  })
})
test('the next page: only servers that have more, and none that repeats itself', () => {
  const heard = [
    { server: 'a', result: { nextCursor: '2' } },
    { server: 'b', result: {} },
    { server: 'c', result: { nextCursor: '' } },
  ]
  expect(nextPositions(heard, null)).toEqual({ a: '2', c: '' })
  expect(nextPositions(heard, { a: '2', c: 'x' })).toEqual({ c: '' })
  expect(nextPositions([{ server: 'a', result: { nextCursor: '2' } }], { a: '2' })).toBeNull()
})
test("a server's question: the client's params, its own cursor, our context", () => {
  expect(listParams({ params: { cursor: 'sealed', _meta: { a: 1 } } as never }, undefined, 'p')).toEqual({
    _meta: { a: 1, traceparent: 'p' },
  })
  expect(listParams({}, '', 'p')).toEqual({ cursor: '', _meta: { traceparent: 'p' } })
})
test('what was missed is said, and nothing when nothing was', () => {
  expect(missedMeta([])).toEqual({})
  expect(missedMeta([{ server: 'a', reason: 'x' }])).toEqual({
    _meta: { 'dev.weir/missed': [{ server: 'a', reason: 'x' }] },
  })
})
