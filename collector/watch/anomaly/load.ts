/**
 * Brings the series for a range of buckets out of the store: those with a weekly baseline with a few buckets before the
 * range, those that are learning with their last day. Knows no thresholds.
 */
import type { Params } from '../../sink/store.ts'
import { seconds } from './close.ts'
import { LEVEL_REACH } from './level.ts'
import { BUCKET_S, LONGEST, type Metric, type Scope, SLOTS, slotOf, WINDOW } from './metrics.ts'
import type { Baseline, Point, Series } from './window.ts'

/** Whoever can answer a SELECT: the collector's store, or a reader. */
export type Source = { rows<Row>(sql: string, params?: Params): Promise<Row[]> }

/** Closed more than half an hour after it ended: nobody was watching then. */
const LATE_S = 1_800
const DAY_S = 86_400
/** Volume is held against the level of the hours before. */
const LEVEL_S = LEVEL_REACH * BUCKET_S
/** Buckets before the range whose own verdict is needed (2 of 3), each with its window. */
export const WARM_UP = 2

type Row = {
  scope: Scope
  metric: Metric
  series: string
  weekly: number
  /** Centers of the slots of the range, in order of `slots`; null = none. */
  centers: (number | null)[]
  shift: number
  sigma: number
  traffic: number
  t: number[]
  n: number[]
  bad: number[]
  x: number[]
  late: number[]
}

export type Only = { scope: Scope; series: string; metric: Metric }

const sql = (
  db: string,
  day_s: number,
  isWeekly: boolean,
  from: number,
  to: number,
  only: boolean,
): string => `
SELECT p.scope AS scope, p.metric AS metric, p.series AS series, toUInt8(${isWeekly ? 1 : 0}) AS weekly,
  ${isWeekly ? 'arraySlice(arrayConcat(b.centers, b.centers), {first:UInt32}, {count:UInt32})' : '[]::Array(Float32)'} AS centers,
  ${isWeekly ? 'b.shift AS shift, b.sigma AS sigma, b.traffic AS traffic' : '0. AS shift, 0. AS sigma, 0. AS traffic'},
  p.t AS t, p.n AS n, p.bad AS bad, p.x AS x, p.late AS late
FROM (
  SELECT toString(m.scope) AS scope, toString(m.metric) AS metric, toString(m.series) AS series, groupArray(toUInt32(m.t)) AS t, groupArray(m.n) AS n, groupArray(m.bad) AS bad,
    groupArray(m.x) AS x, groupArray(toUInt8(m.scope = 'all' AND toUnixTimestamp(m.made_at) > toUnixTimestamp(m.t) + ${BUCKET_S + LATE_S})) AS late
  FROM ${db}metric_5m AS m FINAL WHERE m.t >= ${seconds(from)} AND m.t < ${seconds(to)}${isWeekly ? ` AND (m.metric = 'vol' OR m.t >= ${seconds(from + LEVEL_S)})` : ''}${only ? ' AND m.scope = {scope:String} AND m.metric = {metric:String} AND m.series = {series:String}' : ''}
  GROUP BY scope, metric, series) AS p
${isWeekly ? 'INNER' : 'LEFT ANTI'} JOIN (
  SELECT toString(b.scope) AS scope, toString(b.metric) AS metric, toString(b.series) AS series${isWeekly ? ', b.centers AS centers, b.shift AS shift, b.sigma AS sigma, b.traffic AS traffic' : ''}
  FROM ${db}baselines AS b FINAL WHERE b.day = toDate(${seconds(day_s)}) AND notEmpty(b.centers)${only ? ' AND b.scope = {scope:String} AND b.metric = {metric:String} AND b.series = {series:String}' : ''}
) AS b ON b.scope = p.scope AND b.metric = p.metric AND b.series = p.series`

function toSeries(row: Row, slots: readonly number[]): Series {
  const points = new Map<number, Point>()
  row.t.forEach((t, i) => {
    points.set(t, {
      n: Number(row.n[i]),
      bad: Number(row.bad[i]),
      x: Number(row.x[i]),
      ...(row.late[i] ? { isLate: true } : {}),
    })
  })
  let baseline: Baseline | null = null
  if (row.weekly) {
    const centers: (number | null)[] = new Array(SLOTS).fill(null)
    slots.forEach((slot, i) => {
      centers[slot] = row.centers[i] ?? null
    })
    baseline = { centers, shift: row.shift, sigma: row.sigma, traffic: row.traffic }
  }
  return { scope: row.scope, name: row.series, metric: row.metric, points, baseline }
}

export type LoadRange = {
  /** Start of the first bucket to judge and end of the last, seconds. */
  from: number
  to: number
  /** Day whose baselines are used, seconds; 0 when there are none. */
  baselines: number
  only?: Only
}

/** `database`: '' when the source has one of its own. */
export async function loadSeries(source: Source, database: string, range: LoadRange): Promise<Series[]> {
  const db = database && `${database}.`
  const { from, to, baselines, only } = range
  const first = from - WARM_UP * BUCKET_S
  const slots: number[] = []
  const back = first - (LONGEST - 1) * BUCKET_S - LEVEL_S
  // Single buckets are also held against the slots after them.
  for (let t = back; t < to + WINDOW * BUCKET_S && slots.length < SLOTS; t += BUCKET_S) slots.push(slotOf(t))
  // A range of slots may go over the end of the week.
  const params = { first: (slots[0] ?? 0) + 1, count: slots.length, ...only }
  const learning_from = first - DAY_S - 8 * BUCKET_S
  const [weekly, learning] = await Promise.all([
    baselines
      ? source.rows<Row>(sql(db, baselines, true, back, to, only !== undefined), params)
      : Promise.resolve([]),
    source.rows<Row>(sql(db, baselines, false, learning_from, to, only !== undefined), params),
  ])
  return [...weekly, ...learning].map((row) => toSeries(row, slots))
}
