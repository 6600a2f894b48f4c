/**
 * What stands between a dashboard's query and the store: the variables put in by Grafana, `$__conditionalAll` and ad-hoc filters
 * by the browser half of the official ClickHouse plugin (4.20), the other macros by its server half. Written after the plugin's
 * documented behaviour and held against expansions worked out by hand in plugin.test.ts.
 */

export type Choice = string | readonly string[]
export type AdHoc = { key: string; operator: string; value: string }
export type Situation = {
  from: Date
  to: Date
  interval_ms: number
  /** Chosen values; `['$__all']` is All. */
  variables: Readonly<Record<string, Choice>>
  /** What All stands for where a query names the variable outside $__conditionalAll. */
  options?: Readonly<Record<string, readonly string[]>>
  adHoc?: readonly AdHoc[]
}

/** Arguments of a macro whose opening bracket is at `open`, and the place after its closing one. Null: none closes. */
function argumentsAt(sql: string, open: number): { args: string[]; end: number } | null {
  const args: string[] = []
  let depth = 0
  let start = open + 1
  for (let i = open; i < sql.length; i++) {
    const c = sql[i]
    if (c === '(') depth++
    else if (c === ')') depth--
    if ((c === ',' && depth === 1) || depth === 0) {
      args.push(sql.slice(start, i))
      start = i + 1
    }
    if (depth === 0) return { args, end: i + 1 }
  }
  return null
}

/** Browser: `$__conditionalAll(condition, $variable)` is the condition, or 1=1 where All or nothing is chosen. The last one first. */
export function conditionalAll(sql: string, variables: Situation['variables']): string {
  const macro = '$__conditionalAll('
  for (;;) {
    const at = sql.lastIndexOf(macro)
    if (at === -1) return sql
    const found = argumentsAt(sql, at + macro.length - 1)
    if (found?.args.length !== 2) return sql
    const [condition, parameter] = found.args as [string, string]
    const name = /(?<=\$\{)\w+(?=\})|(?<=\$)\w+/.exec(parameter.trim())?.[0]
    const value = name === undefined ? undefined : variables[name]?.toString()
    const phrase = name !== undefined && (value === '' || value === '$__all') ? '1=1' : condition
    sql = sql.replace(`${macro}${condition},${parameter})`, phrase)
  }
}

const FORMATS: Record<string, (values: readonly string[]) => string> = {
  singlequote: (values) => values.map((value) => `'${value.replaceAll("'", "\\'")}'`).join(','),
  sqlstring: (values) => values.map((value) => `'${value.replaceAll("'", "''")}'`).join(','),
  csv: (values) => values.join(','),
  raw: (values) => values.join(','),
}

/** Grafana: `$name`, `${name}`, `${name:format}`. Without a format the plugin quotes lists and leaves single values bare. */
export function interpolate(sql: string, { variables, options = {} }: Situation): string {
  return sql.replaceAll(/\$(?:\{(\w+)(?::(\w+))?\}|(\w+))/g, (whole, braced, format, bare) => {
    const name = (braced ?? bare) as string
    const chosen = variables[name]
    if (chosen === undefined) return whole
    const isAll = Array.isArray(chosen) && chosen[0] === '$__all'
    const value = isAll ? (options[name] ?? []) : chosen
    if (format !== undefined) {
      const write = FORMATS[format as string]
      if (!write) throw new Error(`format ${format} of ${name} is not one the boards use`)
      return write(typeof value === 'string' ? [value] : value)
    }
    return typeof value === 'string' ? value : `'${value.join("','")}'`
  })
}

