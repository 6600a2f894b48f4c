import { readdirSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openReader, type Reader } from '../../../collector/queries/client.ts'
import * as failures from '../../../collector/queries/failures.ts'
import * as freshness from '../../../collector/queries/freshness.ts'
import * as losses from '../../../collector/queries/losses.ts'
import * as runs from '../../../collector/queries/run-list.ts'
import * as top from '../../../collector/queries/top.ts'
import * as trace from '../../../collector/queries/trace.ts'
import * as unfinished from '../../../collector/queries/unfinished.ts'
import { type Collector, openCollector } from '../../../collector/wire.ts'
import { hex, makeEvent, makeIntent, newBatchId, nowUs, segmentOf, sendBatch } from '../support/events.ts'
import {
  collectorOptions,
  isReady,
  type Running,
  scratchFolder,
  startStore,
  TOKEN,
  until,
} from '../support/processes.ts'

const folder = scratchFolder()
let store_: Running
let collector: Collector
let reader: Reader & { close(): Promise<void> }
const trace_id = hex(16)
const traced_us = nowUs() - 9e6
const send = async (lines: object[]): Promise<void> => {
  expect((await sendBatch(collector.address, newBatchId(), segmentOf(lines))).status).toBe(200)
}

beforeAll(async () => {
  store_ = await startStore(folder.path)
  collector = await openCollector(collectorOptions(store_.address, { log_level: 'error' }))
  // The guarded port, as the command line uses it.
  reader = openReader({
    url: store_.address,
    user: 'reader',
    password: '',
    database: 'weir',
    timeout_ms: 20_000,
  })
  await until(() => isReady(collector.address), 'ready')
  await send([
    ...Array.from({ length: 9 }, (_, i) =>
      makeEvent({ tool: 'fast', duration_us: (i + 1) * 100, ts: nowUs() - 10e6 }),
    ),
    makeEvent({
      tool: 'slow',
      duration_us: 2e6,
      run_id: 'run-2',
      ts: traced_us,
      trace_id,
      span_id: 'a'.repeat(16),
      client_span_id: 'b'.repeat(16),
    }),
    makeEvent({
      tool: 'slow',
      outcome: 'timeout',
      owner: 'upstream',
      error_type: 'upstream_timeout',
      error_fingerprint: 'f1',
      error_message: 'late',
      ts: nowUs() - 8e6,
    }),
    makeEvent({
      tool: 'slow',
      outcome: 'timeout',
      owner: 'upstream',
      error_type: 'upstream_timeout',
      error_fingerprint: 'f1',
      error_message: 'later',
      ts: nowUs() - 7e6,
    }),
    makeEvent({
      kind: 'notification',
      method: 'notifications/initialized',
      tool: '',
      outcome: 'ok',
      ts: nowUs() - 6e6,
    }),
    makeIntent(makeEvent({ tool: 'lost', ts: nowUs() - 100e6 })),
  ])
  await fetch(`${collector.address}/v1/losses`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify([{ instance: 'test', worker_id: 'c'.repeat(16), reason: 'disk_full', events: 3 }]),
  })
}, 60_000)
afterAll(async () => {
  await reader?.close()
  await collector?.drain()
  await store_?.drain()
  folder.remove()
}, 60_000)

test('the busiest are counted and timed, by tool and by server', async () => {
  const { rows, totals } = await top.run(reader, { window_s: 300, by: 'tool' })
  expect(rows[0]).toMatchObject({
    server: 'bank',
    name: 'fast',
    calls: 9,
    failed: 0,
    p50_us: 500,
    p95_us: 900,
    tokens_out: 9 * 1080,
  })
  expect(rows[1]).toMatchObject({ name: 'slow', calls: 3, failed: 2 })
  expect(totals.calls).toBe(rows.reduce((sum, row) => sum + row.calls, 0))
  const servers = await top.run(reader, { window_s: 300, by: 'server' })
  expect(servers.rows.find((row) => row.name === 'bank')?.calls).toBe(12)
})

