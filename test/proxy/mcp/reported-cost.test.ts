import { expect, test } from 'vitest'
import { readReportedCost } from '../../../proxy/mcp/reported-cost.ts'

const answer = (cost: unknown): string =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, result: { content: [], _meta: { 'weir/cost': cost } } })

test.each([
  [{ amount: '0.0042', currency: 'USD' }, { nano: 4_200_000 }],
  [{ amount: 0.0042, currency: 'USD' }, { nano: 4_200_000 }],
  [{ amount: 0.1 + 0.2, currency: 'USD' }, { nano: 300_000_000 }],
  [{ amount: '0.0000000005', currency: 'USD' }, { nano: 0 }],
  [{ amount: '0.0000000015', currency: 'USD' }, { nano: 2 }],
  [{ amount: 0, currency: 'USD' }, { nano: 0 }],
  [{ amount: '1', currency: 'EUR' }, 'currency'],
  [{ amount: '1' }, 'currency'],
  [{ amount: '-1', currency: 'USD' }, 'malformed'],
  [{ amount: -1, currency: 'USD' }, 'malformed'],
  [{ amount: '1,50', currency: 'USD' }, 'malformed'],
  [{ amount: '99999999999', currency: 'USD' }, 'malformed'],
  [{ amount: null, currency: 'USD' }, 'malformed'],
  ['0.1', 'malformed'],
  [null, 'malformed'],
])('%j is %j', (cost, read) => {
  expect(readReportedCost(answer(cost))).toEqual(read)
})

test('an escaped slash is a slash, and a key elsewhere is none', () => {
  const cost = { amount: '1', currency: 'USD' }
  expect(readReportedCost(answer(cost).replace('weir/cost', 'weir\\/cost'))).toEqual({ nano: 1e9 })
  expect(
    readReportedCost(JSON.stringify({ result: { structuredContent: { 'weir/cost': cost } } })),
  ).toBeNull()
  expect(
    readReportedCost(
      JSON.stringify({ result: { content: [{ text: JSON.stringify({ 'weir/cost': cost }) }] } }),
    ),
  ).toBeNull()
  expect(readReportedCost('{"result": {"_meta": {"weir/cost"')).toBeNull()
  expect(readReportedCost('{"error": {"data": "weir/cost"}}')).toBeNull()
})
