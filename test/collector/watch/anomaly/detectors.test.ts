/** The detectors on a real store: seeded calls in, findings out. The clock is an argument. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as anomalies from '../../../../collector/queries/anomalies.ts'
import * as series from '../../../../collector/queries/anomaly-series.ts'
import { openReader, type Reader } from '../../../../collector/queries/client.ts'
import { migrate } from '../../../../collector/schema/migrate.ts'
import { compactLines, openStore, type Store } from '../../../../collector/sink/store.ts'
import { tick } from '../../../../collector/watch/anomaly/tick.ts'
import { anomalies as schema } from '../../../../config/anomalies.ts'
import { seeded } from '../../support/events.ts'
import { collectorOptions, type Running, scratchFolder, startStore } from '../../support/processes.ts'

const folder = scratchFolder()
const OPTIONS = schema.parse({})
const HOUR = 3_600
/** Yesterday noon: rows of the test must not be older than their tables keep them. */
const START = Math.floor(Date.now() / 86_400_000) * 86_400 - 86_400
let process_: Running
let store: Store
let reader: Reader & { close(): Promise<void> }

type Row = {
  ts: number
  server: string
  tool: string
  caller: string
  duration_us: number
  faulty?: boolean
  bytes?: number
  cost?: number
  run?: string
  shape?: string
  version?: string
}
const COLUMNS =
  'event_id ts kind trace_id run_id caller team client_version method server tool outcome owner error_type error_fingerprint arguments_hash duration_us response_bytes cost_nano cost_source'.split(
    ' ',
  )

async function put(rows: readonly Row[]): Promise<void> {
  const lines = rows.map((r) => [
    crypto.randomUUID(),
    r.ts.toFixed(6),
    'request',
    crypto.randomUUID().replaceAll('-', ''),
    r.run ?? 'run',
    r.caller,
    'research',
    r.version ?? '1.0',
    'tools/call',
    r.server,
    r.tool,
    r.faulty ? 'tool_error' : 'ok',
    r.faulty ? 'upstream' : 'none',
    r.faulty ? 'tool_error' : '',
    r.faulty ? 'fp-boom' : '',
    r.shape ?? crypto.randomUUID().replaceAll('-', ''),
    Math.round(r.duration_us),
    r.bytes ?? 4_000,
    r.cost ?? 1_000_000,
    'tool',
  ])
  for (let at = 0; at < lines.length; at += 20_000)
    await store.insert('calls', COLUMNS, compactLines(lines.slice(at, at + 20_000)), crypto.randomUUID())
}

const random = seeded(7)
const TOOLS = ['a', 'b', 'c'].flatMap((tool) => ['bank', 'files'].map((server) => ({ server, tool })))

/** Usual traffic: every tool about 30 calls in five minutes by three callers. `change` makes it unusual. */
function traffic(from: number, to: number, change: (row: Row) => Row | Row[] | null = (row) => row): Row[] {
  const rows: Row[] = []
  for (let t = from; t < to; t += 300)
    for (const { server, tool } of TOOLS) {
      const count = 25 + Math.floor(random() * 10)
      for (let i = 0; i < count; i++) {
        const caller = ['rm-agent', 'planner', 'clerk'][i % 3]!
        const changed = change({
          ts: t + random() * 299,
          server,
          tool,
          caller,
          duration_us: 50_000 * Math.exp(0.6 * (random() + random() + random() - 1.5)),
          faulty: random() < 0.01,
          run: `${caller}-${Math.floor(t / 600)}`,
        })
        if (changed) rows.push(...[changed].flat())
      }
    }
  return rows
}

/** Ticks as the watch would, every five minutes. */
async function watch(from: number, to: number, options = OPTIONS): Promise<void> {
  for (let t = from + 300; t <= to; t += 300)
    await tick(store, options, (t + 65) * 1000, { seen_ms: (t + 65) * 1000 })
}
const found = (): Promise<anomalies.AnomalyRow[]> =>
  anomalies.run(reader, { from_ms: (START - HOUR) * 1000, to_ms: (START + 48 * HOUR) * 1000 })

beforeAll(async () => {
  process_ = await startStore(folder.path)
  const options = collectorOptions(process_.address)
  store = openStore(options.store)
  await migrate({ store, retention: options.retention, log: () => {} })
  reader = openReader({
    url: process_.address,
    user: 'reader',
    password: '',
    database: 'weir',
    timeout_ms: 20_000,
  })
}, 600_000)
afterAll(async () => {
  await reader?.close()
  await store?.close()
  await process_?.drain()
  folder.remove()
}, 30_000)

const CLEAN_TO = START + 4 * HOUR
const FAULT_TO = CLEAN_TO + 1_200

test('hours of clean traffic leave no finding, and every series says that it is learning', async () => {
  await put(traffic(START, CLEAN_TO))
  // The buckets of three hours are closed at once, the last hour bucket by bucket.
  await watch(CLEAN_TO - HOUR - 300, CLEAN_TO)
  expect(await found()).toEqual([])
  const states = await series.states(reader)
  expect(states.filter((s) => s.scope === 'tool').length).toBeGreaterThan(0)
  expect(new Set(states.map((s) => s.state))).toEqual(new Set(['learning']))
  expect(states[0]!.days_missing).toBeGreaterThan(18)
}, 600_000)

