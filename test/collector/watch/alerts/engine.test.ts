import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  run as readAlerts,
  runDeliveries,
  runHistory,
  runRules,
} from '../../../../collector/queries/alerts.ts'
import { labelsOf } from '../../../../collector/watch/alerts/sample.ts'
import { type Silence, writeSilence } from '../../../../collector/watch/alerts/silences.ts'
import { type Rule, SHIPPED } from '../../../../config/alert-rules.ts'
import { type Bench, type Evaluator, openBench, openEvaluator } from './evaluator.ts'

let bench: Bench
let t0 = 0

beforeAll(async () => {
  bench = await openBench()
}, 60_000)
afterAll(() => bench?.close(), 60_000)
beforeEach(async () => {
  await bench.clear()
  t0 = Date.now()
})

const HOOK = { name: 'hook', webhook: { url: 'https://hook.example/x' } }
const NONE = Object.fromEntries(SHIPPED.map((rule) => [rule.name, { enabled: false }]))
const SLOW = {
  to: [HOOK],
  rules: {
    ...NONE,
    Slow: { figure: 'p95_ms', over: 'tool', value: 1000, window_s: 600, min_calls: 1 },
  },
}
const SLOW_FOR = {
  ...SLOW,
  rules: { ...NONE, Slow: { ...SLOW.rules.Slow, for_s: 60, keep_firing_for_s: 30 } },
}
/** Calls of a tool so slow (or not) for the window that ends at `at_ms`. */
const traffic = (at_ms: number, duration_us: number, tool = 'slow'): Promise<void> =>
  bench.calls(Array.from({ length: 3 }, (_, i) => ({ ts: (at_ms - 1000 - i) * 1000, duration_us, tool })))

/** A reader whose questions about `what` are refused while it is broken. */
type Breakable = { isNow: boolean; reader: Bench['reader'] }
function breakable(what: string): Breakable {
  const broken: Breakable = {
    isNow: false,
    reader: {
      rows: (sql, params) =>
        broken.isNow && sql.includes(what)
          ? Promise.reject(new Error('too much asked'))
          : bench.reader.rows(sql, params),
    },
  }
  return broken
}

const edges = async (): Promise<string[]> =>
  (await runHistory(bench.reader, { from_ms: t0 - 1e6, to_ms: t0 + 1e8 }))
    .reverse()
    .map((e) => `${e.rule} ${e.from_state} ${e.to_state}`)
const told = (evaluator: Evaluator): string[] =>
  evaluator.sent.flatMap(({ request }) =>
    (JSON.parse(request.body) as { alerts: { status: string; labels: Record<string, string> }[] }).alerts.map(
      (a) => `${a.labels.alertname} ${a.labels.tool ?? ''} ${a.status}`,
    ),
  )

test('from the first bad evaluation to the end: one message each way, and every edge a row', async () => {
  const e = openEvaluator(bench, { alerts: SLOW_FOR })
  await traffic(t0, 2e6)
  await e.tick(t0)
  expect(await edges()).toEqual(['Slow inactive pending'])
  await e.tick(t0 + 59_999)
  expect(e.sent).toEqual([])
  await e.tick(t0 + 60_000)
  expect(told(e)).toEqual(['Slow slow firing'])
  await e.tick(t0 + 90_000)
  // The window has moved on: fresh calls are fast.
  await traffic(t0 + 700_000, 1000)
  await e.tick(t0 + 700_000)
  expect(told(e)).toEqual(['Slow slow firing'])
  await e.tick(t0 + 730_000)
  expect(told(e)).toEqual(['Slow slow firing', 'Slow slow resolved'])
  expect(await edges()).toEqual(['Slow inactive pending', 'Slow pending firing', 'Slow firing resolved'])
  const [row] = await readAlerts(bench.reader)
  expect(row).toMatchObject({
    state: 'resolved',
    times_fired: 1,
    labels: { server: 'bank', tool: 'slow', figure: 'p95_ms' },
  })
  const deliveries = await runDeliveries(bench.reader, { from_ms: t0 - 1, to_ms: t0 + 1e7 })
  expect(deliveries.map((d) => [d.status, d.attempts])).toEqual([
    ['sent', 1],
    ['sent', 1],
  ])
})

