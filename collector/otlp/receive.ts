/**
 * `POST /v1/traces`: spans of others over OTLP/HTTP. Answers in the encoding that was sent, with the status codes of the
 * protocol: a sender repeats 503 and nothing else, and learns of bad spans by partialSuccess, which it must not repeat.
 * Repetitions carry no id: the hash of the bytes is their token.
 */
import { createHash } from 'node:crypto'
import { inflate, OTLP_BODY_MAX } from '../api/body.ts'
import { ApiError } from '../api/errors.ts'
import { type Log, reasonOf } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { compactLines, type Store, StoreError } from '../sink/store.ts'
import { OtlpError, type OtlpSpan } from './attributes.ts'
import { decodeJson } from './decode-json.ts'
import { decodeProtobuf, encodeResponse, encodeStatus } from './decode-protobuf.ts'
import { fault, SPAN_COLUMNS, spanRow, type Window } from './rows.ts'

export type OtlpRequest = { contentType: string; encoding: string | undefined; body: Buffer }
export type OtlpAnswer = { status: number; contentType: string; body: string | Buffer; retry_after_s: number }
export type OtlpIntake = (request: OtlpRequest) => Promise<OtlpAnswer>

export type OtlpParts = {
  store: Store
  isReady(): boolean
  /** Days `otel_spans` keeps. */
  calls_days: number
  metrics: Metrics
  log: Log
  now_ms?: () => number
}

type Encoding = 'json' | 'protobuf'
const CONTENT_TYPE: Record<Encoding, string> = {
  json: 'application/json',
  protobuf: 'application/x-protobuf',
}
/** google.rpc.Code */
const INVALID_ARGUMENT = 3
const UNAVAILABLE = 14

const DAY_MS = 86_400_000

function encodingOf(contentType: string): Encoding | null {
  const media = contentType.split(';', 1)[0]!.trim().toLowerCase()
  if (media === CONTENT_TYPE.json) return 'json'
  return media === CONTENT_TYPE.protobuf ? 'protobuf' : null
}

const answer = (
  encoding: Encoding,
  status: number,
  json: unknown,
  binary: Uint8Array,
  retry_after_s = 0,
): OtlpAnswer => ({
  status,
  contentType: CONTENT_TYPE[encoding],
  body: encoding === 'json' ? JSON.stringify(json) : Buffer.from(binary),
  retry_after_s,
})
const failure = (
  encoding: Encoding,
  status: number,
  code: number,
  message: string,
  retry_after_s = 0,
): OtlpAnswer => answer(encoding, status, { code, message }, encodeStatus(code, message), retry_after_s)

/** Throws ApiError 415 when the encoding is none of the two: there is none to answer in. */
export function openOtlpIntake(parts: OtlpParts): OtlpIntake {
  const { metrics } = parts
  const now_ms = parts.now_ms ?? Date.now
  const finish = (result: string, given: OtlpAnswer): OtlpAnswer => {
    metrics.count('weir_collector_otlp_requests_total', 1, { result })
    return given
  }
  return async (request) => {
    const encoding = encodingOf(request.contentType)
    if (!encoding)
      throw new ApiError(
        415,
        'content_type_unknown',
        'the body is not OTLP',
        'send application/json or application/x-protobuf',
      )
    const away = failure(encoding, 503, UNAVAILABLE, 'the store cannot take spans now', 5)
    if (!parts.isReady()) return finish('retry', away)
    let spans: OtlpSpan[]
    let body: Buffer
    try {
      body = await inflate(request.body, request.encoding, OTLP_BODY_MAX)
      spans = encoding === 'json' ? decodeJson(body) : decodeProtobuf(body)
    } catch (error) {
      if (error instanceof ApiError)
        return finish('bad', failure(encoding, error.status, INVALID_ARGUMENT, error.message))
      if (error instanceof OtlpError)
        return finish('bad', failure(encoding, 400, INVALID_ARGUMENT, error.message))
      throw error
    }
    const window: Window = {
      from_ns: BigInt(now_ms() - parts.calls_days * DAY_MS) * 1_000_000n,
      to_ns: BigInt(now_ms() + DAY_MS) * 1_000_000n,
    }
    const { good, faults } = sort(spans, window)
    try {
      if (good.length)
        await parts.store.insert('otel_spans', SPAN_COLUMNS, compactLines(good.map(spanRow)), tokenOf(body))
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      parts.log('warn', 'spans not stored', { class: error.kind, code: error.code, reason: reasonOf(error) })
      if (error.kind !== 'content') return finish('retry', away)
      return finish('bad', failure(encoding, 400, INVALID_ARGUMENT, 'the spans cannot be stored as they are'))
    }
    const rejected = spans.length - good.length
    const text = [...faults].join('; ')
    metrics.count('weir_collector_rows_total', good.length, { table: 'otel_spans' })
    metrics.count('weir_collector_otlp_received_spans_total', good.length, { result: 'stored' })
    metrics.count('weir_collector_otlp_received_spans_total', rejected, { result: 'rejected' })
    const json =
      rejected === 0 ? {} : { partialSuccess: { rejectedSpans: String(rejected), errorMessage: text } }
    return finish(
      rejected === 0 ? 'ok' : 'partial',
      answer(encoding, 200, json, encodeResponse(rejected, text)),
    )
  }
}

const tokenOf = (body: Buffer): string => `otlp:${createHash('sha256').update(body).digest('hex')}`

function sort(spans: readonly OtlpSpan[], window: Window): { good: OtlpSpan[]; faults: Set<string> } {
  const faults = new Set<string>()
  const good = spans.filter((span) => {
    const found = fault(span, window)
    if (found) faults.add(found)
    return found === ''
  })
  return { good, faults }
}
