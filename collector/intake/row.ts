/**
 * One spool line → one row. Checks against event/fields.ts, the one source; a field that this version adds later gets its
 * empty value when an older proxy left it out, a field this version does not know is left out and counted.
 * Everything here is a pure function of the line: a batch that comes again makes the same rows and the same dead letters.
 */

import type { Facts } from '../../config/cost-book.ts'
import type { Field } from '../../event/field.ts'
import { type CallEvent, EVENT_VERSION, FIELDS } from '../../event/fields.ts'
import type { CallIntent } from '../../event/intent.ts'

/** Why a line did not become a row. `refused`: the store could not read it. */
export const DEAD_REASONS = ['not_json', 'version', 'field', 'refused'] as const
export type DeadReason = (typeof DEAD_REASONS)[number]

export class RowError extends Error {
  readonly reason: DeadReason
  constructor(reason: DeadReason, message: string) {
    super(message)
    this.reason = reason
  }
}

/** Without these a row would say something false instead of nothing. */
const REQUIRED = new Set(['version', 'event_id', 'ts', 'kind', 'outcome', 'owner'])
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
/** Times outside are a broken clock, and would make a partition each. Both fit every date type in use. */
const TS_MIN = Date.UTC(2000, 0) * 1000
const TS_MAX = Date.UTC(2100, 0) * 1000

/** Returns the value to store, or undefined when the value cannot stand in the field. */
type Reader = (value: unknown) => unknown

export const isMoment = (v: unknown): v is number =>
  Number.isSafeInteger(v) && (v as number) >= TS_MIN && (v as number) < TS_MAX

function integerReader(field: Field): Reader {
  if (field.name === 'ts') return (v) => (isMoment(v) ? v : undefined)
  const [, sign, bits] = /^(U?)Int(\d+)/.exec(field.column) ?? []
  const size = Number(bits)
  const max = size >= 64 ? Number.MAX_SAFE_INTEGER : 2 ** (sign ? size : size - 1) - 1
  const min = sign ? 0 : -(2 ** (size - 1))
  // A measure beyond its column is still a long call or a big body: it is kept as the largest value there is.
  const isMeasure = field.unit !== ''
  return (v) => {
    if (!Number.isSafeInteger(v) || (v as number) < min) return undefined
    if ((v as number) <= max) return v
    return isMeasure ? max : undefined
  }
}

export const isText = (v: unknown): v is string => typeof v === 'string'
const ATTEMPT_TEXT = ['server', 'endpoint', 'transport', 'span_id', 'outcome', 'error_type'] as const
const ATTEMPT_COUNT = ['start_us', 'duration_us'] as const

function isAttempt(v: unknown): boolean {
  if (typeof v !== 'object' || v === null) return false
  const attempt = v as Record<string, unknown>
  return (
    ATTEMPT_TEXT.every((key) => isText(attempt[key])) &&
    ATTEMPT_COUNT.every((key) => Number.isSafeInteger(attempt[key]) && (attempt[key] as number) >= 0)
  )
}
/** The column's tuple by its names, and nothing else. */
const attemptTuple = (v: Record<string, unknown>): unknown =>
  Object.fromEntries([...ATTEMPT_TEXT, ...ATTEMPT_COUNT].map((key) => [key, v[key]]))

function readerOf(field: Field): Reader {
  const { json } = field
  if (typeof json !== 'string') {
    const words = new Set<unknown>(json)
    return (v) => (words.has(v) ? v : undefined)
  }
  switch (json) {
    case 'string':
      if (field.name === 'event_id') return (v) => (isText(v) && UUID.test(v) ? v : undefined)
      return (v) => (isText(v) ? v : undefined)
    case 'integer':
      return integerReader(field)
    case 'boolean':
      return (v) => (typeof v === 'boolean' ? v : undefined)
    case 'strings':
      return (v) => (Array.isArray(v) && v.every(isText) ? v : undefined)
    case 'labels':
      return (v) =>
        typeof v === 'object' && v !== null && !Array.isArray(v) && Object.values(v).every(isText)
          ? v
          : undefined
    case 'numbers':
      return (v) =>
        typeof v === 'object' && v !== null && !Array.isArray(v) && Object.values(v).every(Number.isFinite)
          ? v
          : undefined
    case 'attempts':
      return (v) => (Array.isArray(v) && v.every(isAttempt) ? v.map(attemptTuple) : undefined)
  }
}

/** What an additive field is when the line does not have it. */
function emptyOf(field: Field): unknown {
  if (typeof field.json !== 'string') return field.json[0]
  return { string: '', integer: 0, boolean: false, strings: [], labels: {}, numbers: {}, attempts: [] }[
    field.json
  ]
}