test('it says what, where, and what to do', async () => {
  const trace_id = 'ab'.repeat(16)
  await bench.calls([
    { ts: (t0 - 2000) * 1000, duration_us: 3e6, tool: 'slow', trace_id },
    { ts: (t0 - 2000) * 1000, duration_us: 2e6, tool: 'slow' },
  ])
  const e = openEvaluator(bench, { alerts: SLOW })
  await e.tick(t0)
  const { alerts } = JSON.parse(e.sent[0]!.request.body) as {
    alerts: { annotations: Record<string, string>; generatorURL: string }[]
  }
  const { annotations } = alerts[0]!
  expect(annotations.summary).toMatch(
    /^bank\/slow: 95 % of calls take up to [\d,]+ ms in 10 min \(limit > 1000\)$/,
  )
  expect(annotations.runbook).toBe('dashboards/runbook.md#figure-p95_ms')
  const panel = new URL(annotations.panel!)
  expect(panel.origin + panel.pathname).toBe('https://console.example/tools/bank/slow')
  expect(Object.fromEntries(panel.searchParams)).toEqual({
    from: expect.stringMatching(/^\d+$/),
    to: String(t0),
  })
  expect(annotations.traces!.split(' ')[0]).toBe(trace_id)
  const [slowest] = await bench.reader.rows<{ span_id: string }>(
    `SELECT span_id FROM v_calls WHERE trace_id = '${trace_id}'`,
  )
  expect(annotations.trace).toBe(`https://console.example/trace/${trace_id}?span=${slowest!.span_id}`)
  // The evidence is SQL that a reader may run, and it shows the figure.
  const [evidence] = await bench.reader.rows<{ calls: number; p95_ms: number }>(annotations.evidence!)
  expect(evidence!.calls).toBe(2)
  expect(evidence!.p95_ms).toBeGreaterThan(2000)
})

test('a restart while it is pending, firing or clearing goes on where it was, and nothing is said twice', async () => {
  await traffic(t0, 2e6)
  await openEvaluator(bench, { alerts: SLOW_FOR }).tick(t0)
  const second = openEvaluator(bench, { alerts: SLOW_FOR }, 'two')
  await second.tick(t0 + 60_000, 2)
  expect(told(second)).toEqual(['Slow slow firing'])
  const third = openEvaluator(bench, { alerts: SLOW_FOR }, 'three')
  await third.tick(t0 + 61_000, 3)
  await traffic(t0 + 700_000, 1000)
  await third.tick(t0 + 700_000, 3)
  expect(third.sent).toEqual([])
  const fourth = openEvaluator(bench, { alerts: SLOW_FOR }, 'four')
  await fourth.tick(t0 + 729_999, 4)
  expect(fourth.sent).toEqual([])
  // It began to clear under the third.
  await fourth.tick(t0 + 730_000, 4)
  expect(told(fourth)).toEqual(['Slow slow resolved'])
  const fifth = openEvaluator(bench, { alerts: SLOW_FOR }, 'five')
  await fifth.tick(t0 + 800_000, 5)
  expect(fifth.sent).toEqual([])
  expect(await edges()).toEqual(['Slow inactive pending', 'Slow pending firing', 'Slow firing resolved'])
})

test('killed between the intention and the sending: the next one sends it, under the same key', async () => {
  await traffic(t0, 2e6)
  const killed = openEvaluator(bench, { alerts: SLOW })
  await killed.look(t0)
  expect(killed.sent).toEqual([])
  const [waiting] = await runDeliveries(bench.reader, { from_ms: t0 - 1, to_ms: t0 + 1e7 })
  expect(waiting).toMatchObject({ status: 'queued', attempts: 0 })
  const next = openEvaluator(bench, { alerts: SLOW }, 'next')
  await next.tick(t0 + 1000, 2)
  expect(told(next)).toEqual(['Slow slow firing'])
  expect(next.sent[0]!.request.headers['idempotency-key']).toBe(waiting!.key)
})

test('killed after the state was stored and before the intention: the next one tells it', async () => {
  await traffic(t0, 2e6)
  const broken = openEvaluator(
    {
      ...bench,
      store: {
        ...bench.store,
        insert: (table, ...rest) =>
          table === 'alert_deliveries'
            ? Promise.reject(new Error('killed'))
            : bench.store.insert(table, ...rest),
      },
    },
    { alerts: SLOW },
  )
  await expect(broken.tick(t0)).rejects.toThrow('killed')
  expect(await edges()).toEqual(['Slow inactive firing'])
  const next = openEvaluator(bench, { alerts: SLOW }, 'next')
  await next.tick(t0 + 1000, 2)
  expect(told(next)).toEqual(['Slow slow firing'])
  expect(await edges()).toEqual(['Slow inactive firing'])
})

