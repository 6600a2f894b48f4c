/** How far the store is behind: the newest call in it, when it came, and what is missing in between. */
import type { Reader } from './client.ts'

export type Freshness = {
  /** Calls of the last hour. */
  calls_1h: number
  /** '' when there is none in the last day. */
  newest_ts: string
  newest_ingested_at: string
  /** Seconds since the newest call happened, and since something was stored; null when there is none. */
  newest_age_s: number | null
  ingested_age_s: number | null
  /** From call to store, the slowest in a hundred, last hour. */
  delay_p99_s: number | null
  missing_batches: number
  dead_letters_1d: number
  lost_events: number
}

export const sql = `SELECT countIf(ts > now() - INTERVAL 1 HOUR) AS calls_1h,
  if(count() = 0, '', toString(max(ts))) AS newest_ts, if(count() = 0, '', toString(max(c.ingested_at))) AS newest_ingested_at,
  if(count() = 0, NULL, dateDiff('millisecond', max(ts), now64(6)) / 1000) AS newest_age_s,
  if(count() = 0, NULL, dateDiff('millisecond', max(c.ingested_at), now64(3)) / 1000) AS ingested_age_s,
  if(calls_1h = 0, NULL, quantileIf(0.99)(dateDiff('millisecond', ts, c.ingested_at) / 1000, ts > now() - INTERVAL 1 HOUR)) AS delay_p99_s,
  (SELECT sum(missing) FROM v_ingest_gaps) AS missing_batches,
  (SELECT count() FROM v_dead_letters WHERE received_at > now() - INTERVAL 1 DAY) AS dead_letters_1d,
  (SELECT sum(l.lost_events) FROM v_losses AS l) AS lost_events
FROM calls AS c WHERE ts > now() - INTERVAL 1 DAY`

export async function run(reader: Reader): Promise<Freshness> {
  const [row] = await reader.rows<Freshness>(sql)
  if (!row) throw new Error('the store gave no answer')
  return row
}
