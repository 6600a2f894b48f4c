/**
 * Money is one figure wherever it is asked: raw rows, every rollup, the FOCUS export and the console's questions give the same
 * sum to the nano-dollar as an own computation does, through late events, duplicates, two re-ratings and one that was killed.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run as callers } from '../../../collector/queries/callers.ts'
import { run as audit, type CallFilter } from '../../../collector/queries/calls.ts'
import { openReader, type Reader } from '../../../collector/queries/client.ts'
import { type CostDimension, run as costBy } from '../../../collector/queries/cost-by.ts'
import { run as costSeries } from '../../../collector/queries/cost-series.ts'
import { run as decisions } from '../../../collector/queries/decisions.ts'
import { FOCUS_COLUMNS, sql as focusSql } from '../../../collector/queries/focus.ts'
import { run as oneRun } from '../../../collector/queries/run.ts'
import { openStore, type Store } from '../../../collector/sink/store.ts'
import { type Collector, openCollector } from '../../../collector/wire.ts'
import type { CallEvent } from '../../../event/fields.ts'
import { newBatchId, nowUs, seeded, segmentOf, sendBatch } from '../support/events.ts'
import { type Gate, openGate } from '../support/gate.ts'
import {
  collectorOptions,
  isReady,
  type Running,
  scratchFolder,
  startCollector,
  startStore,
  until,
} from '../support/processes.ts'
import { parseCsv } from './csv.ts'
import { books, DAY_US, randomCall, type TestBook } from './seeded.ts'

const PROGRAM = fileURLToPath(new URL('../../../weir.ts', import.meta.url))
const DAYS = 27
const folder = scratchFolder()
const now_us = nowUs()
const { a, b, c } = books(now_us - 10 * DAY_US)
const random = seeded(20_261_121)
const events: CallEvent[] = []
const table: string[] = []

let store_: Running
let gate: Gate
let store: Store
let reader: Reader & { close(): Promise<void> }
let collector: Collector | Running

const optionsOf = (book: TestBook) => collectorOptions(gate.address, { money: book.money })
const seededCalls = (count: number): CallEvent[] =>
  Array.from({ length: count }, () => randomCall(random, Math.floor(now_us - 1e9 - random() * DAYS * DAY_US)))

async function send(batch: CallEvent[], attempts: readonly number[] = [1]): Promise<void> {
  const id = newBatchId()
  for (const attempt of attempts)
    expect((await sendBatch(collector.address, id, segmentOf(batch), { attempt })).status).toBe(200)
  events.push(...batch)
}

/** What time does after half a minute to the lease of a collector that was killed. */
const endLease = async (): Promise<void> => {
  const [row] = await store.rows<{ epoch: string; owner: string }>(
    'SELECT toString(max(l.epoch)) AS epoch, argMax(l.owner, l.epoch) AS owner FROM weir.watch_lock AS l',
  )
  const line = Buffer.from(`[${row!.epoch},1,"${row!.owner}",0]\n`)
  await store.insert('watch_lock', ['epoch', 'freed', 'owner', 'until'], line, `free:${row!.epoch}`)
}

/** Waits until the newest rating of the book that came last is done. */
const rated = (ratings: number): Promise<void> =>
  until(
    async () => {
      const [row] = await store.rows<{ n: number }>(
        "SELECT uniqExactIf(rating, done = 1 AND what = 'book') AS n FROM weir.ratings",
      )
      return Number(row!.n) >= ratings
    },
    `${ratings} ratings are done`,
    4000,
  )

beforeAll(async () => {
  store_ = await startStore(folder.path)
  gate = await openGate(store_.address)
  collector = await openCollector(optionsOf(a))
  const { store: to } = collectorOptions(store_.address)
  store = openStore(to)
  reader = openReader({ ...to })
  await until(() => isReady(collector.address), 'ready')
}, 200_000)
afterAll(async () => {
  await collector?.drain()
  await reader?.close()
  await store?.close()
  await gate?.close()
  await store_?.drain()
  folder.remove()
}, 200_000)

type Sum = { nano: bigint; unpriced: number }
const add = (sums: Map<string, Sum>, key: string, nano: bigint, unpriced: number): void => {
  const sum = sums.get(key) ?? { nano: 0n, unpriced: 0 }
  sums.set(key, { nano: sum.nano + nano, unpriced: sum.unpriced + unpriced })
}
/** What it should be, by an own computation over the events themselves. */
function expectedBy(
  book: TestBook,
  key: (e: CallEvent) => string,
  where: (e: CallEvent) => boolean = () => true,
) {
  const sums = new Map<string, Sum>()
  for (const event of events) {
    const cost = book.cost(event)
    if (cost !== undefined && where(event)) add(sums, key(event), cost ?? 0n, cost === null ? 1 : 0)
  }
  return sums
}
const nonZero = (sums: Map<string, Sum>) =>
  Object.fromEntries(
    [...sums].filter(([, s]) => s.nano !== 0n || s.unpriced !== 0).sort(([x], [y]) => (x < y ? -1 : 1)),
  )

