import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FIGURES } from '../../../collector/schema/figures.ts'
import { openStore, type Store } from '../../../collector/sink/store.ts'
import { type Collector, openCollector } from '../../../collector/wire.ts'
import { OUTCOMES } from '../../../event/fields.ts'
import { makeEvent, newBatchId, nowUs, randomEvent, seeded, segmentOf, sendBatch } from '../support/events.ts'
import {
  collectorOptions,
  isReady,
  type Running,
  scratchFolder,
  startStore,
  until,
} from '../support/processes.ts'

const folder = scratchFolder()
let store_: Running
let collector: Collector
let store: Store

beforeAll(async () => {
  store_ = await startStore(folder.path)
  const options = collectorOptions(store_.address)
  collector = await openCollector(options)
  store = openStore(options.store)
  await until(() => isReady(collector.address), 'ready')
  const random = seeded(20_261_121)
  const base = nowUs() - 3 * 86_400e6
  // Three days of calls, some of them four days late, in batches that span days; each batch comes twice, one of them thrice.
  for (let batch = 0; batch < 6; batch++) {
    const events = Array.from({ length: 120 }, () =>
      randomEvent(random, Math.floor(base + random() * 3 * 86_400e6)),
    )
    if (batch === 5) for (const event of events) event.ts -= 86_400e6
    const id = newBatchId()
    const bytes = segmentOf(events)
    for (const attempt of batch === 2 ? [1, 1, 2] : [1, 2])
      expect((await sendBatch(collector.address, id, bytes, { attempt })).status).toBe(200)
  }
}, 120_000)
afterAll(async () => {
  await collector?.drain()
  await store?.close()
  await store_?.drain()
  folder.remove()
}, 60_000)

test('every event is there once', async () => {
  expect(await store.rows('SELECT count() AS n, uniqExact(event_id) AS ids FROM weir.calls')).toEqual([
    { n: 720, ids: 720 },
  ])
})

const figures = Object.keys(FIGURES)
/** Every figure from the raw rows, by the definition written out a second time, on purpose. */
const raw: Record<string, string> = {
  calls: 'count()',
  ...Object.fromEntries(OUTCOMES.map((outcome) => [outcome, `countIf(outcome = '${outcome}')`])),
  faults: "countIf(outcome NOT IN ('ok', 'input_required') AND owner NOT IN ('none', 'client'))",
  duration_us_sum: 'sum(duration_us)',
  upstream_us_sum: 'sum(upstream_us)',
  overhead_us_sum: 'sum(overhead_us)',
  request_bytes: 'sum(c.request_bytes)',
  response_bytes: 'sum(c.response_bytes)',
  tokens_in: 'sum(c.tokens_in)',
  tokens_out: 'sum(c.tokens_out)',
  upstream_messages: 'sum(attempts)',
  cost_nano: 'sum(c.cost_nano)',
  unpriced: "countIf(c.cost_source = 'unpriced')",
}

describe('rollups add up to the raw rows, for every figure', () => {
  const cases = [
    { view: 'v_tool_5m', keys: { server: 'server', tool: 'tool', method: 'method' }, where: '1' },
    {
      view: 'v_usage_1d',
      keys: { d: 'toDate(ts)', team: 'team', project: 'project', tool: 'tool' },
      where: '1',
    },
    { view: 'v_callers_1d', keys: { d: 'toDate(ts)', caller: 'caller' }, where: '1' },
    { view: 'v_sessions', keys: { session_id: 'session_id' }, where: "session_id != ''" },
    { view: 'v_runs', keys: { run_id: 'run_id' }, where: "run_id != ''" },
  ]
  test.each(cases)('$view', async ({ view, keys, where }) => {
    const names = Object.keys(keys)
    const rolled = await store.rows(
      `SELECT ${names.join(', ')}, ${figures.map((name) => `sum(v.${name}) AS s_${name}`).join(', ')}, sum(v.failed) AS s_failed
       FROM weir.${view} AS v GROUP BY ${names.join(', ')} ORDER BY ${names.join(', ')}`,
    )
    const direct = await store.rows(
      `SELECT ${Object.entries(keys)
        .map(([name, sql]) => `${sql} AS ${name}`)
        .join(', ')},
         ${figures.map((name) => `${raw[name]} AS s_${name}`).join(', ')}, countIf(outcome NOT IN ('ok', 'input_required')) AS s_failed
       FROM weir.calls AS c WHERE kind = 'request' AND ${where} GROUP BY ${names.join(', ')} ORDER BY ${names.join(', ')}`,
    )
    expect(rolled.length).toBeGreaterThan(1)
    expect(rolled).toEqual(direct)
  })
})

