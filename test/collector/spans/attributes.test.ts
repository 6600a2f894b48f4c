import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStore, type Store } from '../../../collector/sink/store.ts'
import { spansOf } from '../../../collector/spans/readable.ts'
import { type Collector, openCollector } from '../../../collector/wire.ts'
import type { CallEvent } from '../../../event/fields.ts'
import {
  hex,
  makeEvent,
  newBatchId,
  nowUs,
  randomEvent,
  seeded,
  segmentOf,
  sendBatch,
} from '../support/events.ts'
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
let collector: Collector
let store: Store

beforeAll(async () => {
  store_ = await startStore(folder.path)
  collector = await openCollector(collectorOptions(store_.address))
  store = openStore(collectorOptions(store_.address).store)
  await until(() => isReady(collector.address), 'ready')
}, 60_000)
afterAll(async () => {
  await collector?.drain()
  await store?.close()
  await store_?.drain()
  folder.remove()
}, 60_000)

type Span = Record<string, unknown>
const STATUS = { [SpanStatusCode.UNSET]: 'Unset', [SpanStatusCode.OK]: 'Ok', [SpanStatusCode.ERROR]: 'Error' }
const texts = (attributes: ReadableSpan['attributes']): Record<string, string> =>
  Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, String(value)]))

/** A span for others, in the columns of the view. */
const exported = (span: ReadableSpan): Span => ({
  ns: String(BigInt(span.startTime[0]) * 1_000_000_000n + BigInt(span.startTime[1])),
  TraceId: span.spanContext().traceId,
  SpanId: span.spanContext().spanId,
  ParentSpanId: span.parentSpanContext?.spanId ?? '',
  SpanName: span.name,
  SpanKind: SpanKind[span.kind]!.replace(/^(.)(.*)$/, (_, a: string, b: string) => a + b.toLowerCase()),
  ServiceName: String(span.resource.attributes['service.name']),
  ResourceAttributes: texts(span.resource.attributes),
  ScopeName: span.instrumentationScope.name,
  SpanAttributes: texts(span.attributes),
  Duration: String(BigInt(span.duration[0]) * 1_000_000_000n + BigInt(span.duration[1])),
  StatusCode: STATUS[span.status.code],
  StatusMessage: span.status.message ?? '',
  links: span.links.map((link) => [link.context.traceId, link.context.spanId]),
})

const viewed = (): Promise<Span[]> =>
  store.rows<Span>(
    `SELECT toString(toUnixTimestamp64Nano(Timestamp)) AS ns, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, ResourceAttributes, ScopeName,
       SpanAttributes, toString(Duration) AS Duration, StatusCode, StatusMessage, arrayZip(\`Links.TraceId\`, \`Links.SpanId\`) AS links
     FROM weir.otel_traces ORDER BY TraceId, SpanId`,
  )
const bySpan = (a: Span, b: Span): number =>
  `${a.TraceId}${a.SpanId}`.localeCompare(`${b.TraceId}${b.SpanId}`)

test('the view and the export say the same of every span', async () => {
  const random = seeded(7)
  const events: CallEvent[] = Array.from({ length: 300 }, () =>
    randomEvent(random, nowUs() - Math.floor(random() * 3.6e9)),
  )
  events.push(
    makeEvent({ span_id: '' }),
    makeEvent({ captured_arguments: 'secret', captured_result: 'secret' }),
  )
  for (const event of events) if (event.span_id) event.span_id = hex(8)
  await sendBatch(collector.address, newBatchId(), segmentOf(events))
  const expected = events.flatMap(spansOf).map(exported).sort(bySpan)
  expect(expected.length).toBeGreaterThan(500)
  const rows = (await viewed()).sort(bySpan)
  expect(rows).toEqual(expected)
})

const attributes = (event: Partial<CallEvent>, kind = 0): Record<string, unknown> =>
  spansOf(makeEvent(event))[kind]!.attributes
const status = (event: Partial<CallEvent>, kind = 0): number => spansOf(makeEvent(event))[kind]!.status.code

