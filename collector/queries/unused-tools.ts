/** Tools that were listed and never called, over whole UTC days: by nobody, or not by one team; and what leaving them out would have saved. */
import type { Reader } from './client.ts'

type Figures = {
  /** Tokens read because of it, over all sessions of the window. */
  context_tokens: number
  /** What that cost; null: no team that read it has a price. */
  cost_nano: number | null
  unpriced_tokens: number
}
export type UnusedTool = Figures & {
  server: string
  tool: string
  /** Of its definition, once. */
  tokens: number
  sessions: number
  /** By other teams, when one team is asked for; else 0. */
  calls: number
  /** Who read it; '' is no team. */
  teams: string[]
}
/** Of everything that was listed in the window, used or not. */
export type ContextTotals = Figures & {
  tools: number
  sessions: number
  /** Sessions with a list that could not be read. */
  unread_sessions: number
}

/** `team` null: tools nobody called. Otherwise those of which this team read the definition and made no call. */
export type UnusedParams = { from_ms: number; to_ms: number; team?: string | null; limit?: number }

export const sql = `SELECT u.server AS server, u.tool AS tool, u.tokens AS tokens, u.sessions AS sessions, u.calls AS calls, u.context_tokens AS context_tokens,
  u.cost_nano AS cost_nano, u.unpriced_tokens AS unpriced_tokens, arraySort(u.teams) AS teams
FROM v_unused_tools(from = {from:DateTime}, to = {to:DateTime}) AS u
ORDER BY context_tokens DESC, server, tool LIMIT {limit:UInt32}`

export const teamSql = `SELECT x.server AS server, x.tool AS tool, x.tokens AS tokens, x.sessions AS sessions, x.calls_of_all AS calls,
  x.context_tokens AS context_tokens, x.cost_nano AS cost_nano, if(x.cost_nano IS NULL, x.context_tokens, 0) AS unpriced_tokens, [x.team] AS teams
FROM v_tool_contexts(from = {from:DateTime}, to = {to:DateTime}) AS x
WHERE x.team = {team:String} AND x.calls = 0
ORDER BY context_tokens DESC, server, tool LIMIT {limit:UInt32}`

export const totalsSql = `WITH (
  SELECT (sum(s.of_set), sum(s.unread_of_set)) FROM (
    SELECT any(r.sessions) AS of_set, maxIf(r.sessions, r.part_id = '') AS unread_of_set FROM v_context_reads AS r
    WHERE r.day >= toDate({from:DateTime}, 'UTC') AND r.day <= toDate({to:DateTime}, 'UTC') AND ({all:Bool} OR r.team = {team:String}) GROUP BY r.set_id
  ) AS s) AS readers
SELECT uniqExact(x.server, x.tool) AS tools, readers.1 AS sessions, readers.2 AS unread_sessions, sum(x.context_tokens) AS context_tokens,
  sum(x.cost_nano) AS cost_nano, sumIf(x.context_tokens, x.cost_nano IS NULL) AS unpriced_tokens
FROM v_tool_contexts(from = {from:DateTime}, to = {to:DateTime}) AS x WHERE {all:Bool} OR x.team = {team:String}`

export async function run(
  reader: Reader,
  { from_ms, to_ms, team = null, limit = 1_000 }: UnusedParams,
): Promise<{ rows: UnusedTool[]; totals: ContextTotals }> {
  const params = {
    from: Math.floor(from_ms / 1000),
    to: Math.ceil(to_ms / 1000),
    team: team ?? '',
    all: team === null,
    limit,
  }
  const [rows, [totals]] = await Promise.all([
    reader.rows<UnusedTool>(team === null ? sql : teamSql, params),
    reader.rows<ContextTotals>(totalsSql, params),
  ])
  if (!totals) throw new Error('the store gave no answer')
  return { rows, totals }
}
