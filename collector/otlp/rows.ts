/**
 * OTLP spans → rows of `otel_spans`, in the words of the OpenTelemetry Collector's ClickHouse exporter.
 */
import { type OtlpSpan, textMap, textOf } from './attributes.ts'

const KINDS = ['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer']
const STATUSES = ['Unset', 'Ok', 'Error']

export const SPAN_COLUMNS = [
  'Timestamp',
  'TraceId',
  'SpanId',
  'ParentSpanId',
  'TraceState',
  'SpanName',
  'SpanKind',
  'ServiceName',
  'ResourceAttributes',
  'ScopeName',
  'ScopeVersion',
  'SpanAttributes',
  'Duration',
  'StatusCode',
  'StatusMessage',
  '`Events.Timestamp`',
  '`Events.Name`',
  '`Events.Attributes`',
  '`Links.TraceId`',
  '`Links.SpanId`',
  '`Links.TraceState`',
  '`Links.Attributes`',
]

const ZERO = /^0+$/
const isId = (id: string, digits: number): boolean =>
  id.length === digits && /^[0-9a-f]+$/.test(id) && !ZERO.test(id)

/** Spans older than the table keeps, or from the day after tomorrow, would be dropped or never dropped. */
export type Window = { from_ns: bigint; to_ns: bigint }

/** Why a span cannot be stored, '' when it can. */
export function fault(span: OtlpSpan, window: Window): string {
  if (!isId(span.trace_id, 32)) return 'a trace id is not 16 bytes other than zero'
  if (!isId(span.span_id, 16)) return 'a span id is not 8 bytes other than zero'
  if (span.parent_span_id !== '' && !/^[0-9a-f]{16}$/.test(span.parent_span_id))
    return 'a parent span id is not 8 bytes'
  if (span.start_ns < window.from_ns || span.start_ns > window.to_ns)
    return 'a span starts outside of what is kept'
  if (span.end_ns > window.to_ns) return 'a span ends in the future'
  return ''
}

/** Nanoseconds since 1970 as the text of a DateTime64(9). */
const time = (ns: bigint): string => {
  const clamped = ns < 0n ? 0n : ns
  return `${clamped / 1_000_000_000n}.${String(clamped % 1_000_000_000n).padStart(9, '0')}`
}

export function spanRow(span: OtlpSpan): unknown[] {
  const duration = span.end_ns > span.start_ns ? span.end_ns - span.start_ns : 0n
  return [
    time(span.start_ns),
    span.trace_id,
    span.span_id,
    ZERO.test(span.parent_span_id) ? '' : span.parent_span_id,
    span.trace_state,
    span.name,
    KINDS[span.kind] ?? KINDS[0],
    textOf(span.resource['service.name'] ?? ''),
    textMap(span.resource),
    span.scope_name,
    span.scope_version,
    textMap(span.attributes),
    String(duration),
    STATUSES[span.status_code] ?? STATUSES[0],
    span.status_message,
    span.events.map((event) => time(event.time_ns)),
    span.events.map((event) => event.name),
    span.events.map((event) => textMap(event.attributes)),
    span.links.map((link) => link.trace_id),
    span.links.map((link) => link.span_id),
    span.links.map((link) => link.trace_state),
    span.links.map((link) => textMap(link.attributes)),
  ]
}
