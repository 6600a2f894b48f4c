/** Questions under way: found, bounded, and ended once, whatever comes first and in whichever order it comes. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Call } from '../../proxy/call.ts'
import { Capture } from '../../proxy/capture.ts'
import type { Session } from '../../proxy/identity/session-id.ts'
import { type News, Questions } from '../../proxy/questions.ts'
import { nowUs } from '../../proxy/telemetry/clock.ts'
import type { Upstream } from '../../proxy/upstream/upstream.ts'

const QUESTIONS_MAX = 1000
const upstream = {
  name: 'stub',
  transport: 'http',
  endpoint: 'http://stub.example/mcp',
  config: { timeout_max_ms: 60_000 },
} as unknown as Upstream
const session: Session = {
  handle: 'a'.repeat(32),
  caller: 'local',
  server: 'stub',
  upstream_id: 'u',
  owner: '',
  client_name: 'c',
  client_version: '1',
  protocol_version: '2025-11-25',
  capabilities: '',
}

let recorded: Call[]
let told: News[]
let isElsewhere: boolean

function makeQuestions(hasOthers = false, keep: { results: boolean } = { results: false }): Questions {
  const rule = { tools: '*', callers: '*', arguments: keep.results, results: keep.results }
  const config = { arguments: 'hash', results: 'hash', max_bytes: 1000, keep: keep.results ? [rule] : [] }
  const capture = new Capture(config as never, (text) => text, 'k'.repeat(64))
  return new Questions({
    sawMessage: () => {},
    record: (event) => void recorded.push(event),
    capture: () => capture,
    traceStream(event) {
      event.trace_id = event.session!.handle
      event.span_id = '1'.repeat(16)
    },
    hasOthers: () => hasOthers,
    tellOthers: async (news) => {
      told.push(news)
      return isElsewhere
    },
  })
}

function makeCall(kind: Call['kind'] = 'request'): Call {
  const req = { headers: {} } as IncomingMessage
  const endpoint = { path: '/servers/stub/mcp', server: 'stub' }
  const call = new Call(req, {} as ServerResponse, endpoint, nowUs(), '127.0.0.1', false)
  call.kind = kind
  call.session = session
  call.identity = { caller: 'local' } as Call['identity']
  if (kind === 'request') {
    call.trace_id = 'b'.repeat(32)
    call.client_span_id = '2'.repeat(16)
    call.tool = 'ask'
  }
  return call
}

const ask = (id: number | string): string =>
  JSON.stringify({ jsonrpc: '2.0', id, method: 'elicitation/create', params: { message: 'private' } })

function answer(body: object): Call {
  const call = makeCall('unreadable')
  call.message = body
  call.text = JSON.stringify(body)
  call.body = Buffer.from(call.text)
  return call
}
const ends = (): unknown[] => recorded.map((e) => [e.id, e.outcome, e.owner, e.error_type])

beforeEach(() => {
  recorded = []
  told = []
  isElsewhere = false
})
afterEach(() => void vi.useRealTimers())

test('answered: one event, a child of its call, and none for the same answer again', () => {
  const questions = makeQuestions()
  const call = makeCall()
  questions.heard(call, upstream, ask(1))
  expect(call.questions).toBe(1)
  for (let i = 0; i < 2; i++) questions.answered(answer({ id: 1, result: {} }), 'stub', 1)
  questions.over(call)
  expect(ends()).toEqual([['1', 'ok', 'none', '']])
  expect(recorded[0]).toMatchObject({
    kind: 'server_request',
    method: 'elicitation/create',
    server: 'stub',
    tool: 'ask',
    trace_id: call.trace_id,
    parent_span_id: call.client_span_id,
    request_bytes: Buffer.byteLength(ask(1)),
    response_bytes: Buffer.byteLength('{"id":1,"result":{}}'),
    captured_arguments: '',
    captured_result: '',
  })
  expect(questions.size + call.questions).toBe(0)
})

test('an answer is only for the question of its own session, server and id', () => {
  const questions = makeQuestions()
  questions.heard(makeCall(), upstream, ask(1))
  questions.answered(answer({ id: 2, result: {} }), 'stub', 2)
  questions.answered(answer({ id: '1', result: {} }), 'stub', '1')
  questions.answered(answer({ id: 1, result: {} }), 'other', 1)
  const foreign = answer({ id: 1, result: {} })
  foreign.session = { ...session, handle: 'c'.repeat(32) }
  questions.answered(foreign, 'stub', 1)
  expect(ends()).toEqual([])
  expect(questions.size).toBe(1)
})

describe('without an answer', () => {
  const FATES: [outcome: Call['outcome'], error_type: string, fate: unknown[]][] = [
    ['ok', '', ['cancelled', 'upstream', 'unanswered']],
    ['tool_error', 'tool_error', ['cancelled', 'upstream', 'unanswered']],
    ['timeout', 'upstream_timeout', ['timeout', 'client', 'unanswered']],
    ['cancelled', 'client_gone', ['cancelled', 'client', 'client_gone']],
    ['upstream_error', 'upstream_closed', ['cancelled', 'upstream', 'upstream_closed']],
  ]
  for (const [outcome, error_type, fate] of FATES)
    test(`it ends with its call: ${outcome} ${error_type}`, () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
      const questions = makeQuestions()
      const call = makeCall()
      questions.heard(call, upstream, ask(1))
      call.fail(outcome, 'upstream', error_type, '')
      questions.over(call)
      questions.over(call)
      expect(ends()).toEqual([])
      vi.runAllTimers()
      expect(ends()).toEqual([['1', ...fate]])
    })

  test('the server takes it back', () => {
    const questions = makeQuestions()
    const call = makeCall()
    questions.heard(call, upstream, ask(1))
    const withdraws = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }
    questions.heard(call, upstream, JSON.stringify(withdraws))
    questions.over(call)
    expect(ends()).toEqual([['1', 'cancelled', 'upstream', 'withdrawn']])
  })

  test('on the stream of a session: by its end, or when the longest call would be over', () => {
    const questions = makeQuestions()
    const stream = makeCall('unreadable')
    questions.heard(stream, upstream, ask(1))
    questions.over(stream)
    questions.sweep(nowUs() + 59e6)
    expect(ends()).toEqual([])
    questions.sweep(nowUs() + 61e6)
    questions.heard(stream, upstream, ask(2))
    questions.sessionEnded(session.handle)
    expect(ends()).toEqual([
      ['1', 'timeout', 'client', 'unanswered'],
      ['2', 'cancelled', 'client', 'session_ended'],
    ])
    expect(recorded[0]).toMatchObject({ trace_id: session.handle, parent_span_id: '', tool: '' })
  })

  test('the worker drains: what was given up keeps its reason', () => {
    const questions = makeQuestions()
    const call = makeCall()
    questions.heard(call, upstream, ask(0))
    questions.over(call)
    questions.heard(makeCall(), upstream, ask(1))
    questions.drain()
    expect(ends()).toEqual([
      ['0', 'cancelled', 'upstream', 'unanswered'],
      ['1', 'unavailable', 'weir', 'draining'],
    ])
  })
})

test('of a long id enough is kept to find its question', () => {
  const questions = makeQuestions()
  const id = 'x'.repeat(100_000)
  questions.heard(makeCall(), upstream, ask(id))
  questions.answered(answer({ id, result: {} }), 'stub', id)
  expect(recorded.map((e) => [e.outcome, e.id!.length])).toEqual([['ok', 258]])
})

test('the oldest gives way when there are too many, and says so', () => {
  const questions = makeQuestions()
  const call = makeCall()
  for (let i = 0; i <= QUESTIONS_MAX; i++) questions.heard(call, upstream, ask(i))
  expect(ends()).toEqual([['0', 'unavailable', 'capacity', 'questions_max']])
  expect(questions.size).toBe(QUESTIONS_MAX)
  expect(call.questions).toBe(QUESTIONS_MAX)
})

test('a stream that is resumed says a question again: it stays one', () => {
  const questions = makeQuestions()
  const stream = makeCall('unreadable')
  questions.heard(stream, upstream, ask(1))
  questions.heard(stream, upstream, ask(1))
  expect(questions.size).toBe(1)
})

describe('several workers', () => {
  const news = (code: number | null, at_us: number): News => ({
    what: 'answered',
    scope: session.handle,
    server: 'stub',
    id: '1',
    answer: { code, message: 'private', bytes: 9, result_bytes: 9, hash: 'h', captured: 'c', at_us },
  })
  const sharedUs = (): number => Number(process.hrtime.bigint() / 1000n)

  test('an answer to a question that is elsewhere waits for the word of its worker', async () => {
    isElsewhere = true
    const questions = makeQuestions(true)
    const call = answer({ id: 1, result: {} })
    questions.answered(call, 'stub', 1)
    expect(told).toMatchObject([{ what: 'answered', scope: session.handle, server: 'stub', id: '1' }])
    expect(await call.awaited).toBe(true)
    expect(ends()).toEqual([])
  })

  test('a question that is here, or of a session that one worker owns, is asked of nobody', () => {
    const questions = makeQuestions(true)
    questions.heard(makeCall(), upstream, ask(1))
    questions.answered(answer({ id: 1, result: {} }), 'stub', 1)
    const owned = answer({ id: 2, result: {} })
    owned.session = { ...session, owner: 'w1' }
    questions.answered(owned, 'stub', 2)
    expect(told).toEqual([])
    expect(owned.awaited).toBeNull()
  })

  test('the word may come after the result: what was answered in time is answered', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const questions = makeQuestions(true)
    const call = makeCall()
    questions.heard(call, upstream, ask(1))
    const at_us = sharedUs()
    questions.over(call)
    expect(ends()).toEqual([])
    expect(questions.tell(news(null, at_us))).toBe(true)
    vi.runAllTimers()
    expect(ends()).toEqual([['1', 'ok', 'none', '']])
    expect(recorded[0]!.response_bytes).toBe(9)
  })

  test('no word comes: it ended when its call did, and a later word finds nothing', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const questions = makeQuestions(true)
    const call = makeCall()
    questions.heard(call, upstream, ask(1))
    questions.over(call)
    const over_us = nowUs()
    vi.runAllTimers()
    expect(ends()).toEqual([['1', 'cancelled', 'upstream', 'unanswered']])
    expect(recorded[0]!.ended_us).toBeLessThanOrEqual(over_us)
    expect(questions.tell(news(null, sharedUs()))).toBe(false)
  })

  test("a client's error text is kept only where results are", () => {
    for (const results of [false, true]) {
      const questions = makeQuestions(true, { results })
      questions.heard(makeCall(), upstream, ask(1))
      questions.tell(news(-1, sharedUs()))
    }
    expect(recorded.map((e) => [e.outcome, e.owner, e.error_code, e.error_message])).toEqual([
      ['rpc_error', 'client', -1, ''],
      ['rpc_error', 'client', -1, 'private'],
    ])
    expect(recorded.map((e) => [e.captured_arguments, e.captured_result])).toEqual([
      ['', ''],
      ['{"message":"private"}', 'c'],
    ])
  })
})
