/** What makes a finding of the rows `event-sql.ts` brings: thresholds and words of each detector of single calls. */
import type { AnomalyKind, Sensitivity } from '../../../config/anomalies.ts'
import type { Store } from '../../sink/store.ts'
import { seconds } from './close.ts'
import { activity, lists, loops, newTools, storms, usualFailures, usualLoops } from './event-sql.ts'
import { type Span, text } from './evidence.ts'
import type { Difference, Finding } from './findings.ts'
import { offHours } from './habits.ts'
import type { Subject } from './ignore.ts'
import { BUCKET_S } from './metrics.ts'
import { clock } from './summary.ts'

/** Something seen in one window. Times in seconds. */
export type Hit = {
  kind: AnomalyKind
  scope: string
  series: string
  subject: Subject
  started: number
  last: number
  /** When it was seen: the end of the bucket that made it one. */
  seen: number
  value: number
  expected: number
  upper: number
  unit: string
  score: number
  n: number
  method: Finding['method']
  summary: string
  differs?: Difference[]
  /** Further condition on `v_calls` that names the calls it is about. */
  where?: string
  /** Condition for example traces where it is not `where`. */
  traces_where?: string
  evidence?: (span: Span) => string
}

export type Window = { from: number; to: number; sensitivity: Sensitivity }
export type Detector = (store: Store, window: Window) => Promise<Hit[]>

const DAY_S = 86_400
const HOUR_S = 3_600
const NOBODY: Subject = { server: '', tool: '', caller: '', team: '' }
const bucketEnd = (t: number): number => (Math.floor(t / BUCKET_S) + 1) * BUCKET_S

const HISTORY_DAYS = { low: 14, medium: 7, high: 3 } as const
/** A caller that tried something new this short a time ago is still finding its way. */
const SETTLED_S = 2 * DAY_S
/** So many callers beginning with a tool within a day are a rollout. */
const ROLLOUT = 3

const findNewTools: Detector = async (store, { from, to, sensitivity }) => {
  const rows = await newTools(store, from, to)
  return rows
    .filter(
      (r) =>
        r.caller_since <= r.first - HISTORY_DAYS[sensitivity] * DAY_S &&
        r.previous_new < r.first - SETTLED_S &&
        r.beginners < ROLLOUT,
    )
    .map((r) => ({
      kind: 'new_tool',
      scope: 'caller',
      series: `${r.caller} ${r.server}/${r.tool}`,
      subject: { ...NOBODY, caller: r.caller, server: r.server, tool: r.tool },
      started: r.first,
      last: r.first,
      seen: bucketEnd(r.first),
      value: r.calls,
      expected: 0,
      upper: 0,
      unit: 'calls',
      score: (r.first - r.caller_since) / DAY_S,
      n: r.calls,
      method: 'history',
      summary: `${r.caller} uses ${r.server}/${r.tool} for the first time, at ${clock(r.first, to)}; it is known for ${Math.floor((r.first - r.caller_since) / DAY_S)} days and used ${r.tools - 1} other tools`,
    }))
}

const OFF_HOURS_CALLS = { low: 10, medium: 3, high: 1 } as const

const findOffHours: Detector = async (store, { from, to, sensitivity }) => {
  const rows = await activity(store, from, to)
  return rows.flatMap((r): Hit[] => {
    if (r.calls < OFF_HOURS_CALLS[sensitivity]) return []
    const history = r.days.map((day, i) => ({ day: Number(day), hours: Number(r.hours[i]) }))
    const day = Math.floor(r.hour_start / DAY_S)
    const hour = Math.floor((r.hour_start % DAY_S) / HOUR_S)
    const what = offHours(history, day, hour)
    if (!what) return []
    const never = what === 'hour' ? `between ${hour}:00 and ${hour + 1}:00 UTC` : 'on a weekend'
    return [
      {
        kind: 'off_hours',
        scope: 'caller',
        series: r.caller,
        subject: { ...NOBODY, caller: r.caller, team: r.team },
        started: r.first,
        last: r.last,
        seen: bucketEnd(r.last),
        value: r.calls,
        expected: 0,
        upper: 0,
        unit: 'calls',
        score: history.length,
        n: r.calls,
        method: 'history',
        summary: `${r.caller} made ${r.calls} calls since ${clock(r.first, to)}; it was never active ${never} in the last four weeks`,
      },
    ]
  })
}

const STORM_FAILURES = { low: 40, medium: 20, high: 10 } as const
const STORM_RATIO = 3

const findStorms: Detector = async (store, { from, to, sensitivity }) => {
  const hits: Hit[] = []
  for (const r of await storms(store, from, to, STORM_FAILURES[sensitivity])) {
    const subject = { ...NOBODY, caller: r.caller, server: r.server, tool: r.tool }
    const usual = await usualFailures(store, subject, r.bucket)
    if (r.failed_calls < STORM_RATIO * usual) continue
    hits.push({
      kind: 'retry_storm',
      scope: 'caller',
      series: `${r.caller} ${r.server}/${r.tool}`,
      subject: { ...subject, team: r.team },
      started: r.bucket,
      last: r.bucket + BUCKET_S - 1,
      seen: r.bucket + BUCKET_S,
      value: r.failed_calls,
      expected: usual,
      upper: STORM_RATIO * usual,
      unit: 'calls',
      score: r.failed_calls / STORM_FAILURES[sensitivity],
      n: r.calls,
      method: 'rule',
      differs: r.fingerprint
        ? [
            {
              dimension: 'error_fingerprint',
              value: r.fingerprint,
              share: r.repeated / r.failed_calls,
              usual: 0,
            },
          ]
        : [],
      where: 'failed',
      summary: `${r.caller} failed ${r.failed_calls} of ${r.calls} times at ${r.server}/${r.tool} within five minutes from ${clock(r.bucket, to)}, ${r.repeated} times with the same arguments; usual: ${Number(usual.toPrecision(2))}`,
    })
  }
  return hits
}