test('a tools/call is named and attributed by the conventions', () => {
  const [server, client] = spansOf(makeEvent())
  expect(server).toMatchObject({ name: 'tools/call get_balance', kind: SpanKind.SERVER })
  expect(server!.attributes).toMatchObject({
    'mcp.method.name': 'tools/call',
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': 'get_balance',
    'network.transport': 'tcp',
    'network.protocol.name': 'http',
    'mcp.protocol.version': '2025-11-25',
    'weir.phase.wait_us': 11_000,
  })
  expect(server!.attributes).not.toHaveProperty('error.type')
  expect(server!.attributes).not.toHaveProperty('rpc.response.status_code')
  expect(client).toMatchObject({
    name: 'tools/call get_balance',
    kind: SpanKind.CLIENT,
    duration: [0, 11_445_000],
  })
  expect(client!.parentSpanContext?.spanId).toBe(server!.spanContext().spanId)
  expect(client!.attributes).toMatchObject({
    'server.address': 'bank.example',
    'server.port': 8080,
    'mcp.protocol.version': '2025-06-18',
  })
})

test('a prompt is no tool, a stdio server is a pipe, a modern call has no session', () => {
  const prompt = attributes({ method: 'prompts/get', tool: 'greet' })
  expect(prompt).toMatchObject({ 'gen_ai.prompt.name': 'greet' })
  expect(prompt).not.toHaveProperty('gen_ai.tool.name')
  expect(prompt).not.toHaveProperty('gen_ai.operation.name')
  expect(attributes({ upstream_transport: 'stdio', upstream_endpoint: 'npx server' }, 1)).toMatchObject({
    'network.transport': 'pipe',
    'server.address': 'npx server',
  })
  expect(attributes({ session_id: '' })).not.toHaveProperty('mcp.session.id')
})

test('a request of a server reverses the parts: both sides of a span are those of the other side', () => {
  const asked = {
    kind: 'server_request',
    method: 'sampling/createMessage',
    transport: 'websocket',
    upstream_transport: 'http',
    parent_span_id: 'd'.repeat(16),
  } as const
  const [server, client] = spansOf(makeEvent(asked))
  expect(server).toMatchObject({ name: 'sampling/createMessage', kind: SpanKind.SERVER })
  expect(server!.parentSpanContext?.spanId).toBe('d'.repeat(16))
  expect(server!.attributes).toMatchObject({
    'weir.kind': 'server_request',
    'weir.server': 'bank',
    'client.address': 'bank.example',
    'client.port': 8080,
    'mcp.protocol.version': '2025-06-18',
    'network.protocol.name': 'http',
  })
  expect(server!.attributes).not.toHaveProperty('gen_ai.tool.name')
  expect(client).toMatchObject({ name: 'sampling/createMessage', kind: SpanKind.CLIENT })
  expect(client!.attributes).toMatchObject({
    'weir.kind': 'server_request',
    'server.address': '127.0.0.1',
    'mcp.protocol.version': '2025-11-25',
    'network.protocol.name': 'websocket',
  })
  expect(client!.attributes).not.toHaveProperty('server.port')
  // Who asks is the server: its own faults are none of the span's that serves it, the client's are.
  const failed = { ...asked, outcome: 'rpc_error', error_code: -1, error_type: '-1' } as const
  expect(status({ ...failed, owner: 'client' })).toBe(SpanStatusCode.ERROR)
  expect(status({ ...asked, outcome: 'cancelled', owner: 'upstream' })).toBe(SpanStatusCode.UNSET)
})

test('a failure is an error of the server span unless the caller made it', () => {
  const failed = {
    outcome: 'rpc_error',
    owner: 'upstream',
    error_code: -32_603,
    error_type: '-32603',
  } as const
  expect(status(failed)).toBe(SpanStatusCode.ERROR)
  expect(status({ ...failed, error_code: -32_602 })).toBe(SpanStatusCode.UNSET)
  expect(attributes({ ...failed, error_code: -32_602 })).toMatchObject({
    'rpc.response.status_code': '-32602',
  })
  expect(status({ ...failed, error_code: -32_602 }, 1)).toBe(SpanStatusCode.ERROR)
  expect(status({ outcome: 'denied', owner: 'client' })).toBe(SpanStatusCode.UNSET)
  expect(status({ outcome: 'denied', owner: 'client' }, 1)).toBe(SpanStatusCode.UNSET)
  expect(status({ outcome: 'tool_error', owner: 'upstream' })).toBe(SpanStatusCode.ERROR)
  expect(attributes({ outcome: 'tool_error', owner: 'upstream' })).toMatchObject({
    'error.type': 'tool_error',
  })
  expect(status({ outcome: 'input_required' })).toBe(SpanStatusCode.UNSET)
})
