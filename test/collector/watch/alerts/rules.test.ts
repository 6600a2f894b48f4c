import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { writeLosses } from '../../../../collector/intake/losses.ts'
import { mirrorMoney } from '../../../../collector/money/mirror.ts'
import { run as readAlerts, runRules } from '../../../../collector/queries/alerts.ts'
import { openReader, type Reader } from '../../../../collector/queries/client.ts'
import { run as readSlos } from '../../../../collector/queries/slos.ts'
import { compactLines } from '../../../../collector/sink/store.ts'
import { slowOf } from '../../../../collector/watch/alerts/objectives.ts'
import { endOpen } from '../../../../collector/watch/anomaly/tick.ts'
import { compileBook } from '../../../../config/cost-book.ts'
import { moneyOptions } from '../../../../config/price-book.ts'
import { configSchema } from '../../../../config/schema.ts'
import type { CallEvent } from '../../../../event/fields.ts'
import { type Bench, openBench, openEvaluator } from './evaluator.ts'

let bench: Bench
/** The guarded port: evidence must be something that readers may run. */
let guarded: Reader & { close(): Promise<void> }
let t0 = 0

beforeAll(async () => {
  bench = await openBench()
  guarded = openReader({
    url: bench.process.address,
    user: 'reader',
    password: '',
    database: 'weir',
    timeout_ms: 20_000,
  })
}, 60_000)
afterAll(async () => {
  await guarded?.close()
  await bench?.close()
}, 60_000)
beforeEach(async () => {
  await bench.clear()
  t0 = Date.now()
})

const FAULT = { outcome: 'upstream_error', owner: 'upstream' } as const
const BLUNDER = { outcome: 'invalid', owner: 'client' } as const
const calls = (n: number, more: Partial<CallEvent> = {}, age_ms = 5_000): Partial<CallEvent>[] =>
  Array.from({ length: n }, (_, i) => ({ ts: (t0 - age_ms - i) * 1000, ...more }))

/** Alerts after one evaluation, as `rule label=value… state`. */
async function fired(
  rules: Record<string, unknown>,
  more: { slos?: Record<string, unknown>; at_ms?: number } = {},
): Promise<string[]> {
  const evaluator = openEvaluator(bench, { alerts: { rules }, ...(more.slos ? { slos: more.slos } : {}) })
  await evaluator.tick(more.at_ms ?? t0)
  const found = await readAlerts(bench.reader)
  for (const alert of found.filter((a) => a.annotations.evidence))
    await expect(
      guarded.rows(alert.annotations.evidence!),
      alert.annotations.evidence!,
    ).resolves.toBeInstanceOf(Array)
  const hidden = new Set(['alertname', 'severity', 'kind', 'figure'])
  return found
    .map((a) => {
      const labels = Object.entries(a.labels)
        .filter(([name]) => !hidden.has(name))
        .sort()
        .map(([name, value]) => `${name}=${value}`)
      return [a.rule, ...labels, a.state].join(' ')
    })
    .sort()
}

test('clean traffic fires nothing, whatever is shipped and promised', async () => {
  await bench.calls(calls(200, { duration_us: 50_000 }))
  await bench.calls(calls(3, BLUNDER))
  const slos = {
    fast: { objective: 'latency', under_ms: 1000, target: 0.99 },
    good: { objective: 'success', target: 0.99, each: 'tool' },
  }
  expect(await fired({}, { slos })).toEqual([])
  const rules = await runRules(bench.reader)
  expect(rules.map((r) => `${r.rule} ${r.state}`)).toEqual([
    'Anomaly ok',
    'BudgetHalfSpent ok',
    'BudgetNearlySpent ok',
    'BudgetSpent ok',
    'SloBurnFast ok',
    'SloBurnSlow ok',
    'SloBurnTicket ok',
    'WeirDeadLetters ok',
    'WeirDeliveryFailing ok',
    'WeirIngestDelay ok',
    'WeirLostEvents ok',
  ])
})