test('the histogram holds every call, and its percentiles are within a bucket of the exact ones', async () => {
  const [row] = await store.rows<Record<string, number>>(
    `SELECT (SELECT sum(arraySum(mapValues(hist))) FROM weir.tool_5m) AS in_hist, (SELECT count() FROM weir.v_calls) AS calls,
       (SELECT sum(arraySum(mapValues(overhead_hist))) FROM weir.tool_5m) AS in_overhead`,
  )
  expect(row!.in_hist).toBe(row!.calls)
  expect(row!.in_overhead).toBe(row!.calls)
  const rows = await store.rows<{ p95_us: number; exact: number }>(
    `SELECT p95_us, exact FROM weir.v_tools(from = '2026-01-01 00:00:00', to = '2100-01-01 00:00:00') AS v
     INNER JOIN (SELECT server, tool, method, quantileExactLow(0.95)(duration_us) AS exact FROM weir.v_calls GROUP BY server, tool, method) AS e
       ON v.server = e.server AND v.tool = e.tool AND v.method = e.method`,
  )
  expect(rows.length).toBeGreaterThan(5)
  for (const { p95_us, exact } of rows) expect(Math.abs(p95_us / exact - 1)).toBeLessThan(0.15)
})

test('notifications and unreadable bodies are seen but not counted as calls', async () => {
  const [row] = await store.rows<Record<string, number>>(
    `SELECT (SELECT count() FROM weir.calls WHERE kind != 'request') AS others, (SELECT count() FROM weir.v_calls WHERE kind != 'request') AS in_calls,
       (SELECT count() FROM weir.v_failures WHERE kind = 'unreadable') AS unreadable`,
  )
  expect(row!.others).toBeGreaterThan(0)
  expect(row!.in_calls).toBe(0)
  expect(row!.unreadable).toBeGreaterThan(0)
})

test('failures are grouped by fingerprint', async () => {
  const [sum] = await store.rows<Record<string, number>>(
    'SELECT (SELECT sum(failures) FROM weir.v_errors) AS grouped, (SELECT count() FROM weir.v_failures) AS failures',
  )
  expect(sum!.grouped).toBe(sum!.failures)
})

test('a batch older than the raw rows live still counts in the rollups, once', async () => {
  const old = makeEvent({ ts: nowUs() - 40 * 86_400e6, team: 'archaeology' })
  const id = newBatchId()
  for (const attempt of [1, 2]) await sendBatch(collector.address, id, segmentOf([old]), { attempt })
  expect(await store.rows("SELECT sum(calls) AS n FROM weir.v_usage_1d WHERE team = 'archaeology'")).toEqual([
    { n: 1 },
  ])
})

test('a run is as sure as its calls are on average, and knows its least certain one', async () => {
  const rolled = await store.rows(
    'SELECT run_id, round(confidence, 6) AS mean, toUInt8(confidence_min) AS least FROM weir.v_runs ORDER BY run_id',
  )
  const direct = await store.rows(
    "SELECT run_id, round(avg(run_confidence), 6) AS mean, min(run_confidence) AS least FROM weir.calls WHERE kind = 'request' AND run_id != '' GROUP BY run_id ORDER BY run_id",
  )
  expect(rolled).toEqual(direct)
  expect(direct.length).toBeGreaterThan(3)
})
