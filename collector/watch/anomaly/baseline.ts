/**
 * What is usual, once a night: per series and slot of the week the median of three weeks and five neighbouring slots, the
 * spread from the residuals of the last three days (IQR; of volume after the level of the day), the usual error rate from seven days.
 * A series younger than three weeks gets a row that says since when it is learning. Safe to run twice.
 */
import type { Store } from '../../sink/store.ts'
import { seconds } from './close.ts'
import { spreadSql } from './level.ts'
import { BUCKET_S, METRICS, type Metric, SLOTS } from './metrics.ts'

export const DAY_S = 86_400
/** A week more than three, less the hours until the first full bucket: neighbours and the sliding window need a margin. */
export const HISTORY_DAYS = 22
export const LEARNING_DAYS = 21
const RESIDUAL_DAYS = 3
const ERROR_DAYS = 7
const SAMPLES_MIN = 5

const slot = (t: string, shift = '0'): string =>
  `toUInt16(positiveModulo(intDiv(toInt64(toUnixTimestamp(${t})) - 345600, ${BUCKET_S}) + ${shift}, ${SLOTS}))`

const since = (db: string, d0: string): string => `since AS (
  SELECT m.scope AS scope, m.series AS series, min(m.t) AS since FROM ${db}.metric_5m AS m
  WHERE m.metric = 'vol' AND m.n > 0 AND m.t >= ${d0} - toIntervalDay(${HISTORY_DAYS}) AND m.t < ${d0} GROUP BY scope, series)`

const window15 = `PARTITION BY series ORDER BY ts RANGE BETWEEN ${2 * BUCKET_S} PRECEDING AND CURRENT ROW`

/** One scope and metric at a time: its rows lie together, and the memory stays small. */
function seriesSql(db: string, metric: Metric, scope: string, d0: string): string {
  // A 95th percentile is of 15 minutes already.
  const n15 = metric === 'p95' ? 'toFloat64(n)' : 'toFloat64(sum(n) OVER w)'
  const v =
    { vol: '2 * sqrt(n15 + 0.375)', p95: 'x' }[metric as string] ?? 'sum(n * x) OVER w / greatest(n15, 1)'
  const quarters = (days: number): string => `(
  SELECT series, ts, ${n15} AS n15, ${v} AS v
  FROM (SELECT toString(m.series) AS series, toUInt32(m.t) AS ts, m.n AS n, m.x AS x FROM ${db}.metric_5m AS m FINAL
    WHERE m.scope = '${scope}' AND m.metric = '${metric}' AND m.t >= ${d0} - toIntervalDay(${days}) AND m.t < ${d0})
  WINDOW w AS (${window15}))`
  const centred = `SELECT k.series AS series, k.ts AS ts, k.n15 AS n15, k.v AS v, c.center + r.q[2] AS center FROM ${quarters(RESIDUAL_DAYS + 1)} AS k
    INNER JOIN c ON c.series = k.series AND c.slot = ${slot('toDateTime(k.ts)')} INNER JOIN r ON r.series = k.series`
  const isVolume = metric === 'vol'
  return `INSERT INTO ${db}.baselines (day, scope, metric, series, since, centers, shift, sigma, traffic, samples)
WITH ${since(db, d0)},
w15 AS ${quarters(HISTORY_DAYS)},
c AS (
  SELECT series, slot, quantileExact(0.5)(v) AS center, count() AS samples
  FROM (SELECT series, v, ${slot('toDateTime(ts)', 'k')} AS slot FROM w15 ARRAY JOIN [-2, -1, 0, 1, 2] AS k)
  GROUP BY series, slot HAVING samples >= ${SAMPLES_MIN}),
busy AS (SELECT series, quantileExact(0.5)(n15) AS middle FROM w15 WHERE ts >= toUnixTimestamp(${d0}) - ${RESIDUAL_DAYS * DAY_S} GROUP BY series),
r AS (
  SELECT w15.series AS series, quantilesExact(0.25, 0.5, 0.75)(w15.v - c.center) AS q, quantileExact(0.5)(w15.n15) AS traffic
  FROM w15 INNER JOIN c ON c.series = w15.series AND c.slot = ${slot('toDateTime(w15.ts)')} INNER JOIN busy ON busy.series = w15.series
  WHERE w15.ts >= toUnixTimestamp(${d0}) - ${RESIDUAL_DAYS * DAY_S} AND ${isVolume ? '1' : 'w15.n15 >= busy.middle'} GROUP BY series),
${isVolume ? `${spreadSql(centred, `toUnixTimestamp(${d0}) - ${RESIDUAL_DAYS * DAY_S}`)},` : ''}
a AS (SELECT series, groupArrayInsertAt(nan, ${SLOTS})(center, slot) AS centers, sum(samples) AS samples FROM c GROUP BY series)
SELECT toDate(${d0}), '${scope}', '${metric}', s.series, s.since, if(isOld AND notEmpty(r.q), arrayMap(x -> toFloat32(x), a.centers), []), r.q[2],
  ${isVolume ? 'spread.sigma' : '(r.q[3] - r.q[1]) / 1.349'}, r.traffic, toUInt32(a.samples)
FROM (SELECT *, since <= ${d0} - toIntervalDay(${LEARNING_DAYS}) + toIntervalHour(6) AS isOld FROM since WHERE scope = '${scope}') AS s
LEFT JOIN a ON a.series = s.series LEFT JOIN r ON r.series = s.series${isVolume ? ' LEFT JOIN spread ON spread.series = s.series' : ''}`
}