describe('thresholds', () => {
  test('every figure of calls, against its limit on either side', async () => {
    await bench.calls([
      ...calls(60, { duration_us: 100_000, overhead_us: 500 }),
      ...calls(20, { ...FAULT, duration_us: 900_000, overhead_us: 9_000 }),
      ...calls(20, { ...BLUNDER, duration_us: 100_000, overhead_us: 500 }),
    ])
    const between = {
      error_share: [0.39, 0.41],
      fault_share: [0.19, 0.21],
      p95_ms: [890, 910],
      p99_ms: [890, 910],
      calls: [99, 101],
      overhead_p99_ms: [8.9, 9.1],
    }
    const rules: Record<string, unknown> = {}
    for (const [figure, [below, above]] of Object.entries(between)) {
      rules[`${figure}-yes`] = { figure, value: below }
      rules[`${figure}-no`] = { figure, value: above }
      rules[`${figure}-less`] = { figure, op: '<', value: above }
    }
    const expected = Object.keys(between)
      .flatMap((figure) => [`${figure}-less firing`, `${figure}-yes firing`])
      .sort()
    expect(await fired(rules)).toEqual(expected)
  })

  test('cost in dollars', async () => {
    await bench.calls(calls(10))
    await bench.store.command(
      "ALTER TABLE weir.calls UPDATE cost_nano = 250000000, cost_source = 'tool' WHERE 1 SETTINGS mutations_sync = 1",
    )
    expect(
      await fired({ a: { figure: 'cost_usd', value: 2.49 }, b: { figure: 'cost_usd', value: 2.51 } }),
    ).toEqual(['a firing'])
  })

  test('cost as it is after a price changed later', async () => {
    await bench.calls(calls(10))
    await bench.store.insert(
      'cost_adjustments',
      ['ts', 'event_id', 'rating', 'delta_nano', 'cost_nano', 'cost_source', 'server', 'tool', 'method'],
      compactLines([
        [(t0 - 2000) * 1000, crypto.randomUUID(), 1, 1e9, 1e9, 'tool', 'bank', 'get_balance', 'tools/call'],
      ]),
      'repriced',
    )
    expect(
      await fired({ c: { figure: 'cost_usd', value: 0.99 }, d: { figure: 'cost_usd', value: 1.01 } }),
    ).toEqual(['c firing'])
    const [alert] = await readAlerts(bench.reader)
    expect(await guarded.rows(alert!.annotations.evidence!)).toMatchObject([{ cost_usd: 1 }])
  })

  test('the link of a cost leads to the days of the alert, and to the tool as costs know it', async () => {
    await bench.calls(calls(10))
    await bench.store.command(
      "ALTER TABLE weir.calls UPDATE cost_nano = 250000000, cost_source = 'tool' WHERE 1 SETTINGS mutations_sync = 1",
    )
    expect(await fired({ a: { figure: 'cost_usd', over: 'tool', value: 1 } })).toHaveLength(1)
    const [alert] = await readAlerts(bench.reader)
    const { pathname, searchParams } = new URL(alert!.annotations.panel!, 'http://console')
    expect(pathname).toBe('/cost')
    expect(Object.fromEntries(searchParams)).toMatchObject({
      period: 'range',
      server: 'bank',
      tool: 'bank/get_balance',
    })
  })

  test('one series for each of what it is over; names narrow it, and their letters mean themselves', async () => {
    const bad = { ...FAULT, caller: 'c', team: 't' }
    await bench.calls([
      ...calls(10, { ...bad, server: 'bank', tool: 'get_a' }),
      ...calls(10, { ...bad, server: 'bank', tool: 'getXa' }),
      ...calls(10, { ...bad, server: 'files', tool: 'get_a', team: "o'neil\\", caller: '' }),
      ...calls(10, { ...bad, server: '', tool: '' }),
    ])
    const figure = { figure: 'fault_share', value: 0.5 }
    expect(await fired({ R: { ...figure, over: 'tool', tool: ['get_*'] } })).toEqual([
      'R server=bank tool=get_a firing',
      'R server=files tool=get_a firing',
    ])
    await bench.store.command('TRUNCATE TABLE weir.alert_events')
    expect(await fired({ R: { ...figure, over: 'server' } })).toEqual([
      'R server=bank firing',
      'R server=files firing',
    ])
    await bench.store.command('TRUNCATE TABLE weir.alert_events')
    expect(await fired({ R: { ...figure, over: 'team', server: ['f?les'] } })).toEqual([
      "R team=o'neil\\ firing",
    ])
    await bench.store.command('TRUNCATE TABLE weir.alert_events')
    expect(await fired({ R: { ...figure, over: 'caller' } })).toEqual(['R caller=c firing'])
  })

  test('few calls say nothing; the window ends where it ends', async () => {
    await bench.calls([...calls(9, FAULT), ...calls(50, { ...FAULT, server: 'old' }, 400_000)])
    expect(await fired({ R: { figure: 'fault_share', over: 'server', value: 0.5, min_calls: 10 } })).toEqual(
      [],
    )
    expect(await fired({ R: { figure: 'fault_share', over: 'server', value: 0.5, min_calls: 9 } })).toEqual([
      'R server=bank firing',
    ])
  })

  test('a server that fell silent is zero calls, or no data, as the rule wants it', async () => {
    await bench.calls([...calls(20, { server: 'silent' }, 3_600_000), ...calls(20, { server: 'here' })])
    expect(
      await fired({
        Quiet: { figure: 'calls', over: 'server', op: '<', value: 1 },
        Ok: { figure: 'fault_share', over: 'server', value: 0.5 },
        None: { figure: 'fault_share', over: 'server', value: 0.5, no_data: 'nodata' },
        Bad: { figure: 'fault_share', over: 'server', value: 0.5, no_data: 'alerting' },
      }),
    ).toEqual(['Bad server=silent firing', 'None server=silent nodata', 'Quiet server=silent firing'])
  })
})