test('a trace holds the spans of Weir and of others, with the phases of a call', async () => {
  const start = BigInt(traced_us - 1000) * 1000n
  const foreign = {
    traceId: trace_id,
    spanId: 'c'.repeat(16),
    name: 'plan',
    kind: 1,
    startTimeUnixNano: String(start),
    endTimeUnixNano: String(start + 5n),
  }
  const sent = await fetch(`${collector.address}/v1/traces`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      resourceSpans: [
        {
          resource: { attributes: [{ key: 'service.name', value: { stringValue: 'agent' } }] },
          scopeSpans: [{ spans: [foreign] }],
        },
      ],
    }),
  })
  expect(sent.status).toBe(200)
  const spans = await trace.run(reader, { trace_id })
  expect(spans.map((span) => [span.service, span.kind, span.is_weir])).toEqual([
    ['agent', 'Internal', false],
    ['weir', 'Server', true],
    ['weir', 'Client', true],
  ])
  expect(spans[1]!.phases).toMatchObject({ receive_us: 100, wait_us: 11_000, answer_us: 570 })
  expect(spans[1]!.duration_us).toBe(2_000_000)
  expect(spans[2]!.phases).toBeNull()
  expect(spans[2]!.start_us - spans[1]!.start_us).toBe(330)
  expect(await trace.run(reader, { trace_id: hex(16) })).toEqual([])
})

test('failures come by cause, runs and losses are listed, freshness tells how far behind', async () => {
  expect(await failures.run(reader, { window_s: 300 })).toMatchObject([
    { error_fingerprint: 'f1', failures: 2, callers: 1, error_message: 'later', owner: 'upstream' },
  ])
  const listed = await runs.run(reader, { from_ms: Date.now() - 3_600_000 })
  expect(listed.map((run) => [run.run_id, run.calls, run.failed])).toEqual(
    expect.arrayContaining([['run-2', 1, 0]]),
  )
  expect(await runs.run(reader, { from_ms: Date.now() - 3_600_000, caller: 'nobody' })).toEqual([])
  expect(await losses.run(reader)).toMatchObject([{ reason: 'disk_full', lost_events: 3 }])
  expect(await unfinished.run(reader)).toMatchObject([{ tool: 'lost' }])
  const now = await freshness.run(reader)
  expect(now).toMatchObject({ missing_batches: 0, dead_letters_1d: 0, lost_events: 3 })
  expect(now.calls_1h).toBeGreaterThan(12)
  expect(now.newest_age_s).toBeGreaterThan(0)
})

test('the tools of any window are one view, readable through the guard', async () => {
  const rows = await reader.rows(
    'SELECT tool, calls, failed FROM v_tools(from = {from:DateTime}, to = {to:DateTime}) WHERE tool = {tool:String}',
    {
      from: Math.floor(Date.now() / 1000) - 3600,
      to: Math.floor(Date.now() / 1000) + 3600,
      tool: 'slow',
    },
  )
  expect(rows).toEqual([{ tool: 'slow', calls: 3, failed: 2 }])
})

test('values are bound, not written into the statement', async () => {
  const hostile = "x' OR 1 = 1 --"
  expect(await trace.run(reader, { trace_id: hostile })).toEqual([])
  expect(await runs.run(reader, { from_ms: 0, caller: hostile })).toEqual([])
})

test('every question is a file with its SQL and a function that asks it', async () => {
  const files = readdirSync(new URL('../../../collector/queries', import.meta.url)).filter(
    (file) => !['client.ts', 'scope.ts'].includes(file),
  )
  for (const file of files) {
    const question = (await import(
      /* @vite-ignore */ new URL(`../../../collector/queries/${file}`, import.meta.url).href
    )) as Record<string, unknown>
    expect(
      Object.values(question).some((value) => typeof value === 'function'),
      file,
    ).toBe(true)
    expect(
      Object.values(question).some((value) => typeof value === 'string' && value.includes('SELECT')),
      file,
    ).toBe(true)
  }
})
