/** What reading tool definitions cost: tokens and money by day, team, project, caller or server, over whole UTC days. */
import { moment, type Reader } from './client.ts'

export const CONTEXT_GROUPS = ['team', 'server', 'project', 'caller', 'day'] as const
export type ContextGroup = (typeof CONTEXT_GROUPS)[number]

export type ContextCostRow = {
  /** Of the group; a day as 2026-11-21. '' for callers without a team, and lists of the roof that were not read. */
  name: string
  /** Sessions, or runs where there are none, each once. */
  sessions: number
  /** Those of which a list could not be read: their tokens are unknown. */
  unread_sessions: number
  tokens: number
  /** Null: no team of the group has a price. */
  cost_nano: number | null
  unpriced_tokens: number
}

const NAME = (row: string): string =>
  `multiIf({by:String} = 'team', ${row}.team, {by:String} = 'server', ${row}.server, {by:String} = 'project', ${row}.project, {by:String} = 'caller', ${row}.caller, toString(${row}.day))`

export const sql = `SELECT k.name AS name, s.sessions AS sessions, s.unread_sessions AS unread_sessions, k.tokens AS tokens, k.cost_nano AS cost_nano,
  k.unpriced_tokens AS unpriced_tokens
FROM (
  SELECT ${NAME('c')} AS name, sum(c.tokens) AS tokens, sum(c.cost_nano) AS cost_nano, sumIf(c.tokens, c.cost_nano IS NULL) AS unpriced_tokens
  FROM v_context_costs AS c WHERE c.day >= toDate({from:DateTime64(3)}, 'UTC') AND c.day <= toDate({to:DateTime64(3)}, 'UTC') GROUP BY name
) AS k INNER JOIN (
  SELECT name, sum(x.of_set) AS sessions, sum(x.unread_of_set) AS unread_sessions FROM (
    SELECT ${NAME('r')} AS name, any(r.sessions) AS of_set, maxIf(r.sessions, r.part_id = '') AS unread_of_set
    FROM v_context_reads AS r WHERE r.day >= toDate({from:DateTime64(3)}, 'UTC') AND r.day <= toDate({to:DateTime64(3)}, 'UTC') GROUP BY r.set_id, name
  ) AS x GROUP BY name
) AS s ON s.name = k.name
ORDER BY if({by:String} = 'day', 0, k.tokens) DESC, name LIMIT {limit:UInt32}`

export const run = (
  reader: Reader,
  {
    from_ms,
    to_ms,
    by = 'team',
    limit = 1_000,
  }: { from_ms: number; to_ms: number; by?: ContextGroup; limit?: number },
): Promise<ContextCostRow[]> =>
  reader.rows<ContextCostRow>(sql, { from: moment(from_ms), to: moment(to_ms), by, limit })
