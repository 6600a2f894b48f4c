/**
 * Where the links of alerts lead: views of the console, headings of the runbook, and SQL that shows what was seen.
 * Pure. The one place that knows the console's addresses and how a value is written into SQL that a person will run.
 */

export const VIEWS = [
  'overview',
  'tools',
  'trace',
  'runs',
  'cost',
  'callers',
  'servers',
  'audit',
  'alerts',
  'health',
] as const
export type View = (typeof VIEWS)[number]

/** Times are milliseconds since 1970; names that are '' or absent are left out. `id` names one thing: it becomes part of the path. */
export type ViewParams = Readonly<{
  from?: number
  to?: number
  server?: string
  tool?: string
  team?: string
  caller?: string
  project?: string
  agent?: string
  id?: string
  /** A call of a trace. */
  span?: string
}>

/** Path and query of a view of the console. A tool with its server has a page of its own. */
export function consoleUrl(view: View, params: ViewParams = {}): string {
  const query = new URLSearchParams()
  const { id, ...named } = params
  const isTool = view === 'tools' && Boolean(named.server) && Boolean(named.tool)
  const { server, tool, ...without } = named
  const rest = isTool ? without : view === 'cost' ? ofCosts(named) : named
  // The console knows whole milliseconds only.
  for (const [name, value] of Object.entries(rest))
    if (value !== undefined && value !== '')
      query.set(name, typeof value === 'number' ? String(Math.round(value)) : value)
  const text = query.toString()
  const segments = isTool ? [view, server!, tool!] : id ? [view, id] : [view]
  const path = segments.map(encodeURIComponent).join('/')
  return `/${path === 'overview' ? '' : path}${text === '' ? '' : `?${text}`}`
}

/** Costs are looked at by month unless told, and know a tool with its server. */
const ofCosts = (named: ViewParams): Readonly<Record<string, string | number | undefined>> => ({
  ...named,
  ...(named.from === undefined ? {} : { period: 'range' }),
  ...(named.server && named.tool ? { tool: `${named.server}/${named.tool}` } : {}),
})

/** `base` without a slash at its end; '' leaves the path as it is. */
export const absolute = (base: string, path: string): string => `${base.replace(/\/$/, '')}${path}`

/** The heading of a name in the runbook, as Markdown makes its anchor. */
export const runbookUrl = (page: string, heading: string): string => `${page}#${heading.toLowerCase()}`

/** A value as SQL text. */
export const literal = (value: string | number): string =>
  typeof value === 'number'
    ? String(value)
    : `'${value.replaceAll(/[\\']/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\0', '\\0')}'`

/** A moment as SQL text. */
export const momentText = (ms: number): string => `fromUnixTimestamp64Milli(toInt64(${Math.round(ms)}))`

/** `AND column = value` for every name that is there. */
export function conditions(names: Readonly<Record<string, string>>): string {
  return Object.entries(names)
    .filter(([, value]) => value !== '')
    .map(([column, value]) => ` AND ${column} = ${literal(value)}`)
    .join('')
}
