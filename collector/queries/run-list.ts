/** What agents did: one row per run, and whether it failed or went round in circles. */
import { LOOP_MIN } from '../runs/habits.ts'
import { moment, type Reader } from './client.ts'

export const RUN_SORTS = ['started', 'duration', 'calls', 'failed', 'cost', 'tokens'] as const
export type RunSort = (typeof RUN_SORTS)[number]

export type RunRow = {
  run_id: string
  run_source: string
  /** Mean over its calls, and its least certain call, in percent. */
  confidence: number
  confidence_min: number
  started: string
  ended: string
  agent: string
  caller: string
  team: string
  project: string
  client_name: string
  calls: number
  failed: number
  /** From the first call's beginning to the last one's end. */
  duration_us: number
  tokens_in: number
  tokens_out: number
  /** An integer of nano-dollars; `unpriced` calls are not in it. */
  cost_nano: number
  unpriced: number
  tools: number
  traces: number
  /** How often the most repeated call was made with the same arguments; 0 below three. */
  repeats: number
}

export type RunFilter = {
  from_ms: number
  to_ms?: number
  agent?: string
  caller?: string
  team?: string
  project?: string
  /** Part of the run's id, agent, caller, project or client, whatever its case. */
  text?: string
  failing?: boolean
  looping?: boolean
  sort?: RunSort
  limit?: number
}

const FOREVER_MS = 4_102_444_800_000

/** Arguments that are not hashed cannot be compared. */
export const sql = `WITH looping AS (
  SELECT run_id, max(times) AS times FROM (
    SELECT c.run_id AS run_id, count() AS times FROM calls AS c
    WHERE c.kind = 'request' AND c.arguments_hash != '' AND c.ts >= {from:DateTime64(3)} - toIntervalDay(1) AND c.ts <= {to:DateTime64(3)} + toIntervalDay(1)
    GROUP BY run_id, c.method, c.server, c.tool, c.arguments_hash HAVING times >= {loop_min:UInt32})
  GROUP BY run_id)
SELECT r.run_id AS run_id, r.run_source AS run_source, round(r.confidence, 1) AS confidence, r.confidence_min AS confidence_min,
  toString(r.started) AS started, toString(r.ended) AS ended, r.agent AS agent, r.caller AS caller, r.team AS team, r.project AS project,
  r.client_name AS client_name, r.calls AS calls, r.failed AS failed, dateDiff('microsecond', r.started, r.ended) AS duration_us,
  r.tokens_in AS tokens_in, r.tokens_out AS tokens_out, r.cost_nano AS cost_nano, r.unpriced AS unpriced, r.tools AS tools, r.traces AS traces,
  l.times AS repeats
FROM v_runs AS r LEFT JOIN looping AS l ON l.run_id = r.run_id
WHERE r.started >= {from:DateTime64(3)} AND r.started <= {to:DateTime64(3)}
  AND ({agent:String} = '' OR r.agent = {agent:String}) AND ({caller:String} = '' OR r.caller = {caller:String})
  AND ({team:String} = '' OR r.team = {team:String}) AND ({project:String} = '' OR r.project = {project:String})
  AND ({text:String} = '' OR positionCaseInsensitiveUTF8(concat(r.run_id, ' ', r.agent, ' ', r.caller, ' ', r.project, ' ', r.client_name), {text:String}) > 0)
  AND (NOT {failing:Bool} OR r.failed > 0) AND (NOT {looping:Bool} OR l.times > 0)
ORDER BY multiIf({sort:String} = 'duration', duration_us, {sort:String} = 'calls', toInt64(calls), {sort:String} = 'failed', toInt64(failed),
  {sort:String} = 'cost', toInt64(cost_nano), {sort:String} = 'tokens', toInt64(tokens_in + tokens_out), toUnixTimestamp64Micro(r.started)) DESC, run_id
LIMIT {limit:UInt32}`

/** The first of the chosen order, highest or newest first. */
export const run = (
  reader: Reader,
  {
    from_ms,
    to_ms = FOREVER_MS,
    agent = '',
    caller = '',
    team = '',
    project = '',
    text = '',
    failing = false,
    looping = false,
    sort = 'started',
    limit = 50,
  }: RunFilter,
): Promise<RunRow[]> =>
  reader.rows<RunRow>(sql, {
    from: moment(from_ms),
    to: moment(to_ms),
    agent,
    caller,
    team,
    project,
    text,
    failing,
    looping,
    sort,
    limit,
    loop_min: LOOP_MIN,
  })