type Known = {
  readonly name: string
  readonly read: Reader
  readonly isColumn: boolean
  readonly empty: unknown
}
const KNOWN: readonly Known[] = FIELDS.map((field) => ({
  name: field.name,
  read: readerOf(field),
  isColumn: field.column !== '',
  empty: REQUIRED.has(field.name) ? undefined : emptyOf(field),
}))
const NAMES = new Set<string>(KNOWN.map((field) => field.name))

/** Values of the columns in the order of COLUMNS. Throws RowError. `onUnknown` hears of every field that has no place. */
export function readEvent(value: Record<string, unknown>, onUnknown: (name: string) => void): unknown[] {
  if (value.version !== EVENT_VERSION)
    throw new RowError(
      'version',
      `event version ${String(value.version).slice(0, 20)}, this collector reads ${EVENT_VERSION}`,
    )
  const row: unknown[] = []
  let present = 0
  for (const field of KNOWN) {
    const given = value[field.name]
    if (given !== undefined) present++
    const stored = given === undefined ? field.empty : field.read(given)
    if (stored === undefined)
      throw new RowError(
        'field',
        given === undefined ? `${field.name} is missing` : `${field.name} has a value it cannot have`,
      )
    if (field.isColumn) row.push(stored)
  }
  // Counting is cheap, naming is not: names are looked at only when there is something to tell.
  const keys = Object.keys(value)
  if (keys.length > present) for (const key of keys) if (!NAMES.has(key)) onUnknown(key)
  return row
}

const COLUMN_OF = Object.fromEntries(
  KNOWN.filter((field) => field.isColumn).map((field, i) => [field.name, i]),
) as Record<keyof CallEvent, number>
const at = (name: keyof Facts): number => COLUMN_OF[name]
const AT = {
  ts: at('ts'),
  kind: at('kind'),
  method: at('method'),
  server: at('server'),
  tool: at('tool'),
  outcome: at('outcome'),
  attempts: at('attempts'),
  tokens_in: at('tokens_in'),
  tokens_out: at('tokens_out'),
  request_bytes: at('request_bytes'),
  response_bytes: at('response_bytes'),
  upstream_us: at('upstream_us'),
  meters: at('meters'),
  cost_reported: at('cost_reported'),
  cost_reported_nano: at('cost_reported_nano'),
}

/** What a row of `readEvent` says about its cost: with the values as they are stored, so that a later rating sees the same. */
export function factsOf(row: readonly unknown[]): Facts {
  return {
    ts: row[AT.ts],
    kind: row[AT.kind],
    method: row[AT.method],
    server: row[AT.server],
    tool: row[AT.tool],
    outcome: row[AT.outcome],
    attempts: row[AT.attempts],
    tokens_in: row[AT.tokens_in],
    tokens_out: row[AT.tokens_out],
    request_bytes: row[AT.request_bytes],
    response_bytes: row[AT.response_bytes],
    upstream_us: row[AT.upstream_us],
    meters: row[AT.meters],
    cost_reported: row[AT.cost_reported],
    cost_reported_nano: row[AT.cost_reported_nano],
  } as Facts
}

export const PAYLOAD_COLUMNS = [
  'ts',
  'event_id',
  'trace_id',
  'span_id',
  'server',
  'tool',
  'part',
  'body',
  'batch_id',
]
/** Rows for `call_payloads`: none unless a capture rule named the call. */
export function payloadRows(event: CallEvent, batch_id: string): unknown[][] {
  const row = (part: string, body: string): unknown[] => [
    event.ts,
    event.event_id,
    event.trace_id,
    event.span_id,
    event.server,
    event.tool,
    part,
    body,
    batch_id,
  ]
  const rows: unknown[][] = []
  if (event.captured_arguments) rows.push(row('arguments', event.captured_arguments))
  if (event.captured_result) rows.push(row('result', event.captured_result))
  return rows
}

const INTENT_TEXT = [
  'trace_id',
  'session_id',
  'caller',
  'team',
  'project',
  'agent',
  'principal',
  'instance',
  'worker',
  'method',
  'server',
  'tool',
  'arguments_hash',
] as const satisfies readonly (keyof CallIntent)[]
export const INTENT_COLUMNS = ['ts', 'event_id', ...INTENT_TEXT, 'batch_id']

/** Row for `call_intents`. Throws RowError. */
export function readIntent(value: Record<string, unknown>, batch_id: string): unknown[] {
  const { ts, event_id } = value
  if (value.intent !== 1) throw new RowError('version', 'intent version is not 1')
  if (!isText(event_id) || !UUID.test(event_id))
    throw new RowError('field', 'event_id has a value it cannot have')
  if (!isMoment(ts)) throw new RowError('field', 'ts has a value it cannot have')
  const texts = INTENT_TEXT.map((name) => {
    const text = value[name] ?? ''
    if (!isText(text)) throw new RowError('field', `${name} has a value it cannot have`)
    return text
  })
  return [ts, event_id, ...texts, batch_id]
}
