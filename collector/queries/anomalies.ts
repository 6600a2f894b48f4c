/** Findings: a list with filters, newest first, or one by its id. */
import { moment, type Reader } from './client.ts'

export type AnomalyRow = {
  id: string
  kind: string
  scope: string
  series: string
  server: string
  tool: string
  team: string
  caller: string
  started: string
  /** '' while it goes on. */
  ended: string
  is_open: number
  last_seen: string
  detected_at: string
  /** weekly, learning, history or rule. */
  method: string
  value: number
  expected: number
  lower: number
  upper: number
  unit: string
  score: number
  n: number
  contributor: string
  contributor_share: number
  differs: { dimension: string; value: string; share: number; usual: number }[]
  /** SQL that shows it, to be run as it is. */
  evidence: string
  traces: string[]
  summary: string
}

const COLUMNS = `id, kind, scope, series, server, tool, team, caller, toString(v.started) AS started, if(v.is_open, '', toString(v.ended)) AS ended, toUInt8(v.is_open) AS is_open,
  toString(v.last_seen) AS last_seen, toString(v.detected_at) AS detected_at, method, value, expected, lower, upper, unit, score, toFloat64(v.n) AS n, contributor, contributor_share,
  differs, evidence, traces, summary`

export const sql = `SELECT ${COLUMNS} FROM v_anomalies AS v
WHERE v.started < {to:DateTime64(3)} AND (v.is_open OR v.last_seen >= {from:DateTime64(3)})
  AND ({state:String} = 'all' OR v.is_open = ({state:String} = 'open'))
  AND ({kind:String} = '' OR v.kind = {kind:String}) AND ({server:String} = '' OR v.server = {server:String}) AND ({tool:String} = '' OR v.tool = {tool:String})
  AND ({caller:String} = '' OR v.caller = {caller:String}) AND ({team:String} = '' OR v.team = {team:String})
ORDER BY v.is_open DESC, v.started DESC, v.id LIMIT {limit:UInt32}`

export const oneSql = `SELECT ${COLUMNS} FROM v_anomalies AS v WHERE startsWith(v.id, {id:String}) ORDER BY v.started DESC LIMIT {limit:UInt32}`

export const STATES = ['all', 'open', 'ended'] as const

export type AnomalyFilter = {
  /** Milliseconds since 1970; findings that were going on at some time between. */
  from_ms: number
  to_ms: number
  state?: (typeof STATES)[number]
  kind?: string
  server?: string
  tool?: string
  caller?: string
  team?: string
  limit?: number
}

export async function run(reader: Reader, filter: AnomalyFilter): Promise<AnomalyRow[]> {
  const { from_ms, to_ms, state = 'all', limit = 200 } = filter
  const words = { kind: '', server: '', tool: '', caller: '', team: '' }
  for (const name of Object.keys(words) as (keyof typeof words)[]) words[name] = filter[name] ?? ''
  return reader.rows<AnomalyRow>(sql, {
    ...words,
    state,
    limit,
    from: moment(from_ms),
    to: moment(to_ms),
  })
}

/** By id, or the beginning of one; null when there is none. */
export async function one(reader: Reader, id: string): Promise<AnomalyRow | null> {
  const [row] = await reader.rows<AnomalyRow>(oneSql, { id, limit: 1 })
  return row ?? null
}
