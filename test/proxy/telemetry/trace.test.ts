import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { parseConfig } from '../../../config/load.ts'
import { Call, type Message } from '../../../proxy/call.ts'
import { runRules } from '../../../proxy/telemetry/clues.ts'
import { InferredRuns } from '../../../proxy/telemetry/inferred-runs.ts'
import { compileLabels, readLabels, traceCall, traceparent } from '../../../proxy/telemetry/trace.ts'

const RULES = runRules(parseConfig('', 'weir.yaml').config, 1)

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'
const OTHER = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'

function makeCall(
  headers: Record<string, string>,
  meta?: Record<string, unknown>,
  more: Partial<Call> = {},
): Call {
  const call = new Call(
    { headers } as unknown as IncomingMessage,
    {} as ServerResponse,
    { path: '/mcp', server: '' },
    0,
    '127.0.0.1',
    false,
  )
  call.message = {
    jsonrpc: '2.0',
    id: 1,
    method: 'ping',
    params: meta === undefined ? {} : { _meta: meta },
  } as Message
  return Object.assign(call, more)
}
const traced = (
  headers: Record<string, string>,
  meta?: Record<string, unknown>,
  incoming: 'parent' | 'link' | 'ignore' = 'parent',
  more: Partial<Call> = {},
): Call => {
  const call = makeCall(headers, meta, more)
  traceCall(call, incoming, RULES, new InferredRuns())
  return call
}

describe('a traceparent that is taken', () => {
  test.each([
    ['version 00', `00-${TRACE}-${SPAN}-01`],
    ['not sampled', `00-${TRACE}-${SPAN}-00`],
    ['flags of a later day', `00-${TRACE}-${SPAN}-ff`],
    ['a later version', `01-${TRACE}-${SPAN}-01`],
    ['a later version that goes on', `cc-${TRACE}-${SPAN}-01-what-comes`],
  ])('%s', (_name, value) => {
    const call = traced({ traceparent: value })
    expect([call.trace_id, call.parent_span_id, call.trace_source]).toEqual([TRACE, SPAN, 'header'])
    expect(traceparent(call, '1111111111111111')).toMatch(new RegExp(`^00-${TRACE}-1{16}-[0-9a-f]{2}$`))
  })
})

