/**
 * SQL of the view `otel_traces`: every span in the column shape of the OpenTelemetry Collector's ClickHouse exporter, which
 * Grafana and HyperDX know. Weir's own spans are made from `calls` while reading; the spans of others are in `otel_spans`.
 */
import { SCOPE_NAME, SERVICE_NAME } from '../../event/names.ts'
import {
  type Attribute,
  CLIENT,
  CLIENT_ERROR_SQL,
  CLIENT_START_SQL,
  RESOURCE,
  SERVER,
  SERVER_ERROR_SQL,
  SINGLE_ATTEMPT_SQL,
  SPAN_NAME_SQL,
} from '../spans/attributes.ts'

const LC = 'LowCardinality(String)'
const MAP = `Map(${LC}, String)`

function attributeMap(attributes: readonly Attribute<never>[], fixed = ''): string {
  const pairs = attributes.map((attribute) => `'${attribute.name}', ${attribute.sql}`).join(',\n    ')
  return `CAST(mapFilter((k, v) -> v != '', map(${fixed}${pairs})), '${MAP}')`
}

type Span = {
  timestamp: string
  span_id: string
  parent: string
  kind: 'Server' | 'Client'
  attributes: readonly Attribute<never>[]
  duration_us: string
  isError: string
  links: boolean
  from: string
}

/** Columns in the exporter's order; both sides of the union must agree in number, order and type. */
const span = (
  s: Span,
): string => `SELECT ${s.timestamp} AS Timestamp, c.trace_id AS TraceId, ${s.span_id} AS SpanId, ${s.parent} AS ParentSpanId, '' AS TraceState,
  CAST(${SPAN_NAME_SQL}, '${LC}') AS SpanName, CAST('${s.kind}', '${LC}') AS SpanKind, CAST('${SERVICE_NAME}', '${LC}') AS ServiceName,
  ${attributeMap(RESOURCE as readonly Attribute<never>[], `'service.name', '${SERVICE_NAME}', `)} AS ResourceAttributes,
  '${SCOPE_NAME}' AS ScopeName, '' AS ScopeVersion,
  ${attributeMap(s.attributes)} AS SpanAttributes,
  toUInt64(${s.duration_us}) * 1000 AS Duration,
  CAST(if(${s.isError}, 'Error', 'Unset'), '${LC}') AS StatusCode, if(${s.isError}, c.error_message, '') AS StatusMessage,
  CAST([], 'Array(DateTime64(9))') AS \`Events.Timestamp\`, CAST([], 'Array(${LC})') AS \`Events.Name\`, CAST([], 'Array(${MAP})') AS \`Events.Attributes\`,
  ${s.links ? "if(c.link_trace_id = '', [], [c.link_trace_id])" : "CAST([], 'Array(String)')"} AS \`Links.TraceId\`,
  ${s.links ? "if(c.link_trace_id = '', [], [c.link_span_id])" : "CAST([], 'Array(String)')"} AS \`Links.SpanId\`,
  ${s.links ? "if(c.link_trace_id = '', [], [''])" : "CAST([], 'Array(String)')"} AS \`Links.TraceState\`,
  CAST(${s.links ? `if(c.link_trace_id = '', [], [map()])` : '[]'}, 'Array(${MAP})') AS \`Links.Attributes\`
FROM ${s.from}`

const FOREIGN = (
  database: string,
): string => `SELECT Timestamp, TraceId, SpanId, ParentSpanId, TraceState, SpanName, SpanKind, ServiceName, ResourceAttributes, ScopeName, ScopeVersion,
  SpanAttributes, Duration, StatusCode, StatusMessage, Events.Timestamp, Events.Name, Events.Attributes, Links.TraceId, Links.SpanId, Links.TraceState, Links.Attributes
FROM ${database}.otel_spans`

/** One CREATE OR REPLACE VIEW statement. */
export function otelTracesView(database: string): string {
  const calls = `${database}.calls AS c`
  const client = {
    span_id: 'a.span_id',
    parent: 'c.span_id',
    kind: 'Client',
    attributes: CLIENT as readonly Attribute<never>[],
    duration_us: 'a.duration_us',
    isError: CLIENT_ERROR_SQL,
    links: false,
  } as const
  const server = span({
    timestamp: "CAST(c.ts, 'DateTime64(9)')",
    span_id: 'c.span_id',
    parent: 'c.parent_span_id',
    kind: 'Server',
    attributes: SERVER as readonly Attribute<never>[],
    duration_us: 'c.duration_us',
    isError: SERVER_ERROR_SQL,
    links: true,
    from: `${calls} WHERE c.span_id != ''`,
  })
  // One upstream message is the rule: told apart from lists so that a filter on time can use the index on its start.
  const single = `WITH ${SINGLE_ATTEMPT_SQL} AS a ${span({
    ...client,
    timestamp: `CAST(c.ts + toIntervalMicrosecond(${CLIENT_START_SQL}), 'DateTime64(9)')`,
    from: `${calls} WHERE c.span_id != '' AND c.client_span_id != '' AND empty(c.upstream_attempts)`,
  })}`
  const several = span({
    ...client,
    timestamp: "CAST(c.ts + toIntervalMicrosecond(a.start_us), 'DateTime64(9)')",
    from: `${calls} ARRAY JOIN c.upstream_attempts AS a WHERE c.span_id != '' AND notEmpty(c.upstream_attempts)`,
  })
  return `CREATE OR REPLACE VIEW ${database}.otel_traces AS\n${[server, single, several, FOREIGN(database)].join('\nUNION ALL\n')};\n`
}
