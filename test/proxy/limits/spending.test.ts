/** What is set aside before a call: nothing only where nothing can come of it, whatever the arguments say. */
import { expect, test } from 'vitest'
import { parseConfig } from '../../../config/load.ts'
import { moneyOptions } from '../../../config/price-book.ts'
import type { Call } from '../../../proxy/call.ts'
import { Spending } from '../../../proxy/limits/spending.ts'

const { prices } = moneyOptions(
  parseConfig(
    `servers:
  bank: { url: http://x/ }
  told: { url: http://x/, price: { reported: true } }
  free: { url: http://x/ }
prices: [ { server: bank, tool: scan, formula: args.pages * 0.01 } ]`,
    'weir.yaml',
    {},
  ).config,
)
const expected = (server: string, tool: string, meters: Record<string, number>): number =>
  new Spending(prices).expected({
    kind: 'request',
    method: 'tools/call',
    server,
    tool,
    meters,
    received_us: 0,
    arguments_bytes: 10,
    request_bytes: 100,
  } as Call)

test('a price that the arguments settle is set aside whole', () => {
  expect(expected('bank', 'scan', { pages: 5 })).toBe(50_000_000)
})

test.each([
  ['missing, or a text', {}],
  ['below zero', { pages: -5 }],
  ['beyond any price', { pages: 1e308 }],
])('a formula that its arguments make fail is a price all the same: %s', (_how, meters) => {
  expect(expected('bank', 'scan', meters as Record<string, number>)).toBeGreaterThan(0)
})

test('a cost that the server tells in its answer counts from the first call on', () => {
  expect(expected('told', 'anything', {})).toBeGreaterThan(0)
  expect(expected('free', 'anything', {})).toBe(0)
})