/** Browser: ad-hoc filters become a setting at the end of the query, for the first table after FROM. */
export function adHocFilters(sql: string, filters: readonly AdHoc[]): string {
  if (filters.length === 0) return sql
  const table = /\bFROM\s+([\w."]+)/i.exec(sql)?.[1]?.replaceAll('"', '')
  if (table === undefined) return sql
  const text = filters
    .map((filter, i) => {
      const value = filter.operator === 'IN' ? filter.value.replaceAll("'", "\\'") : `\\'${filter.value}\\'`
      return ` ${filter.key} ${filter.operator} ${value} ${i === filters.length - 1 ? '' : 'AND'}`
    })
    .join('')
  return `${sql.replace(';', '')} settings additional_table_filters={'${table}' : '${text}'}`
}

const seconds = (date: Date): string => `toDateTime(${Math.floor(date.getTime() / 1000)})`
const millis = (date: Date): string => `fromUnixTimestamp64Milli(${date.getTime()})`
const day = (date: Date): string => `toDate('${date.toISOString().slice(0, 10)}')`

/** Macro → how many arguments it takes and what it becomes. */
const MACROS: Record<string, { takes: number; write(args: string[], s: Situation): string }> = {
  timeFilter: {
    takes: 1,
    write: ([c], s) => `${c} >= ${seconds(s.from)} AND ${c} <= ${seconds(s.to)}`,
  },
  timeFilter_ms: {
    takes: 1,
    write: ([c], s) => `${c} >= ${millis(s.from)} AND ${c} <= ${millis(s.to)}`,
  },
  dateFilter: { takes: 1, write: ([c], s) => `${c} >= ${day(s.from)} AND ${c} <= ${day(s.to)}` },
  dateTimeFilter: {
    takes: 2,
    write: ([d, t], s) =>
      `(${d} >= ${day(s.from)} AND ${d} <= ${day(s.to)}) AND (${t} >= ${seconds(s.from)} AND ${t} <= ${seconds(s.to)})`,
  },
  timeInterval: {
    takes: 1,
    write: ([c], s) => `toStartOfInterval(toDateTime(${c}), INTERVAL ${intervalSeconds(s)} second)`,
  },
  timeInterval_ms: {
    takes: 1,
    write: ([c], s) =>
      `toStartOfInterval(toDateTime64(${c}, 3), INTERVAL ${Math.max(s.interval_ms, 1)} millisecond)`,
  },
  interval_s: { takes: 0, write: (_, s) => String(intervalSeconds(s)) },
  fromTime: { takes: 0, write: (_, s) => seconds(s.from) },
  toTime: { takes: 0, write: (_, s) => seconds(s.to) },
  fromTime_ms: { takes: 0, write: (_, s) => millis(s.from) },
  toTime_ms: { takes: 0, write: (_, s) => millis(s.to) },
}
MACROS.dt = MACROS.dateTimeFilter!
const intervalSeconds = (s: Situation): number => Math.max(Math.floor(s.interval_ms / 1000), 1)

/** Server: everything else that begins with `$__`. Throws on a macro nobody knows: the store would refuse it later and say less. */
export function expandMacros(sql: string, situation: Situation): string {
  const macro = /\$__(\w+)/g
  for (;;) {
    macro.lastIndex = 0
    const found = macro.exec(sql)
    if (!found) return sql
    const { takes, write } = MACROS[found[1]!] ?? raise(`there is no macro ${found[0]}`)
    const after = found.index + found[0].length
    const given = takes > 0 && sql[after] === '(' ? argumentsAt(sql, after) : null
    const args = given?.args.map((arg) => arg.trim()) ?? []
    if (args.length !== takes) raise(`${found[0]} expected ${takes} argument(s), received ${args.length}`)
    sql = sql.slice(0, found.index) + write(args, situation) + sql.slice(given?.end ?? after)
  }
}

function raise(message: string): never {
  throw new Error(message)
}

/** The whole way: what the store is sent for a query as it stands in a dashboard. */
export function asSent(rawSql: string, situation: Situation): string {
  const chosen = interpolate(conditionalAll(rawSql, situation.variables), situation)
  return expandMacros(adHocFilters(chosen, situation.adHoc ?? []), situation)
}