describe('what Weir is itself', () => {
  test('lost events, dead letters and lateness', async () => {
    await writeLosses(bench.store, [
      { instance: 'i', worker_id: 'a'.repeat(16), reason: 'spool_full', events: 3 },
    ])
    await bench.store.insert(
      'dead_letters',
      ['batch_id', 'row_no', 'instance', 'reason', 'error', 'body'],
      compactLines([['b', 1, 'i', 'field', 'x', 'y']]),
      `dead ${t0}`,
    )
    await bench.calls(calls(10, {}, 200_000))
    // Rows are stamped by the store's clock, some of them after t0.
    expect(await fired({}, { at_ms: t0 + 2_000 })).toEqual([
      'WeirDeadLetters firing',
      'WeirIngestDelay pending',
      'WeirLostEvents firing',
    ])
    // An old loss is history, not news.
    const later = openEvaluator(bench, {})
    await later.tick(t0 + 1_000_000, 9)
    expect((await readAlerts(bench.reader)).map((a) => `${a.rule} ${a.state}`)).toContain(
      'WeirLostEvents resolved',
    )
  })

  test('a receiver that fails is an alert of its own', async () => {
    const rows = [1, 2, 3].map((attempt) => [
      t0 - 1000,
      'k',
      'pager',
      '',
      '',
      [],
      [],
      'retry',
      attempt,
      500,
      'HTTP 500',
      '',
      's',
    ])
    await bench.store.insert(
      'alert_deliveries',
      [
        'ts',
        'key',
        'receiver',
        'group_key',
        'rule',
        'fingerprints',
        'resolved',
        'status',
        'attempt',
        'http_status',
        'error',
        'message',
        'sender',
      ],
      compactLines(rows),
      `fail ${t0}`,
    )
    expect(await fired({})).toEqual(['WeirDeliveryFailing receiver=pager firing'])
    expect(await fired({ WeirDeliveryFailing: { enabled: false } }, { at_ms: t0 + 1 })).toEqual([
      'WeirDeliveryFailing receiver=pager resolved',
    ])
  })
})

test('an open anomaly fires, and ends with it; a repeated finding is one alert', async () => {
  const write = (updated_ms: number): Promise<void> =>
    bench.store.insert(
      'anomalies',
      [
        'id',
        'kind',
        'scope',
        'series',
        'server',
        'tool',
        'team',
        'caller',
        'started',
        'ended',
        'detected_at',
        'value',
        'expected',
        'unit',
        'score',
        'n',
        'evidence',
        'traces',
        'summary',
        'updated_at',
      ],
      compactLines([
        [
          'a1',
          'latency',
          'tool',
          'bank/get',
          'bank',
          'get',
          '',
          '',
          Math.floor(t0 / 1000) - 600,
          0,
          t0,
          5,
          1,
          'ms',
          9,
          50,
          'SELECT 1',
          ['t1'],
          'bank/get is slow',
          updated_ms,
        ],
      ]),
      `anomaly ${updated_ms}`,
    )
  await write(t0)
  await write(t0 + 1)
  expect(
    await fired({
      Loud: { kind: 'anomaly', score_min: 10 },
      Mine: { kind: 'anomaly', anomalies: ['latency'], severity: 'critical' },
    }),
  ).toEqual([
    'Anomaly anomaly=latency scope=tool series=bank/get server=bank tool=get firing',
    'Mine anomaly=latency scope=tool series=bank/get server=bank tool=get firing',
  ])
  const [alert] = await readAlerts(bench.reader)
  expect(alert!.annotations).toMatchObject({
    summary: 'bank/get is slow',
    evidence: 'SELECT 1',
    traces: 't1',
  })
  // As when the detectors are switched off.
  expect(await endOpen(bench.store, t0 + 2)).toBe(1)
  expect(await endOpen(bench.store, t0 + 3)).toBe(0)
  const after = openEvaluator(bench, { alerts: { missing_evaluations: 1 } })
  await after.tick(t0 + 1000, 2)
  expect((await readAlerts(bench.reader)).map((a) => a.state)).toEqual(['resolved', 'resolved'])
})

