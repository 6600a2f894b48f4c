/** An installation's own history as the backtest takes it: read from the rollup, day by day, never written to. */
import type { Reader } from '../../queries/client.ts'
import { DAY_S, HISTORY_DAYS } from '../anomaly/baseline.ts'
import type { History } from './run.ts'
import type { Bucket } from './synthetic.ts'

type Row = Omit<Bucket, 'hist'> & { keys: number[]; counts: number[] }

const sql = `SELECT toUInt32(r.t) AS t, toString(r.server) AS server, toString(r.tool) AS tool, toFloat64(sum(r.calls)) AS calls, toFloat64(sum(r.faults)) AS faults,
  toFloat64(sum(r.cost_nano)) AS cost_nano, toFloat64(sum(r.response_bytes)) AS bytes, sumMap(r.hist) AS h, mapKeys(h) AS keys, arrayMap(x -> toFloat64(x), mapValues(h)) AS counts
FROM tool_5m AS r WHERE r.t >= fromUnixTimestamp({from:Int64}) AND r.t < fromUnixTimestamp({to:Int64}) AND r.tool != '' AND r.server != ''
GROUP BY t, server, tool ORDER BY t, server, tool`

/** Seconds of the first and the last row; null without any. */
export async function spanOf(reader: Reader): Promise<{ from: number; to: number } | null> {
  const [row] = await reader.rows<{ from: number; to: number; n: number }>(
    'SELECT toUInt32(min(r.t)) AS from, toUInt32(max(r.t)) AS to, toFloat64(count()) AS n FROM tool_5m AS r',
  )
  return row && row.n > 0 ? { from: row.from, to: row.to } : null
}

/** Whole days from `start`; the faults go into what is left after three weeks of history. */
export function ownHistory(reader: Reader, start: number, days: number): History {
  return {
    start,
    days,
    async day(day) {
      const rows = await reader.rows<Row>(sql, { from: day, to: day + DAY_S })
      return rows.map(({ keys, counts, ...bucket }) => ({
        ...bucket,
        hist: new Map(keys.map((key, i) => [Number(key), Number(counts[i])])),
      }))
    },
  }
}

export const DAYS_MIN = HISTORY_DAYS + 1
