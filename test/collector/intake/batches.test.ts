import { afterAll, beforeAll, expect, test } from 'vitest'
import { openLog } from '../../../collector/log.ts'
import { openStore, type Store } from '../../../collector/sink/store.ts'
import { type Collector, openCollector } from '../../../collector/wire.ts'
import { makeEvent, makeIntent, newBatchId, nowUs, segmentOf, sendBatch } from '../support/events.ts'
import { type Gate, openGate } from '../support/gate.ts'
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
const lines: string[] = []
const log = openLog('debug', (line) => lines.push(line))
let store_: Running
let gate: Gate
let collector: Collector
let store: Store

beforeAll(async () => {
  store_ = await startStore(folder.path)
  gate = await openGate(store_.address)
  collector = await openCollector(collectorOptions(gate.address), log)
  store = openStore(collectorOptions(store_.address).store)
  await until(() => isReady(collector.address), 'ready')
}, 60_000)
afterAll(async () => {
  await collector?.drain()
  await store?.close()
  await gate?.close()
  await store_?.drain()
  folder.remove()
}, 60_000)

const count = async (id: string): Promise<number> => {
  const [row] = await store.rows<{ n: number }>(
    'SELECT count() AS n FROM weir.calls WHERE batch_id = {id:String}',
    { id },
  )
  return row!.n
}

test.each(['zstd', 'gzip', undefined] as const)(
  'a batch is stored when it is answered (%s)',
  async (encoding) => {
    const id = newBatchId()
    const sent = await sendBatch(
      collector.address,
      id,
      segmentOf([makeEvent(), makeEvent()]),
      encoding ? { encoding } : {},
    )
    expect(sent).toEqual({ status: 200, retryAfter: null, body: { rows: 2, dead: 0, duplicate: false } })
    expect(await count(id)).toBe(2)
  },
)

test('sent again it is a duplicate and changes nothing', async () => {
  const id = newBatchId()
  const bytes = segmentOf([makeEvent()])
  await sendBatch(collector.address, id, bytes)
  const again = await Promise.all(
    [1, 2, 3].map((attempt) => sendBatch(collector.address, id, bytes, { attempt })),
  )
  expect(again.map((answer) => answer.body)).toEqual(Array(3).fill({ rows: 1, dead: 0, duplicate: true }))
  expect(await count(id)).toBe(1)
})

test('an empty batch is a batch', async () => {
  expect(await sendBatch(collector.address, newBatchId(), Buffer.alloc(0))).toMatchObject({
    status: 200,
    body: { rows: 0, dead: 0 },
  })
})

test('every value comes back as it was written', async () => {
  const hostile = 'a\n\nDROP TABLE weir.calls; \\ \' " \u0000 \u2028 😀 {x:String}'
  const event = makeEvent({
    target: hostile,
    error_message: hostile,
    labels: { [hostile]: hostile },
    missed_servers: [hostile],
    error_code: -32_603,
  })
  const id = newBatchId()
  await sendBatch(collector.address, id, segmentOf([event]))
  const [row] = await store.rows<Record<string, unknown>>(
    'SELECT * EXCEPT(ts), toUnixTimestamp64Micro(ts) AS ts FROM weir.calls WHERE batch_id = {id:String}',
    { id },
  )
  const { captured_arguments: _, captured_result: __, ...expected } = event
  expect(row).toMatchObject(expected)
})

test('wrong bytes, a wrong token and wrong headers are told apart, each with a way out', async () => {
  const bytes = segmentOf([makeEvent()])
  const cases = [
    [
      await sendBatch(collector.address, newBatchId(), bytes, { checksum: '00000000' }),
      400,
      'checksum_mismatch',
    ],
    [await sendBatch(collector.address, newBatchId(), bytes, { token: 'guess' }), 401, 'unauthenticated'],
    [await sendBatch(collector.address, 'nonsense', bytes), 400, 'batch_id_malformed'],
    [await sendBatch(collector.address, newBatchId(), bytes, { attempt: 0 }), 400, 'attempt_malformed'],
    [
      await sendBatch(collector.address, newBatchId(), bytes, { headers: { 'content-encoding': 'br' } }),
      415,
      'encoding_unknown',
    ],
    [
      await sendBatch(collector.address, newBatchId(), bytes, { headers: { 'content-encoding': 'zstd' } }),
      400,
      'body_unreadable',
    ],
  ] as const
  for (const [answer, status, code] of cases) {
    expect(answer.status).toBe(status)
    expect(answer.body).toEqual({ error: { code, message: expect.any(String), fix: expect.any(String) } })
  }
})

