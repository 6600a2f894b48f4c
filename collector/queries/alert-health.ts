/** Weir itself over one window: events lost, lines that became no rows, how late calls reach the store, failed messages. */
import type { Reader } from './client.ts'
import { moment } from './client.ts'

export type Health = {
  lost_events: number
  dead_letters: number
  /** From the end of a call to the store, the slowest in a hundred of those stored in the window; 0 when there are none. */
  ingest_age_s: number
}

export const sql = `WITH {from:DateTime64(3)} AS since, {to:DateTime64(3)} AS until
SELECT
  (SELECT sum(latest - before) FROM (
    SELECT maxIf(l.events, l.first_reported < until) AS latest, maxIf(l.events, l.first_reported < since) AS before
    FROM losses AS l GROUP BY l.worker_id, l.reason)) AS lost_events,
  (SELECT count() FROM v_dead_letters AS d WHERE d.received_at >= since AND d.received_at < until) AS dead_letters,
  (SELECT ifNotFinite(quantile(0.99)(greatest(0, dateDiff('millisecond', c.ts + toIntervalMicrosecond(c.duration_us), c.ingested_at)) / 1000), 0)
   FROM calls AS c WHERE c.ingested_at >= since AND c.ingested_at < until) AS ingest_age_s`

/** Failed attempts by receiver. */
export const deliveriesSql = `SELECT d.receiver AS receiver, count() AS failed
FROM alert_deliveries AS d
WHERE d.ts >= {from:DateTime64(3)} AND d.ts < {to:DateTime64(3)} AND d.status IN ('retry', 'failed')
GROUP BY receiver`

type Range = { from_ms: number; to_ms: number }
const paramsOf = ({ from_ms, to_ms }: Range): Record<string, string> => ({
  from: moment(from_ms),
  to: moment(to_ms),
})

export async function run(reader: Reader, range: Range): Promise<Health> {
  const [row] = await reader.rows<Health>(sql, paramsOf(range))
  if (!row) throw new Error('the store gave no answer')
  return row
}

export const runDeliveries = (
  reader: Reader,
  range: Range,
): Promise<{ receiver: string; failed: number }[]> => reader.rows(deliveriesSql, paramsOf(range))
