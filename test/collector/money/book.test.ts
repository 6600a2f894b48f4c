import { describe, expect, test } from 'vitest'
import { compileBook, type Facts } from '../../../config/cost-book.ts'
import { makeEvent } from '../support/events.ts'
import { moneyOf } from './seeded.ts'

const call = (more: Partial<Facts> = {}): Facts => makeEvent({ meters: {}, ...more })
const book = (more: string, prices: Record<string, string> = {}) => compileBook(moneyOf(more, prices).prices)
const costs = (of: ReturnType<typeof book>, more: Partial<Facts> = {}): [number, string] => {
  const { cost_nano, cost_source } = of.rate(call(more))
  return [cost_nano, cost_source]
}

describe('the most special price in force applies', () => {
  const all = `prices:
  - { per_call_usd: 1 }
  - { server: "*", tool: get_balance, per_call_usd: 5 }
  - { server: bank, tool: "get_*", per_call_usd: 3 }
  - { server: bank, tool: "get_b*", per_call_usd: 4 }
  - { server: bank, tool: get_all, formula: "9.0" }
  - { server: bank, tool: get_all, per_call_usd: 8 }
`
  const prices = book(all, { bank: '{ per_call_usd: 2 }' })
  test.each([
    [{ server: 'files', tool: 'x' }, 1, 'default'],
    [{ server: 'bank', tool: 'x' }, 2, 'server'],
    [{ server: 'bank', tool: 'get_x' }, 3, 'tool'],
    [{ server: 'bank', tool: 'get_big' }, 4, 'tool'],
    [{ server: 'bank', tool: 'get_balance' }, 5, 'tool'],
    [{ server: 'bank', tool: 'get_all' }, 9, 'formula'],
  ] as const)('%o', (names, usd, source) => {
    expect(costs(prices, names)).toEqual([usd * 1e9, source])
  })
})

test('a price holds from its first moment to before its last', () => {
  const dated = book(
    'prices: [{ per_call_usd: 1, valid_to: "2026-07-01" }, { per_call_usd: 2, valid_from: "2026-07-01", valid_to: "2026-07-02T12:00:00+02:00" }]',
  )
  const at = (text: string) => costs(dated, { ts: Date.parse(text) * 1000 })[0] / 1e9
  expect(at('2026-06-30T23:59:59.999Z')).toBe(1)
  expect(at('2026-07-01T00:00:00Z')).toBe(2)
  expect(at('2026-07-02T09:59:59.999Z')).toBe(2)
  expect(dated.rate(call({ ts: Date.parse('2026-07-02T10:00:00Z') * 1000 })).cost_source).toBe('unpriced')
})

test('rates are exact, below a nano-dollar too, and a call is rounded once, halves to even', () => {
  const half = book('prices: [{ per_input_token_usd: "0.0000000005" }]')
  expect([1, 2, 3, 5].map((tokens_in) => costs(half, { tokens_in })[0])).toEqual([0, 1, 2, 2])
  const parts = book(
    'prices: [{ per_call_usd: 0.1, per_input_token_usd: "0.000000000000000001", per_byte_in_usd: 1e-18, per_byte_out_usd: 1e-18, per_second_usd: "0.000000000000000001" }]',
  )
  // 10^-18 USD of each: together a whole nano-dollar more, which no single part is.
  const size = 250_000_000
  expect(
    costs(parts, { tokens_in: size, request_bytes: size, response_bytes: size, upstream_us: size * 1e6 })[0],
  ).toBe(100_000_001)
  // 0.1 + 0.2 is 0.3 here.
  expect(
    costs(book('prices: [{ per_call_usd: 0.1, per_output_token_usd: 0.2 }]'), { tokens_out: 1 })[0],
  ).toBe(300_000_000)
})

describe('what is billed', () => {
  const prices = (bill_on: string) => book(`prices: [{ per_call_usd: 1, bill_on: ${bill_on} }]`)
  const outcomes = [
    'ok',
    'tool_error',
    'rpc_error',
    'timeout',
    'denied',
    'input_required',
    'unavailable',
  ] as const
  test.each([
    ['ok', ['ok']],
    ['executed', ['ok', 'tool_error', 'rpc_error']],
    ['all', [...outcomes]],
  ])('bill_on: %s', (bill_on, billed) => {
    const of = prices(bill_on)
    expect(outcomes.filter((outcome) => costs(of, { outcome })[1] === 'default')).toEqual(billed)
    for (const outcome of outcomes)
      if (!billed.includes(outcome)) expect(costs(of, { outcome })).toEqual([0, 'none'])
  })
  test('nothing but tool calls of clients, and only calls that reached a server', () => {
    const of = prices('executed')
    expect(costs(of, { method: 'tools/list' })).toEqual([0, 'none'])
    expect(costs(of, { kind: 'server_request' })).toEqual([0, 'none'])
    expect(costs(of, { attempts: 0 })).toEqual([0, 'none'])
  })
})

