import { describe, expect, test } from 'vitest'
import { limitEntries } from '../../config/limit-book.ts'
import { parseConfig } from '../../config/load.ts'
import { NO_PLAN, type Subject, selector } from '../../limits/select.ts'
import { simulation } from '../../limits/simulate.ts'

const entries = (yaml: string) =>
  limitEntries(
    parseConfig(`servers: { bank: { url: "http://127.0.0.1:9/mcp" } }\n${yaml}`, 'weir.yaml', {}).config,
  )
const subject = (more: Partial<Subject> = {}): Subject => ({
  caller: 'ana',
  team: 'risk',
  project: 'kyc',
  agent: 'rm',
  key: 'ana#1',
  server: 'bank',
  tool: 'pay',
  method: 'tools/call',
  roles: [],
  ...more,
})
const keys = (yaml: string, more: Partial<Subject> = {}): string[] =>
  selector(entries(yaml))!(subject(more)).enforced.map(({ key }) => key)

describe('a limit holds for the calls it names', () => {
  test.each([
    ['servers: [bank]', {}, true],
    ['servers: ["ba*"]', { server: 'other' }, false],
    ['tools: [pay]', {}, true],
    ['tools: ["bank/p*"]', {}, true],
    ['tools: ["other/*"]', {}, false],
    ['tools: ["*"]', { tool: '', method: 'resources/read' }, false],
    ['callers: [ana]', { caller: 'bob' }, false],
    ['teams: [risk]', {}, true],
    ['projects: [kyc]', { project: '' }, false],
    ['agents: ["r*"]', {}, true],
    ['roles: [trader]', { roles: ['clerk', 'trader'] }, true],
    ['roles: [trader]', { roles: ['clerk'] }, false],
    ['per: [caller]', { method: 'tools/list' }, false],
    ['methods: ["*"]', { method: 'tools/list' }, true],
  ] as [string, Partial<Subject>, boolean][])('%s and %j: %s', (text, more, holds) => {
    const yaml = `limits: [ { name: x, quota: 1/day, ${text} } ]`
    expect(keys(yaml, more).length > 0).toBe(holds)
  })
})

test('keys are made of who calls and what, so that no name can pass for another', () => {
  const yaml = 'limits: [ { name: x, per: [agent, tool], quota: 1/day } ]'
  const select = selector(entries(yaml))!
  const [a] = select(subject({ agent: 'a\nb', tool: 'c' })).enforced
  const [b] = select(subject({ agent: 'a', tool: 'b\nc' })).enforced
  const [c] = select(subject({ agent: 'ab', tool: 'c' })).enforced
  const [d] = select(subject({ agent: 'a', tool: 'bc' })).enforced
  expect(new Set([a, b, c, d].map((line) => line!.key)).size).toBe(4)
})

test('a call that no limit names costs no look-up of limits', () => {
  const select = selector(entries('limits: [ { name: x, quota: 1/day, teams: [other] } ]'))!
  expect(select(subject())).toBe(NO_PLAN)
  expect(selector([])).toBeNull()
})

describe('budgets that refuse', () => {
  const yaml = (enforce: string) =>
    `prices: [ { per_call_usd: 1 } ]
teams: { risk: { budget_usd_per_month: 5, enforce: ${enforce} } }
budgets: [ { scope: tool, name: bank/pay, period: day, amount_usd: 2, enforce: ${enforce} } ]`
  test('are limits on money, to the letter of their scope', () => {
    expect(keys(yaml('true'))).toEqual(['spend budget:team:risk:month', 'spend budget:tool:bank/pay:day'])
    expect(keys(yaml('true'), { team: 'other', tool: 'see' })).toEqual([])
  })
  test('only watch in shadow, and are none when they only warn', () => {
    expect(selector(entries(yaml('shadow')))!(subject()).shadow.length).toBe(2)
    expect(entries(yaml('false'))).toEqual([])
  })
})

describe('limits over calls that were made', () => {
  const call = (ts_ms: number, more: { duration_us?: number; cost_nano?: number } = {}) => ({
    ts_ms,
    duration_us: 0,
    cost_nano: 0,
    subject: subject(),
    ...more,
  })
  test('a rate', () => {
    const judge = simulation(entries('limits: [ { name: x, rate: 2/s, burst: 2 } ]'))
    expect([0, 1, 2, 500, 501, 1000].map((ms) => judge(call(ms)).limit)).toEqual([
      null,
      null,
      'x',
      null,
      'x',
      null,
    ])
  })
  test('concurrency, by how long calls were under way', () => {
    const judge = simulation(entries('limits: [ { name: x, concurrency: 2 } ]'))
    const verdicts = [
      judge(call(0, { duration_us: 10_000 })),
      judge(call(1, { duration_us: 2_000 })),
      judge(call(2, { duration_us: 1_000 })),
      judge(call(3, { duration_us: 50_000 })),
      judge(call(9)),
      judge(call(10)),
    ]
    expect(verdicts.map(({ limit }) => limit)).toEqual([null, null, 'x', null, 'x', null])
  })
  test('money, and what only watches', () => {
    const judge = simulation(
      entries(
        'prices: [ { per_call_usd: 1 } ]\nlimits: [ { name: hard, spend_usd: 3/day }, { name: soft, spend_usd: 2/day, mode: shadow } ]',
      ),
    )
    const verdicts = [0, 1, 2, 3].map((ms) => judge(call(ms, { cost_nano: 1_000_000_000 })))
    expect(verdicts).toEqual([
      { limit: null, kind: null, shadow: [] },
      { limit: null, kind: null, shadow: [] },
      { limit: null, kind: null, shadow: ['soft'] },
      { limit: 'hard', kind: 'spend', shadow: [] },
    ])
  })
})
