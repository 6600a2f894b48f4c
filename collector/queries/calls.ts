/**
 * Events one by one, newest first, by any field: what audit and search show. Every kind of event, not only calls.
 * Names of fields are checked against the table of fields before they get into a statement; values are bound.
 */
import { COLUMN_NAMES, COLUMNS, columnType } from '../schema/columns.ts'
import { FAILED } from '../schema/figures.ts'
import type { Reader } from './client.ts'
import * as costsNow from './costs-now.ts'

export type CallRow = {
  event_id: string
  ts: string
  kind: string
  trace_id: string
  span_id: string
  run_id: string
  session_id: string
  caller: string
  team: string
  project: string
  agent: string
  client_name: string
  method: string
  server: string
  tool: string
  target: string
  outcome: string
  owner: string
  error_type: string
  error_message: string
  duration_us: number
  upstream_us: number
  overhead_us: number
  request_bytes: number
  response_bytes: number
  tokens_in: number
  tokens_out: number
  cost_nano: number
  cost_source: string
}
const SHOWN = [
  'event_id',
  'ts',
  'kind',
  'trace_id',
  'span_id',
  'run_id',
  'session_id',
  'caller',
  'team',
  'project',
  'agent',
  'client_name',
  'method',
  'server',
  'tool',
  'target',
  'outcome',
  'owner',
  'error_type',
  'error_message',
  'duration_us',
  'upstream_us',
  'overhead_us',
  'request_bytes',
  'response_bytes',
  'tokens_in',
  'tokens_out',
  'cost_nano',
  'cost_source',
]

/** Fields that can be asked for by value: all but the time, lists and numbers that are measured. */
const isAskable = (name: string): boolean =>
  name !== 'ts' && !/_us$|_nano$/.test(name) && !/^(Map|Array|DateTime)/.test(typeOf(name))
const types = new Map(COLUMNS.map((column) => [column.name, columnType(column.definition)]))
const typeOf = (name: string): string => types.get(name) ?? ''
export const ASKABLE: readonly string[] = COLUMN_NAMES.filter(isAskable)

export type CallFilter = {
  from_ms: number
  to_ms: number
  /** Field → value; names from ASKABLE. `outcome` takes `failed` too. */
  fields: Readonly<Record<string, string>>
  /** Key → value, all of which must be there. */
  labels: Readonly<Record<string, string>>
  tags: Readonly<Record<string, string>>
  /** Words in the error message, whatever case. */
  text: string
  min_us: number
  /** Where the page before ended, from `next`; '' for the first. */
  before: string
  limit: number
  order: 'newest' | 'slowest'
  /** Every column in place of those a list shows. */
  isWhole: boolean
}

const within = (ts: string): string =>
  `${ts} >= fromUnixTimestamp64Micro({from_us:Int64}) AND ${ts} < fromUnixTimestamp64Micro({to_us:Int64})`

/** Compared as text where that is the type's own form, so that the indexes on the columns are used. */
const fieldSql = (name: string): string => {
  const type = typeOf(name).replace(/^LowCardinality\((.*)\)$/, '$1')
  if (name === 'outcome')
    return `if({f_outcome:String} = 'failed', ${FAILED}, toString(c.outcome) = {f_outcome:String})`
  if (name === 'cost_source' || name === 'price_id')
    return costsNow.isNow(name, `{f_${name}:String}`, within('a.ts'))
  if (type === 'String') return `c.${name} = {f_${name}:String}`
  if (type === 'UUID') return `c.${name} = toUUIDOrZero({f_${name}:String})`
  return `toString(c.${name}) = {f_${name}:String}`
}

export function sqlOf(filter: CallFilter): string {
  const fields = Object.keys(filter.fields)
  const strange = fields.find((name) => !ASKABLE.includes(name))
  if (strange !== undefined) throw new Error(`${strange} is not a field that can be asked for`)
  const where = [
    within('c.ts'),
    ...fields.map(fieldSql),
    ...(['labels', 'tags'] as const).flatMap((map) =>
      Object.keys(filter[map]).map(
        (_key, i) => `c.${map}[{${map}_key_${i}:String}] = {${map}_value_${i}:String}`,
      ),
    ),
    ...(filter.text ? ['positionCaseInsensitiveUTF8(c.error_message, {text:String}) > 0'] : []),
    ...(filter.min_us > 0 ? ['c.duration_us >= {min_us:UInt64}'] : []),
    ...(filter.before
      ? ['(c.ts, c.event_id) < (fromUnixTimestamp64Micro({before_us:Int64}), toUUID({before_id:String}))']
      : []),
  ]
  const columns = filter.isWhole ? COLUMN_NAMES : SHOWN
  const order = filter.order === 'slowest' ? 'c.duration_us DESC, c.ts DESC' : 'c.ts DESC, c.event_id DESC'
  return `SELECT ${columns.map((name) => `c.${name} AS ${name}`).join(', ')}, toUnixTimestamp64Micro(c.ts) AS at_us
FROM calls AS c WHERE ${where.join('\n  AND ')}
ORDER BY ${order} LIMIT {limit:UInt32}`
}

/** Without any filter but the time. */
export const sql = sqlOf({
  from_ms: 0,
  to_ms: 0,
  fields: {},
  labels: {},
  tags: {},
  text: '',
  min_us: 0,
  before: '',
  limit: 0,
  order: 'newest',
  isWhole: false,
})

function paramsOf(filter: CallFilter, from_ms: number): Record<string, unknown> {
  const [before_us = '0', before_id = ''] = filter.before.split('_')
  const pairs = (['labels', 'tags'] as const).flatMap((map) =>
    Object.entries(filter[map]).flatMap(([key, value], i) => [
      [`${map}_key_${i}`, key],
      [`${map}_value_${i}`, value],
    ]),
  )
  return {
    ...Object.fromEntries(Object.entries(filter.fields).map(([name, value]) => [`f_${name}`, value])),
    ...Object.fromEntries(pairs),
    from_us: Math.round(from_ms * 1000),
    to_us: Math.round(filter.to_ms * 1000),
    text: filter.text,
    min_us: filter.min_us,
    before_us: Number(before_us),
    before_id,
    limit: filter.limit,
  }
}

const HOUR_MS = 3_600_000

/** `next`: the cursor of the following page, '' when this is the last. */
export async function run(reader: Reader, filter: CallFilter): Promise<{ rows: CallRow[]; next: string }> {
  const statement = sqlOf(filter)
  const end_ms = filter.before ? Number(filter.before.split('_')[0]) / 1000 : filter.to_ms
  // Narrow times first: the newest are nearly always near the end, and the table may hold years.
  const starts =
    filter.order === 'slowest'
      ? []
      : [HOUR_MS, 24 * HOUR_MS].map((ms) => end_ms - ms).filter((ms) => ms > filter.from_ms)
  let rows: (CallRow & { at_us: number })[] = []
  for (const from_ms of [...starts, filter.from_ms]) {
    rows = await reader.rows(statement, paramsOf(filter, from_ms))
    if (rows.length >= filter.limit) break
  }
  const last = rows.at(-1)
  const next =
    last && rows.length >= filter.limit && filter.order === 'newest' ? `${last.at_us}_${last.event_id}` : ''
  const now = await costsNow.run(reader, rows, (row) => row.at_us)
  return { rows: now.map(({ at_us: _, ...row }) => row), next }
}

export const CURSOR = /^\d{1,19}_[0-9a-f-]{36}$/
