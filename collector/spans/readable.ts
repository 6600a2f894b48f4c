/**
 * Spans of a call as OpenTelemetry objects, for the export. What they say is decided in attributes.ts; here it only takes
 * another form. Ids come from the event: nothing is made up, so a call exported twice is the same span twice.
 */
import { type HrTime, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api'
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import type { CallEvent } from '../../event/fields.ts'
import { SCOPE_NAME, SERVICE_NAME } from '../../event/names.ts'
import {
  type Attribute,
  type AttributeValue,
  attemptsOf,
  CLIENT,
  isClientError,
  isServerError,
  RESOURCE,
  SERVER,
  spanName,
} from './attributes.ts'

const SCOPE = { name: SCOPE_NAME, version: '' }
const RESOURCES_MAX = 1000
const resources = new Map<string, Resource>()

/** One object per installation: the exporter groups spans by it. */
function resourceOf(call: CallEvent): Resource {
  const attributes = { 'service.name': SERVICE_NAME, ...collect(RESOURCE, call) }
  const key = JSON.stringify(attributes)
  let resource = resources.get(key)
  if (!resource) {
    resource = resourceFromAttributes(attributes)
    if (resources.size >= RESOURCES_MAX) resources.clear()
    resources.set(key, resource)
  }
  return resource
}

function collect<From>(attributes: readonly Attribute<From>[], from: From): Record<string, AttributeValue> {
  const found: Record<string, AttributeValue> = {}
  for (const attribute of attributes) {
    const value = attribute.of(from)
    if (value !== '' && value !== 0) found[attribute.name] = value
  }
  return found
}

const hr = (us: number): HrTime => [Math.floor(us / 1e6), Math.round((us % 1e6) * 1000)]

type Shape = {
  kind: SpanKind
  span_id: string
  parent_span_id: string
  start_us: number
  duration_us: number
  isError: boolean
  attributes: Record<string, AttributeValue>
}

function readable(call: CallEvent, resource: Resource, shape: Shape): ReadableSpan {
  const traceFlags = call.sampled ? TraceFlags.SAMPLED : TraceFlags.NONE
  const context = (traceId: string, spanId: string) => ({ traceId, spanId, traceFlags })
  const isLinked = shape.kind === SpanKind.SERVER && call.link_trace_id !== ''
  return {
    name: spanName(call),
    kind: shape.kind,
    spanContext: () => context(call.trace_id, shape.span_id),
    ...(shape.parent_span_id ? { parentSpanContext: context(call.trace_id, shape.parent_span_id) } : {}),
    startTime: hr(shape.start_us),
    endTime: hr(shape.start_us + shape.duration_us),
    duration: hr(shape.duration_us),
    status: shape.isError
      ? { code: SpanStatusCode.ERROR, message: call.error_message }
      : { code: SpanStatusCode.UNSET },
    attributes: shape.attributes,
    links: isLinked ? [{ context: context(call.link_trace_id, call.link_span_id), attributes: {} }] : [],
    events: [],
    ended: true,
    resource,
    instrumentationScope: SCOPE,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  }
}

/** The SERVER span of an event and a CLIENT span per upstream message; none for an event without a span. */
export function spansOf(call: CallEvent): ReadableSpan[] {
  if (call.span_id === '') return []
  const resource = resourceOf(call)
  const server = readable(call, resource, {
    kind: SpanKind.SERVER,
    span_id: call.span_id,
    parent_span_id: call.parent_span_id,
    start_us: call.ts,
    duration_us: call.duration_us,
    isError: isServerError(call),
    attributes: collect(SERVER, call),
  })
  const clients = attemptsOf(call).map((attempt) =>
    readable(call, resource, {
      kind: SpanKind.CLIENT,
      span_id: attempt.span_id,
      parent_span_id: call.span_id,
      start_us: call.ts + attempt.start_us,
      duration_us: attempt.duration_us,
      isError: isClientError(attempt),
      attributes: collect(CLIENT, { call, attempt }),
    }),
  )
  return [server, ...clients]
}
