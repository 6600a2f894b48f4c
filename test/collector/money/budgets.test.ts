/** Budgets with their forecast, and the split of monthly prices, in numbers. Days are counted from now: the views do. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MONEY_QUESTIONS } from '../../../collector/api/questions-money.ts'
import { readLines } from '../../../collector/intake/lines.ts'
import { mirrorMoney } from '../../../collector/money/mirror.ts'
import { type BudgetRow, run as budgets } from '../../../collector/queries/budgets.ts'
import { openReader, type Reader } from '../../../collector/queries/client.ts'
import type { CostTotals } from '../../../collector/queries/cost-summary.ts'
import { migrate } from '../../../collector/schema/migrate.ts'
import { openStore, type Store } from '../../../collector/sink/store.ts'
import { writeBatch } from '../../../collector/sink/write-batch.ts'
import { compileBook } from '../../../config/cost-book.ts'
import type { CallEvent } from '../../../event/fields.ts'
import { makeEvent, newBatchId, nowUs, segmentOf } from '../support/events.ts'
import { collectorOptions, type Running, scratchFolder, startStore } from '../support/processes.ts'
import { DAY_US, moneyOf } from './seeded.ts'

const folder = scratchFolder()
const retention = { calls_days: 30, payloads_days: 7, rollups_days: 800 }
const USD = 1e9
const midnight_us = Math.floor(nowUs() / DAY_US) * DAY_US
const lastMonth = new Date(Date.now())
lastMonth.setUTCDate(0)
lastMonth.setUTCHours(12, 0, 0, 0)
const money = moneyOf(
  `prices: [{ server: bank, per_call_usd: 1 }, { server: bank, tool: big, per_call_usd: 1000 }]
teams: { steady: { budget_usd_per_month: 100000 }, fresh: { budget_usd_per_month: 0.5 } }
budgets:
  - { scope: caller, name: risky, amount_usd: 2000 }
  - { scope: tool, name: bank/never, period: day, amount_usd: 1 }
`,
  { search: '{ per_month_usd: 100.000000001, split_by: calls }' },
)
let store_: Running
let store: Store
let reader: Reader & { close(): Promise<void> }

const event = (ts: number, more: Partial<CallEvent>): CallEvent =>
  makeEvent({ ts, team: '', project: '', caller: 'c', agent: '', ...more })

beforeAll(async () => {
  store_ = await startStore(folder.path)
  const options = collectorOptions(store_.address)
  store = openStore(options.store)
  reader = openReader({ ...options.store })
  await migrate({ store, retention, log: () => {} })
  const book = compileBook(money.prices)
  await mirrorMoney(store, money, book.id)
  const events = [
    ...Array.from({ length: 7 }, (_, i) =>
      event(midnight_us - (i + 1) * DAY_US + 3_600e6, { team: 'steady' }),
    ),
    event(midnight_us, { team: 'fresh' }),
    event(midnight_us - DAY_US, { caller: 'risky', tool: 'big' }),
    ...['a', 'b', 'c'].map((caller) =>
      event(lastMonth.getTime() * 1000, { caller, server: 'search', tool: 'q' }),
    ),
    ...['first', 'second'].map((tool) => event(lastMonth.getTime() * 1000, { server: 'crm', tool })),
  ]
  const id = newBatchId()
  const bytes = segmentOf(events)
  const rows = await readLines(bytes.toString(), id, false, book.rate)
  await writeBatch(store, { id, instance: 'test', attempt: 1, bytes: bytes.length, rows }, null)
}, 120_000)
afterAll(async () => {
  await reader?.close()
  await store?.close()
  await store_?.drain()
  folder.remove()
}, 60_000)

const of = (rows: readonly BudgetRow[], value: string): BudgetRow => rows.find((row) => row.value === value)!

test('a budget has what is spent, the forecast by the pace of full days, and a state', async () => {
  const rows = await budgets(reader)
  expect(rows).toHaveLength(4)
  const month_us = Date.parse(`${new Date().toISOString().slice(0, 7)}-01T00:00:00Z`) * 1000
  const steady = of(rows, 'steady')
  const days = Array.from({ length: 7 }, (_, i) => midnight_us - (i + 1) * DAY_US + 3_600e6)
  expect(steady.spent_nano).toBe(days.filter((ts) => ts >= month_us).length * USD)
  const rest_s = (Date.parse(`${steady.period_end}T00:00:00Z`) - Date.now()) / 1000
  // A dollar a day for what is left of the month; the clock moved on meanwhile.
  expect(steady.forecast_nano - steady.spent_nano).toBeGreaterThan(((rest_s - 1) / 86_400) * USD)
  expect(steady.forecast_nano - steady.spent_nano).toBeLessThan(((rest_s + 300) / 86_400) * USD)
  expect(steady).toMatchObject({ state: 'ok', reached: 0, period: 'month' })
  expect(of(rows, 'fresh')).toMatchObject({ spent_nano: USD, state: 'exceeded', reached: 1, spent_share: 2 })
  expect(of(rows, 'bank/never')).toMatchObject({ spent_nano: 0, forecast_nano: 0, state: 'ok' })
  const risky = of(rows, 'risky')
  expect(risky.state).toBe(risky.forecast_nano > 2000 * USD ? 'at_risk' : 'ok')
})

test("a monthly price is split to the last unit, and a month of no use is nobody's", async () => {
  const rows = await store.rows<{ month: string; caller: string; cost: string; unused: number }>(
    'SELECT toString(month) AS month, toString(caller) AS caller, toString(cost_nano) AS cost, unused FROM weir.v_fixed_costs ORDER BY month, caller',
  )
  const last = lastMonth.toISOString().slice(0, 7)
  const this_ = new Date().toISOString().slice(0, 7)
  expect(rows).toEqual([
    { month: `${last}-01`, caller: 'a', cost: '33333333334', unused: 0 },
    { month: `${last}-01`, caller: 'b', cost: '33333333334', unused: 0 },
    { month: `${last}-01`, caller: 'c', cost: '33333333333', unused: 0 },
    { month: `${this_}-01`, caller: '', cost: '100000000001', unused: 1 },
  ])
})

test('a book loaded later is in force, and the one before is still known', async () => {
  const next = moneyOf('prices: [{ server: bank, per_call_usd: 2, valid_from: 2026-01-01 }]')
  await mirrorMoney(store, next, compileBook(next.prices).id)
  const prices =
    'SELECT toUInt8(in_force) AS in_force, count() AS n FROM weir.v_prices GROUP BY in_force ORDER BY in_force'
  expect(await store.rows(prices)).toEqual([
    { in_force: 0, n: 3 },
    { in_force: 1, n: 1 },
  ])
  expect(await budgets(reader)).toEqual([])
  await mirrorMoney(store, money, compileBook(money.prices).id)
  expect(await budgets(reader)).toHaveLength(4)
})

test('the console asks all of it, and is told what it cannot ask', async () => {
  const ask = (name: string, asked: Record<string, string>) => MONEY_QUESTIONS[name]!.run(reader, asked)
  const from = new Date((midnight_us - 40 * DAY_US) / 1000).toISOString().slice(0, 10)
  expect(await ask('cost-by', { by: 'caller', from, server: 'bank', tool: 'bank/big' })).toMatchObject([
    { value: 'risky', calls: 1, cost_nano: 1000 * USD },
  ])
  expect(await ask('cost-by', { by: 'tool', from, where_tag: 'cost_center=1' })).toEqual([])
  expect(await ask('cost-series', { step: 'hour', from, team: 'steady' })).toHaveLength(7)
  const { total } = (await ask('cost-summary', {})) as { total: CostTotals }
  expect(total.spent_nano + total.before_nano).toBe(1008 * USD + 2 * 100_000_000_001)
  expect(total.before_unpriced).toBe(2)
  expect(total.unpriced).toBe(0)
  expect(await ask('prices', {})).toHaveLength(3)
  for (const asked of [
    { by: 'weather' },
    { by: 'tag' },
    { where_tag: 'x' },
    { from: '2026-02-01', to: '2026-01-01' },
  ])
    expect(() => ask('cost-by', asked as Record<string, string>)).toThrow(/the parameter/)
})