/** Errors have no season: their usual rate, and how much more than chance it varies. */
const errorsSql = (
  db: string,
  d0: string,
): string => `INSERT INTO ${db}.baselines (day, scope, metric, series, since, centers, shift, sigma, traffic, samples)
WITH ${since(db, d0)},
e AS (
  SELECT toString(m.scope) AS scope, toString(m.series) AS series, toStartOfFifteenMinutes(m.t) AS q, sum(m.n) AS n, sum(m.bad) AS bad
  FROM ${db}.metric_5m AS m FINAL WHERE m.metric = 'err' AND m.t >= ${d0} - toIntervalDay(${ERROR_DAYS}) AND m.t < ${d0} GROUP BY scope, series, q),
p AS (SELECT scope, series, sum(bad) / greatest(sum(n), 1) AS rate, median(n) AS traffic, count() AS samples FROM e GROUP BY scope, series),
z AS (
  SELECT e.scope AS scope, e.series AS series, quantilesExact(0.25, 0.75)((e.bad - e.n * p.rate) / sqrt(greatest(e.n * p.rate * (1 - p.rate), 0.05))) AS q
  FROM e INNER JOIN p ON p.scope = e.scope AND p.series = e.series GROUP BY scope, series)
SELECT toDate(${d0}), p.scope, 'err', p.series, s.since, if(s.since <= ${d0} - toIntervalDay(${LEARNING_DAYS}) + toIntervalHour(6), [toFloat32(p.rate)], []),
  p.rate, (z.q[2] - z.q[1]) / 1.349, p.traffic, toUInt32(p.samples)
FROM p INNER JOIN z ON z.scope = p.scope AND z.series = p.series INNER JOIN since AS s ON s.scope = p.scope AND s.series = p.series`

const SCOPES: readonly (readonly [scope: string, metrics: readonly Metric[]])[] = [
  ['tool', METRICS.filter((m) => m !== 'err')],
  ['server', METRICS.filter((m) => m !== 'err')],
  ['team', ['vol']],
  ['caller', ['vol']],
  ['all', ['vol']],
]

/** Makes the baselines of the day that begins at `day` (seconds, 00:00 UTC) from the three weeks before it. */
export async function makeBaselines(store: Store, day: number): Promise<void> {
  const d0 = seconds(day)
  for (const [scope, metrics] of SCOPES)
    for (const metric of metrics) await store.command(seriesSql(store.database, metric, scope, d0))
  await store.command(errorsSql(store.database, d0))
}

/** The newest day that has baselines, in seconds; 0 when none has. */
export async function newestBaselines(store: Store): Promise<number> {
  const [row] = await store.rows<{ day: number }>(
    `SELECT toUInt32(toDateTime(max(b.day), 'UTC')) AS day FROM ${store.database}.baselines AS b WHERE b.metric = 'err'`,
  )
  return Number(row?.day ?? 0)
}