const LOOP_CALLS = { low: 40, medium: 20, high: 12 } as const
/** Without hashes of arguments only their size tells calls apart. */
const UNHASHED_FACTOR = 2
const LOOP_SHARE_MIN = 0.3
const POLLING_HOURS = 3

/** Time of the call that makes `calls_min` within an hour, and of the first of them; null when there is none. */
export function loopAt(times: readonly number[], calls_min: number): { first: number; at: number } | null {
  for (let i = calls_min - 1; i < times.length; i++)
    if (times[i]! - times[i - calls_min + 1]! < HOUR_S)
      return { first: times[i - calls_min + 1]!, at: times[i]! }
  return null
}

const findLoops: Detector = async (store, { from, to, sensitivity }) => {
  const hits: Hit[] = []
  for (const r of await loops(store, from, to, LOOP_CALLS[sensitivity])) {
    const calls_min = LOOP_CALLS[sensitivity] * (r.hashed ? 1 : UNHASHED_FACTOR)
    const loop = loopAt(r.times, calls_min)
    if (!loop || r.times.length < r.run_calls * LOOP_SHARE_MIN) continue
    const tool = { server: r.server, tool: r.tool }
    if ((await usualLoops(store, tool, loop.first, calls_min / 2)) >= POLLING_HOURS) continue
    const same = r.hashed ? ` AND arguments_hash = ${text(r.shape)}` : ''
    const where = `(run_id = ${text(r.run)} OR session_id = ${text(r.run)} OR caller = ${text(r.run)})${same}`
    const last = r.times.at(-1)!
    hits.push({
      kind: 'agent_loop',
      scope: 'run',
      series: `${r.run} ${r.server}/${r.tool}`,
      subject: { ...NOBODY, caller: r.caller, team: r.team, ...tool },
      started: loop.first,
      last,
      seen: bucketEnd(Math.max(loop.at, from)),
      value: r.times.length,
      expected: 0,
      upper: calls_min,
      unit: 'calls',
      score: r.times.length / calls_min,
      n: r.run_calls,
      method: 'rule',
      differs: r.hashed
        ? [{ dimension: 'arguments', value: r.shape, share: r.times.length / r.run_calls, usual: 0 }]
        : [],
      where,
      summary: `${r.caller} called ${r.server}/${r.tool} ${r.times.length} times with the same arguments in one run since ${clock(loop.first, to)}${r.failed_calls > 0 ? `, ${r.failed_calls} of them failed` : ''}`,
    })
  }
  return hits
}

const LIST_RATIO = { low: 0.6, medium: 0.8, high: 0.95 } as const
const LISTS_SEEN_MIN = 5
/** Of the caller itself: what others see may be more than it may. */
const OWN_LISTS_MIN = 2

const findShrinkage: Detector = async (store, { from, to, sensitivity }) => {
  const rows = (await lists(store, from, to)).filter(
    (r) =>
      r.seen >= OWN_LISTS_MIN &&
      r.seen_by_all >= LISTS_SEEN_MIN &&
      r.items < r.least &&
      r.items <= r.usual * LIST_RATIO[sensitivity],
  )
  const servers = new Map<string, typeof rows>()
  for (const r of rows) servers.set(r.server, [...(servers.get(r.server) ?? []), r])
  return [...servers].map(([server, own]): Hit => {
    const worst = own.reduce((a, b) => (b.items / b.usual < a.items / a.usual ? b : a))
    const callers = [...new Set(own.map((r) => r.caller))]
    const first = Math.min(...own.map((r) => r.bucket))
    const subject = {
      ...NOBODY,
      server,
      ...(callers.length === 1 ? { caller: worst.caller, team: worst.team } : {}),
    }
    const name = server || 'the roof'
    return {
      kind: 'list_shrinkage',
      scope: 'server',
      series: server,
      subject,
      started: first,
      last: Math.max(...own.map((r) => r.bucket)) + BUCKET_S - 1,
      seen: first + BUCKET_S,
      value: worst.items,
      expected: worst.usual,
      upper: worst.usual,
      unit: 'tools',
      score: worst.usual / Math.max(1, worst.items),
      n: own.reduce((sum, r) => sum + r.lists, 0),
      method: 'history',
      where: "method = 'tools/list'",
      evidence: (span) =>
        `SELECT toStartOfHour(ts) AS hour, server, caller, count() AS lists, min(list_items) AS least, max(list_items) AS most FROM v_calls WHERE method = 'tools/list' AND server = ${text(server)} AND ts >= ${seconds(span.from - 7 * DAY_S)} AND ts < ${seconds(span.to)} GROUP BY hour, server, caller ORDER BY hour`,
      summary: `${name} lists ${worst.items} tools since ${clock(first, to)}, usual ${worst.usual}${callers.length === 1 ? ` (seen by ${callers[0]})` : ` (seen by ${callers.length} callers)`}`,
    }
  })
}

export const DETECTORS: readonly (readonly [AnomalyKind, Detector])[] = [
  ['new_tool', findNewTools],
  ['off_hours', findOffHours],
  ['retry_storm', findStorms],
  ['agent_loop', findLoops],
  ['list_shrinkage', findShrinkage],
]
