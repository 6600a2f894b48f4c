/**
 * A series as its detector sees it: the value of each quarter of an hour and the band in which it is usual, for a chart; and
 * which series there are, since when each is learning and what it still needs.
 */
import { judge, type Limits } from '../watch/anomaly/judge.ts'
import { loadSeries } from '../watch/anomaly/load.ts'
import { BUCKET_S, METRICS, type Metric, type Scope } from '../watch/anomaly/metrics.ts'
import type { Reader } from './client.ts'

export type SeriesPoint = {
  /** Start of the bucket, milliseconds since 1970. The value is of the 15 minutes that end with the bucket. */
  t_ms: number
  value: number | null
  /** Null where there is too little traffic or history to say. */
  expected: number | null
  lower: number | null
  upper: number | null
  n: number
  /** 1 above, -1 below what is usual, by the threshold of sensitivity medium. */
  direction: number
  method: string
}

export type SeriesStateRow = {
  scope: string
  series: string
  metric: string
  since: string
  state: 'learning' | 'weekly'
  /** Days of history until the weekly baseline; 0 when it has one. */
  days_missing: number
}

export const SERIES_SCOPES = ['tool', 'server', 'team', 'caller', 'all'] as const
export const SERIES_METRICS: readonly Metric[] = METRICS

/** Baselines used, as seconds of the day. */
export const daySql = `SELECT toUInt32(toDateTime(max(b.day), 'UTC')) AS day FROM baselines AS b WHERE b.metric = 'err' AND b.day <= toDate(fromUnixTimestamp64Milli({to_ms:Int64}), 'UTC')`

export const sql = `SELECT toString(k.scope) AS scope, toString(k.series) AS series, toString(b.metric) AS metric, toString(k.since) AS since,
  if(notEmpty(b.centers), 'weekly', 'learning') AS state, if(notEmpty(b.centers), 0, greatest(0, 21 - dateDiff('day', k.since, now('UTC')))) AS days_missing
FROM (SELECT m.scope AS scope, m.series AS series, min(m.t) AS since FROM metric_5m AS m WHERE m.metric = 'vol' AND m.n > 0 AND m.t >= now() - toIntervalDay(30)
  AND ({series:String} = '' OR m.series = {series:String}) GROUP BY scope, series) AS k
LEFT JOIN (SELECT * FROM baselines AS b FINAL WHERE b.day = (SELECT max(day) FROM baselines)) AS b ON b.scope = k.scope AND b.series = k.series
ORDER BY scope, series, metric LIMIT {limit:UInt32}`

export type SeriesQuestion = {
  scope: Scope
  series: string
  metric: Metric
  from_ms: number
  to_ms: number
  min_calls?: number
}

/** At most a week in five-minute steps. */
const BUCKETS_MAX = 2016

export async function run(reader: Reader, question: SeriesQuestion): Promise<SeriesPoint[]> {
  const { scope, series, metric, min_calls = 20 } = question
  const to = Math.floor(question.to_ms / 1000 / BUCKET_S) * BUCKET_S
  const from = Math.max(
    Math.floor(question.from_ms / 1000 / BUCKET_S) * BUCKET_S,
    to - BUCKETS_MAX * BUCKET_S,
  )
  const [row] = await reader.rows<{ day: number }>(daySql, { to_ms: question.to_ms })
  const [found] = await loadSeries(reader, '', {
    from,
    to,
    baselines: Number(row?.day ?? 0),
    only: { scope, series, metric },
  })
  if (!found) return []
  const limits: Limits = { sensitivity: 'medium', min_calls }
  const points: SeriesPoint[] = []
  for (let t = from; t < to; t += BUCKET_S) {
    const verdict = judge(found, t, limits)
    points.push({
      t_ms: t * 1000,
      value: verdict?.value ?? null,
      expected: verdict?.expected ?? null,
      lower: verdict?.lower ?? null,
      upper: verdict?.upper ?? null,
      n: verdict?.n ?? found.points.get(t)?.n ?? 0,
      direction: verdict?.direction ?? 0,
      method: verdict?.method ?? '',
    })
  }
  return points
}

/** Which series are followed, and how far each is with learning; `series` '' = all. */
export const states = (
  reader: Reader,
  { series = '', limit = 1000 }: { series?: string; limit?: number } = {},
): Promise<SeriesStateRow[]> => reader.rows<SeriesStateRow>(sql, { series, limit })