test('a receiver that is down gets each message once when it is back, in order, and others do not wait', async () => {
  const e = openEvaluator(bench, {
    alerts: { ...SLOW, to: [{ ...HOOK, name: 'down', match: ['alertname=Slow'] }] },
  })
  await traffic(t0, 2e6)
  const away = { result: 'retry', http_status: 503, error: 'HTTP 503', retry_after_ms: 0 } as const
  e.answers.push(away, away, { ...away, retry_after_ms: 60_000 })
  await e.tick(t0)
  // Backoff doubles; by no chance half of it: 500 ms, then a second.
  await e.deliver(t0 + 499)
  expect(e.sent.length).toBe(1)
  await e.deliver(t0 + 500)
  await e.deliver(t0 + 1499)
  expect(e.sent.length).toBe(2)
  await e.deliver(t0 + 1500)
  await traffic(t0 + 20_000, 1000)
  await bench.store.command('TRUNCATE TABLE weir.calls')
  await traffic(t0 + 30_000, 1000)
  await e.tick(t0 + 30_000)
  expect(e.sent.length).toBe(3)
  await e.deliver(t0 + 61_500)
  expect(told(e)).toEqual([...Array(4).fill('Slow slow firing'), 'Slow slow resolved'])
  expect(new Set(e.sent.slice(0, 4).map(({ request }) => request.headers['idempotency-key'])).size).toBe(1)
  const deliveries = await runDeliveries(bench.reader, { from_ms: t0 - 1, to_ms: t0 + 1e7 })
  expect(deliveries.map((d) => [d.status, d.attempts])).toEqual([
    ['sent', 1],
    ['sent', 4],
  ])
  expect(e.log.filter((line) => line.includes('trying again')).length).toBe(3)
  expect(e.log.join()).not.toContain('hook.example')
})

test('two evaluators that both think it is their turn: one message', async () => {
  await traffic(t0, 2e6)
  const one = openEvaluator(bench, { alerts: SLOW }, 'one')
  const two = openEvaluator(bench, { alerts: SLOW }, 'two')
  await Promise.all([one.tick(t0, 1), two.tick(t0, 2)])
  expect(one.sent.length + two.sent.length).toBe(1)
})

test('silences and maintenance keep it quiet from the first message on, and say so in the state', async () => {
  const silence: Silence = {
    id: 's-1',
    matchers: [{ name: 'tool', op: '=~', value: 'sl.*' }],
    starts_ms: t0,
    ends_ms: t0 + 600_000,
    created_by: 'me',
    comment: '',
  }
  await writeSilence(bench.store, silence, t0)
  await traffic(t0, 2e6)
  const e = openEvaluator(bench, { alerts: SLOW })
  await e.tick(t0)
  expect(e.sent).toEqual([])
  expect(await readAlerts(bench.reader)).toMatchObject([{ state: 'firing', silenced: 1, silenced_by: 's-1' }])
  await writeSilence(bench.store, { ...silence, ends_ms: t0 + 1 }, t0 + 1)
  await e.tick(t0 + 2000)
  expect(told(e)).toEqual(['Slow slow firing'])
  expect(await readAlerts(bench.reader)).toMatchObject([{ state: 'firing', silenced: 0 }])
  expect(await edges()).toEqual(['Slow inactive firing'])

  const day = new Date(t0).toISOString().slice(0, 10)
  const next = new Date(t0 + 86_400_000).toISOString().slice(0, 10)
  await bench.clear()
  await traffic(t0, 2e6)
  const quiet = openEvaluator(bench, {
    alerts: { ...SLOW, maintenance: [{ name: 'move', from: `${day}T00:00`, to: `${next}T23:59` }] },
  })
  await quiet.tick(t0, 7)
  expect(quiet.sent).toEqual([])
  expect(await readAlerts(bench.reader)).toMatchObject([{ state: 'firing', silenced_by: 'move' }])
})

