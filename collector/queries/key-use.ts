/** When each credential was last used, and how much in the time asked about. */
import { moment, type Reader } from './client.ts'

export type KeyUseRow = {
  /** `caller#id`. */
  principal: string
  last_ms: number
  calls: number
}

export const sql = `SELECT c.principal AS principal, toUnixTimestamp64Milli(toDateTime64(max(c.ts), 3)) AS last_ms, count() AS calls
FROM v_calls AS c WHERE c.ts >= {from:DateTime64(3)} AND c.auth_method = 'api_key'
GROUP BY principal`

export const run = (reader: Reader, { from_ms }: { from_ms: number }): Promise<KeyUseRow[]> =>
  reader.rows(sql, { from: moment(from_ms) })
