/**
 * Weeks of usual traffic, hours of it watched, each with a seed of its own, then five faults at once: each is found, told in time,
 * nothing else is, and each is told as over. Real store, real jobs of the watch with the shipped rules, a real receiver; only the
 * time is simulated. Delays are those of docs/anomalies.md, from the beginning of a fault to the receiver.
 */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { CallEvent } from '../../event/fields.ts'
import { makeEvent, seeded } from '../collector/support/events.ts'
import { openSimulation, type Simulation } from './support/simulation.ts'
import { type Change, callOf, failed } from './support/traffic.ts'

const DAY = 86_400
const MINUTE = 60
const HOUR = 3_600
/** The next midnight (UTC): see simulation.ts. */
const START = (Math.floor(Date.now() / 1000 / DAY) + 1) * DAY
/** An hour of clean traffic for each. */
const SEEDS = [11, 12, 13]
const CLEAN_S = SEEDS.length * HOUR
const FAULT_S = 30 * MINUTE
/** Findings end after calm buckets, those about single calls after half an hour; messages of a group are five minutes apart. */
const OVER_S = 55 * MINUTE
/** A fault never begins when a bucket does. */
const OFF_S = 130

let random = seeded(SEEDS[0]!)
let weir: Simulation
let now = START

const PRICES = { bank: 0.002, files: 0.0005, search: 0.01, mail: 0.001 }
const price = (server: keyof typeof PRICES, more: object = {}) => ({
  server,
  per_call_usd: PRICES[server],
  ...more,
})
const usual = [price('bank'), price('files'), price('mail')]
const servers = Object.fromEntries(
  Object.keys(PRICES).map((name) => [name, { url: `https://${name}.example/mcp` }]),
)
const moment = (at: number): string => new Date(at * 1000).toISOString()

beforeAll(async () => {
  weir = await openSimulation(() => random(), { servers, prices: [...usual, price('search')] })
  await weir.history(START, 22)
}, 600_000)
afterAll(() => weir?.close(), 60_000)

test.each(SEEDS)(
  'an hour of clean traffic (seed %i): nothing is found and nobody is told',
  async (seed) => {
    random = seeded(seed)
    await weir.run(now, now + HOUR)
    now += HOUR
    expect(weir.troubles).toEqual([])
    expect(await weir.findings(START - 30 * DAY, now)).toEqual([])
    expect(weir.told).toEqual([])
  },
  600_000,
)

test('it was not for want of looking: series have their weekly baselines and were judged', async () => {
  const [seen] = await weir.reader.rows<{ weekly: number; buckets: number; evaluated: number }>(
    `SELECT (SELECT uniqExact(scope, series) FROM baselines WHERE notEmpty(centers)) AS weekly,
      (SELECT uniqExact(t) FROM metric_5m WHERE t >= ${START} AND t < ${now}) AS buckets, (SELECT count() FROM v_alert_rules WHERE state = 'ok') AS evaluated`,
  )
  expect(seen).toEqual({ weekly: 8 + 4 + 3 + 2 + 1, buckets: CLEAN_S / 300, evaluated: 11 })
})

type Fault = {
  name: string
  change?: (begin: number, end: number) => Change
  more?: (begin: number, end: number) => (from: number, to: number) => CallEvent[]
  /** What happens besides calls. */
  begin?: (at: number) => void
  end?: (from: number, to: number) => void
  /** `kind series`: all that may be found and told, each with the delay that the page states, in minutes. */
  finds: Readonly<Record<string, number>>
}

const during =
  (change: Change): NonNullable<Fault['change']> =>
  (begin, end) =>
  (call, chance) =>
    call.ts! >= begin * 1e6 && call.ts! < end * 1e6 ? change(call, chance) : call

/** Ten times a minute the same call, in one run. */
const loop: NonNullable<Fault['more']> = (begin, end) => (from, to) =>
  Array.from({ length: (to - from) / 6 }, (_, i) => from + i * 6)
    .filter((at) => at >= begin && at < end)
    .map((at) =>
      makeEvent(
        callOf(
          at,
          { caller: 'planner', team: 'research' },
          {
            server: 'files',
            tool: 'list',
            run_id: 'runaway',
            arguments_hash: createHash('md5').update('the same').digest('hex'),
            duration_us: 15_000,
            upstream_us: 14_000,
            response_bytes: 3_000,
          },
        ),
      ),
    )

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
  {
    name: 'a runaway agent',
    more: loop,
    finds: { 'agent_loop runaway files/list': 8, 'volume files/list': 23, 'volume planner': 23 },
  },
  {
    name: 'a price change',
    begin: (at) =>
      weir.pay({
        prices: [
          ...usual,
          price('search', { valid_to: moment(at) }),
          price('search', { per_call_usd: 4 * PRICES.search, valid_from: moment(at) }),
        ],
      }),
    end: (from, to) =>
      weir.pay({
        prices: [
          ...usual,
          price('search', { valid_to: moment(from) }),
          price('search', {
            per_call_usd: 4 * PRICES.search,
            valid_from: moment(from),
            valid_to: moment(to),
          }),
          price('search', { valid_from: moment(to) }),
        ],
      }),
    finds: { 'cost search': 23 },
  },
  {
    name: 'a silent server',
    change: during((call) => (call.server === 'mail' ? null : call)),
    finds: { 'silence mail': 18 },
  },
]

test('five faults at the same time, at different places: each is found, told in time, nothing else is, and told as over', async () => {
  const begin = now + OFF_S
  const end = begin + FAULT_S
  const half = now + FAULT_S
  const stop = half + OVER_S
  const told = weir.told.length
  const changes = FAULTS.flatMap((fault) => fault.change?.(begin, end) ?? [])
  const options = {
    change: (call: Partial<CallEvent>) =>
      changes.reduce<Partial<CallEvent> | null>((made, change) => made && change(made, random), call),
    more: (from: number, to: number) => FAULTS.flatMap((fault) => fault.more?.(begin, end)(from, to) ?? []),
  }
  const finds = Object.assign({}, ...FAULTS.map((fault) => fault.finds)) as Record<string, number>
  const wanted = Object.keys(finds).sort()

  for (const fault of FAULTS) fault.begin?.(begin)
  await weir.run(now, half, options)
  const open = (await weir.findings(begin, half)).filter((f) => f.is_open)
  const [inView] = await weir.reader.rows<{ found: string[] }>(
    "SELECT arraySort(groupArray(concat(kind, ' ', series))) AS found FROM v_anomalies WHERE is_open",
  )
  for (const fault of FAULTS) fault.end?.(begin, end)
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