describe('a traceparent that is not', () => {
  test.each([
    ['empty', ''],
    ['version ff', `ff-${TRACE}-${SPAN}-01`],
    ['upper case', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ['zero trace id', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['zero span id', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['short trace id', `00-${TRACE.slice(1)}-${SPAN}-01`],
    ['long span id', `00-${TRACE}-${SPAN}0-01`],
    ['version 00 that goes on', `00-${TRACE}-${SPAN}-01-more`],
    ['version 00 with a dash after it', `00-${TRACE}-${SPAN}-01-`],
    ['a later version that goes on without a dash', `01-${TRACE}-${SPAN}-01x`],
    ['spaces', ` 00-${TRACE}-${SPAN}-01`],
    ['no flags', `00-${TRACE}-${SPAN}`],
    ['two of them', `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`],
    ['line break', `00-${TRACE}-${SPAN}-01\n`],
  ])('%s', (_name, value) => {
    const call = traced({ traceparent: value })
    expect(call.trace_id).not.toBe(TRACE)
    expect([call.parent_span_id, call.trace_source]).toEqual(['', 'run'])
    expect(call.trace_id).toMatch(/^(?!0{32})[0-9a-f]{32}$/)
  })
})

test('what follows an initialize without a session is of its run, though it does not name the client again', () => {
  const runs = new InferredRuns()
  const put = (id: string | null, more: Partial<Call>): Call => {
    const call = makeCall({ 'user-agent': 'node' }, undefined, { id, kind: 'request', ...more })
    traceCall(call, 'parent', RULES, runs)
    call.inferred!.by.end(call.inferred!, 1)
    return call
  }
  const begun = put('0', { method: 'initialize', client_name: 'planner', client_version: '1.0.0' })
  const told = put(null, { method: 'notifications/initialized', kind: 'notification' })
  const listed = put('1', { method: 'tools/list' })
  expect([told.run_id, listed.run_id]).toEqual([begun.run_id, begun.run_id])
  expect([listed.run_source, listed.run_evidence]).toEqual(['inferred', 'sequence'])
  expect(put('0', { method: 'tools/list', client_name: 'other' }).run_id).not.toBe(begun.run_id)
})

test('where no clue is to be read, an introduction begins no run', () => {
  const runs = new InferredRuns()
  const rules = runRules(parseConfig('runs: { evidence: [] }\n', 'weir.yaml').config, 1)
  const put = (id: string, method: string): string => {
    const call = makeCall({}, undefined, { id, kind: 'request', method })
    traceCall(call, 'parent', rules, runs)
    call.inferred!.by.end(call.inferred!, 1)
    return call.run_id
  }
  const first = put('0', 'tools/call')
  expect([put('9', 'server/discover'), put('0', 'tools/list'), put('5', 'tools/call')]).toEqual([
    first,
    first,
    first,
  ])
})

test('_meta wins over the header when it is valid, and the header is linked', () => {
  const call = traced({ traceparent: `00-${OTHER}-${SPAN}-01` }, { traceparent: `00-${TRACE}-${SPAN}-01` })
  expect([call.trace_id, call.trace_source, call.link_trace_id]).toEqual([TRACE, 'meta', OTHER])
  const broken = traced({ traceparent: `00-${OTHER}-${SPAN}-01` }, { traceparent: 'nonsense' })
  expect([broken.trace_id, broken.trace_source, broken.link_trace_id]).toEqual([OTHER, 'header', ''])
})

test.each([null, 7, [], 'x', { traceparent: 7 }, { traceparent: null }])(
  '_meta %j is no context and no crash',
  (meta) => {
    expect(traced({}, meta as never).trace_source).toBe('run')
  },
)

test('link keeps the foreign context beside, ignore forgets it', () => {
  const linked = traced({ traceparent: `00-${TRACE}-${SPAN}-01` }, undefined, 'link')
  expect([linked.link_trace_id, linked.link_span_id, linked.parent_span_id]).toEqual([TRACE, SPAN, ''])
  expect(linked.trace_id).not.toBe(TRACE)
  const ignored = traced({ traceparent: `00-${TRACE}-${SPAN}-01` }, undefined, 'ignore')
  expect([ignored.link_trace_id, ignored.parent_span_id]).toEqual(['', ''])
})

test('tracestate travels only with its own traceparent and never half a member', () => {
  const headers = { traceparent: `00-${OTHER}-${SPAN}-01`, tracestate: 'h=1' }
  expect(traced(headers).tracestate).toBe('h=1')
  expect(traced(headers, { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: 'm=1' }).tracestate).toBe('m=1')
  expect(traced(headers, { traceparent: `00-${TRACE}-${SPAN}-01` }).tracestate).toBe('')
  const long = Array.from({ length: 60 }, (_, i) => `vendor${i}=${'v'.repeat(10)}`).join(',')
  const kept = traced({ ...headers, tracestate: long }).tracestate
  expect(kept.length).toBeLessThanOrEqual(512)
  expect(long.startsWith(`${kept},`)).toBe(true)
})

describe('labels', () => {
  const rules = compileLabels({
    agent: { header: 'X-Weir-Agent', baggage: 'agent' },
    run: { header: 'x-weir-run', baggage: 'run' },
    project: { header: 'x-weir-project', baggage: 'project' },
    ticket: { baggage: 'ticket' },
  })
  const labelled = (headers: Record<string, string>, meta?: Record<string, unknown>): Call => {
    const call = makeCall(headers, meta)
    readLabels(call, rules)
    return call
  }

  test('the header wins, then baggage of _meta, then baggage of the header', () => {
    expect(labelled({ 'x-weir-agent': 'h', baggage: 'agent=b' }, { baggage: 'agent=m' }).agent).toBe('h')
    expect(labelled({ baggage: 'agent=b' }, { baggage: 'agent=m' }).agent).toBe('m')
    expect(labelled({ baggage: 'agent=b' }).agent).toBe('b')
  })

  test.each([
    ['agent=a', 'a'],
    [' agent = a ', 'a'],
    ['x=1, agent=a;prop=1;other , y=2', 'a'],
    ['agent=a%20b', 'a b'],
    ['agent=%zz', '%zz'],
    ['agent=a=b', 'a=b'],
    ['agentx=1', ''],
    ['=a', ''],
    ['agent', ''],
    [',,,', ''],
    ['', ''],
  ])('baggage %j gives %j', (baggage, agent) => {
    expect(labelled({ baggage }).agent).toBe(agent)
  })

  test('only words of the allow-list are kept, each in its place, none longer than 200 characters', () => {
    const call = labelled({ baggage: `run=r,project=p,ticket=t,secret=s,agent=${'a'.repeat(500)}` })
    expect([call.run_label, call.project, call.labels]).toEqual(['r', 'p', { ticket: 't' }])
    expect(call.agent.length).toBe(200)
  })

  test('one call does not see the labels of another', () => {
    expect(labelled({ baggage: 'ticket=1' }).labels).toEqual({ ticket: '1' })
    expect(labelled({}).labels).toEqual({})
  })

  test('values that are no texts are none', () => {
    expect(labelled({}, { baggage: 7 }).agent).toBe('')
    expect(labelled({ 'x-weir-agent': ['a'] as never }).agent).toBe('')
  })
})
