/** Keys of the tags that calls with a cost carried in a range of days: what costs can be split by besides columns. */
import type { Reader } from './client.ts'

export type CostTagRow = { key: string; calls: number }

export const sql = `SELECT toString(k.key) AS key, sum(k.calls) AS calls
FROM (SELECT arrayJoin(mapKeys(r.tags)) AS key, r.calls AS calls FROM v_costs_1d AS r WHERE r.d >= {from:Date} AND r.d < {to:Date}) AS k
GROUP BY key HAVING calls > 0 ORDER BY calls DESC, key LIMIT 100`

/** Days as YYYY-MM-DD; `to` is the first that no longer counts. */
export const run = (reader: Reader, days: { from: string; to: string }): Promise<CostTagRow[]> =>
  reader.rows<CostTagRow>(sql, days)
