/**
 * Closes five-minute buckets: from the rollups (tools, servers, everything) and the raw rows of the window (teams, callers)
 * into metric_5m, with a zero for every series that is known and silent.
 * Bounds: `series_max` series, busiest first; reads only the window and the last week of metric_5m.
 * Safe to run twice: a bucket made again replaces what was there.
 */
import type { Store } from '../../sink/store.ts'
import { BUCKET_S } from './metrics.ts'

/** How the places are shared out among the scopes. */
const SHARES = { tool: 0.6, server: 0.1, team: 0.1, caller: 0.2 } as const
/** A figure of a bucket with fewer calls is not kept: it says too little. */
const CALLS_MIN = 2
/** A series that was silent for this long is forgotten. */
const KNOWN_DAYS = 7

export const seconds = (t: number): string => `toDateTime(${Math.trunc(t)}, 'UTC')`

const COLUMNS = 'scope, series, t, n, n15, bad, p95, mid, cost, priced, bytes'
/** Mean of log(us): the middle of each bucket of the histogram, in octaves. */
const MID = `arraySum((i, k) -> k * (i + 0.5), mapKeys(h), mapValues(h)) / 8 * log(2) / greatest(arraySum(mapValues(h)), 1)`
/** As quantileSql, but within its bucket the rank is placed by proportion: steps of 9 % would look like changes. */
const P95 = `arraySort(x -> x.1, arrayZip(mapKeys(h15), mapValues(h15))) AS sorted, arrayCumSum(x -> toInt64(x.2), sorted) AS sums, 0.95 * sums[-1] AS place, arrayFirstIndex(x -> x >= place, sums) AS at,
  if(at = 0, 0., (sorted[at].1 + (place - sums[at] + sorted[at].2) / sorted[at].2) / 8 * log(2)) AS p95`

/** Rollup rows as series of one scope. Each row counts for its own bucket and, in `h15`, for the two after it. */
const rolledUp = (db: string, scope: string, series: string, where: string): string =>
  `SELECT ${COLUMNS.replace('p95, mid', `p95, ${MID} AS mid`)} FROM (SELECT *, ${P95} FROM (
    SELECT '${scope}' AS scope, ${series} AS series, r.t + k * ${BUCKET_S} AS t, sumIf(r.calls, k = 0) AS n, sum(r.calls) AS n15, sumIf(r.faults, k = 0) AS bad,
      sumMapIf(r.hist, k = 0) AS h, sumMap(r.hist) AS h15, sumIf(r.cost_nano, k = 0) AS cost, toInt64(n) - sumIf(r.unpriced, k = 0) AS priced, sumIf(r.response_bytes, k = 0) AS bytes
    FROM ${db}.tool_5m AS r ARRAY JOIN [0, 1, 2] AS k
    WHERE r.t >= {from:DateTime('UTC')} - ${2 * BUCKET_S} AND r.t < {to:DateTime('UTC')} AND ${where}
    GROUP BY series, t HAVING t >= {from:DateTime('UTC')} AND t < {to:DateTime('UTC')} AND n > 0))`

/** Teams and callers are in no five-minute rollup: counted from the rows of the window. */
const counted = (db: string, scope: 'team' | 'caller'): string =>
  `SELECT '${scope}' AS scope, toString(c.${scope}) AS series, toStartOfFiveMinutes(toDateTime(c.ts, 'UTC')) AS t, count() AS n, n AS n15, countIf(c.fault) AS bad,
    0. AS p95, 0. AS mid, sum(c.cost_nano) AS cost, countIf(c.cost_source != 'unpriced')::Int64 AS priced, sum(c.response_bytes) AS bytes
  FROM ${db}.v_calls AS c WHERE c.ts >= {from:DateTime('UTC')} AND c.ts < {to:DateTime('UTC')} AND c.${scope} != '' GROUP BY series, t`

const SERIES_OF_TOOL = "concat(toString(r.server), '/', toString(r.tool))"

