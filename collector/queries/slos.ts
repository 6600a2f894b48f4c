/** Service level objectives as last evaluated: promise, what is left of the error budget, how fast it burns. */
import type { Reader } from './client.ts'

export type SloRow = {
  slo: string
  server: string
  tool: string
  team: string
  objective: 'success' | 'latency' | 'cost'
  target: number
  window_days: number
  /** Limit of the objective: milliseconds, or dollars; 0 for success. */
  under: number
  total: number
  bad: number
  /** Null without calls. */
  good_share: number | null
  budget_left: number
  /** Null: too few calls to say. */
  burn_5m: number | null
  burn_30m: number | null
  burn_1h: number | null
  burn_6h: number | null
  burn_3d: number | null
  evaluated_ms: number
}

export const sql = `SELECT slo, server, tool, team, objective, target, window_days, under, total, bad, good_share, budget_left,
  burn_5m, burn_30m, burn_1h, burn_6h, burn_3d, toUnixTimestamp64Milli(evaluated_at) AS evaluated_ms
FROM v_slos ORDER BY budget_left, slo, server, tool, team LIMIT {limit:UInt32}`

export const run = (reader: Reader, { limit = 1000 }: { limit?: number } = {}): Promise<SloRow[]> =>
  reader.rows(sql, { limit })
