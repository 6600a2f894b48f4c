/** Trace context on its way: what is read, what is written on, and what the event says of it (MCP SEP-414, W3C). */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { waitFor } from '../support/wait.ts'
import { type Observed, type Row, startObserved } from './support/observed.ts'
import { exchange, headerOf, post, type RawServer, sized, startRawServer } from './support/raw.ts'

const A = '0af7651916cd43dd8448eb211c80319c'
const B = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN_A = 'b7ad6b7169203331'
const SPAN_B = '00f067aa0ba902b7'
const parent = (trace: string, span: string, flags = '01'): string => `00-${trace}-${span}-${flags}`
const FROM_A = parent(A, SPAN_A)
const FROM_B = parent(B, SPAN_B)

type Case = {
  mode?: 'parent' | 'link' | 'ignore'
  meta?: Record<string, unknown>
  headers?: readonly string[]
  event: Partial<Row>
  /** Flags and trace id that travel on; no trace id: a new one. */
  onward?: { trace?: string; flags?: string; tracestate?: string }
}

const CASES: Record<string, Case> = {
  'nothing: the call belongs to a run': {
    event: {
      trace_source: 'run',
      run_source: 'inferred',
      parent_span_id: '',
      link_trace_id: '',
      sampled: true,
    },
    onward: { flags: '01' },
  },
  'a header': {
    headers: [`traceparent: ${FROM_A}`, 'tracestate: v=1,w=2'],
    event: { trace_id: A, parent_span_id: SPAN_A, trace_source: 'header', run_source: 'trace', run_id: A },
    onward: { trace: A, tracestate: 'v=1,w=2' },
  },
  _meta: {
    meta: { traceparent: FROM_A, tracestate: 'v=1' },
    event: { trace_id: A, parent_span_id: SPAN_A, trace_source: 'meta' },
    onward: { trace: A, tracestate: 'v=1' },
  },
  '_meta wins over the header, which is linked': {
    meta: { traceparent: FROM_A, tracestate: 'meta=1' },
    headers: [`traceparent: ${FROM_B}`, 'tracestate: header=1'],
    event: {
      trace_id: A,
      parent_span_id: SPAN_A,
      trace_source: 'meta',
      link_trace_id: B,
      link_span_id: SPAN_B,
    },
    onward: { trace: A, tracestate: 'meta=1' },
  },
  'a broken _meta leaves it to the header': {
    meta: { traceparent: '00-xyz', tracestate: 'meta=1' },
    headers: [`traceparent: ${FROM_B}`, 'tracestate: header=1'],
    event: { trace_id: B, trace_source: 'header' },
    onward: { trace: B, tracestate: 'header=1' },
  },
  'upper case is not valid': {
    headers: [`traceparent: ${FROM_A.toUpperCase()}`],
    event: { trace_source: 'run' },
  },
  'all zero is not valid': {
    headers: [`traceparent: ${parent('0'.repeat(32), SPAN_A)}`],
    event: { trace_source: 'run' },
  },
  'version ff is not valid': {
    headers: [`traceparent: ff${FROM_A.slice(2)}`],
    event: { trace_source: 'run' },
  },
  'version 00 with more at its end is not valid': {
    headers: [`traceparent: ${FROM_A}-00`],
    event: { trace_source: 'run' },
  },
  'a later version is read as far as it is known': {
    headers: [`traceparent: cc${FROM_A.slice(2)}-what`],
    event: { trace_id: A, trace_source: 'header' },
    onward: { trace: A },
  },
  'not sampled': {
    headers: [`traceparent: ${parent(A, SPAN_A, '00')}`],
    event: { trace_id: A, sampled: false },
    onward: { trace: A, flags: '00' },
  },
  'sampled, with the random flag': {
    headers: [`traceparent: ${parent(A, SPAN_A, '03')}`],
    event: { trace_id: A, sampled: true },
    onward: { trace: A, flags: '03' },
  },
  'a number in _meta': { meta: { traceparent: 7 }, event: { trace_source: 'run' } },
  'labels from baggage in _meta, then headers': {
    meta: { baggage: 'agent=planner%20two;p=1, run = r-7' },
    headers: ['baggage: agent=other,project=p9', 'X-Weir-Project: from-header'],
    event: { agent: 'planner two', run_id: 'r-7', run_source: 'label', project: 'from-header' },
  },
  'link: a new trace, the old one linked': {
    mode: 'link',
    meta: { traceparent: FROM_A, tracestate: 'v=1' },
    event: { parent_span_id: '', link_trace_id: A, link_span_id: SPAN_A, trace_source: 'run' },
    onward: { flags: '01', tracestate: '' },
  },
  'link, from a header': {
    mode: 'link',
    headers: [`traceparent: ${FROM_B}`, 'tracestate: v=1'],
    event: { link_trace_id: B, trace_source: 'run' },
    onward: { tracestate: '' },
  },
  'ignore: as if there were none': {
    mode: 'ignore',
    meta: { traceparent: FROM_A },
    headers: [`traceparent: ${FROM_B}`, 'tracestate: v=1'],
    event: { parent_span_id: '', link_trace_id: '', trace_source: 'run' },
    onward: { tracestate: '' },
  },
}

