/**
 * A run through a real Weir: an agent that sends its spans over OTLP, a server that does too, and calls in between stand in
 * one waterfall; and small labelled traffic of real SDK agents falls into the runs it says it is of.
 */
import { context, SpanKind, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { driveCases } from '../../bench/agents/drive.ts'
import { type Serving, startHandleServer } from '../../bench/agents/handle-server.ts'
import { type Labelled, scoreOf } from '../../bench/agents/pairs.ts'
import { cases, GAP_MS } from '../../bench/agents/plan.ts'
import { openReader, type Reader } from '../../collector/queries/client.ts'
import { run as findRuns } from '../../collector/queries/find-run.ts'
import { run as readRun } from '../../collector/queries/run.ts'
import { run as listRuns } from '../../collector/queries/run-list.ts'
import { toolCall } from '../support/client.ts'
import { waitFor } from '../support/wait.ts'
import { type Observed, startObserved } from './support/observed.ts'

let server: Serving
let weir: Observed
let reader: Reader & { close(): Promise<void> }

beforeAll(async () => {
  server = await startHandleServer()
  weir = await startObserved({
    servers: { one: { url: `${server.url}/mcp` }, kept: { url: `${server.url}/sessions` } },
    trace: { run_gap_ms: GAP_MS },
    labels: { truth: { header: 'x-bench-truth' }, run: { header: 'x-weir-run' } },
  })
  // An exporter gives spans up that come too early.
  await weir.weir.storing()
  const { store } = weir.weir.addresses
  reader = openReader({ url: store, user: 'reader', password: '', database: 'weir', timeout_ms: 20_000 })
}, 120_000)
afterAll(async () => {
  await reader?.close()
  await weir?.stop()
  await server?.close()
})

const tracerOf = (service: string) => {
  const exporter = new OTLPTraceExporter({ url: `${weir.weir.addresses.collector}/v1/traces` })
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service }),
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
  })
  return { tracer: provider.getTracer('test'), done: () => provider.shutdown() }
}

const post = async (name: string, args: object, traceparent: string): Promise<void> => {
  const answer = await fetch(`${weir.url}/servers/one/mcp`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'x-weir-run': 'task-4711',
      traceparent,
    },
    body: JSON.stringify(toolCall(`${name}-1`, name, args as Record<string, unknown>)),
  })
  expect(answer.status).toBe(200)
  await answer.text()
}

test('an LLM span of the agent and a span of the server stand in the run, each in its place', async () => {
  const agent = tracerOf('agent')
  const bank = tracerOf('bank')
  const task = agent.tracer.startSpan('task')
  const inTask = trace.setSpan(context.active(), task)
  const llm = agent.tracer.startSpan('chat gpt', { kind: SpanKind.CLIENT }, inTask)
  llm.end()
  const { traceId, spanId } = task.spanContext()
  await post('search', { query: 'x' }, `00-${traceId}-${spanId}-01`)
  const [event] = await weir.events("run_id = 'task-4711'")
  // What the server would have made of the context that Weir gave it.
  const parent = { traceId, spanId: String(event!.client_span_id), traceFlags: 1, isRemote: true }
  bank.tracer.startSpan('SELECT items', {}, trace.setSpanContext(context.active(), parent)).end()
  task.end()
  await Promise.all([agent.done(), bank.done()])

  const run = await waitFor('the spans of others are stored', async () => {
    const found = await readRun(reader, { run_id: 'task-4711' })
    if (found?.foreign !== 3)
      throw new Error(`${found?.foreign} spans: ${found?.items.map((i) => i.name).join()}`)
    return found
  })
  expect(run).toMatchObject({
    calls: 1,
    run_source: 'label',
    confidence: 100,
    confidence_min: 100,
    isCut: false,
    traces: [traceId],
  })
  expect(run.items.map((i) => [i.depth, i.what, i.service, i.name])).toEqual([
    [0, 'foreign', 'agent', 'task'],
    [1, 'foreign', 'agent', 'chat gpt'],
    [1, 'call', 'weir', 'tools/call search'],
    [2, 'upstream', 'weir', 'one/search'],
    [3, 'foreign', 'bank', 'SELECT items'],
  ])
  expect(run.steps).toMatchObject([
    { tool: 'search', depth: 1, isCritical: true, run_confidence: 100, run_evidence: '' },
  ])
  expect(await findRuns(reader, { id: traceId, hex: traceId })).toMatchObject([{ run_id: 'task-4711' }])
  expect(await readRun(reader, { run_id: 'nobody' })).toBeNull()
})

test('a run that goes in circles and fails is listed as such', async () => {
  const other = (n: number): string => `00-${'ab'.repeat(16)}-${String(n).padStart(16, '0')}-01`
  for (let n = 1; n <= 3; n++) await post('status', {}, other(n))
  await weir.events("run_id = 'task-4711'", 4)
  const [row] = await listRuns(reader, { from_ms: Date.now() - 3_600_000, looping: true })
  expect(row).toMatchObject({ run_id: 'task-4711', repeats: 3, calls: 4, failed: 0, traces: 2 })
  expect(await listRuns(reader, { from_ms: Date.now() - 3_600_000, failing: true, text: 'TASK-47' })).toEqual(
    [],
  )
  expect(await listRuns(reader, { from_ms: Date.now() - 3_600_000, text: 'TASK-47' })).toHaveLength(1)
  const run = await readRun(reader, { run_id: 'task-4711' })
  expect(run!.loops).toMatchObject([{ names: ['one/status'], times: 3, isResultSame: true }])
  const cut = await readRun(reader, { run_id: 'task-4711', limit: 2 })
  expect([cut!.isCut, cut!.steps.length, cut!.calls]).toEqual([true, 2, 4])
})

test('labelled agents whose runs do not depend on chance are found again', async () => {
  const all = cases(7, 5).filter((c) => c.isDeterministic)
  const one = [`${weir.url}/servers/one/mcp`]
  const urls = { direct: one, shared: one, two: one, sessions: [`${weir.url}/servers/kept/mcp`] }
  expect(await driveCases(all, urls, {})).toBe(0)
  await weir.settled()
  const calls = await weir.store.rows<Labelled>(
    "SELECT labels['truth'] AS truth, run_id AS run, toString(run_evidence) AS evidence FROM calls WHERE kind = 'request' AND method != 'initialize' AND labels['truth'] != ''",
  )
  for (const { name, processes } of all) {
    const own = new Set(processes.flat().map((a) => a.truth))
    const score = scoreOf(calls.filter((c) => own.has(c.truth.split(',')[0]!)))
    expect(score.calls, name).toBeGreaterThan(5)
    // The floor: what bench/results/runs.json has for these cases.
    expect(score.precision, `precision: ${name}`).toBe(1)
    expect(score.recall, `recall: ${name}`).toBeGreaterThanOrEqual(0.98)
  }
}, 180_000)
