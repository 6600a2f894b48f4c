/**
 * From a segment to rows: what an event costs in collector and store, by the size of the batch, and what it takes on disk.
 * One sender, one batch at a time, as the shipper does it.
 */
import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { sleep } from '../support/children.ts'
import { eventSource } from '../support/events.ts'
import { cpuUs, rssBytes } from '../support/proc.ts'
import type { Findings, RunOptions, Scenario } from '../support/scenario.ts'
import { type Spread, seeded, spreadOf } from '../support/spread.ts'
import { startWeir, type Weir } from '../support/weir.ts'

const SIZES = [200, 1_000, 5_000]
const BATCHES = { full: { 200: 100, 1_000: 60, 5_000: 30 }, quick: { 200: 20, 1_000: 10, 5_000: 4 } } as const
/** Merges of one size must not be counted for the next. */
const SETTLE_MS = 3_000

type Row = {
  batch: number
  events: number
  events_per_s: Spread
  collector_us: Spread
  store_us: Spread
  /** CPU of the store after the last batch, until merges were done or SETTLE_MS over, an event. */
  merges_us: number
  segment_bytes_per_event: number
}

async function send(weir: Weir, body: Buffer, seq: number, worker: string): Promise<void> {
  const answer = await fetch(`${weir.collector}/v1/batches/${worker}-${String(seq).padStart(8, '0')}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${weir.secrets.intake}`,
      'content-type': 'application/x-ndjson',
      'weir-instance': 'bench',
      'weir-attempt': '1',
      'weir-crc32': crc32(body).toString(16).padStart(8, '0'),
    },
    body: new Uint8Array(body),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`the collector answers ${answer.status}: ${text.slice(0, 300)}`)
}

async function oneSize(weir: Weir, batch: number, count: number, next: () => object): Promise<Row> {
  const worker = randomBytes(8).toString('hex')
  const rates: number[] = []
  const collector: number[] = []
  const store: number[] = []
  let bytes = 0
  const settled = cpuUs([weir.pids.store])
  let during = 0
  for (let seq = 0; seq < count; seq++) {
    const body = Buffer.from(Array.from({ length: batch }, () => `${JSON.stringify(next())}\n`).join(''))
    bytes += body.length
    const before = [cpuUs([weir.pids.collector]), cpuUs([weir.pids.store])] as const
    const started = performance.now()
    await send(weir, body, seq, worker)
    const seconds = (performance.now() - started) / 1000
    const spent = cpuUs([weir.pids.store]) - before[1]
    during += spent
    rates.push(batch / seconds)
    collector.push((cpuUs([weir.pids.collector]) - before[0]) / batch)
    store.push(spent / batch)
  }
  await sleep(SETTLE_MS)
  const events = batch * count
  return {
    batch,
    events,
    events_per_s: spreadOf(rates),
    collector_us: spreadOf(collector),
    store_us: spreadOf(store),
    merges_us: Number(((cpuUs([weir.pids.store]) - settled - during) / events).toFixed(1)),
    segment_bytes_per_event: Math.round(bytes / events),
  }
}

type Size = { table: string; rows: number; bytes: number; parts: number }

const sizes = (weir: Weir): Promise<Size[]> =>
  weir.sql<Size>(
    `SELECT table, toUInt32(sum(rows)) AS rows, toUInt32(sum(bytes_on_disk)) AS bytes, toUInt32(count()) AS parts FROM system.parts WHERE active AND database = 'weir' GROUP BY table ORDER BY bytes DESC`,
  )

async function run({ quick, seed, say }: RunOptions): Promise<Findings> {
  const weir = await startWeir({ servers: '  none: { url: "http://127.0.0.1:9/mcp" }' })
  const next = eventSource(seeded(seed), (Date.now() - 3_600_000) * 1000)
  const plan: Readonly<Record<number, number>> = quick ? BATCHES.quick : BATCHES.full
  // The first inserts compile queries and make the parts' folders.
  await oneSize(weir, 1_000, quick ? 3 : 10, next)
  const rows: Row[] = []
  for (const batch of SIZES) {
    const row = await oneSize(weir, batch, plan[batch]!, next)
    say(`  batches of ${batch}: collector ${row.collector_us.p25} us, store ${row.store_us.p25} us an event`)
    rows.push(row)
  }
  const rss_mb = {
    collector: Math.round(rssBytes(weir.pids.collector) / 2 ** 20),
    store: Math.round(rssBytes(weir.pids.store) / 2 ** 20),
  }
  const before = await sizes(weir)
  for (const { table } of before) await weir.sql(`OPTIMIZE TABLE weir.\`${table}\` FINAL`)
  const after = await sizes(weir)
  const events = after.find((s) => s.table === 'calls' || s.table.startsWith('calls_v'))?.rows ?? 0
  const total = (all: Size[]): number => all.reduce((sum, s) => sum + s.bytes, 0)
  const each = (bytes: number): number => Math.round(bytes / Math.max(1, events))
  return {
    figures: { sizes: rows, rss_mb, disk: { events, before, after } },
    tables: [
      {
        title: 'One event from segment to row',
        columns: [
          'events a batch',
          'events/s: median',
          'collector us: p25 (median)',
          'store us: p25 (median)',
          'merges us',
          'events/s per core',
          'segment B',
        ],
        rows: rows.map((r) => [
          r.batch,
          Math.round(r.events_per_s.median),
          `${r.collector_us.p25} (${r.collector_us.median})`,
          `${r.store_us.p25} (${r.store_us.median})`,
          r.merges_us,
          Math.round(1e6 / (r.collector_us.p25 + r.store_us.p25 + r.merges_us)),
          r.segment_bytes_per_event,
        ]),
      },
      {
        title: `Bytes on disk of ${events} events (memory: collector ${rss_mb.collector} MB, store ${rss_mb.store} MB)`,
        columns: ['table', 'rows', 'bytes an event, as inserted', 'after OPTIMIZE FINAL'],
        rows: [
          ...after.map((a) => [
            a.table,
            a.rows,
            each(before.find((b) => b.table === a.table)?.bytes ?? 0),
            each(a.bytes),
          ]),
          ['all', '', each(total(before)), each(total(after))],
        ],
      },
    ],
    gates: [],
  }
}

export const insert: Scenario = {
  name: 'insert',
  about: 'collector and store: CPU and bytes of an event',
  run,
}