async function summed(sql: string): Promise<Map<string, Sum>> {
  const rows = await store.rows<{ k: string; nano: string; unpriced: string }>(sql)
  return new Map(rows.map((row) => [row.k, { nano: BigInt(row.nano), unpriced: Number(row.unpriced) }]))
}
const byView = (view: string, key: string, unpriced = 'sum(v.unpriced)') =>
  summed(
    `SELECT ${key} AS k, toString(sum(v.cost_nano)) AS nano, toString(${unpriced}) AS unpriced FROM weir.${view} AS v GROUP BY k`,
  )

async function weir(argv: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [PROGRAM, ...argv], {
    cwd: folder.path,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk
  })
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  expect({ code, err }).toMatchObject({ code: 0 })
  return out
}

const months = (): string[] =>
  [...new Set(events.map((e) => new Date(e.ts / 1000).toISOString().slice(0, 7)))].sort()
/** Decimal text of nine places at most, in units of the ninth. */
const nanoOf = (text: string): bigint => {
  const [, sign, whole, fraction = ''] = /^(-?)(\d+)(?:\.(\d{1,9}))?$/.exec(text)!
  return BigInt(`${sign}${whole}${fraction.padEnd(9, '0')}`)
}

/** The export's own question, asked as the command asks it; the command itself is asked at the end. */
async function exportOf(month: string, isByCommand: boolean): Promise<string> {
  if (isByCommand) return weir(['export', 'focus', '--month', month, '--url', store_.address])
  const query = new URLSearchParams({
    database: 'weir',
    default_format: 'CSVWithNames',
    param_month: `${month}-01`,
    param_account: 'weir',
    format_csv_null_representation: '',
    date_time_output_format: 'iso',
  })
  const answer = await fetch(`${store_.address}/?${query}`, { method: 'POST', body: focusSql })
  expect(answer.status).toBe(200)
  return answer.text()
}

async function exported(isByCommand = false): Promise<{ calls: Map<string, Sum>; fixed: bigint }> {
  const calls = new Map<string, Sum>()
  let fixed = 0n
  for (const month of months()) {
    const rows = parseCsv(await exportOf(month, isByCommand))
    for (const row of rows) {
      expect(nanoOf(row.EffectiveCost!)).toBe(BigInt(row.x_CostNano!))
      if (row.ChargeCategory === 'Purchase') fixed += nanoOf(row.BilledCost!)
      else add(calls, row.SubAccountId!, nanoOf(row.BilledCost!), Number(row.x_UnpricedCalls))
    }
  }
  return { calls, fixed }
}

const day = (us: number): string => new Date(us / 1000).toISOString().slice(0, 10)
const RANGE = { from: day(now_us - 40 * DAY_US), to: day(now_us + DAY_US) }

async function asked(by: CostDimension, tag = ''): Promise<Map<string, Sum>> {
  const rows = await costBy(reader, { by, tag, ...RANGE })
  return new Map(rows.map((row) => [row.value, { nano: BigInt(row.cost_nano), unpriced: row.unpriced }]))
}

const ALL = { from_ms: Date.parse(RANGE.from), to_ms: Date.parse(RANGE.to) }

/** Callers as read from the calls themselves: filtered by server, no rollup knows them. */
async function askedCallers(): Promise<Map<string, Sum>> {
  const sums = new Map<string, Sum>()
  for (const server of new Set(events.map((e) => e.server)))
    for (const row of await callers(reader, { ...ALL, server }, 100_000))
      add(sums, row.caller, BigInt(row.cost_nano), row.unpriced)
  return sums
}

/** Every event, page by page. */
async function audited(more: Record<string, string> = {}): Promise<Map<string, Sum>> {
  const sums = new Map<string, Sum>()
  const filter: CallFilter = {
    ...ALL,
    fields: { kind: 'request', ...more },
    labels: {},
    tags: {},
    text: '',
    min_us: 0,
    before: '',
    limit: 400,
    order: 'newest',
    isWhole: false,
  }
  for (let before = ''; ; ) {
    const { rows, next } = await audit(reader, { ...filter, before })
    for (const row of rows)
      if (row.cost_source !== 'none')
        add(sums, row.caller, BigInt(row.cost_nano), Number(row.cost_source === 'unpriced'))
    if (next === '') return sums
    before = next
  }
}

