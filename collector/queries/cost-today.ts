/** What calls cost since midnight UTC, as rated when they came, and how many have no price. */
import type { Reader } from './client.ts'

export type CostTodayRow = { calls: number; cost_nano: number; unpriced: number }

export const sql = `SELECT sum(u.calls) AS calls, sum(u.cost_nano) AS cost_nano, sum(u.unpriced) AS unpriced
FROM v_usage_1d AS u WHERE u.d = toDate(now('UTC'))`

export const run = (reader: Reader): Promise<CostTodayRow[]> => reader.rows<CostTodayRow>(sql)