function closeSql(db: string, isBounded: readonly (readonly [scope: string, places: number])[]): string {
  const places = isBounded.map(([scope, n]) => `scope = '${scope}', ${n}`).join(', ')
  return `INSERT INTO ${db}.metric_5m (scope, metric, series, t, n, bad, x, made_at)
WITH agg AS (
  ${[
    rolledUp(db, 'tool', SERIES_OF_TOOL, "r.tool != '' AND r.server != ''"),
    rolledUp(db, 'server', 'toString(r.server)', "r.server != ''"),
    rolledUp(db, 'all', "''", '1'),
    counted(db, 'team'),
    counted(db, 'caller'),
  ].join('\n  UNION ALL\n  ')}),
known AS (
  SELECT scope, series, first FROM (
    SELECT scope, series, min(t) AS first, sum(n) AS calls, row_number() OVER (PARTITION BY scope ORDER BY calls DESC, series) AS place
    FROM (
      SELECT toString(m.scope) AS scope, toString(m.series) AS series, m.t AS t, m.n AS n FROM ${db}.metric_5m AS m
      WHERE m.metric = 'vol' AND m.n > 0 AND m.t >= {from:DateTime('UTC')} - toIntervalDay(${KNOWN_DAYS}) AND m.t < {from:DateTime('UTC')}
      UNION ALL SELECT scope, series, t, n FROM agg)
    GROUP BY scope, series)
  WHERE place <= multiIf(${places}, 1)),
grid AS (
  SELECT scope, series, t FROM known
  CROSS JOIN (SELECT {from:DateTime('UTC')} + number * ${BUCKET_S} AS t FROM numbers({buckets:UInt32})) AS b WHERE t >= first)
SELECT g.scope, f.1, g.series, g.t, multiIf(f.1 = 'cost', toUInt64(greatest(a.priced, 0)), f.1 = 'p95', a.n15, a.n), a.bad, f.2, {made_at:DateTime64(3, 'UTC')}
FROM grid AS g LEFT JOIN agg AS a ON a.scope = g.scope AND a.series = g.series AND a.t = g.t
ARRAY JOIN arrayFilter(f -> f.1 = 'vol' OR (a.n > 0 AND (f.1 = 'err' OR (a.n >= ${CALLS_MIN} AND (
    (f.1 IN ('p95', 'mid', 'size') AND g.scope IN ('tool', 'server')) OR (f.1 = 'cost' AND a.cost > 0 AND a.priced > 0 AND g.scope IN ('tool', 'server')))))),
  [('vol', toFloat64(a.n)), ('err', a.bad / greatest(a.n, 1)), ('p95', a.p95), ('mid', a.mid),
   ('cost', log(greatest(1, a.cost / greatest(a.priced, 1)))), ('size', log(1 + a.bytes / greatest(a.n, 1)))]) AS f`
}

export type CloseRange = {
  /** Start of the first bucket and end of the last, in seconds. At most a day. */
  from: number
  to: number
  made_at_ms: number
  series_max: number
}

/** Parameters as literals: `command` binds none, and these are numbers of ours. */
const bind = (sql: string, { from, to, made_at_ms }: CloseRange): string =>
  sql
    .replaceAll("{from:DateTime('UTC')}", seconds(from))
    .replaceAll("{to:DateTime('UTC')}", seconds(to))
    .replaceAll('{buckets:UInt32}', String(Math.round((to - from) / BUCKET_S)))
    .replaceAll(
      "{made_at:DateTime64(3, 'UTC')}",
      `fromUnixTimestamp64Milli(${Math.trunc(made_at_ms)}, 'UTC')`,
    )

export async function closeBuckets(store: Store, range: CloseRange): Promise<void> {
  const bounds = Object.entries(SHARES).map(
    ([scope, share]) => [scope, Math.max(1, Math.floor(range.series_max * share))] as const,
  )
  await store.command(bind(closeSql(store.database, bounds), range))
}

/** Start of the newest closed bucket in seconds; 0 when there is none. */
export async function newestClosed(store: Store): Promise<number> {
  const [row] = await store.rows<{ t: number }>(
    `SELECT toUInt32(max(m.t)) AS t FROM ${store.database}.metric_5m AS m WHERE m.scope = 'all' AND m.metric = 'vol'`,
  )
  return Number(row?.t ?? 0)
}

/** Start of the oldest bucket that got rows since `since_ms` (by the store's clock), but none before `from`; null when none. */
export async function oldestTouched(store: Store, from: number, since_ms: number): Promise<number | null> {
  const [row] = await store.rows<{ t: number; n: number }>(
    `SELECT toUInt32(min(toStartOfFiveMinutes(toDateTime(c.ts, 'UTC')))) AS t, toUInt32(count()) AS n FROM ${store.database}.calls AS c
     WHERE c.ts >= ${seconds(from)} AND c.ingested_at >= fromUnixTimestamp64Milli(${Math.trunc(since_ms)}, 'UTC')`,
  )
  return row && Number(row.n) > 0 ? Number(row.t) : null
}
