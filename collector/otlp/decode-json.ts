/**
 * OTLP/JSON trace requests: protobuf's JSON mapping, but ids in hex and enums as numbers (OTLP 1.x, "JSON Protobuf Encoding").
 * Reads what is there and ignores what it does not know; a value of the wrong type counts as absent.
 */
import { type AnyValue, type Attributes, OtlpError, type OtlpSpan } from './attributes.ts'

type Json = Readonly<Record<string, unknown>>

const isObject = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v)
const list = (v: unknown): Json[] => (Array.isArray(v) ? v.filter(isObject) : [])
const object = (v: unknown): Json => (isObject(v) ? v : {})
const text = (v: unknown): string => (typeof v === 'string' ? v.toWellFormed() : '')
const id = (v: unknown): string => text(v).toLowerCase()

/** 64-bit integers travel as strings; some senders write numbers. Zero when it is neither. */
function integer(v: unknown): bigint {
  if (typeof v === 'string' && /^-?\d{1,20}$/.test(v)) return BigInt(v)
  return typeof v === 'number' && Number.isInteger(v) ? BigInt(v) : 0n
}
const small = (v: unknown): number => (typeof v === 'number' && Number.isInteger(v) ? v : 0)

/** Deepest nesting of an attribute value that is followed. */
const DEPTH_MAX = 16

function anyValue(v: unknown, depth = 0): AnyValue {
  const value = object(v)
  if (depth > DEPTH_MAX) return null
  if ('stringValue' in value) return text(value.stringValue)
  if ('boolValue' in value) return value.boolValue === true
  if ('intValue' in value) return integer(value.intValue)
  if ('doubleValue' in value) return Number(value.doubleValue)
  if ('bytesValue' in value) return Buffer.from(text(value.bytesValue), 'base64')
  if ('arrayValue' in value)
    return list(object(value.arrayValue).values).map((inner) => anyValue(inner, depth + 1))
  if ('kvlistValue' in value) return attributes(object(value.kvlistValue).values, depth + 1)
  return null
}

const attributes = (v: unknown, depth = 0): Attributes =>
  Object.fromEntries(list(v).map((pair) => [text(pair.key), anyValue(pair.value, depth)]))

/** All spans of a request. Throws OtlpError when the body is not a trace request. */
export function decodeJson(body: Buffer): OtlpSpan[] {
  let request: unknown
  try {
    request = JSON.parse(body.toString('utf8'))
  } catch (error) {
    throw new OtlpError('the body is not JSON', { cause: error })
  }
  if (!isObject(request)) throw new OtlpError('the body is not a JSON object')
  const spans: OtlpSpan[] = []
  for (const resourceSpans of list(request.resourceSpans)) {
    const resource = attributes(object(resourceSpans.resource).attributes)
    for (const scopeSpans of list(resourceSpans.scopeSpans)) {
      const scope = object(scopeSpans.scope)
      for (const span of list(scopeSpans.spans))
        spans.push(spanOf(span, resource, text(scope.name), text(scope.version)))
    }
  }
  return spans
}

function spanOf(span: Json, resource: Attributes, scope_name: string, scope_version: string): OtlpSpan {
  const status = object(span.status)
  return {
    resource,
    scope_name,
    scope_version,
    trace_id: id(span.traceId),
    span_id: id(span.spanId),
    parent_span_id: id(span.parentSpanId),
    trace_state: text(span.traceState),
    name: text(span.name),
    kind: small(span.kind),
    start_ns: integer(span.startTimeUnixNano),
    end_ns: integer(span.endTimeUnixNano),
    attributes: attributes(span.attributes),
    events: list(span.events).map((event) => ({
      time_ns: integer(event.timeUnixNano),
      name: text(event.name),
      attributes: attributes(event.attributes),
    })),
    links: list(span.links).map((link) => ({
      trace_id: id(link.traceId),
      span_id: id(link.spanId),
      trace_state: text(link.traceState),
      attributes: attributes(link.attributes),
    })),
    status_code: small(status.code),
    status_message: text(status.message),
  }
}