test('budgets fire at their shares', async () => {
  const money = moneyOptions(
    configSchema.parse({
      servers: { bank: { url: 'https://bank.example/mcp', price: { per_call_usd: 1 } } },
      teams: { research: { budget_usd_per_month: 100 }, ops: { budget_usd_per_month: 100 } },
    }),
  )
  const book = compileBook(money.prices)
  await mirrorMoney(bench.store, money, book.id)
  await bench.calls(calls(85, { team: 'research' }), book)
  // A forecast is never below what is spent; how far above depends on the day of the month.
  expect(await fired({ Forecast: { kind: 'budget', by: 'forecast', value: 0.85 } })).toEqual(
    ['BudgetHalfSpent', 'BudgetNearlySpent', 'Forecast'].map(
      (rule) => `${rule} budget=${money.budgets[0]!.budget_id} period=month team=research firing`,
    ),
  )
  const found = (await readAlerts(bench.reader)).find((a) => a.rule === 'BudgetNearlySpent')
  expect(found!.annotations.summary).toBe(
    '85 % of the budget of team research per month is spent: 85 of 100 USD',
  )
  const month = Date.parse(`${new Date(t0).toISOString().slice(0, 7)}-01`)
  const { searchParams } = new URL(found!.annotations.panel!, 'http://console')
  expect(Object.fromEntries(searchParams)).toMatchObject({ from: String(month), period: 'range' })
})

describe('objectives', () => {
  const slo = (name: string) => async () => (await readSlos(bench.reader)).filter((row) => row.slo === name)

  test('success: budget and burn rates add up, and a fast burn needs both windows', async () => {
    const good = { objective: 'success', target: 0.9, each: 'server' }
    await bench.calls([
      ...calls(60, { server: 'bank' }, 40 * 60_000),
      ...calls(20, { ...FAULT, server: 'bank' }),
      ...calls(20, { ...BLUNDER, server: 'bank' }),
      ...calls(100, { server: 'files' }),
    ])
    const slos = { good, strict: { ...good, bad: 'failed', target: 0.5 }, hot: { ...good, target: 0.99 } }
    // Of 100 calls 20 are faults: burn 2 with a target of 90 %, 20 with 99 %.
    expect(await fired({}, { slos })).toEqual([
      'SloBurnFast objective=success server=bank slo=hot firing',
      'SloBurnSlow objective=success server=bank slo=hot firing',
      'SloBurnTicket objective=success server=bank slo=good firing',
      'SloBurnTicket objective=success server=bank slo=hot firing',
    ])
    const [bank] = (await slo('good')()).filter((row) => row.server === 'bank')
    expect(bank).toMatchObject({ total: 100, bad: 20, good_share: 0.8 })
    expect(bank!.budget_left).toBeCloseTo(-1)
    expect(bank!.burn_1h).toBeCloseTo(2)
    expect(bank!.burn_5m).toBeCloseTo(5)
    const [strict] = (await slo('strict')()).filter((row) => row.server === 'bank')
    expect(strict).toMatchObject({ total: 100, bad: 40 })
  })

  test('too few calls say nothing; an objective that is gone leaves the list', async () => {
    await bench.calls(calls(9, FAULT))
    expect(await fired({}, { slos: { good: { objective: 'success', target: 0.99 } } })).toEqual([])
    expect(await slo('good')()).toMatchObject([{ total: 9, burn_1h: null }])
    await openEvaluator(bench, { slos: {} }).tick(t0 + 1, 2)
    expect(await slo('good')()).toEqual([])
  })

  test('latency from the histogram agrees with the calls within a bucket; by team and cost from the calls', async () => {
    await bench.calls([
      ...calls(70, { duration_us: 100_000 }),
      ...calls(30, { duration_us: 800_000, team: 'ops' }),
    ])
    await bench.store.command(
      "ALTER TABLE weir.calls UPDATE cost_nano = if(team = 'ops', 5000000, 1000000), cost_source = if(duration_us > 1, 'tool', 'unpriced') WHERE 1 SETTINGS mutations_sync = 1",
    )
    const slos = {
      quick: { objective: 'latency', under_ms: 500, target: 0.9 },
      teams: { objective: 'latency', under_ms: 500, target: 0.9, each: 'team' },
      cheap: { objective: 'cost', under_usd: 0.002, target: 0.9, team: ['o*'] },
    }
    expect(await fired({}, { slos })).toContain('SloBurnTicket objective=latency slo=quick firing')
    expect(await slo('quick')()).toMatchObject([{ total: 100, bad: 30, under: 500 }])
    expect((await slo('teams')()).map((row) => [row.team, row.total, row.bad]).sort()).toEqual([
      ['ops', 30, 30],
      ['research', 70, 0],
    ])
    expect(await slo('cheap')()).toMatchObject([{ total: 30, bad: 30 }])
  })

  test('a bucket at the limit is split', () => {
    // Bucket 159 is (961 ms, 1048 ms]; the limit of a second lies a bit below its middle.
    expect(slowOf({ 100: 50, 159: 100, 170: 7 }, 1e6)).toBe(7 + 55)
    expect(slowOf({}, 1e6)).toBe(0)
  })
})
