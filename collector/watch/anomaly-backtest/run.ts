/**
 * Backtest: faults of known kind go into history, the detectors of the watch run over it, findings are held against the faults.
 * Works in scratch databases of a store it is given and drops nothing and reads nothing else. The clock is that of the history.
 */
import type { AnomalyOptions } from '../../../config/anomalies.ts'
import { migrate } from '../../schema/migrate.ts'
import type { Store } from '../../sink/store.ts'
import { DAY_S, HISTORY_DAYS } from '../anomaly/baseline.ts'
import { judgeEvents } from '../anomaly/events.ts'
import { readFindings } from '../anomaly/findings.ts'
import { BUCKET_S } from '../anomaly/metrics.ts'
import { closeRange, judgeRange, keepBaselines, LAG_S, REMEMBER_S } from '../anomaly/tick.ts'
import { makeCallers, plantEvents, wholeDay } from './calls.ts'
import { type Fault, inject, planFaults } from './faults.ts'
import { feedBuckets, feedCalls } from './feed.ts'
import { openRandom, type Random } from './random.ts'
import { type Found, type Line, score } from './score.ts'
import { type Bucket, makeDay, makeTools } from './synthetic.ts'

const RETENTION = { calls_days: 3650, payloads_days: 3650, rollups_days: 3650 }
/** A Monday. */
export const SYNTHETIC_START_S = Date.UTC(2026, 0, 5) / 1000

export type Size = {
  tools: number
  /** Days in which faults are injected, after 22 days of history. */
  days: number
  /** Faults of each kind. */
  each: number
  callers: number
  event_days: number
  event_each: number
}

/** Ends with a Saturday: off-hours use knows weekends. */
const EVENT_HISTORY_DAYS = 27

export const SIZES = {
  full: { tools: 40, days: 7, each: 32, callers: 20, event_days: 2, event_each: 10 },
  small: { tools: 12, days: 2, each: 4, callers: 10, event_days: 1, event_each: 3 },
} as const satisfies Record<string, Size>

export type Backtest = { faults: Fault[]; findings: Found[]; lines: Line[] }
export type Parts = { options: AnomalyOptions; seed: number; say(line: string): void }

/** Where buckets come from: a day of them, in order of time; what is there is never changed. */
export type History = { start: number; days: number; day(day: number): Promise<Bucket[]> | Bucket[] }

export function syntheticHistory(random: Random, size: Size): History {
  const tools = makeTools(random, size.tools)
  const drifts = tools.map(() => ({ level: 0 }))
  return {
    start: SYNTHETIC_START_S,
    days: HISTORY_DAYS + size.days,
    day: (day) => [...makeDay(random, tools, drifts, day)],
  }
}

async function findingsOf(store: Store): Promise<Found[]> {
  return store.rows<Found>(
    `SELECT kind, scope, series, server, tool, caller, toUInt32(v.started) AS started, toUInt32(v.last_seen) AS last_seen, toFloat64(toUnixTimestamp64Milli(v.detected_at)) / 1000 AS detected_at
     FROM ${store.database}.v_anomalies AS v ORDER BY started, kind, series`,
  )
}

/** Tables in place, and nothing ages: history is as old as it is. */
async function prepare(store: Store): Promise<void> {
  await migrate({ store, retention: RETENTION, log: () => {} })
  await store.command(`ALTER TABLE ${store.database}.baselines REMOVE TTL`)
}

/** Faults in series. The last `days` of the history get them. */
export async function backtestSeries(
  store: Store,
  history: History,
  { days, each }: { days: number; each: number },
  { options, seed, say }: Parts,
): Promise<Backtest> {
  await prepare(store)
  const random = openRandom(seed ^ 0x5eed)
  const from = history.start + (history.days - days) * DAY_S
  const to = history.start + history.days * DAY_S
  let faults: Fault[] = []
  const usual = new Map<string, { calls: number; faults: number }>()
  const keyOf = (b: { server: string; tool: string }): string => JSON.stringify([b.server, b.tool])
  const rateOf = (b: Bucket): number => {
    const { calls, faults: bad } = usual.get(keyOf(b)) ?? { calls: 0, faults: 0 }
    return bad / Math.max(1, calls)
  }
  for (let day = history.start; day < to; day += DAY_S) {
    let buckets = await history.day(day)
    if (day === from) {
      const tools = [...usual.keys()].sort().map((key) => JSON.parse(key) as [string, string])
      faults = planFaults(
        random,
        tools.map(([server, tool]) => ({ server, tool })),
        { from, to, each },
      )
    }
    if (day >= from) {
      for (const fault of faults) {
        const own = buckets.filter(
          (b) =>
            b.server === fault.server &&
            b.tool === fault.tool &&
            b.t + BUCKET_S > fault.from &&
            b.t < fault.to,
        )
        if (own.length > 0) fault.traffic = (own.reduce((sum, b) => sum + b.calls, 0) / own.length) * 3
      }
      buckets = buckets.map((b) =>
        faults
          .filter((f) => f.server === b.server && f.tool === b.tool)
          .reduce((now, f) => inject(now, f, rateOf(b), random), b),
      )
    } else
      for (const b of buckets) {
        const { calls, faults: bad } = usual.get(keyOf(b)) ?? { calls: 0, faults: 0 }
        usual.set(keyOf(b), { calls: calls + b.calls, faults: bad + b.faults })
      }
    await feedBuckets(store, buckets)
    await closeRange(store, options, day, day + DAY_S, (day + DAY_S) * 1000)
    if (day < from) continue
    await keepBaselines(store, day * 1000)
    await judgeRange(store, options, day, day + DAY_S, (day + DAY_S) * 1000)
    say(`  series: day ${Math.round((day - from) / DAY_S) + 1} of ${days}`)
  }
  const findings = await findingsOf(store)
  return { faults, findings, lines: score(faults, findings, LAG_S) }
}

/** Faults among single calls, in a database of its own; every bucket is judged by itself, as the watch does it. */
export async function backtestEvents(
  store: Store,
  size: Size,
  { options, seed, say }: Parts,
): Promise<Backtest> {
  await prepare(store)
  const random = openRandom(seed ^ 0xca115)
  const callers = makeCallers(random, size.callers)
  const days = EVENT_HISTORY_DAYS
  const to = SYNTHETIC_START_S + days * DAY_S
  const from = to - size.event_days * DAY_S
  const planted = plantEvents(random, callers, { from, to, each: size.event_each })
  for (let day = SYNTHETIC_START_S; day < to; day += DAY_S) {
    if (day < from) await feedCalls(store, wholeDay(random, callers, day, planted))
  }
  for (let day = from; day < to; day += DAY_S) {
    const calls = wholeDay(random, callers, day, planted)
    let at = 0
    for (let t = day; t < day + DAY_S; t += BUCKET_S) {
      const end = calls.findIndex((c, i) => i >= at && c.ts >= t + BUCKET_S)
      const due = calls.slice(at, end < 0 ? undefined : end)
      at = end < 0 ? calls.length : end
      if (due.length > 0) await feedCalls(store, due)
      const known = await readFindings(store, t - REMEMBER_S)
      await judgeEvents(store, options, known, { from: t, to: t + BUCKET_S, now_ms: (t + BUCKET_S) * 1000 })
    }
    say(`  single calls: day ${Math.round((day - from) / DAY_S) + 1} of ${size.event_days}`)
  }
  const findings = await findingsOf(store)
  return { faults: planted.faults, findings, lines: score(planted.faults, findings, LAG_S) }
}