/** Runs by their steps. */
async function stepsOf(runs: readonly string[]): Promise<Map<string, Sum>> {
  const sums = new Map<string, Sum>()
  for (const run_id of runs) {
    const found = await oneRun(reader, { run_id })
    add(sums, run_id, BigInt(found!.cost_nano), found!.unpriced)
  }
  return sums
}

async function judged(): Promise<Map<string, Sum>> {
  const rows = await decisions(reader, ALL)
  return new Map(
    rows
      .filter((row) => row.verdict === 'shadow')
      .map((row) => [row.rule, { nano: BigInt(row.cost_nano), unpriced: row.unpriced }]),
  )
}

const total = (sums: Map<string, Sum>): Sum =>
  [...sums.values()].reduce((x, y) => ({ nano: x.nano + y.nano, unpriced: x.unpriced + y.unpriced }), {
    nano: 0n,
    unpriced: 0,
  })

/** Every place that knows a cost, against the events. */
async function reconcile(when: string, book: TestBook): Promise<void> {
  const team = expectedBy(book, (e) => e.team)
  const lines: [string, Map<string, Sum>, Map<string, Sum>][] = [
    ['raw: v_costs', await byView('v_costs', 'team'), team],
    [
      'v_call_costs',
      await summed(
        `SELECT '' AS k, toString(sum(cost_nano)) AS nano, toString(countIf(cost_source = 'unpriced')) AS unpriced FROM weir.v_call_costs`,
      ),
      expectedBy(book, () => ''),
    ],
    ['v_costs_1d', await byView('v_costs_1d', 'team'), team],
    ['usage_1d', await byView('v_usage_1d', 'team'), team],
    ['caller_1d', await byView('v_callers_1d', 'caller'), expectedBy(book, (e) => e.caller)],
    [
      'tool_5m',
      await byView('v_tool_5m', "concat(server, '/', tool)"),
      expectedBy(book, (e) => `${e.server}/${e.tool}`),
    ],
    [
      'sessions',
      await byView('v_sessions', 'session_id'),
      expectedBy(
        book,
        (e) => e.session_id,
        (e) => e.session_id !== '',
      ),
    ],
    ['runs', await byView('v_runs', 'run_id'), expectedBy(book, (e) => e.run_id)],
    ['FOCUS export (CSV)', (await exported()).calls, team],
    ['console: by team', await asked('team'), team],
    ['console: by tool', await asked('tool'), expectedBy(book, (e) => `${e.server}/${e.tool}`)],
    ['console: by agent', await asked('agent'), expectedBy(book, (e) => e.agent)],
    [
      'console: by tag cost_center',
      await asked('tag', 'cost_center'),
      expectedBy(book, (e) => e.tags.cost_center ?? ''),
    ],
  ]
  const runs = [...new Set(events.map((e) => e.run_id))].sort().slice(0, 20)
  lines.push(
    ['console: callers, from calls', await askedCallers(), expectedBy(book, (e) => e.caller)],
    ['console: audit', await audited(), expectedBy(book, (e) => e.caller)],
    [
      'console: audit, unpriced',
      await audited({ cost_source: 'unpriced' }),
      expectedBy(
        book,
        (e) => e.caller,
        (e) => book.cost(e) === null,
      ),
    ],
    ['console: policy', await judged(), expectedBy(book, () => 'lid')],
    [
      'console: steps of 20 runs',
      await stepsOf(runs),
      expectedBy(
        book,
        (e) => e.run_id,
        (e) => runs.includes(e.run_id),
      ),
    ],
  )
  for (const step of ['day', 'hour'] as const) {
    const points = await costSeries(reader, { by: 'server', step, ...RANGE })
    const sums = new Map<string, Sum>()
    for (const p of points) add(sums, p.value, BigInt(p.cost_nano), p.unpriced)
    lines.push([`console: series by ${step}`, sums, expectedBy(book, (e) => e.server)])
  }
  for (const [name, found, wanted] of lines) {
    expect({ [name]: nonZero(found) }).toEqual({ [name]: nonZero(wanted) })
    if (name === 'console: audit, unpriced') continue
    const sum = total(found)
    table.push(`| ${when} | ${name} | ${sum.nano} | ${sum.unpriced} |`)
  }
  table.push(`| ${when} | computed from the events | ${total(team).nano} | ${total(team).unpriced} |`)
  expect(total(team).nano).toBeGreaterThan(0n)
}