test('a series that is gone is over after some evaluations; a rule that is gone ends its alerts', async () => {
  await traffic(t0, 2e6)
  const e = openEvaluator(bench, { alerts: { ...SLOW, missing_evaluations: 2 } })
  await e.tick(t0)
  await bench.store.command('TRUNCATE TABLE weir.calls')
  await e.tick(t0 + 1000)
  expect(told(e)).toEqual(['Slow slow firing'])
  await e.tick(t0 + 2000)
  expect(told(e)).toEqual(['Slow slow firing', 'Slow slow resolved'])
  await bench.clear()
  await traffic(t0, 2e6)
  const before = openEvaluator(bench, { alerts: SLOW })
  await before.tick(t0, 3)
  const without = openEvaluator(bench, { alerts: { to: [HOOK], rules: NONE } }, 'without')
  await without.tick(t0 + 1000, 4)
  expect(told(without)).toEqual(['Slow slow resolved'])
  const rules = await runRules(bench.reader)
  expect(rules.map((r) => r.rule)).not.toContain('Slow')
})

test('a rule that cannot be looked at leaves its alerts alone and says so', async () => {
  await traffic(t0, 2e6)
  const broken = breakable('quantiles_')
  const e = openEvaluator(
    { ...bench, reader: broken.reader },
    { alerts: { ...SLOW, missing_evaluations: 1 } },
  )
  await e.tick(t0)
  broken.isNow = true
  await e.tick(t0 + 1000)
  expect(told(e)).toEqual(['Slow slow firing'])
  const rule = (await runRules(bench.reader)).find((r) => r.rule === 'Slow')
  expect(rule).toMatchObject({
    state: 'failed',
    detail: 'too much asked',
    about: 'p95_ms of each tool > 1000 over 10 min',
  })
  broken.isNow = false
  await e.tick(t0 + 2000)
  expect((await readAlerts(bench.reader))[0]).toMatchObject({ state: 'firing', times_fired: 1 })
})

test('what fires is told again after the repeat interval, and what was told of a receiver is remembered', async () => {
  const alerts = { ...SLOW, repeat_interval_s: 100 }
  const e = openEvaluator(bench, { alerts })
  await traffic(t0, 2e6)
  await e.tick(t0)
  await e.tick(t0 + 99_999)
  expect(e.sent.length).toBe(1)
  const next = openEvaluator(bench, { alerts }, 'next')
  await next.tick(t0 + 99_999, 2)
  expect(next.sent.length).toBe(0)
  await next.tick(t0 + 100_000, 2)
  expect(JSON.parse(next.sent[0]!.request.body)).toMatchObject({
    notification_reason: 'repeat',
    status: 'firing',
  })
})

test('objectives that cannot be counted keep no other rule from being looked at', async () => {
  await traffic(t0, 2e6)
  const broken = breakable('window_s')
  broken.isNow = true
  const alerts = { ...SLOW, rules: { ...SLOW.rules, SloBurnTicket: { enabled: true } } }
  const e = openEvaluator(
    { ...bench, reader: broken.reader },
    { alerts, slos: { good: { objective: 'success', target: 0.99 } } },
  )
  await e.tick(t0)
  expect(told(e)).toEqual(['Slow slow firing'])
  const stateOf = async (name: string): Promise<unknown> =>
    (await runRules(bench.reader)).find((r) => r.rule === name)?.state
  expect([await stateOf('Slow'), await stateOf('SloBurnTicket')]).toEqual(['ok', 'failed'])
  broken.isNow = false
  await e.tick(t0 + 61_000)
  expect(await stateOf('SloBurnTicket')).toBe('ok')
})

test('of more alerts than one evaluation has texts for, the rest get theirs with the next', async () => {
  await bench.calls(
    Array.from({ length: 150 }, (_, i) => ({
      ts: (t0 - 1000 - i) * 1000,
      duration_us: 2e6,
      tool: `slow-${i}`,
    })),
  )
  const e = openEvaluator(bench, { alerts: SLOW })
  const withTexts = async (): Promise<number> =>
    (await readAlerts(bench.reader)).filter((alert) => alert.annotations.summary).length
  await e.look(t0)
  expect(await withTexts()).toBe(100)
  await e.look(t0 + 1000)
  expect(await withTexts()).toBe(150)
})

test('a label that is cut in the middle of a character is text all the same: half of one no database takes', () => {
  const rule = { name: 'R', severity: 'warning', kind: 'anomaly', labels: {} } as unknown as Rule
  const { series } = labelsOf(rule, { series: `${'a'.repeat(255)}\u{1F600}` })
  expect(series).toBe(`${'a'.repeat(255)}\uFFFD`)
})
