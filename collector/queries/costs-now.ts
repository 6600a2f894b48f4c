/**
 * What single calls cost now: events keep the price of the moment they were stored with, and what a price that changed later
 * makes of them stands in the ledger. One question more for a list of calls that are there already.
 */
import type { Reader } from './client.ts'

export type Costed = { event_id: string; cost_nano: number; cost_source: string }
type NowRow = Costed & { price_id: string }

export const sql = `SELECT toString(a.event_id) AS event_id, argMax(a.cost_nano, a.rating) AS cost_nano, toString(argMax(a.cost_source, a.rating)) AS cost_source,
  toString(argMax(a.price_id, a.rating)) AS price_id
FROM cost_adjustments AS a
WHERE a.ts >= fromUnixTimestamp64Micro({first_us:Int64}) AND a.ts <= fromUnixTimestamp64Micro({last_us:Int64}) AND a.event_id IN {events:Array(UUID)}
GROUP BY event_id`

/** Ids in one question: they travel in its address, and 45 bytes each. */
const AT_ONCE = 2_000

/** The same rows at what they cost now; `startOf`: microseconds since 1970. */
export async function run<Row extends Costed>(
  reader: Reader,
  rows: readonly Row[],
  startOf: (row: Row) => number,
): Promise<Row[]> {
  const changed = new Map<string, NowRow>()
  for (let from = 0; from < rows.length; from += AT_ONCE) {
    const some = rows.slice(from, from + AT_ONCE)
    const starts = some.map(startOf)
    const found = await reader.rows<NowRow>(sql, {
      first_us: Math.min(...starts),
      last_us: Math.max(...starts),
      events: some.map((row) => row.event_id),
    })
    for (const now of found) changed.set(now.event_id, now)
  }
  return rows.map((row) => {
    const now = changed.get(row.event_id)
    if (!now) return row
    const { price_id, ...cost } = now
    return { ...row, ...cost, ...('price_id' in row ? { price_id } : {}) }
  })
}

/** Condition on `calls AS c`: what a field of the price says now is the value of `parameter`. `time`: that of the calls, `AS a`. */
export const isNow = (field: 'cost_source' | 'price_id', parameter: string, time: string): string => `if(
  c.event_id IN (SELECT a.event_id FROM cost_adjustments AS a WHERE ${time}),
  c.event_id IN (SELECT a.event_id FROM cost_adjustments AS a WHERE ${time} GROUP BY a.event_id HAVING argMax(toString(a.${field}), a.rating) = ${parameter}),
  toString(c.${field}) = ${parameter})`

/** What those prices add to the calls of a scope (scope.ts), `AS v`: sums by event. */
export const addedIn = (scope: string): string =>
  `SELECT v.event_id AS event_id, sum(v.delta_nano) AS delta_nano, sum(toInt64(v.unpriced_delta)) AS unpriced_delta
FROM cost_adjustments AS v WHERE ${scope} GROUP BY event_id`
