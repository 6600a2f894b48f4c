/**
 * Weeks of usual traffic, an hour and a half of it watched, then faults: each is found, told in time, nothing else is, and each
 * is told as over. Real store, real jobs of the watch with the shipped rules, a real receiver; only the time is simulated.
 * Delays are those of docs/anomalies.md, from the beginning of a fault to the receiver.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { CallEvent } from '../../event/fields.ts'
import { seeded } from '../collector/support/events.ts'
import { openSimulation, type Simulation } from './support/simulation.ts'
import { type Change, failed } from './support/traffic.ts'

const DAY = 86_400
const MINUTE = 60
const HOUR = 3_600
/** The next midnight (UTC): see simulation.ts. */
const START = (Math.floor(Date.now() / 1000 / DAY) + 1) * DAY
const CLEAN_S = 1.5 * HOUR
const FAULT_S = 30 * MINUTE
/** Findings end after calm buckets, those about single calls after half an hour; messages of a group are five minutes apart. */
const OVER_S = 55 * MINUTE
/** A fault never begins when a bucket does. */
const OFF_S = 130

const random = seeded(11)
let weir: Simulation
let now = START

const PRICES = { bank: 0.002, files: 0.0005, search: 0.01 }
const price = (server: keyof typeof PRICES) => ({ server, per_call_usd: PRICES[server] })
const servers = Object.fromEntries(
  Object.keys(PRICES).map((name) => [name, { url: `https://${name}.example/mcp` }]),
)

beforeAll(async () => {
  weir = await openSimulation(random, { servers, prices: [price('bank'), price('files'), price('search')] })
  await weir.history(START, 22)
}, 600_000)
afterAll(() => weir?.close(), 60_000)

test('hours of clean traffic: nothing is found and nobody is told', async () => {
  await weir.run(START, START + CLEAN_S)
  now = START + CLEAN_S
  expect(weir.troubles).toEqual([])
  expect(await weir.findings(START - 30 * DAY, now)).toEqual([])
  expect(weir.told).toEqual([])
  // It was not for want of looking: nearly every series has its weekly baseline and was judged.
  const [seen] = await weir.reader.rows<{ weekly: number; buckets: number; evaluated: number }>(
    `SELECT (SELECT uniqExact(scope, series) FROM baselines WHERE notEmpty(centers)) AS weekly,
      (SELECT uniqExact(t) FROM metric_5m WHERE t >= ${START} AND t < ${now}) AS buckets, (SELECT count() FROM v_alert_rules WHERE state = 'ok') AS evaluated`,
  )
  expect(seen).toEqual({ weekly: 6 + 3 + 3 + 2 + 1, buckets: CLEAN_S / 300, evaluated: 11 })
}, 600_000)

type Fault = {
  name: string
  change: (begin: number, end: number) => Change
  /** `kind series`: all that may be found and told, each with the delay that the page states, in minutes. */
  finds: Readonly<Record<string, number>>
}

const during =
  (change: Change): Fault['change'] =>
  (begin, end) =>
  (call, chance) =>
    call.ts! >= begin * 1e6 && call.ts! < end * 1e6 ? change(call, chance) : call

const FAULTS: readonly Fault[] = [
  {
    name: 'a slow server',
    change: during((call) =>
      call.server === 'bank' && call.tool !== ''
        ? { ...call, duration_us: call.duration_us! * 3, upstream_us: call.upstream_us! * 3 }
        : call,
    ),
    finds: { 'latency bank': 23 },
  },
  {
    name: 'a failing tool',
    change: during((call, chance) =>
      call.server === 'files' && call.tool === 'read' && chance() < 0.4
        ? { ...call, ...failed('disk is full') }
        : call,
    ),
    finds: { 'errors files/read': 23 },
  },
]

test('a slow server and a failing tool, at the same time: each is found, told in time, nothing else is, and told as over', async () => {
  const faults = FAULTS
  const begin = now + OFF_S
  const end = begin + FAULT_S
  const half = now + FAULT_S
  const stop = half + OVER_S
  const told = weir.told.length
  const changes = faults.map((fault) => fault.change(begin, end))
  const options = {
    change: (call: Partial<CallEvent>) =>
      changes.reduce<Partial<CallEvent> | null>((made, change) => made && change(made, random), call),
  }
  const finds = Object.assign({}, ...faults.map((fault) => fault.finds)) as Record<string, number>
  const wanted = Object.keys(finds).sort()

  await weir.run(now, half, options)
  const open = (await weir.findings(begin, half)).filter((f) => f.is_open)
  const [inView] = await weir.reader.rows<{ found: string[] }>(
    "SELECT arraySort(groupArray(concat(kind, ' ', series))) AS found FROM v_anomalies WHERE is_open",
  )
  await weir.run(half, stop, options)
  now = stop

  const heard = weir.told.slice(told)
  const news = (status: string): Map<string, number> => {
    const first = new Map<string, number>()
    for (const { at, status: is, labels } of heard) {
      const key = labels.anomaly ? `${labels.anomaly} ${labels.series}` : JSON.stringify(labels)
      if (is === status && !first.has(key)) first.set(key, (at - begin) / MINUTE)
    }
    return first
  }
  expect(open.map((f) => `${f.kind} ${f.series}`).sort()).toEqual(wanted)
  expect(inView!.found).toEqual(wanted)
  expect([...news('firing').keys()].sort()).toEqual(wanted)
  for (const [key, minutes] of news('firing')) expect(minutes, key).toBeLessThanOrEqual(finds[key]!)
  expect([...news('resolved').keys()].sort()).toEqual(wanted)
  const all = await weir.findings(begin, stop)
  expect(all.map((f) => `${f.kind} ${f.series}`).sort()).toEqual(wanted)
  expect(all.filter((f) => f.is_open)).toEqual([])
  expect(weir.troubles).toEqual([])
}, 600_000)