test('without a price a call is unpriced, and a call that could not cost anything is not', () => {
  const none = book('')
  expect(costs(none)).toEqual([0, 'unpriced'])
  expect(costs(none, { outcome: 'denied', attempts: 0 })).toEqual([0, 'none'])
})

test('a price of zero is a price', () => {
  expect(costs(book('prices: [{ per_call_usd: 0 }]'))).toEqual([0, 'default'])
  expect(costs(book('', { bank: '{ per_month_usd: 10 }' }))).toEqual([0, 'server'])
})

describe('what a server reports', () => {
  const reported = { cost_reported: true, cost_reported_nano: 42 }
  test('counts when the server is trusted, before any price', () => {
    const prices = book('prices: [{ server: bank, tool: get_balance, per_call_usd: 1 }]', {
      bank: '{ reported: true }',
    })
    expect(costs(prices, reported)).toEqual([42, 'reported'])
    expect(costs(prices)).toEqual([1e9, 'tool'])
    expect(prices.rate(call(reported)).price_id).not.toBe('')
  })
  test('is nothing of a server that is not', () => {
    expect(costs(book('prices: [{ per_call_usd: 1 }]', { news: '{ reported: true }' }), reported)).toEqual([
      1e9,
      'default',
    ])
  })
  test('a trusted server that says nothing and has no price is unpriced', () => {
    expect(costs(book('', { bank: '{ reported: true }' }))).toEqual([0, 'unpriced'])
  })
  test('a negative cost is none', () => {
    expect(costs(book('', { bank: '{ reported: true }' }), { ...reported, cost_reported_nano: -1 })[1]).toBe(
      'unpriced',
    )
  })
})

describe('formulas', () => {
  const priced = (formula: string, more: Partial<Facts>) => {
    const failed: string[] = []
    const { cost_nano, cost_source } = book(`prices: [{ formula: '${formula}' }]`).rate(call(more), (id) =>
      failed.push(id),
    )
    return [cost_nano, cost_source, failed.length]
  }
  test('take sizes and meters, integers and fractions mixed', () => {
    const facts = { meters: { pages: 12, 'size(text)': 7 }, tokens_in: 3, upstream_us: 1_500_000 }
    expect(priced('0.01 + args.pages * 2', facts)).toEqual([24_010_000_000, 'formula', 0])
    expect(priced('size(args.text) * 0.5 + tokens_in', facts)).toEqual([6_500_000_000, 'formula', 0])
    expect(priced('ceil(seconds) * 0.25', facts)).toEqual([500_000_000, 'formula', 0])
    expect(priced('args.pages > 10 ? 1 : 0.5', facts)).toEqual([1_000_000_000, 'formula', 0])
    expect(priced('has(args.copies) ? args.copies * 1.0 : 0.125', facts)).toEqual([125_000_000, 'formula', 0])
  })
  test('that give no amount leave the call unpriced, and are told', () => {
    expect(priced('args.pages * 0.1', {})).toEqual([0, 'unpriced', 1])
    expect(priced('args.a / args.b', { meters: { a: 1, b: 0 } })).toEqual([0, 'unpriced', 1])
    expect(priced('1 - args.a', { meters: { a: 2 } })).toEqual([0, 'unpriced', 1])
    expect(priced('args.a * 1e9', { meters: { a: 1 } })).toEqual([0, 'unpriced', 1])
  })
})

test('ids are those of the content', () => {
  const one = moneyOf('prices: [{ server: bank, per_call_usd: 0.10 }, { per_call_usd: 2 }]')
  const other = moneyOf('prices: [{ per_call_usd: "2.000" }, { per_call_usd: "0.1", server: bank }]')
  expect(new Set(other.prices.map((p) => p.price_id))).toEqual(new Set(one.prices.map((p) => p.price_id)))
  expect(compileBook(other.prices).id).toBe(compileBook(one.prices).id)
  const dearer = moneyOf('prices: [{ server: bank, per_call_usd: 0.11 }, { per_call_usd: 2 }]')
  expect(compileBook(dearer.prices).id).not.toBe(compileBook(one.prices).id)
  expect(dearer.prices[1]!.price_id).toBe(one.prices[1]!.price_id)
})
