import { createServer, type Server } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openSpanExport } from '../../../collector/export/otlp.ts'
import { openLog } from '../../../collector/log.ts'
import { openMetrics } from '../../../collector/metrics.ts'
import type { OtlpTarget } from '../../../collector/options.ts'
import { openCollector } from '../../../collector/wire.ts'
import { makeEvent, newBatchId, segmentOf, sendBatch } from '../support/events.ts'
import {
  collectorOptions,
  isReady,
  type Running,
  scratchFolder,
  startStore,
  until,
} from '../support/processes.ts'

type Body = { resourceSpans: { scopeSpans: { spans: { spanId: string; name: string }[] }[] }[] }
type Backend = {
  url: string
  spans: { spanId: string; name: string }[]
  requests: number
  headers: object[]
  status: number
  close(): Promise<void>
}

const backends: Backend[] = []
async function openBackend(): Promise<Backend> {
  const server: Server = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk) => {
      text += chunk
    })
    request.on('end', () => {
      backend.requests++
      backend.headers.push(request.headers)
      if (backend.status === 200)
        for (const resource of (JSON.parse(text) as Body).resourceSpans)
          for (const scope of resource.scopeSpans) backend.spans.push(...scope.spans)
      response.writeHead(backend.status, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  const { port } = server.address() as { port: number }
  const backend: Backend = {
    url: `http://127.0.0.1:${port}/v1/traces`,
    spans: [],
    requests: 0,
    headers: [],
    status: 200,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  backends.push(backend)
  return backend
}

const target = (url: string, more: Partial<OtlpTarget> = {}): OtlpTarget => ({
  url,
  headers: {},
  queue_max: 1000,
  batch_max: 512,
  timeout_ms: 500,
  ...more,
})
const quiet = openLog('error', () => {})
const folder = scratchFolder()
let store_: Running

beforeAll(async () => {
  store_ = await startStore(folder.path)
}, 60_000)
afterAll(async () => {
  await Promise.all(backends.map((backend) => backend.close()))
  await store_?.drain()
  folder.remove()
}, 60_000)

test('every stored event is exported once, a duplicate is not, and a dead endpoint beside it changes nothing', async () => {
  const backend = await openBackend()
  const dead = target('http://127.0.0.1:9/v1/traces')
  const collector = await openCollector(
    collectorOptions(store_.address, {
      log_level: 'error',
      export: { otlp: [dead, target(backend.url, { headers: { 'x-api-key': 'k' } })] },
    }),
    quiet,
  )
  await until(() => isReady(collector.address), 'ready')
  const events = Array.from({ length: 150 }, () => makeEvent())
  const id = newBatchId()
  const bytes = segmentOf(events)
  for (const attempt of [1, 2])
    expect((await sendBatch(collector.address, id, bytes, { attempt })).status).toBe(200)
  await until(() => backend.spans.length >= 300, 'all spans exported')
  await until(
    async () => /export_spans_total\{endpoint="0",result="failed"\} [1-9]/.test(await collector.metrics()),
    'failures counted',
  )
  const metrics = await collector.metrics()
  await collector.drain()
  expect(backend.spans).toHaveLength(300)
  expect(new Set(backend.spans.map((span) => span.spanId))).toEqual(
    new Set(events.flatMap((event) => [event.span_id, event.client_span_id])),
  )
  expect(backend.headers[0]).toMatchObject({ 'x-api-key': 'k' })
  expect(metrics).toMatch(/export_spans_total\{endpoint="1",result="sent"\} 300/)
}, 60_000)

test('what does not fit the queue is dropped and counted', async () => {
  const backend = await openBackend()
  const metrics = openMetrics()
  const spans = openSpanExport([target(backend.url, { queue_max: 10 })], metrics, quiet)!
  spans.enqueue(Array.from({ length: 8 }, () => makeEvent()))
  await spans.close(5_000)
  const text = await metrics.text()
  expect(text).toMatch(/export_spans_total\{endpoint="0",result="dropped"\} 6/)
  expect(text).toMatch(/export_spans_total\{endpoint="0",result="sent"\} 10/)
  expect(backend.spans).toHaveLength(10)
  metrics.close()
})

test('what is queued at the end is still sent, and what comes later is dropped', async () => {
  const backend = await openBackend()
  const metrics = openMetrics()
  const spans = openSpanExport([target(backend.url)], metrics, quiet)!
  spans.enqueue([makeEvent()])
  await spans.close(5_000)
  spans.enqueue([makeEvent()])
  expect(backend.spans.map((span) => span.name)).toEqual(['tools/call get_balance', 'tools/call get_balance'])
  expect(await metrics.text()).toMatch(/result="dropped"\} 2/)
  metrics.close()
})

test('without endpoints there is no export', () => {
  const metrics = openMetrics()
  expect(openSpanExport([], metrics, quiet)).toBeNull()
  metrics.close()
})