describe('trace context', () => {
  let server: RawServer
  let weir: Observed
  let mode = 'parent'
  const config = (incoming: string): Record<string, unknown> => ({
    servers: { raw: { url: `http://127.0.0.1:${server.port}/` } },
    trace: { incoming },
  })

  beforeAll(async () => {
    server = await startRawServer(() =>
      sized('200 OK', 'application/json', '{"jsonrpc":"2.0","id":1,"result":{}}'),
    )
    weir = await startObserved(config('parent'))
  })
  afterAll(async () => {
    await weir?.stop()
    await server?.close()
  })

  let n = 0
  for (const [name, { meta, headers = [], event, onward = {}, ...more }] of Object.entries(CASES))
    test(name, async () => {
      const wanted = more.mode ?? 'parent'
      if (wanted !== mode) {
        const before = weir.weir.output.length
        weir.weir.writeConfig(config(wanted))
        await waitFor('the reload', () => weir.weir.output.slice(before).includes('config reloaded'))
        mode = wanted
      }
      const id = `trace-${n++}`
      const body = JSON.stringify({
        jsonrpc: '2.0',
        id,
        method: 'tools/call',
        params: { name: 't', ...(meta ? { _meta: meta } : {}) },
      })
      const answer = await exchange(weir.port, [
        post('/servers/raw/mcp', weir.port, body, [`X-Case: ${id}`, ...headers]),
      ])
      expect(answer.status).toBe(200)

      const [row] = await weir.events(`request_id = '${id}'`)
      expect(row).toMatchObject(event)
      expect(row!.client_span_id).toMatch(/^[0-9a-f]{16}$/)
      expect(row!.client_span_id).not.toBe(row!.span_id)
      const [seen] = server.seen.get(id)!
      // The upstream's parent is the CLIENT span of this very call.
      const sent = `00-${onward.trace ?? row!.trace_id}-${row!.client_span_id}-${onward.flags ?? '01'}`
      expect(headerOf(seen!.headers, 'traceparent')).toBe(sent)
      expect(row!.trace_id).toBe(sent.slice(3, 35))
      const arrived = (JSON.parse(seen!.body.toString()) as { params: { _meta: Record<string, unknown> } })
        .params._meta
      expect(arrived.traceparent).toBe(sent)
      if (onward.tracestate !== undefined) {
        expect(headerOf(seen!.headers, 'tracestate') ?? '').toBe(onward.tracestate)
        expect(arrived.tracestate ?? '').toBe(onward.tracestate)
      }
      if (meta?.baggage !== undefined) expect(arrived.baggage).toBe(meta.baggage)
    })

  test('a null _meta is taken as none', async () => {
    const answer = await exchange(weir.port, [
      post(
        '/servers/raw/mcp',
        weir.port,
        '{"jsonrpc":"2.0","id":"null-meta","method":"tools/call","params":{"name":"t","_meta":null}}',
      ),
    ])
    expect(answer.status).toBe(200)
    expect((await weir.events("request_id = 'null-meta'"))[0]).toMatchObject({ outcome: 'ok' })
  })

  test('a tracestate that is too long loses whole members', async () => {
    const members = Array.from({ length: 40 }, (_, i) => `key${i}=${'v'.repeat(20)}`)
    const body = '{"jsonrpc":"2.0","id":"long-state","method":"tools/call","params":{"name":"t"}}'
    const before = weir.weir.output.length
    weir.weir.writeConfig(config('parent'))
    await waitFor('the reload', () => weir.weir.output.slice(before).includes('config reloaded'))
    await exchange(weir.port, [
      post('/servers/raw/mcp', weir.port, body, [
        'X-Case: long-state',
        `traceparent: ${FROM_A}`,
        `tracestate: ${members.join(',')}`,
      ]),
    ])
    const state = headerOf(server.seen.get('long-state')![0]!.headers, 'tracestate')!
    expect(state.length).toBeLessThanOrEqual(512)
    expect(members.join(',').startsWith(`${state},`)).toBe(true)
  })

  test('calls of one client without sessions share a run', async () => {
    const ask = (id: string, agent: string) =>
      exchange(weir.port, [
        post('/servers/raw/mcp', weir.port, `{"jsonrpc":"2.0","id":"${id}","method":"tools/list"}`, [
          `User-Agent: ${agent}`,
        ]),
      ])
    await ask('run-1', 'one')
    await ask('run-2', 'one')
    await ask('run-3', 'two')
    const rows = await weir.events("startsWith(request_id, 'run-')", 3)
    const runs = Object.fromEntries(rows.map((r) => [r.request_id as string, r.run_id]))
    expect(runs['run-1']).toBe(runs['run-2'])
    expect(runs['run-3']).not.toBe(runs['run-1'])
  })
})
