/** What agents did lately: one row per run, newest first. */
import { moment, type Reader } from './client.ts'

export type RunRow = {
  run_id: string
  run_source: string
  started: string
  ended: string
  agent: string
  caller: string
  team: string
  project: string
  client_name: string
  calls: number
  failed: number
  duration_us_sum: number
  tokens_in: number
  tokens_out: number
  tools: number
  traces: number
}

export const sql = `SELECT run_id, run_source, started, ended, agent, caller, team, project, client_name, calls, failed, duration_us_sum, tokens_in,
  tokens_out, tools, traces
FROM v_runs
WHERE started > {since:DateTime64(3)} AND ({caller:String} = '' OR caller = {caller:String})
ORDER BY started DESC LIMIT {limit:UInt32}`

export const run = (
  reader: Reader,
  { since_ms, caller = '', limit = 50 }: { since_ms: number; caller?: string; limit?: number },
): Promise<RunRow[]> => reader.rows<RunRow>(sql, { since: moment(since_ms), caller, limit })
