/**
 * OTLP spans as the collector sees them, whichever encoding they came in, and attribute values as text: in the way the
 * OpenTelemetry Collector's ClickHouse exporter writes them.
 */

/** A value of OTLP in plain form: bytes are a Buffer, integers beyond 2^53 a bigint. */
export type AnyValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | Buffer
  | AnyValue[]
  | { readonly [key: string]: AnyValue }
export type Attributes = Readonly<Record<string, AnyValue>>

export type OtlpEvent = { time_ns: bigint; name: string; attributes: Attributes }
export type OtlpLink = { trace_id: string; span_id: string; trace_state: string; attributes: Attributes }
export type OtlpSpan = {
  resource: Attributes
  scope_name: string
  scope_version: string
  trace_id: string
  span_id: string
  parent_span_id: string
  trace_state: string
  name: string
  kind: number
  start_ns: bigint
  end_ns: bigint
  attributes: Attributes
  events: OtlpEvent[]
  links: OtlpLink[]
  status_code: number
  status_message: string
}

/** The body cannot be read as OTLP at all. */
export class OtlpError extends Error {}

const plain = (value: AnyValue): unknown => {
  if (typeof value === 'bigint') return Number(value)
  if (Buffer.isBuffer(value)) return value.toString('base64')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))
  return value
}

/** Text of a value: scalars as they are, bytes as base64, lists and maps as JSON. */
export function textOf(value: AnyValue): string {
  if (typeof value === 'string') return value
  if (value === null) return ''
  if (typeof value !== 'object') return String(value)
  return Buffer.isBuffer(value) ? value.toString('base64') : JSON.stringify(plain(value))
}

export const textMap = (attributes: Attributes): Record<string, string> =>
  Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, textOf(value)]))