test('a small body that inflates to a huge one is refused', async () => {
  const answer = await sendBatch(collector.address, newBatchId(), Buffer.alloc(65 * 1024 * 1024), {
    encoding: 'zstd',
  })
  expect(answer).toMatchObject({ status: 413, body: { error: { code: 'body_too_large' } } })
})

test.each([
  ['it is busy', 500, 252, 'Too many parts'],
  ['it refuses us', 403, 497, 'not enough privileges: secret detail'],
  ['it refuses rows that it can read', 400, 117, 'Cannot parse: secret detail'],
] as const)(
  'when %s, the sender is asked to come again and learns nothing private',
  async (_, status, code, text) => {
    const id = newBatchId()
    const bytes = segmentOf([makeEvent()])
    gate.refuse = { status, code, text }
    const refused = await sendBatch(collector.address, id, bytes)
    gate.refuse = null
    expect(refused).toMatchObject({ status: 503, body: { error: { code: 'store_unavailable' } } })
    expect(Number(refused.retryAfter)).toBeGreaterThan(0)
    expect(JSON.stringify(refused.body)).not.toContain('secret')
    expect(await sendBatch(collector.address, id, bytes, { attempt: 2 })).toMatchObject({
      status: 200,
      body: { rows: 1, duplicate: false },
    })
    expect(await count(id)).toBe(1)
  },
)

test('intents without an event are the unfinished calls', async () => {
  const [done, lost] = [makeEvent(), makeEvent({ tool: 'never-answered' })]
  await sendBatch(collector.address, newBatchId(), segmentOf([makeIntent(done), makeIntent(lost)]))
  await sendBatch(collector.address, newBatchId(), segmentOf([done]))
  expect(await store.rows('SELECT event_id, tool FROM weir.unfinished_calls')).toEqual([
    { event_id: lost.event_id, tool: 'never-answered' },
  ])
})

test('missing batches of a worker show as a gap until they come', async () => {
  const worker = newBatchId().slice(0, 16)
  const send = (seq: number) =>
    sendBatch(collector.address, `${worker}-${String(seq).padStart(8, '0')}`, segmentOf([makeEvent()]))
  const gap = () =>
    store.rows('SELECT missing FROM weir.v_ingest_gaps WHERE worker_id = {worker:String}', { worker })
  await send(1)
  await send(4)
  expect(await gap()).toEqual([{ missing: 2 }])
  await send(3)
  await send(2)
  expect(await gap()).toEqual([{ missing: 0 }])
})

test('losses are totals: reporting them twice, or late, changes nothing', async () => {
  const worker_id = newBatchId().slice(0, 16)
  const report = (body: unknown) =>
    fetch(`${collector.address}/v1/losses`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  for (const events of [5, 5, 12, 5])
    expect((await report([{ instance: 'test', worker_id, reason: 'spool_full', events }])).status).toBe(200)
  expect(
    await store.rows('SELECT reason, lost_events FROM weir.v_losses WHERE worker_id = {worker_id:String}', {
      worker_id,
    }),
  ).toEqual([{ reason: 'spool_full', lost_events: 12 }])
  expect((await report([{ instance: 'test', worker_id, reason: 'boredom', events: 1 }])).status).toBe(400)
  expect((await report({})).status).toBe(400)
})

test('metrics tell of all this, and the log holds neither token nor captured content', async () => {
  await sendBatch(
    collector.address,
    newBatchId(),
    segmentOf([makeEvent({ ts: nowUs(), captured_result: 'canary-4711' }), 'canary-4711']),
  )
  const text = await (await fetch(`${collector.address}/metrics`)).text()
  expect(text).toMatch(/weir_collector_batches_total\{result="stored"\} [1-9]/)
  expect(text).toMatch(/weir_collector_batches_total\{result="duplicate"\} 3/)
  expect(text).toMatch(/weir_collector_dead_letters_total\{reason="not_json"\} 1/)
  expect(text).toMatch(/weir_collector_store_errors_total\{class="busy"\} 1/)
  expect(text).toMatch(/weir_collector_losses_reported_total 4/)
  for (const secret of [TOKEN, 'canary-4711', 'writer-password']) {
    expect(text).not.toContain(secret)
    expect(lines.join('')).not.toContain(secret)
  }
})
