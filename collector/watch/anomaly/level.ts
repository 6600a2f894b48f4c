/**
 * How much busier a series is today than in other weeks: days differ as a whole, and that is no finding. The middle of the
 * quarters of an hour between five hours and one hour ago, held against what is usual. The judge asks for it, and the nightly
 * spread of volume is of what is left after it: both go by the same numbers.
 */
import { BUCKET_S, LONGEST, WINDOW } from './metrics.ts'
import { centerAt, fromVolume, quantile, type Series, windowAt } from './window.ts'

const QUARTERS = 16
/** So many calls weigh as much as the belief that today is like other days. */
const PRIOR_CALLS = 100
/** Never further from one: an outage of hours must not become usual. */
const MOST = 1.3

/** Buckets back that the level reads. */
export const LEVEL_REACH = LONGEST + QUARTERS * WINDOW

/** Factor on the usual number of calls at `t`; 1 where too little is known. */
export function levelAt(series: Series, t: number): number {
  const ratios: number[] = []
  let calls = 0
  for (let i = 0; i < QUARTERS; i++) {
    const at = t - (LONGEST + i * WINDOW) * BUCKET_S
    const window = windowAt(series, at)
    const center = centerAt(series, at)
    const expected = center === null ? 0 : fromVolume(center)
    if (!window || expected === 0) continue
    calls += expected
    ratios.push(window.n / expected)
  }
  if (ratios.length < QUARTERS / 2) return 1
  ratios.sort((a, b) => a - b)
  const level = 1 + ((quantile(ratios, 0.5) - 1) * calls) / (calls + PRIOR_CALLS)
  return Math.min(MOST, Math.max(1 / MOST, level))
}

/** Named queries for a WITH clause that end in `spread`: series and sigma of volume. `rows`: series, ts, n15, v, center. `from`: seconds. */
export const spreadSql = (
  rows: string,
  from: string,
): string => `o AS (SELECT series, ts, n15, v, greatest(0, pow(greatest(center, 0) / 2, 2) - 0.375) AS expected FROM (${rows})),
l AS (
  SELECT series, ts, v, expected, quantileExactIf(0.5)(n15 / greatest(expected, 1e-9), expected > 0) OVER before AS middle,
    sum(expected) OVER before / ${WINDOW} AS calls, countIf(expected > 0) OVER before AS seen
  FROM o WINDOW before AS (PARTITION BY series ORDER BY ts RANGE BETWEEN ${(LEVEL_REACH - WINDOW) * BUCKET_S} PRECEDING AND ${LONGEST * BUCKET_S} PRECEDING)),
spread AS (
  SELECT series, quantilesExact(0.25, 0.75)(v - 2 * sqrt(expected * level + 0.375)) AS q, (q[2] - q[1]) / 1.349 AS sigma
  FROM (SELECT *, if(seen >= ${(QUARTERS * WINDOW) / 2}, least(${MOST}, greatest(1 / ${MOST}, 1 + (middle - 1) * calls / (calls + ${PRIOR_CALLS}))), 1) AS level FROM l)
  WHERE ts >= ${from} GROUP BY series)`