test('calls are rated as they come; duplicates count once', async () => {
  await rated(1)
  for (let i = 0; i < 6; i++) await send(seededCalls(150), i === 2 ? [1, 1, 2] : [1, 2])
  expect(await store.rows('SELECT count() AS n FROM weir.cost_adjustments')).toEqual([{ n: 0 }])
  await reconcile('rated at intake', a)
}, 400_000)

test('a changed book re-rates the past, and events are not rewritten', async () => {
  const raw = 'SELECT sum(cityHash64(*)) AS all_rows FROM weir.calls'
  const before = await store.rows(raw)
  ;(collector as Collector).reload(optionsOf(b))
  await rated(2)
  expect(await store.rows(raw)).toEqual(before)
  await reconcile('after a first re-rating', b)
}, 400_000)

test('events that come late, after the re-rating, cost by the book in force', async () => {
  await send(seededCalls(200), [1, 2])
  await reconcile('with late events', b)
}, 400_000)

test('a re-rating that is killed again and again ends as if it had not been', async () => {
  await collector.drain()
  let inserts = 0
  let kill: (() => void) | null = null
  const seen: string[] = []
  // Once before a slice is stored, once after it is and before anybody is told, then between two slices.
  const at = [
    [3, 'before'],
    [6, 'after'],
    [9, 'before'],
  ] as const
  gate.onInsert = async (name, when) => {
    if (name !== 'cost_adjustments') return undefined
    if (when === 'before') inserts++
    const due = at[seen.length]
    if (!due || !kill || inserts !== due[0] || when !== due[1]) return undefined
    seen.push(when)
    kill()
    return 'stop'
  }
  for (let i = 0; i < at.length; i++) {
    const child = await startCollector(optionsOf(c))
    collector = child
    kill = () => child.child.kill('SIGKILL')
    await until(() => child.child.signalCode !== null, `collector ${i} was killed`, 4000)
    await endLease()
  }
  kill = null
  expect(seen).toEqual(['before', 'after', 'before'])
  const [half] = await store.rows<{ rows: number; done: number }>(
    "SELECT (SELECT count() FROM weir.cost_adjustments WHERE rating = (SELECT max(rating) FROM weir.ratings)) AS rows, (SELECT uniqExactIf(rating, done = 1 AND what = 'book') FROM weir.ratings) AS done",
  )
  expect(Number(half!.rows)).toBeGreaterThan(0)
  expect(Number(half!.done)).toBe(2)
  collector = await openCollector(optionsOf(c))
  await until(() => isReady(collector.address), 'ready')
  await rated(3)
  expect(
    await store
      .rows('SELECT count() AS n, uniqExact(event_id, rating) AS once FROM weir.cost_adjustments')
      .then((rows) => new Set(Object.values(rows[0] as object)).size),
  ).toBe(1)
  await reconcile('after a second re-rating, killed three times', c)
}, 400_000)

test('two that work on one rating write it once', async () => {
  const other = await openCollector(optionsOf(b))
  ;(collector as Collector).reload(optionsOf(b))
  try {
    await rated(4)
    await send(seededCalls(50))
    await reconcile('two collectors', b)
  } finally {
    await other.drain()
  }
}, 400_000)

test('the price of a month is split to the last unit, and the export holds it', async () => {
  const [fixed] = await store.rows<Record<string, string>>(
    'SELECT toString(sum(cost_nano)) AS nano, toString(uniqExact(month)) AS months, toString(count()) AS shares, toString(min(cost_nano)) AS least FROM weir.v_fixed_costs',
  )
  expect(fixed!.nano).toBe(String(100_000_000_007n * BigInt(months().length)))
  expect(fixed!.months).toBe(String(months().length))
  expect(Number(fixed!.shares)).toBeGreaterThan(10)
  expect(BigInt(fixed!.least!)).toBeGreaterThan(0n)
  const { fixed: shown } = await exported(true)
  expect(shown).toBe(BigInt(fixed!.nano!))
  table.push(
    `| monthly prices | v_fixed_costs | ${fixed!.nano} | 0 |`,
    `| monthly prices | FOCUS export (CSV) | ${shown} | 0 |`,
  )
}, 200_000)

