import { gzipSync } from 'node:zlib'
import { type Attributes, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api'
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { resourceFromAttributes } from '@opentelemetry/resources'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeJson } from '../../../collector/otlp/decode-json.ts'
import { decodeProtobuf } from '../../../collector/otlp/decode-protobuf.ts'
import { openStore, type Store } from '../../../collector/sink/store.ts'
import { type Collector, openCollector } from '../../../collector/wire.ts'
import { hex } from '../support/events.ts'
import { type Gate, openGate } from '../support/gate.ts'
import {
  collectorOptions,
  isReady,
  type Running,
  scratchFolder,
  startStore,
  until,
} from '../support/processes.ts'

const folder = scratchFolder()
let store_: Running
let gate: Gate
let collector: Collector
let store: Store

beforeAll(async () => {
  store_ = await startStore(folder.path)
  gate = await openGate(store_.address)
  collector = await openCollector(collectorOptions(gate.address, { log_level: 'error' }))
  store = openStore(collectorOptions(store_.address).store)
  await until(() => isReady(collector.address), 'ready')
}, 60_000)
afterAll(async () => {
  await collector?.drain()
  await store?.close()
  await gate?.close()
  await store_?.drain()
  folder.remove()
}, 60_000)

const seconds = Math.floor(Date.now() / 1000) - 60
function span(traceId: string, attributes: Attributes): ReadableSpan {
  const context = (spanId: string) => ({ traceId, spanId, traceFlags: TraceFlags.SAMPLED })
  const own = context(hex(8))
  return {
    name: 'chat model',
    kind: SpanKind.CLIENT,
    spanContext: () => own,
    parentSpanContext: context('00f067aa0ba902b7'),
    startTime: [seconds, 123_456_789],
    endTime: [seconds + 2, 123_456_790],
    duration: [2, 1],
    status: { code: SpanStatusCode.ERROR, message: 'too long' },
    attributes,
    links: [{ context: context('00f067aa0ba902b8'), attributes: { why: 'because' } }],
    events: [{ name: 'token', time: [seconds + 1, 5], attributes: { n: 1 } }],
    ended: true,
    resource: resourceFromAttributes({ 'service.name': 'agent' }),
    instrumentationScope: { name: 'agent-sdk', version: '2.0' },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  }
}
const exportWith = (exporter: SpanExporter, spans: ReadableSpan[]): Promise<number> =>
  new Promise((resolve) => exporter.export(spans, (result) => resolve(result.code)))

describe.each([
  ['JSON', JsonExporter, undefined],
  ['protobuf', ProtobufExporter, undefined],
  ['protobuf, gzip', ProtobufExporter, 'gzip'],
] as const)('spans of the real %s exporter', (_, Exporter, compression) => {
  test('stand in the waterfall as they were sent', async () => {
    const trace_id = hex(16)
    const exporter = new Exporter({
      url: `${collector.address}/v1/traces`,
      ...(compression ? { compression: compression as never } : {}),
    })
    const attributes = { text: 'ü 😀', count: 42, share: 0.5, yes: true, list: ['a', 'b'], numbers: [1, 2] }
    expect(await exportWith(exporter, [span(trace_id, attributes)])).toBe(0)
    await exporter.shutdown()
    const rows = await store.rows<Record<string, unknown>>(
      `SELECT * EXCEPT(Timestamp, SpanId), toString(toUnixTimestamp64Nano(Timestamp)) AS ns, toUnixTimestamp64Nano(\`Events.Timestamp\`[1]) - toUnixTimestamp64Nano(Timestamp) AS event_after
       FROM weir.otel_traces WHERE TraceId = {trace_id:String}`,
      { trace_id },
    )
    expect(rows).toMatchObject([
      {
        ns: `${seconds}123456789`,
        ParentSpanId: '00f067aa0ba902b7',
        SpanName: 'chat model',
        SpanKind: 'Client',
        ServiceName: 'agent',
        ResourceAttributes: { 'service.name': 'agent' },
        ScopeName: 'agent-sdk',
        ScopeVersion: '2.0',
        SpanAttributes: {
          text: 'ü 😀',
          count: '42',
          share: '0.5',
          yes: 'true',
          list: '["a","b"]',
          numbers: '[1,2]',
        },
        Duration: 2_000_000_001,
        StatusCode: 'Error',
        StatusMessage: 'too long',
        'Events.Name': ['token'],
        'Events.Attributes': [{ n: '1' }],
        event_after: 876_543_216,
        'Links.SpanId': ['00f067aa0ba902b8'],
        'Links.Attributes': [{ why: 'because' }],
      },
    ])
  })
})

