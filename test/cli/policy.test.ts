/** `weir policy` as its users run it, on calls that really were made. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run as past } from '../../collector/queries/past-calls.ts'
import { type Observed, startObserved } from '../e2e/support/observed.ts'
import { initialize, send, toolCall } from '../support/client.ts'
import { run } from './support/weir.ts'

const BANK = ['node', new URL('../support/bank-server.ts', import.meta.url).pathname]
const KEY = 'key-of-the-agent-0123456789'
const sha256 = createHash('sha256').update(KEY).digest('hex')
let weir: Observed
const cli = (...argv: string[]) => run(weir.weir.folder.path, 'policy', ...argv)
const rulesFile = (name: string, rules: object[]): string => {
  const file = join(weir.weir.folder.path, name)
  writeFileSync(file, JSON.stringify({ rules }))
  return file
}

beforeAll(async () => {
  weir = await startObserved({
    servers: { bank: { command: BANK, price: { per_call_usd: 0.25 } } },
    callers: {
      agent: { team: 'desk', roles: ['clerk'], keys: [{ sha256 }] },
      other: { keys: [{ sha256: sha256.replaceAll(/[0-8]/g, '9') }] },
    },
    capture: { keep: [{ tools: 'bank_transfer', arguments: true }] },
    rules: [
      { deny: 'nobody closes', tools: 'close_account' },
      { deny: 'tried', mode: 'shadow', tools: 'get_owner' },
    ],
  })
  const url = `${weir.url}/servers/bank/mcp`
  const headers = { authorization: `Bearer ${KEY}` }
  const hello = await send(url, initialize(1), { headers })
  const session = { ...headers, 'mcp-session-id': String(hello.headers['mcp-session-id']) }
  await send(url, { jsonrpc: '2.0', method: 'notifications/initialized' }, { headers: session })
  await send(url, { jsonrpc: '2.0', id: 'list', method: 'tools/list' }, { headers: session })
  const calls = [
    ['get_balance', { account: '1' }],
    ['get_owner', { account: '1' }],
    ['transfer', { amount: 10, to: 'x' }],
    ['transfer', { amount: 77777, to: 'x' }],
    ['close_account', { account: '1' }],
  ] as const
  for (const [i, [name, args]] of calls.entries())
    await send(url, toolCall(`p${i}`, name, args), { headers: session })
  await weir.events("method = 'tools/call'", 5)
})
afterAll(() => weir?.stop())

describe('policy test', () => {
  test('says who would have been refused, when, by which rule, and what that saves', async () => {
    const file = rulesFile('large.yaml', [
      { deny: 'no large transfers', when: "tool.name == 'transfer' && args.amount > 1000" },
    ])
    const { code, out } = await cli('test', '--rules', file, '--json')
    expect(code).toBe(0)
    const said = JSON.parse(out)
    expect(said).toMatchObject({
      calls: 5,
      refused_before: 1,
      refused: 1,
      unknown: 0,
      saved_nano: 250_000_000,
    })
    expect(said.by).toEqual({
      'no large transfers': { refused: 1, unknown: 0, saved_nano: 250_000_000, callers: ['agent'] },
    })
    expect(said.calls_refused[0]).toMatchObject({
      rule: 'no large transfers',
      caller: 'agent',
      server: 'bank',
      tool: 'transfer',
    })
    expect(out).not.toContain('77777')
    const text = (await cli('test', '--rules', file)).out
    expect(text).toMatch(/^5 calls of the last 7d, judged by 1 rule$/m)
    expect(text).toMatch(/^refused: 1; not making them saves \$0\.250$/m)
    expect(text).toMatch(/agent {2,}bank transfer {2,}no large transfers {2,}forbidden when/)
  })
  test('takes rules in shadow mode as enforced, and those of the installation when no file is named', async () => {
    const said = JSON.parse((await cli('test', '--json')).out)
    expect(said).toMatchObject({ refused: 1, refused_before: 1, by: { tried: { refused: 1 } } })
    expect((await cli('test')).out).toContain('2 rules (1 in shadow mode, taken as enforced)')
  })
  test('says how many calls could not be judged, and why', async () => {
    const file = rulesFile('accounts.yaml', [
      { deny: 'not account 1', when: "has(args.account) && args.account == '1'" },
    ])
    const said = JSON.parse((await cli('test', '--rules', file, '--json')).out)
    // The transfers' arguments are kept, and have no account.
    expect(said).toMatchObject({ refused: 0, unknown: 2, refused_before: 1 })
    expect((await cli('test', '--rules', file)).out).toContain(
      'not judged: 2, because arguments or tool definitions were not kept',
    )
  })
  test('judges by what tools say of themselves, by time and by role', async () => {
    const file = rulesFile('read.yaml', [
      { allow: 'clerks read', roles: 'clerk', when: 'tool.annotations.read_only' },
      { deny: 'before 1970', when: "now < timestamp('1970-01-01T00:00:00Z')" },
    ])
    const said = JSON.parse((await cli('test', '--rules', file, '--json')).out)
    expect(said).toMatchObject({ refused: 2, unknown: 0, by: { default: { refused: 2 } } })
  })
  test('tries limits and budgets the same way; what a rule refuses takes no place in them', async () => {
    const file = join(weir.weir.folder.path, 'limits.yaml')
    const rules = [{ deny: 'no owners', tools: 'get_owner' }]
    writeFileSync(
      file,
      JSON.stringify({
        rules,
        limits: [{ name: 'two a day', per: ['caller'], quota: '2/day', mode: 'shadow' }],
      }),
    )
    const said = JSON.parse((await cli('test', '--rules', file, '--json')).out)
    expect(said).toMatchObject({
      refused: 2,
      saved_nano: 500_000_000,
      by: { 'no owners': { refused: 1 }, 'two a day': { refused: 1 } },
    })
    expect((await cli('test', '--rules', file)).out).toContain('judged by 1 rule and 1 limit')
    const budget = join(weir.weir.folder.path, 'budget.yaml')
    writeFileSync(budget, JSON.stringify({ teams: { desk: { budget_usd_per_month: 0.5, enforce: true } } }))
    expect(JSON.parse((await cli('test', '--rules', budget, '--json')).out)).toMatchObject({
      refused: 2,
      saved_nano: 500_000_000,
    })
  })
  test('shows one rule alone, and refuses what makes no sense', async () => {
    const file = rulesFile('two.yaml', [
      { deny: 'a', tools: 'transfer' },
      { deny: 'b', tools: 'get_*' },
    ])
    expect(JSON.parse((await cli('test', '--rules', file, '--rule', 'b', '--json')).out)).toMatchObject({
      refused: 2,
      saved_nano: 500_000_000,
    })
    expect(await cli('test', '--rule', 'none')).toMatchObject({
      code: 2,
      err: expect.stringContaining('there is no rule or limit "none"'),
    })
    const broken = rulesFile('broken.yaml', [{ deny: 'a', when: 'tool.nam == 1' }])
    expect((await cli('test', '--rules', broken)).err).toContain('No such key: nam')
    expect((await cli('test', '--rules', rulesFile('none.yaml', []))).err).toContain(
      'there are no rules and no limits to try',
    )
  })
})

test('the past is read in pages, each call once, in order', async () => {
  const span = { from_ms: Date.now() - 3_600_000, to_ms: Date.now() + 1000 }
  const pages = await Array.fromAsync(past(weir.store, span, 2))
  expect(pages.map((page) => page.length)).toEqual([2, 2, 1])
  const [whole] = await Array.fromAsync(past(weir.store, span))
  expect(pages.flat()).toEqual(whole)
  expect(whole!.map(({ ts_us }) => ts_us)).toEqual(whole!.map(({ ts_us }) => ts_us).sort())
})

describe('policy explain', () => {
  test('says what each rule says of a call, and which decides', async () => {
    const { code, out } = await cli('explain', '--caller', 'agent', '--tool', 'bank/close_account')
    expect(code).toBe(1)
    expect(out).toMatch(/nobody closes +deny +enforce +yes/)
    expect(out).toMatch(/tried +deny +shadow +no +it is about other tools/)
    expect(out).toContain('refused by nobody closes: forbidden')
    expect((await cli('explain', '--caller', 'agent', '--tool', 'bank/transfer')).code).toBe(0)
  })
  test('refuses callers, targets and arguments that are none', async () => {
    expect((await cli('explain', '--caller', 'nobody', '--tool', 'bank/x')).err).toContain(
      'there is no caller "nobody"',
    )
    expect((await cli('explain', '--caller', 'agent')).err).toContain('name one tool, prompt or resource')
    expect((await cli('explain', '--caller', 'agent', '--tool', 'bank/x', '--args', '[')).err).toContain(
      '--args is no JSON object',
    )
  })
})