test('Parquet holds the same rows, with the columns of FOCUS and real nulls', async () => {
  let sum = 0n
  for (const month of months()) {
    const file = join(folder.path, `${month}.parquet`)
    await weir([
      'export',
      'focus',
      '--month',
      month,
      '--format',
      'parquet',
      '--out',
      file,
      '--url',
      store_.address,
    ])
    const bytes = readFileSync(file)
    expect(bytes.subarray(0, 4).toString()).toBe('PAR1')
    // The engine reads its file back: into a table of its own, whose columns are the file's.
    await fetch(
      `${store_.address}/?${new URLSearchParams({ query: `DROP TABLE IF EXISTS weir.read_back` })}`,
      writer(),
    )
    const columns = FOCUS_COLUMNS.map((name) => `${name} ${typeOf(name)}`).join(', ')
    await fetch(
      `${store_.address}/?${new URLSearchParams({ query: `CREATE TABLE weir.read_back (${columns}) ENGINE = MergeTree ORDER BY tuple()` })}`,
      writer(),
    )
    const answer = await fetch(
      `${store_.address}/?${new URLSearchParams({ query: 'INSERT INTO weir.read_back FORMAT Parquet', input_format_parquet_allow_missing_columns: '0' })}`,
      { ...writer(), body: new Uint8Array(bytes) },
    )
    expect(await answer.text()).toBe('')
    const [row] = await store.rows<Record<string, string>>(
      `SELECT toString(sum(BilledCost)) AS billed, toString(sum(x_CostNano)) AS nano, toString(countIf(ChargeClass IS NOT NULL)) AS corrections,
         toString(countIf(SubAccountId IS NULL)) AS no_team, toString(countIf(SubAccountId = '')) AS empty_team, toString(countIf(ConsumedQuantity IS NULL AND ChargeCategory = 'Usage')) AS unmeasured,
         toString(uniqExact(BillingPeriodStart)) AS periods, toString(countIf(BillingCurrency != 'USD')) AS others
       FROM weir.read_back`,
    )
    expect(row).toMatchObject({
      corrections: '0',
      empty_team: '0',
      unmeasured: '0',
      periods: '1',
      others: '0',
    })
    expect(Number(row!.no_team)).toBeGreaterThan(0)
    expect(nanoOf(row!.billed!)).toBe(BigInt(row!.nano!))
    sum += BigInt(row!.nano!)
  }
  const { calls, fixed } = await exported()
  expect(sum).toBe(total(calls).nano + fixed)
  table.push(`| all months | FOCUS export (Parquet) | ${sum} | |`)
}, 200_000)

test('a showback has the same rows without invoice columns', async () => {
  const month = months().at(-1)!
  const whole = parseCsv(await weir(['export', 'focus', '--month', month, '--url', store_.address]))
  const shown = parseCsv(
    await weir(['export', 'focus', '--month', month, '--showback', '--url', store_.address]),
  )
  expect(Object.keys(whole[0]!)).toEqual(FOCUS_COLUMNS)
  expect(FOCUS_COLUMNS.filter((name) => !(name in shown[0]!))).toEqual([
    'BillingAccountId',
    'BillingAccountName',
    'InvoiceIssuerName',
  ])
  expect(shown.length).toBe(whole.length)
  expect(whole.every((row) => /^20\d\d-\d\d-\d\dT00:00:00Z$/.test(row.ChargePeriodStart!))).toBe(true)
  expect(whole.some((row) => row.x_Caller === 'it\'s "quoted", \\ and, ünïcode')).toBe(true)
  expect(whole.some((row) => row.Tags !== '{}' && JSON.parse(row.Tags!).cost_center)).toBe(true)
})

test('what was found can be written down', () => {
  const file = process.env.WEIR_RECONCILIATION
  if (!file) return
  mkdirSync(join(file, '..'), { recursive: true })
  const text = `# Reconciliation\n\nMade by \`WEIR_RECONCILIATION=bench/results/reconciliation.md npx vitest run test/collector/money/reconcile.test.ts\`: ${events.length} seeded\nevents of ${DAYS} days, sent up to three times, some of them late, rated by three price books; one re-rating was killed three times.\nNano-dollars (10^-9 USD). All rows of a moment are equal, but for the session's, where calls have none.\n\n| moment | figure | nano-dollars | unpriced calls |\n| --- | --- | --- | --- |\n${table.join('\n')}\n`
  writeFileSync(file, text)
  expect(table.length).toBeGreaterThan(50)
})

const writer = (): RequestInit => ({
  method: 'POST',
  headers: { 'x-clickhouse-user': 'weir_writer', 'x-clickhouse-key': 'writer-password-of-tests' },
})
const typeOf = (name: string): string => {
  if (/Cost$/.test(name)) return 'Decimal(38, 9)'
  if (/Quantity$|UnitPrice$/.test(name)) return 'Nullable(Decimal(38, 9))'
  if (/Period(Start|End)$/.test(name)) return "DateTime('UTC')"
  return name === 'x_CostNano' || name === 'x_UnpricedCalls' ? 'Int64' : 'Nullable(String)'
}
