/** What calls cost since midnight UTC, by the prices in force now, and how many have no price. `calls`: those that may cost something. */
import type { Reader } from './client.ts'

export type CostTodayRow = { calls: number; cost_nano: number; unpriced: number }

export const sql = `SELECT sum(u.calls) AS calls, sum(u.cost_nano) AS cost_nano, sum(u.unpriced) AS unpriced
FROM v_costs_1d AS u WHERE u.d = toDate(now('UTC'))`

export const run = (reader: Reader): Promise<CostTodayRow[]> => reader.rows<CostTodayRow>(sql)
