/**
 * What boards ask the store: queries in the shape of the official ClickHouse plugin, the variables a reader picks from, and
 * the SQL pieces that all boards share. Knows the names of views and columns, and no rule: what failed means, or where a
 * bucket of a histogram lies, is said once, in collector/schema/views_v1.sql.
 */
import type * as cog from '@grafana/grafana-foundation-sdk/cog'

export const PLUGIN = 'grafana-clickhouse-datasource'
/** The version of the plugin the queries are written and tested for. */
export const PLUGIN_VERSION = '4.20.0'
export const SOURCE = { type: PLUGIN, uid: '${ds}' } as const

/** How the plugin shall shape the rows: one series a label, a table, or the spans of a trace. */
export type Shape = 'series' | 'table' | 'traces'
const FORMAT: Record<Shape, { format: number; queryType: string }> = {
  series: { format: 0, queryType: 'timeseries' },
  table: { format: 1, queryType: 'table' },
  traces: { format: 3, queryType: 'traces' },
}

/** Lines without the indentation they have in the source. */
export const flat = (sql: string): string =>
  sql
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join('\n')

/** One query as the plugin stores it in a dashboard. */
export function query(refId: string, sql: string, shape: Shape): cog.Builder<cog.Dataquery> {
  const model = {
    refId,
    datasource: SOURCE,
    editorType: 'sql',
    rawSql: flat(sql),
    pluginVersion: PLUGIN_VERSION,
    ...FORMAT[shape],
  }
  return { build: () => model as unknown as cog.Dataquery }
}

/** Variables and where their values come from: always a daily rollup, never a scan of calls. */
export const VARIABLES = {
  env: { label: 'Environment', from: 'v_usage_1d', within: [] },
  team: { label: 'Team', from: 'v_usage_1d', within: ['env'] },
  project: { label: 'Project', from: 'v_usage_1d', within: ['env', 'team'] },
  server: { label: 'Server', from: 'v_usage_1d', within: ['env'] },
  tool: { label: 'Tool', from: 'v_usage_1d', within: ['env', 'server'] },
  caller: { label: 'Caller', from: 'v_callers_1d', within: ['env', 'team', 'project'] },
  agent: { label: 'Agent', from: 'v_callers_1d', within: ['env', 'team', 'project'] },
} as const satisfies Record<string, { label: string; from: string; within: readonly string[] }>
export type VariableName = keyof typeof VARIABLES

/** Condition that holds the chosen values; nothing to the store when All is chosen. Of several tables, `table` is whose column. */
export const picked = (names: readonly VariableName[], table = ''): string =>
  names
    .map((name) => `AND $__conditionalAll(${table}${name} IN (\${${name}:singlequote}), $${name})`)
    .join(' ')

/** The question behind a variable. */
export function variableSql(name: VariableName, offered: readonly VariableName[]): string {
  const { from, within } = VARIABLES[name]
  const filters = picked(within.filter((other) => (offered as readonly string[]).includes(other)))
  return `SELECT DISTINCT ${name} FROM ${from} WHERE $__dateFilter(d) AND ${name} != '' ${filters} ORDER BY ${name} LIMIT 1000`
}

/** Raw calls are asked for the last day of the chosen range at most: longer than that is what rollups are for. */
export const LAST_DAY = '$__timeFilter_ms(ts) AND ts >= $__toTime - INTERVAL 1 DAY'

/** Calls a second in buckets that $__timeInterval makes: the newest one is divided by as much of it as has passed. */
export const perSecond = (count: string): string =>
  `${count} / greatest(60, least($__interval_s, dateDiff('second', time, $__toTime)))`

/** Nano-dollars as dollars, for eyes only. */
export const usd = (nano: string): string => `${nano} / 1e9`

/** What a row of calls needs so that its link finds the trace: an hour on either side, in milliseconds. */
export const linkColumns = (ts: string): string =>
  `toString(toUnixTimestamp64Milli(toDateTime64(${ts}, 3)) - 3600000) AS link_from, toString(toUnixTimestamp64Milli(toDateTime64(${ts}, 3)) + 3600000) AS link_to`