const json = (spans: object[]): string =>
  JSON.stringify({ resourceSpans: [{ resource: { attributes: [] }, scopeSpans: [{ scope: {}, spans }] }] })
const rawSpan = (more: object = {}): object => ({
  traceId: hex(16),
  spanId: hex(8),
  name: 'x',
  kind: 1,
  startTimeUnixNano: `${seconds}000000000`,
  endTimeUnixNano: `${seconds}000000001`,
  ...more,
})
const post = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
  fetch(`${collector.address}/v1/traces`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  })

test('bad spans are told, good ones beside them are stored', async () => {
  const good = rawSpan() as { traceId: string }
  const answer = await post(
    json([
      good,
      rawSpan({ traceId: '0'.repeat(32) }),
      rawSpan({ spanId: 'zz' }),
      rawSpan({ startTimeUnixNano: '5' }),
    ]),
  )
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
  expect(await answer.json()).toEqual({
    partialSuccess: { rejectedSpans: '3', errorMessage: expect.stringMatching(/trace id.*span id.*outside/) },
  })
  expect(
    await store.rows('SELECT count() AS n FROM weir.otel_spans WHERE TraceId = {id:String}', {
      id: good.traceId,
    }),
  ).toEqual([{ n: 1 }])
})

test('the same bytes twice are stored once', async () => {
  const sent = rawSpan() as { traceId: string }
  for (let i = 0; i < 3; i++) expect(await (await post(json([sent]))).json()).toEqual({})
  expect(
    await store.rows('SELECT count() AS n FROM weir.otel_spans WHERE TraceId = {id:String}', {
      id: sent.traceId,
    }),
  ).toEqual([{ n: 1 }])
})

test('what cannot be read is final, what cannot be stored now is not', async () => {
  expect((await post('{')).status).toBe(400)
  expect(await (await post('{')).json()).toMatchObject({ code: 3, message: expect.any(String) })
  expect(
    (await post(new Uint8Array([0x0a, 0xff]), { 'content-type': 'application/x-protobuf' })).status,
  ).toBe(400)
  expect((await post('x', { 'content-type': 'text/plain' })).status).toBe(415)
  expect((await post('not gzip', { 'content-encoding': 'gzip' })).status).toBe(400)
  expect((await post(new Uint8Array(gzipSync(json([]))), { 'content-encoding': 'gzip' })).status).toBe(200)
  gate.refuse = { status: 500, code: 241, text: 'memory' }
  const later = await post(json([rawSpan()]))
  gate.refuse = null
  expect(later.status).toBe(503)
  expect(Number(later.headers.get('retry-after'))).toBeGreaterThan(0)
})

test('a protobuf sender is answered in protobuf', async () => {
  const answer = await post(new Uint8Array(), { 'content-type': 'application/x-protobuf' })
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toBe('application/x-protobuf')
  expect((await answer.arrayBuffer()).byteLength).toBe(0)
})

test('values nested without end, unknown fields and wrong types do no harm', () => {
  const deep = `${'{"arrayValue":{"values":['.repeat(5_000)}{}${']}}'.repeat(5_000)}`
  const body = json([
    rawSpan({
      attributes: [{ key: 'deep', value: 'DEEP' }, { key: 'odd', value: 7 }, null],
      events: 'none',
      status: [],
    }),
  ])
  const [span_] = decodeJson(Buffer.from(body.replace('"DEEP"', deep)))
  expect(span_).toMatchObject({ events: [], status_code: 0, attributes: { odd: null } })
  // Field 99 of an unknown message, then nothing.
  expect(decodeProtobuf(Buffer.from([0x9a, 0x06, 0x01, 0x00]))).toEqual([])
})
