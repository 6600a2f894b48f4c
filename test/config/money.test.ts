import { describe, expect, test } from 'vitest'
import { amountOf, divideHalfEven, nanoOfDouble } from '../../config/decimal.ts'
import { overlap } from '../../config/glob.ts'
import { ConfigError, type Problem, parseConfig } from '../../config/load.ts'
import { moneyOptions } from '../../config/price-book.ts'

const SERVERS =
  'servers:\n  bank: { url: "http://localhost:1/mcp" }\n  files: { url: "http://localhost:2/mcp" }\n'
const parse = (text: string) => parseConfig(SERVERS + text, 'weir.yaml', {})
function problems(text: string): readonly Problem[] {
  try {
    parse(text)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

describe('misuse is refused with its place and what to write', () => {
  test.each([
    [
      'a negative price',
      'prices:\n  - { per_call_usd: -1 }',
      5,
      /prices\[0\].per_call_usd/,
      /cannot be negative/,
    ],
    ['no amount', 'prices:\n  - { per_call_usd: cheap }', 5, /per_call_usd/, /not an amount of US dollars/],
    [
      'a fraction of a nano-dollar a call',
      'prices:\n  - { per_call_usd: "0.0000000001" }',
      5,
      /per_call_usd/,
      /more than 9 places/,
    ],
    [
      'more digits than a number holds',
      'prices:\n  - { per_second_usd: 0.12345678901234567 }',
      5,
      /per_second_usd/,
      /in quotes|more digits/,
    ],
    ['no price at all', 'prices:\n  - { server: bank }', 5, /prices\[0\]/, /names no price/],
    [
      'a formula and a rate',
      'prices:\n  - { formula: "1.0", per_call_usd: 1 }',
      5,
      /formula/,
      /stands beside per_call_usd/,
    ],
    [
      'an unknown variable',
      'prices:\n  - server: bank\n    formula: "tokens * 2"',
      6,
      /prices\[0\].formula/,
      /Unknown variable: tokens/,
    ],
    ['a formula that is none', 'prices:\n  - formula: "1 +"', 5, /formula/, /is not a formula/],
    [
      'a formula that compares texts',
      'prices:\n  - formula: \'args.kind == "x" ? 1 : 2\'',
      5,
      /formula/,
      /cannot be computed.*args.kind|cannot be computed/,
    ],
    ['a formula without a number', 'prices:\n  - formula: "tokens_in > 1"', 5, /formula/, /gives bool/],
    [
      'an unknown server',
      'prices:\n  - { server: bnak, per_call_usd: 1 }',
      5,
      /prices\[0\].server/,
      /no such server/,
    ],
    ['a day that is none', 'prices:\n  - { per_call_usd: 1, valid_from: 2026-02-30 }', 5, /valid_from/, /./],
    [
      'an end before the beginning',
      'prices:\n  - { per_call_usd: 1, valid_from: 2026-03-01, valid_to: 2026-03-01 }',
      5,
      /valid_to/,
      /is not after valid_from/,
    ],
    [
      'two prices for the same',
      'prices:\n  - { server: bank, tool: a, per_call_usd: 1 }\n  - { server: bank, tool: a, per_call_usd: 2 }',
      6,
      /prices\[1\]/,
      /overlaps prices\[0\]/,
    ],
    [
      'patterns of equal rank that meet',
      'prices:\n  - { server: bank, tool: "a*", per_call_usd: 1 }\n  - { server: bank, tool: "*b", per_call_usd: 2 }',
      6,
      /prices\[1\]/,
      /overlaps/,
    ],
    [
      'a month of many servers',
      'prices:\n  - { server: "*", per_month_usd: 1 }',
      5,
      /per_month_usd/,
      /price of one server/,
    ],
    [
      'a budget of an unknown server',
      'budgets:\n  - { scope: server, name: x, amount_usd: 1 }',
      5,
      /budgets\[0\].name/,
      /no such server/,
    ],
    [
      'a tool without its server',
      'budgets:\n  - { scope: tool, name: x, amount_usd: 1 }',
      5,
      /budgets\[0\].name/,
      /of which server/,
    ],
    [
      'two budgets of one team',
      'teams: { a: { budget_usd_per_month: 1 } }\nbudgets:\n  - { scope: team, name: a, amount_usd: 1 }',
      6,
      /budgets\[0\]/,
      /second budget of team a/,
    ],
    ['a tag that is no word', 'teams: { a: { tags: { "cost center": x } } }', 4, /tags/, /a tag is a word/],
  ])('%s', (_, text, line, path, message) => {
    const found = problems(text)
    expect(found.length).toBeGreaterThan(0)
    expect(found[0]).toMatchObject({
      line,
      path: expect.stringMatching(path),
      message: expect.stringMatching(message),
    })
    expect(found[0]!.fix).not.toBe('')
  })

  test('the short form of a server and an entry of the list overlap too', () => {
    const text =
      'servers:\n  bank: { url: "http://localhost:1/mcp", price: { per_call_usd: 1 } }\nprices: [{ server: bank, per_call_usd: 2 }]\n'
    expect(() => parseConfig(text, 'weir.yaml', {})).toThrow(/overlaps servers\.bank\.price/)
  })
})

test('prices that follow each other, or differ in rank, do not overlap', () => {
  expect(
    problems(`prices:
  - { server: bank, per_call_usd: 1, valid_to: 2026-06-01 }
  - { server: bank, per_call_usd: 2, valid_from: 2026-06-01 }
  - { server: bank, tool: a, per_call_usd: 1 }
  - { server: bank, tool: "a*", per_call_usd: 1 }
  - { server: "*", tool: a, per_call_usd: 1 }
  - { server: bank, tool: a, formula: "1.0" }
  - { server: "b*", per_call_usd: 1 }
  - { per_call_usd: 1 }
`),
  ).toEqual([])
})

test('budgets have a short form at the team', () => {
  const { budgets } = moneyOptions(
    parse(
      'teams: { a: { budget_usd_per_month: 400.5 } }\nbudgets: [{ scope: tool, name: bank/pay, period: day, amount_usd: "1.000000001", warn_at: [0.9] }]',
    ).config,
  )
  expect(budgets).toMatchObject([
    { scope: 'team', value: 'a', period: 'month', amount_nano: '400500000000' },
    { scope: 'tool', value: 'bank/pay', period: 'day', amount_nano: '1000000001', warn_at: [0.9] },
  ])
})

test('a caller of a team that is not there is warned of', () => {
  const key = 'a'.repeat(64)
  const { warnings } = parse(`teams: { a: {} }\ncallers: { x: { team: b, keys: [{ sha256: ${key} }] } }`)
  expect(warnings.join()).toMatch(/callers\.x\.team is not under `teams`/)
})

test('amounts are read digit by digit', () => {
  expect(amountOf('0.1', 18)).toBe(10n ** 17n)
  expect(amountOf(1e-7, 18)).toBe(10n ** 11n)
  expect(amountOf('1.5e2', 9)).toBe(150n * 10n ** 9n)
  expect(amountOf(0.3, 9)).toBe(300_000_000n)
})

test('halves go to the even one, on either side of zero', () => {
  expect([1n, 3n, 5n, -1n, -3n, -5n].map((n) => divideHalfEven(n, 2n))).toEqual([0n, 2n, 2n, 0n, -2n, -2n])
})

test('a double is rounded as the exact number it is', () => {
  // 2^-10 USD is 976562.5 nano-dollars exactly; the other is next to a half and not one.
  expect(nanoOfDouble(2 ** -10)).toBe(976_562n)
  expect(nanoOfDouble(3 * 2 ** -10)).toBe(2_929_688n)
  expect(nanoOfDouble(0.0000000005)).toBe(1n)
  expect(nanoOfDouble(0.0000000015)).toBe(1n)
  // Doubles are 1.9 nano apart there: this one is 8,999,999.99999999813735.
  expect(nanoOfDouble(8_999_999.999999998)).toBe(8_999_999_999_999_998n)
})

test('patterns overlap when a text fits both', () => {
  expect(overlap('a*', '*b')).toBe(true)
  expect(overlap('a*c', 'ab*')).toBe(true)
  expect(overlap('a*', 'b*')).toBe(false)
  expect(overlap('abc', 'a*d')).toBe(false)
  expect(overlap('*', '')).toBe(true)
})
