/** Who or what is busiest right now: exact figures over the last minutes, and how complete they are. */
import type { Reader } from './client.ts'

export const GROUPS = ['tool', 'server', 'caller', 'team'] as const
export type Group = (typeof GROUPS)[number]

type Figures = {
  calls: number
  failed: number
  p50_us: number
  p95_us: number
  p99_us: number
  overhead_p50_us: number
  request_bytes: number
  response_bytes: number
  tokens_in: number
  tokens_out: number
}
/** `server` is only there when tools are asked for; '' when Weir answered itself. `name` may be ''. */
export type TopRow = Figures & { server: string; name: string }
export type TopTotals = Figures & {
  /** Rows there would be without the limit. */
  groups: number
  /** Seconds since the newest call of all was received, and from its answer to the store; null when there is none in a day. */
  newest_age_s: number | null
  newest_delay_s: number | null
  /** Events given up before they reached the store: in the window, and ever. */
  lost: number
  lost_ever: number
}

/** An empty group has quantiles of NaN, which no format has a number for. */
const FIGURES = `count() AS calls, countIf(v.failed) AS failed_calls,
  arrayMap(x -> if(isNaN(x), 0, x), quantilesExact(0.5, 0.95, 0.99)(v.duration_us)) AS quantiles, ifNotFinite(quantileExact(0.5)(v.overhead_us), 0) AS overhead_p50_us,
  sum(v.request_bytes) AS request_bytes, sum(v.response_bytes) AS response_bytes, sum(v.tokens_in) AS tokens_in, sum(v.tokens_out) AS tokens_out`
const GROUP = `if({by:String} = 'tool', v.server, '') AS server, multiIf({by:String} = 'server', toString(v.server), {by:String} = 'caller', toString(v.caller),
  {by:String} = 'team', toString(v.team), v.tool = '', toString(v.method), toString(v.tool)) AS name`

export const sql = `SELECT ${GROUP}, ${FIGURES}
FROM v_calls AS v
WHERE v.ts > now64(6) - toIntervalSecond({window_s:UInt32})
GROUP BY server, name
ORDER BY calls DESC, server, name LIMIT {limit:UInt32}`

export const totalsSql = `WITH (SELECT (max(ts), argMax(c.ingested_at, ts), count(), argMax(c.duration_us, ts)) FROM calls AS c WHERE ts > now64(6) - toIntervalDay(1)) AS newest,
  (SELECT (sum(latest - before), sum(latest)) FROM (
    SELECT max(l.events) AS latest, maxIf(l.events, l.first_reported <= now64(3) - toIntervalSecond({window_s:UInt32})) AS before
    FROM losses AS l GROUP BY worker_id, reason)) AS loss
SELECT ${FIGURES}, uniqExact(if({by:String} = 'tool', v.server, ''), multiIf({by:String} = 'server', toString(v.server), {by:String} = 'caller', toString(v.caller),
  {by:String} = 'team', toString(v.team), v.tool = '', toString(v.method), toString(v.tool))) AS groups,
  if(newest.3 = 0, NULL, dateDiff('millisecond', newest.1, now64(6)) / 1000) AS newest_age_s,
  if(newest.3 = 0, NULL, dateDiff('millisecond', newest.1 + toIntervalMicrosecond(newest.4), newest.2) / 1000) AS newest_delay_s,
  loss.1 AS lost, loss.2 AS lost_ever
FROM v_calls AS v WHERE v.ts > now64(6) - toIntervalSecond({window_s:UInt32})`

type Raw<Row> = Omit<Row, 'failed' | 'p50_us' | 'p95_us' | 'p99_us'> & {
  failed_calls: number
  quantiles: number[]
}

function figures<Row extends Figures>({ failed_calls, quantiles, ...row }: Raw<Row>): Row {
  const [p50_us = 0, p95_us = 0, p99_us = 0] = quantiles
  return { ...row, failed: failed_calls, p50_us, p95_us, p99_us } as unknown as Row
}

export async function run(
  reader: Reader,
  { window_s, by, limit = 100 }: { window_s: number; by: Group; limit?: number },
): Promise<{ rows: TopRow[]; totals: TopTotals }> {
  const [rows, [totals]] = await Promise.all([
    reader.rows<Raw<TopRow>>(sql, { window_s, by, limit }),
    reader.rows<Raw<TopTotals>>(totalsSql, { window_s, by }),
  ])
  if (!totals) throw new Error('the store gave no answer')
  return { rows: rows.map((row) => figures<TopRow>(row)), totals: figures<TopTotals>(totals) }
}
