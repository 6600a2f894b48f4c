/**
 * The questions of the detectors that look at calls and not at series. Each reads a bounded window of rows, or the small
 * tables of what callers usually do; what is a finding is decided in `events.ts`.
 */
import type { Store } from '../../sink/store.ts'
import { seconds } from './close.ts'
import { about } from './evidence.ts'
import type { Subject } from './ignore.ts'

const HOUR_S = 3_600
const DAY_S = 86_400

export type NewTool = {
  caller: string
  server: string
  tool: string
  first: number
  calls: number
  /** When the caller was seen first at all, and when it last began with another tool before this one. */
  caller_since: number
  previous_new: number
  tools: number
  /** Callers that began with the tool within the day before. */
  beginners: number
}

/** Pairs of caller and tool seen for the first time between `from` and `to`. */
export const newTools = (store: Store, from: number, to: number): Promise<NewTool[]> =>
  store.rows<NewTool>(`WITH p AS (
    SELECT toString(c.caller) AS caller, toString(c.server) AS server, toString(c.tool) AS tool, toUInt32(min(c.first_seen)) AS first, toFloat64(sum(c.calls)) AS calls
    FROM ${store.database}.caller_tools AS c GROUP BY caller, server, tool),
  fresh AS (SELECT * FROM p WHERE first >= ${from} AND first < ${to})
  SELECT f.caller AS caller, f.server AS server, f.tool AS tool, f.first AS first, f.calls AS calls, b.caller_since AS caller_since,
    arrayMax(x -> if(x < f.first - ${HOUR_S}, x, 0), b.firsts) AS previous_new, toFloat64(length(b.firsts)) AS tools,
    toFloat64(arrayCount(x -> x > f.first - ${DAY_S} AND x <= f.first, a.firsts)) AS beginners
  FROM fresh AS f
  INNER JOIN (SELECT caller, min(first) AS caller_since, groupArray(first) AS firsts FROM p GROUP BY caller) AS b ON b.caller = f.caller
  INNER JOIN (SELECT server, tool, groupArray(first) AS firsts FROM p WHERE (server, tool) IN (SELECT server, tool FROM fresh) GROUP BY server, tool) AS a ON a.server = f.server AND a.tool = f.tool
  ORDER BY f.first LIMIT 500`)

export type Activity = {
  caller: string
  team: string
  hour_start: number
  calls: number
  first: number
  last: number
  days: number[]
  hours: number[]
}

/** Who was active in which hour, with the four weeks before. */
export const activity = (store: Store, from: number, to: number): Promise<Activity[]> =>
  store.rows<Activity>(`SELECT n.caller AS caller, n.team AS team, n.hour_start AS hour_start, n.calls AS calls, n.first AS first, n.last AS last, h.days AS days, h.hours AS hours
  FROM (SELECT toString(c.caller) AS caller, max(toString(c.team)) AS team, toUInt32(toStartOfHour(toDateTime(c.ts, 'UTC'))) AS hour_start, toFloat64(count()) AS calls,
      toUInt32(min(toDateTime(c.ts, 'UTC'))) AS first, toUInt32(max(toDateTime(c.ts, 'UTC'))) AS last
    FROM ${store.database}.v_calls AS c WHERE c.ts >= ${seconds(Math.floor(from / HOUR_S) * HOUR_S)} AND c.ts < ${seconds(to)} AND c.tool != '' AND c.caller != ''
    GROUP BY caller, hour_start HAVING last >= ${from}) AS n
  INNER JOIN (SELECT caller, groupArray(toUInt32(d)) AS days, groupArray(mask) AS hours FROM (
      SELECT toString(b.caller) AS caller, b.d AS d, groupBitOr(b.hours) AS mask, sum(b.calls) AS calls FROM ${store.database}.caller_habits_1d AS b
      WHERE b.d >= toDate(${from}) - 29 AND b.d <= toDate(${to}) GROUP BY caller, d HAVING calls > 0) GROUP BY caller) AS h ON h.caller = n.caller`)

export type Storm = {
  bucket: number
  caller: string
  team: string
  server: string
  tool: string
  calls: number
  failed_calls: number
  repeated: number
  fingerprint: string
  error: string
}

const SHAPE = "if(c.arguments_hash = '', toString(c.arguments_bytes), c.arguments_hash)"

/** Callers that failed at the same tool at least `failed_min` times in a bucket, half of it with the very same arguments. */
export const storms = (store: Store, from: number, to: number, failed_min: number): Promise<Storm[]> =>
  store.rows<Storm>(`SELECT bucket, caller, max(team) AS team, server, tool, toFloat64(sum(n)) AS calls, toFloat64(sum(f)) AS failed_calls, toFloat64(max(f)) AS repeated,
    argMax(fingerprint, f) AS fingerprint, argMax(error, f) AS error
  FROM (SELECT toUInt32(toStartOfFiveMinutes(toDateTime(c.ts, 'UTC'))) AS bucket, toString(c.caller) AS caller, max(toString(c.team)) AS team, toString(c.server) AS server, toString(c.tool) AS tool, ${SHAPE} AS shape,
      count() AS n, countIf(c.failed) AS f, anyIf(toString(c.error_fingerprint), c.failed) AS fingerprint, anyIf(c.error_message, c.failed) AS error
    FROM ${store.database}.v_calls AS c WHERE c.ts >= ${seconds(from)} AND c.ts < ${seconds(to)} AND c.tool != ''
    GROUP BY bucket, caller, server, tool, shape)
  GROUP BY bucket, caller, server, tool
  HAVING failed_calls >= ${failed_min} AND failed_calls >= calls / 2 AND repeated >= failed_calls / 2 ORDER BY bucket, caller, server, tool LIMIT 200`)