test('a slow tool, a failing tool, a price change, larger results and a silent server are found, each with what differs', async () => {
  const rows = traffic(CLEAN_TO, FAULT_TO, (row) => {
    if (row.server === 'files') return null
    if (row.tool === 'a' && row.caller === 'rm-agent') return { ...row, duration_us: row.duration_us * 30 }
    if (row.tool === 'b' && random() < 0.5) return { ...row, faulty: true }
    if (row.tool === 'c') return { ...row, cost: 3_000_000, bytes: 40_000 }
    return row
  })
  await put(rows)
  await watch(CLEAN_TO, FAULT_TO - 300)
  const findings = await found()
  const by = (kind: string): anomalies.AnomalyRow | undefined => findings.find((f) => f.kind === kind)
  expect(by('latency')).toMatchObject({ series: 'bank/a', is_open: 1, contributor: 'caller=rm-agent' })
  expect(by('latency')!.contributor_share).toBeGreaterThan(0.8)
  expect(by('latency')!.value).toBeGreaterThan(by('latency')!.upper)
  expect(by('errors')).toMatchObject({ series: 'bank/b', contributor: 'error_fingerprint=fp-boom' })
  expect(by('cost')).toMatchObject({ series: 'bank/c', unit: 'nano_usd' })
  expect(by('cost')!.value).toBeCloseTo(3_000_000, -4)
  expect(by('result_size')).toMatchObject({ series: 'bank/c' })
  expect(by('silence')).toMatchObject({ series: 'files', scope: 'server' })
  expect(findings.map((f) => f.kind).sort()).toEqual(['cost', 'errors', 'latency', 'result_size', 'silence'])
  for (const finding of findings) {
    expect(finding.summary).toContain(finding.series)
    expect((await reader.rows<object>(finding.evidence)).length, finding.evidence).toBeGreaterThan(0)
    if (finding.kind !== 'silence') expect(finding.traces.length).toBe(5)
    expect((await anomalies.one(reader, finding.id.slice(0, 8)))?.id).toBe(finding.id)
  }
  const chart = await series.run(reader, {
    scope: 'tool',
    series: 'bank/c',
    metric: 'cost',
    from_ms: CLEAN_TO * 1000,
    to_ms: (FAULT_TO - 300) * 1000,
  })
  expect(chart.at(-1)).toMatchObject({ direction: 1, method: 'learning' })
}, 600_000)

test('another collector, or the same after a restart, goes on with the same findings', async () => {
  const before = await found()
  // Nothing but the store is shared between the runs; both judge the same buckets.
  const now_ms = (FAULT_TO + 65) * 1000
  await Promise.all([
    tick(store, OPTIONS, now_ms, { seen_ms: now_ms }),
    tick(store, OPTIONS, now_ms, { seen_ms: now_ms }),
  ])
  const after = await found()
  expect(after.map((f) => f.id).sort()).toEqual(before.map((f) => f.id).sort())
  const cost = (rows: anomalies.AnomalyRow[]): anomalies.AnomalyRow => rows.find((f) => f.kind === 'cost')!
  expect(cost(after).last_seen > cost(before).last_seen).toBe(true)
  expect(cost(after).detected_at).toBe(cost(before).detected_at)
}, 600_000)

test('findings end when all is as usual again', async () => {
  await put(traffic(FAULT_TO, FAULT_TO + HOUR))
  await watch(FAULT_TO, FAULT_TO + HOUR)
  const findings = await found()
  expect(findings.filter((f) => f.is_open)).toEqual([])
  expect(findings.find((f) => f.kind === 'silence')!.summary).toMatch(
    /from \d\d:\d\d to \d\d:\d\d|from .* to .*/,
  )
}, 600_000)

test('a retry storm, an agent loop and a runaway caller are found; an ignored one is not', async () => {
  const from = FAULT_TO + HOUR
  const storm = Array.from(
    { length: 60 },
    (_, i): Row => ({
      // The last ten come in the next bucket: too few for a storm, and as equal as a loop.
      ts: from + 200 + i * 2,
      server: 'bank',
      tool: 'a',
      caller: 'stuck',
      duration_us: 1e4,
      faulty: true,
      run: 'storm',
      shape: 'same',
    }),
  )
  const loop = Array.from(
    { length: 30 },
    (_, i): Row => ({
      ts: from + 10 + i * 8,
      server: 'files',
      tool: 'b',
      caller: 'looping',
      duration_us: 5e4,
      run: 'loop-1',
      shape: 'again',
    }),
  )
  const ignored = loop.map((row) => ({ ...row, caller: 'sandbox-1', run: 'loop-2' }))
  await put([...traffic(from, from + 600), ...storm, ...loop, ...ignored])
  const known = new Set((await found()).map((f) => f.id))
  await watch(
    from,
    from + 600,
    schema.parse({ ignore: [{ caller: 'sandbox-*' }], kinds: { volume: 'off', errors: 'off' } }),
  )
  const findings = (await found()).filter((f) => !known.has(f.id))
  expect(findings.map((f) => [f.kind, f.caller]).sort()).toEqual([
    ['agent_loop', 'looping'],
    ['retry_storm', 'stuck'],
  ])
  for (const finding of findings)
    expect((await reader.rows<object>(finding.evidence)).length).toBeGreaterThanOrEqual(30)
  // Seen again in the next bucket, it is the same finding.
  const next = loop.map((row) => ({ ...row, ts: row.ts + 600 }))
  await put([...traffic(from + 600, from + 900), ...next])
  await watch(from + 600, from + 900, schema.parse({ ignore: [{ caller: 'sandbox-*' }] }))
  expect((await found()).filter((f) => f.kind === 'agent_loop').length).toBe(1)
}, 600_000)
