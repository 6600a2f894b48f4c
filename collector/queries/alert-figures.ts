/** The figures that threshold rules compare, exact over one window, one row a series; and which series had calls lately. */
import type { Reader } from './client.ts'
import { moment } from './client.ts'

export type Names = {
  server: readonly string[]
  tool: readonly string[]
  team: readonly string[]
  caller: readonly string[]
}
/** Names that a series does not have are ''. */
export type Series = { server: string; tool: string; team: string; caller: string }
export type FigureRow = Series & {
  calls: number
  failed_calls: number
  faults: number
  /** 95 %, 99 % of the duration, 99 % of Weir's own part; microseconds, 0 when there are no calls. */
  p95_us: number
  p99_us: number
  overhead_p99_us: number
  cost_nano: number
}

/** Globs as LIKE patterns: * and ? are the only letters with a meaning. */
export const likes = (globs: readonly string[]): string[] =>
  globs.map((glob) => glob.replaceAll(/[\\%_*?]/g, (c) => (c === '*' ? '%' : c === '?' ? '_' : `\\${c}`)))

const SERIES = `if({over:String} IN ('server', 'tool'), toString(v.server), '') AS server_,
  if({over:String} = 'tool', toString(v.tool), '') AS tool_, if({over:String} = 'team', toString(v.team), '') AS team_,
  if({over:String} = 'caller', toString(v.caller), '') AS caller_`
/** A series has a name: what Weir answered itself belongs to no server. Streams last as long as somebody listens. */
const WANTED = `v.method != 'subscriptions/listen' AND ({over:String} NOT IN ('server', 'tool') OR v.server != '')
  AND ({over:String} != 'tool' OR v.tool != '') AND ({over:String} != 'team' OR v.team != '') AND ({over:String} != 'caller' OR v.caller != '')
  AND ${['server', 'tool', 'team', 'caller']
    .map(
      (name) =>
        `(empty({${name}:Array(String)}) OR arrayExists(p -> v.${name} LIKE p, {${name}:Array(String)}))`,
    )
    .join(' AND ')}`

/** What prices that changed later add to the calls of the window; names as for calls. */
const REPRICED = `SELECT ${SERIES}, sum(v.delta_nano) AS delta_nano
FROM cost_adjustments AS v
WHERE v.ts >= {from:DateTime64(3)} AND v.ts < {to:DateTime64(3)} AND ${WANTED}
GROUP BY server_, tool_, team_, caller_`

export const sql = `SELECT server_, tool_, team_, caller_, calls, failed_calls, faults, quantiles_, overhead_p99_us, cost_nano + delta_nano AS cost_nano
FROM (SELECT ${SERIES}, count() AS calls, countIf(v.failed) AS failed_calls, countIf(v.fault) AS faults,
  arrayMap(x -> if(isNaN(x), 0, x), quantiles(0.95, 0.99)(v.duration_us)) AS quantiles_,
  ifNotFinite(quantile(0.99)(v.overhead_us), 0) AS overhead_p99_us, sum(v.cost_nano) AS cost_nano
FROM v_calls AS v
WHERE v.ts >= {from:DateTime64(3)} AND v.ts < {to:DateTime64(3)} AND ${WANTED}
GROUP BY server_, tool_, team_, caller_) AS f
LEFT JOIN (${REPRICED}) AS a USING (server_, tool_, team_, caller_)`

/** Series with calls in the day before `to`. */
export const knownSql = `SELECT DISTINCT ${SERIES}
FROM v_calls AS v
WHERE v.ts >= {to:DateTime64(3)} - toIntervalDay(1) AND v.ts < {to:DateTime64(3)} AND ${WANTED}`

type Asked = { over: string; names: Names; from_ms: number; to_ms: number }
type RawSeries = { server_: string; tool_: string; team_: string; caller_: string }

const seriesOf = (row: RawSeries): Series => ({
  server: row.server_,
  tool: row.tool_,
  team: row.team_,
  caller: row.caller_,
})
const paramsOf = ({ over, names, from_ms, to_ms }: Asked): Record<string, unknown> => ({
  over,
  from: moment(from_ms),
  to: moment(to_ms),
  server: likes(names.server),
  tool: likes(names.tool),
  team: likes(names.team),
  caller: likes(names.caller),
})

export async function run(reader: Reader, asked: Asked): Promise<FigureRow[]> {
  type Raw = RawSeries & Omit<FigureRow, keyof Series | 'p95_us' | 'p99_us'> & { quantiles_: number[] }
  const rows = await reader.rows<Raw>(sql, paramsOf(asked))
  return rows.map((row) => ({
    ...seriesOf(row),
    calls: row.calls,
    failed_calls: row.failed_calls,
    faults: row.faults,
    p95_us: row.quantiles_[0] ?? 0,
    p99_us: row.quantiles_[1] ?? 0,
    overhead_p99_us: row.overhead_p99_us,
    cost_nano: Number(row.cost_nano),
  }))
}

export const runKnown = async (reader: Reader, asked: Asked): Promise<Series[]> =>
  (await reader.rows<RawSeries>(knownSql, paramsOf(asked))).map(seriesOf)