/** Failures of a caller with a tool in five minutes, on average over the day before the last hour. */
export async function usualFailures(store: Store, subject: Partial<Subject>, t: number): Promise<number> {
  const [row] = await store.rows<{ n: number }>(
    `SELECT toFloat64(countIf(failed)) / ${(DAY_S - HOUR_S) / 300} AS n FROM ${store.database}.v_calls WHERE ${about(subject)} AND ts >= ${seconds(t - DAY_S)} AND ts < ${seconds(t - HOUR_S)}`,
  )
  return Number(row?.n ?? 0)
}

export type Loop = {
  run: string
  caller: string
  team: string
  server: string
  tool: string
  shape: string
  times: number[]
  run_calls: number
  failed_calls: number
  hashed: number
}

const RUN = "multiIf(c.run_id != '', c.run_id, c.session_id != '', c.session_id, toString(c.caller))"

/** Runs with at least `calls_min` equal calls between an hour before `from` and `to`, with the times of those calls. */
export const loops = (store: Store, from: number, to: number, calls_min: number): Promise<Loop[]> =>
  store.rows<Loop>(`SELECT run, caller, team, server, tool, shape, arraySort(times) AS times, toFloat64(sum(n) OVER (PARTITION BY run)) AS run_calls, toFloat64(f) AS failed_calls, toUInt8(hashed) AS hashed
  FROM (SELECT ${RUN} AS run, toString(c.caller) AS caller, max(toString(c.team)) AS team, toString(c.server) AS server, toString(c.tool) AS tool, ${SHAPE} AS shape, max(c.arguments_hash != '') AS hashed,
      count() AS n, countIf(c.failed) AS f, groupArray(5000)(toUInt32(toDateTime(c.ts, 'UTC'))) AS times
    FROM ${store.database}.v_calls AS c WHERE c.ts >= ${seconds(from - HOUR_S)} AND c.ts < ${seconds(to)} AND c.tool != ''
    GROUP BY run, caller, server, tool, shape)
  QUALIFY n >= ${calls_min} AND times[-1] >= ${from} ORDER BY n DESC LIMIT 200`)

/** In how many hours of runs of the day before `t` the tool was called as often with the same arguments: polling looks like that. */
export async function usualLoops(
  store: Store,
  subject: Partial<Subject>,
  t: number,
  calls_min: number,
): Promise<number> {
  const [row] = await store.rows<{ n: number }>(
    `SELECT toFloat64(count()) AS n FROM (SELECT cityHash64(${RUN}, ${SHAPE}, toStartOfHour(c.ts)) AS k, count() AS calls
       FROM ${store.database}.v_calls AS c WHERE ${about(subject)} AND c.ts >= ${seconds(t - DAY_S)} AND c.ts < ${seconds(t - HOUR_S)}
       GROUP BY k HAVING calls >= ${calls_min})`,
  )
  return Number(row?.n ?? 0)
}

export type List = {
  bucket: number
  server: string
  caller: string
  team: string
  lists: number
  items: number
  usual: number
  least: number
  /** Lists on the days before: those of the caller, and of all callers. */
  seen: number
  seen_by_all: number
}

/** Tool lists of the window against those of the seven days before, by server and caller. */
export const lists = (store: Store, from: number, to: number): Promise<List[]> =>
  store.rows<List>(`SELECT n.bucket AS bucket, n.server AS server, n.caller AS caller, n.team AS team, n.lists AS lists, n.items AS items, h.usual AS usual, h.least AS least, h.seen AS seen, h.seen_by_all AS seen_by_all
  FROM (SELECT toUInt32(toStartOfFiveMinutes(toDateTime(c.ts, 'UTC'))) AS bucket, toString(c.server) AS server, toString(c.caller) AS caller, max(toString(c.team)) AS team, toFloat64(count()) AS lists, toFloat64(max(c.list_items)) AS items
    FROM ${store.database}.calls AS c WHERE c.ts >= ${seconds(from)} AND c.ts < ${seconds(to)} AND c.method = 'tools/list' AND c.outcome = 'ok' AND c.kind = 'request' GROUP BY bucket, server, caller) AS n
  INNER JOIN (SELECT server, caller, quantileExact(0.5)(toFloat64(most)) AS usual, toFloat64(min(least)) AS least, toFloat64(sum(lists)) AS seen, sum(seen) OVER (PARTITION BY server) AS seen_by_all FROM (
      SELECT toString(b.server) AS server, toString(b.caller) AS caller, b.d AS d, sum(b.lists) AS lists, max(b.list_items_max) AS most, min(b.list_items_min) AS least
      FROM ${store.database}.caller_habits_1d AS b WHERE b.d >= toDate(${from}) - 7 AND b.d < toDate(${from}) GROUP BY server, caller, d HAVING lists > 0) GROUP BY server, caller) AS h
    ON h.server = n.server AND h.caller = n.caller
  WHERE h.usual > 0 AND n.items < h.usual ORDER BY n.bucket LIMIT 500`)

/** Up to five traces of the calls a finding is about, newest first. */
export async function tracesOf(
  store: Store,
  subject: Partial<Subject>,
  from: number,
  to: number,
  more = '1',
): Promise<string[]> {
  const rows = await store.rows<{ trace_id: string }>(
    `SELECT trace_id FROM ${store.database}.v_calls WHERE ${about(subject)} AND (${more}) AND ts >= ${seconds(from)} AND ts < ${seconds(to)} AND trace_id != '' ORDER BY ts DESC LIMIT 1 BY trace_id LIMIT 5`,
  )
  return rows.map((row) => row.trace_id)
}
