/**
 * OTLP/protobuf trace requests. The wire format is read by @bufbuild/protobuf; the field numbers of
 * opentelemetry/proto/trace/v1 (stable since 1.0, never reused) stand here, because no package publishes them for decoding.
 * Unknown fields are skipped.
 */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import {
  type AnyValue,
  type Attributes,
  OtlpError,
  type OtlpEvent,
  type OtlpLink,
  type OtlpSpan,
} from './attributes.ts'

/** Reads the field it is called for, or returns false to have it skipped. */
type OnField = (field: number, reader: BinaryReader) => unknown

function message(bytes: Uint8Array, onField: OnField): void {
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag()
    const before = reader.pos
    // Nothing read: not a field of ours. An empty value still moves the reader, by its length.
    onField(field, reader)
    if (reader.pos === before) reader.skip(wire, field)
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const fixed = (reader: BinaryReader): bigint => BigInt(reader.fixed64())
/** Deepest nesting of an attribute value that is followed. */
const DEPTH_MAX = 16

function anyValue(bytes: Uint8Array, depth: number): AnyValue {
  let value: AnyValue = null
  if (depth > DEPTH_MAX) return null
  message(bytes, (field, reader) => {
    switch (field) {
      case 1:
        value = reader.string()
        break
      case 2:
        value = reader.bool()
        break
      case 3:
        value = BigInt(reader.int64())
        break
      case 4:
        value = reader.double()
        break
      case 5: {
        const values: AnyValue[] = []
        message(
          reader.bytes(),
          (inner, from) => inner === 1 && values.push(anyValue(from.bytes(), depth + 1)),
        )
        value = values
        break
      }
      case 6: {
        const pairs: [string, AnyValue][] = []
        message(reader.bytes(), (inner, from) => inner === 1 && pairs.push(keyValue(from.bytes(), depth + 1)))
        value = Object.fromEntries(pairs)
        break
      }
      case 7:
        value = Buffer.from(reader.bytes())
        break
    }
  })
  return value
}

function keyValue(bytes: Uint8Array, depth = 0): [string, AnyValue] {
  let key = ''
  let value: AnyValue = null
  message(bytes, (field, reader) => {
    if (field === 1) key = reader.string()
    else if (field === 2) value = anyValue(reader.bytes(), depth)
  })
  return [key, value]
}

/** Sub-messages that consist of attributes and a few scalars. */
class AttributeList {
  readonly pairs: [string, AnyValue][] = []
  read(reader: BinaryReader): void {
    this.pairs.push(keyValue(reader.bytes()))
  }
  get all(): Attributes {
    return Object.fromEntries(this.pairs)
  }
}

function eventOf(bytes: Uint8Array): OtlpEvent {
  const attributes = new AttributeList()
  let time_ns = 0n
  let name = ''
  message(bytes, (field, reader) => {
    if (field === 1) time_ns = fixed(reader)
    else if (field === 2) name = reader.string()
    else if (field === 3) attributes.read(reader)
  })
  return { time_ns, name, attributes: attributes.all }
}

function linkOf(bytes: Uint8Array): OtlpLink {
  const attributes = new AttributeList()
  const link = { trace_id: '', span_id: '', trace_state: '' }
  message(bytes, (field, reader) => {
    if (field === 1) link.trace_id = hex(reader.bytes())
    else if (field === 2) link.span_id = hex(reader.bytes())
    else if (field === 3) link.trace_state = reader.string()
    else if (field === 4) attributes.read(reader)
  })
  return { ...link, attributes: attributes.all }
}

type Scope = { resource: Attributes; scope_name: string; scope_version: string }

function spanOf(bytes: Uint8Array, scope: Scope): OtlpSpan {
  const attributes = new AttributeList()
  const span: OtlpSpan = {
    ...scope,
    trace_id: '',
    span_id: '',
    parent_span_id: '',
    trace_state: '',
    name: '',
    kind: 0,
    start_ns: 0n,
    end_ns: 0n,
    attributes: {},
    events: [],
    links: [],
    status_code: 0,
    status_message: '',
  }
  const fields: Readonly<Record<number, (reader: BinaryReader) => unknown>> = {
    1: (r) => (span.trace_id = hex(r.bytes())),
    2: (r) => (span.span_id = hex(r.bytes())),
    3: (r) => (span.trace_state = r.string()),
    4: (r) => (span.parent_span_id = hex(r.bytes())),
    5: (r) => (span.name = r.string()),
    6: (r) => (span.kind = r.int32()),
    7: (r) => (span.start_ns = fixed(r)),
    8: (r) => (span.end_ns = fixed(r)),
    9: (r) => attributes.read(r),
    11: (r) => span.events.push(eventOf(r.bytes())),
    13: (r) => span.links.push(linkOf(r.bytes())),
    15: (r) =>
      message(r.bytes(), (field, from) => {
        if (field === 2) span.status_message = from.string()
        else if (field === 3) span.status_code = from.int32()
      }),
  }
  message(bytes, (field, reader) => fields[field]?.(reader))
  span.attributes = attributes.all
  return span
}

function resourceSpans(bytes: Uint8Array, spans: OtlpSpan[]): void {
  const attributes = new AttributeList()
  const scopes: Uint8Array[] = []
  message(bytes, (field, reader) => {
    if (field === 1) message(reader.bytes(), (inner, from) => inner === 1 && attributes.read(from))
    else if (field === 2) scopes.push(reader.bytes())
  })
  const resource = attributes.all
  for (const scopeBytes of scopes) {
    const scope: Scope = { resource, scope_name: '', scope_version: '' }
    const found: Uint8Array[] = []
    message(scopeBytes, (field, reader) => {
      if (field === 1)
        message(reader.bytes(), (inner, from) => {
          if (inner === 1) scope.scope_name = from.string()
          else if (inner === 2) scope.scope_version = from.string()
        })
      else if (field === 2) found.push(reader.bytes())
    })
    for (const span of found) spans.push(spanOf(span, scope))
  }
}

/** All spans of a request. Throws OtlpError when the body is not a trace request. */
export function decodeProtobuf(body: Buffer): OtlpSpan[] {
  const spans: OtlpSpan[] = []
  try {
    message(body, (field, reader) => field === 1 && resourceSpans(reader.bytes(), spans))
  } catch (error) {
    throw new OtlpError('the body is not an OTLP trace request in protobuf', { cause: error })
  }
  return spans
}

/** ExportTraceServiceResponse with its partialSuccess; empty when nothing was rejected. */
export function encodeResponse(rejected: number, text: string): Uint8Array {
  if (rejected === 0) return new Uint8Array()
  const partial = new BinaryWriter()
    .tag(1, WireType.Varint)
    .int64(rejected)
    .tag(2, WireType.LengthDelimited)
    .string(text)
    .finish()
  return new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(partial).finish()
}

/** google.rpc.Status, the body of a failed request. */
export const encodeStatus = (code: number, text: string): Uint8Array =>
  new BinaryWriter()
    .tag(1, WireType.Varint)
    .int32(code)
    .tag(2, WireType.LengthDelimited)
    .string(text)
    .finish()
