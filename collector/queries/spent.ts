/** What calls have cost since a day, by whoever and whatever a limit on money may name; the costliest first. */
import type { SpentRow } from '../../limits/messages.ts'
import type { Reader } from './client.ts'

export const sql = `SELECT toUnixTimestamp(toDateTime(s.d, 'UTC')) * 1000 AS day_ms, s.team AS team, s.project AS project, s.caller AS caller,
  s.agent AS agent, s.server AS server, s.tool AS tool, sum(s.cost_nano) AS spent_nano
FROM v_costs_1d AS s WHERE s.d >= toDate(fromUnixTimestamp64Milli({from_ms:Int64}), 'UTC')
GROUP BY day_ms, team, project, caller, agent, server, tool HAVING spent_nano > 0
ORDER BY spent_nano DESC LIMIT 100000`

export const run = (reader: Reader, from_ms: number): Promise<SpentRow[]> =>
  reader.rows<SpentRow>(sql, { from_ms })
