/** From what somebody has in hand to runs: a run id, whole or its beginning, or the id of one of its calls, traces or sessions. */
import type { Reader } from './client.ts'

export type FoundRun = { run_id: string; calls: number; started: string }

/** `hex`: the id as lower-case hex digits, '' when it is none; `id` as it was given. An exact run id wins over everything. */
export const sql = `SELECT r.run_id AS run_id, r.calls AS calls, toString(r.started) AS started
FROM v_runs AS r
WHERE r.run_id = {id:String} OR startsWith(r.run_id, {id:String})
  OR r.run_id IN (SELECT c.run_id FROM calls AS c WHERE {hex:String} != '' AND (c.trace_id = {hex:String} OR c.session_id = {hex:String}
    OR replaceAll(toString(c.event_id), '-', '') = {hex:String}))
ORDER BY r.run_id = {id:String} DESC, r.started DESC LIMIT {limit:UInt32}`

export const run = (
  reader: Reader,
  { id, hex, limit = 20 }: { id: string; hex: string; limit?: number },
): Promise<FoundRun[]> => reader.rows<FoundRun>(sql, { id, hex, limit })
