/**
 * What service level objectives are counted from: calls, bad calls and their latency histogram per server and tool in several
 * windows at once, from the rollup; per team, and by cost, from the calls themselves.
 */

import { likes } from './alert-figures.ts'
import type { Reader } from './client.ts'
import { moment } from './client.ts'

/** Counts of one series in one window. `hist` is empty unless asked for. */
export type RollupCount = {
  server: string
  tool: string
  window_s: number
  calls: number
  failed: number
  faults: number
  hist: Record<string, number>
}

/** A window begins with the five minutes its start falls into. */
export const sql = `SELECT server, tool, window_s, sum(calls) AS calls, sum(failed) AS failed, sum(faults) AS faults, sumMap(hist) AS hist
FROM (
  SELECT r.server AS server, r.tool AS tool, r.t AS t, r.calls AS calls, r.calls - r.ok - r.input_required AS failed, r.faults AS faults,
    if({hist:UInt8} = 1, r.hist, CAST(map(), 'Map(Int16, UInt64)')) AS hist
  FROM tool_5m AS r
  WHERE r.t >= toStartOfFiveMinutes({to:DateTime64(3)} - toIntervalSecond(arrayMax({windows:Array(UInt32)}))) AND r.t < {to:DateTime64(3)}
    AND r.server != '' AND r.method != 'subscriptions/listen'
) ARRAY JOIN {windows:Array(UInt32)} AS window_s
WHERE t >= toStartOfFiveMinutes({to:DateTime64(3)} - toIntervalSecond(window_s))
GROUP BY server, tool, window_s`

export const runRollup = (
  reader: Reader,
  { to_ms, windows, hist }: { to_ms: number; windows: readonly number[]; hist: boolean },
): Promise<RollupCount[]> =>
  reader.rows(sql, { to: moment(to_ms), windows: [...windows], hist: hist ? 1 : 0 })

export type RawCount = {
  server: string
  tool: string
  team: string
  window_s: number
  total: number
  bad: number
}

/** One objective from the calls. What no price is known for counts neither as good nor as bad. */
export const rawSql = `SELECT server, tool, team, window_s, count() AS total, countIf(bad) AS bad
FROM (
  SELECT if({each:String} IN ('server', 'tool'), toString(v.server), '') AS server, if({each:String} = 'tool', toString(v.tool), '') AS tool,
    if({each:String} = 'team', toString(v.team), '') AS team, v.ts AS ts,
    multiIf({objective:String} = 'latency', v.duration_us >= {under:Float64} * 1e3, {objective:String} = 'cost', v.cost_nano >= {under:Float64} * 1e9,
      {count:String} = 'failed', v.failed, v.fault) AS bad
  FROM v_calls AS v
  WHERE v.ts >= {to:DateTime64(3)} - toIntervalSecond(arrayMax({windows:Array(UInt32)})) AND v.ts < {to:DateTime64(3)}
    AND v.server != '' AND v.method != 'subscriptions/listen' AND ({each:String} != 'team' OR v.team != '')
    AND ({objective:String} != 'cost' OR v.cost_source != 'unpriced')
    AND ${['server', 'tool', 'team']
      .map(
        (name) =>
          `(empty({${name}s:Array(String)}) OR arrayExists(p -> v.${name} LIKE p, {${name}s:Array(String)}))`,
      )
      .join(' AND ')}
) ARRAY JOIN {windows:Array(UInt32)} AS window_s
WHERE ts >= {to:DateTime64(3)} - toIntervalSecond(window_s)
GROUP BY server, tool, team, window_s`

export type RawAsked = {
  to_ms: number
  windows: readonly number[]
  each: string
  objective: string
  /** Milliseconds, or dollars. */
  under: number
  count: 'failed' | 'faults'
  server: readonly string[]
  tool: readonly string[]
  team: readonly string[]
}

export const runRaw = (reader: Reader, asked: RawAsked): Promise<RawCount[]> =>
  reader.rows(rawSql, {
    to: moment(asked.to_ms),
    windows: [...asked.windows],
    each: asked.each,
    objective: asked.objective,
    under: asked.under,
    count: asked.count,
    servers: likes(asked.server),
    tools: likes(asked.tool),
    teams: likes(asked.team),
  })
