/** What a wrapped conversation leaves behind: the lines of both sides go in, the events in the spool come out. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WrappedCalls } from '../../../cli/wrap/calls.ts'
import { Recording } from '../../../cli/wrap/recording.ts'
import { parseConfig } from '../../../config/load.ts'
import type { CallEvent } from '../../../event/fields.ts'
import { identify, makeKeyRing } from '../../../proxy/identity/identity.ts'
import { META, MODERN_VERSION } from '../../../proxy/mcp/versions.ts'
import { nowUs } from '../../../proxy/telemetry/clock.ts'
import { compileLabels } from '../../../proxy/telemetry/trace.ts'
import { type Folder, makeFolder } from '../../support/folder.ts'
import { waitFor } from '../../support/wait.ts'
import { eventsIn } from '../support/wrap.ts'

let folder: Folder
let recording: Recording
let calls: WrappedCalls
const trouble: string[] = []

function begin(yaml = ''): void {
  const { config } = parseConfig(yaml, 'weir.yaml', {})
  recording = new Recording(config, folder.path, (reason) => trouble.push(reason))
  calls = new WrappedCalls(
    {
      server: 'srv',
      identity: identify(makeKeyRing({}), undefined, true, 0),
      labels: compileLabels(config.labels),
      incoming: config.trace.incoming,
    },
    recording,
  )
}
beforeEach(() => {
  folder = makeFolder('calls')
  begin()
})
afterEach(() => {
  recording.close()
  expect(trouble).toEqual([])
  folder.remove()
})

const raw = (side: 'fromClient' | 'fromServer', text: string | Buffer): void =>
  calls[side](Buffer.from(text as string), nowUs())
const client = (...messages: object[]): void =>
  raw('fromClient', messages.map((m) => `${JSON.stringify({ jsonrpc: '2.0', ...m })}\n`).join(''))
const server = (...messages: object[]): void =>
  raw('fromServer', messages.map((m) => `${JSON.stringify({ jsonrpc: '2.0', ...m })}\n`).join(''))
const events = (): CallEvent[] => eventsIn(folder.path)
const outcomes = (): string[][] => events().map((e) => [e.request_id, e.outcome, e.owner, e.error_type ?? ''])
const tool = (id: unknown, name = 't', more: object = {}): object => ({
  id,
  method: 'tools/call',
  params: { name, arguments: { a: 'ü' }, ...more },
})
const text = (t: string): object => ({ result: { content: [{ type: 'text', text: t }] } })

test('a legacy session: client, revision, one trace and one run for all; the event is there when the answer may leave', () => {
  client({
    id: 0,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', clientInfo: { name: 'c', version: '7' }, capabilities: {} },
  })
  server({ id: 0, result: { protocolVersion: '2025-06-18', capabilities: {}, serverInfo: { name: 'x' } } })
  client({ method: 'notifications/initialized' }, tool(1, 'echo'))
  expect(events().map((e) => [e.kind, e.method])).toEqual([
    ['request', 'initialize'],
    ['notification', 'notifications/initialized'],
  ])
  server({ id: 1, ...text('four') })
  const [hello, , echo] = events()
  expect(hello).toMatchObject({ protocol_version: '2025-11-25', upstream_protocol_version: '2025-06-18' })
  expect(echo).toMatchObject({
    kind: 'request',
    method: 'tools/call',
    tool: 'echo',
    exposed_name: 'echo',
    server: 'srv',
    transport: 'stdio',
    upstream_transport: 'stdio',
    upstream_endpoint: 'stdio:srv',
    worker: 'wrap',
    caller: 'local',
    client_name: 'c',
    client_version: '7',
    era: 'legacy',
    protocol_version: '2025-06-18',
    outcome: 'ok',
    owner: 'none',
    request_bytes: Buffer.byteLength(JSON.stringify({ jsonrpc: '2.0', ...tool(1, 'echo') })),
    response_bytes: JSON.stringify({ jsonrpc: '2.0', id: 1, ...text('four') }).length,
    arguments_bytes: 10,
    tokens_in: 3,
    tokens_out: 1,
    content_text: 1,
    attempts: 1,
    http_status: 0,
    run_source: 'session',
    trace_source: 'run',
  })
  expect(echo!.arguments_hash).toMatch(/^[0-9a-f]{32}$/)
  expect(echo!.result_hash).toMatch(/^[0-9a-f]{32}$/)
  for (const key of ['trace_id', 'run_id', 'session_id'] as const)
    expect(new Set(events().map((e) => e[key]))).toEqual(new Set([echo!.session_id]))
  expect(new Set(events().map((e) => e.span_id)).size).toBe(3)
})

test('a modern request names its client, revision and trace itself', () => {
  const _meta = {
    [META.version]: MODERN_VERSION,
    [META.clientInfo]: { name: 'm', version: '2' },
    traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
  }
  client({ id: 'x', method: 'resources/read', params: { uri: 'https://u:p@h/x?q=1', _meta } })
  client({ method: 'notifications/cancelled', params: { requestId: 'nobody' } })
  server({ id: 'x', result: { resultType: 'input_required', requestState: 's' } })
  const [cancel, read] = events()
  expect(read).toMatchObject({
    era: 'modern',
    protocol_version: MODERN_VERSION,
    client_name: 'm',
    client_version: '2',
    trace_id: 'a'.repeat(32),
    parent_span_id: 'b'.repeat(16),
    trace_source: 'meta',
    target: 'https://h/x',
    outcome: 'input_required',
  })
  expect(read!.run_id).toBe(read!.session_id)
  expect(cancel).toMatchObject({ era: 'modern', kind: 'notification', trace_source: 'run' })
})

test('answers find their call by id and its JSON type, in any order, wherever the id stands', () => {
  client(tool(1), tool('1'), tool(2), tool('grüße'), tool(3))
  raw('fromClient', '{"jsonrpc":"2.0","method":"ping","id":90071992547409931}\n')
  server({ id: '1', error: { code: -32602, message: 'no' } })
  raw('fromServer', `{"result":{"content":[],"id":1,"x":"${'y'.repeat(40_000)}"},"jsonrpc":"2.0","id":2}\n`)
  raw('fromServer', '{"result":{"id":3},"id":"gr\\u00fc\\u00dfe","jsonrpc":"2.0"}\n')
  raw('fromServer', '{"error":{"code":7,"message":"big"},"jsonrpc":"2.0","id":90071992547409931}\n')
  raw(
    'fromServer',
    '{"jsonrpc":"2.0","id":1.0,"result":{"isError":true,"content":[{"type":"text","text":"bad"}]}}\n',
  )
  expect(outcomes()).toEqual([
    ['1', 'rpc_error', 'client', '-32602'],
    ['2', 'ok', 'none', ''],
    ['grüße', 'ok', 'none', ''],
    ['90071992547409931', 'rpc_error', 'upstream', '7'],
    ['1', 'tool_error', 'upstream', 'tool_error'],
  ])
  calls.serverGone('the server ended')
  expect(outcomes().at(-1)).toEqual(['3', 'upstream_error', 'upstream', 'upstream_closed'])
})

test('each call leaves one event: answered twice, asked twice under one id, never answered', () => {
  client(tool(1), tool(1), tool(2))
  server({ id: 1, ...text('first') })
  expect(events().length).toBe(1)
  server({ id: 1, ...text('second') }, { id: 1, ...text('third') }, { id: 99, ...text('of nobody') })
  expect(events().length).toBe(2)
  calls.serverGone('the server ended with exit code 3 before it answered')
  calls.serverGone('again')
  expect(events().length).toBe(3)
  expect(events()[2]).toMatchObject({
    outcome: 'upstream_error',
    owner: 'upstream',
    error_message: 'the server ended with exit code 3 before it answered',
  })
  expect(events()[2]!.error_fingerprint).toMatch(/^[0-9a-f]{16}$/)
})

describe('a call that its client left', () => {
  const cancel = (requestId: unknown): object => ({
    method: 'notifications/cancelled',
    params: { requestId },
  })
  const of = (id: string): CallEvent | undefined => events().find((e) => e.request_id === id)

  test('is cancelled when the server says no more of it, or an error', async () => {
    client(tool(1), tool(2), tool(3), cancel(1), cancel(2), cancel(3), cancel('1'))
    server({ id: 2, error: { code: -32000, message: 'cancelled' } }, { id: 3, ...text('too late, but done') })
    expect(of('2')).toMatchObject({ outcome: 'cancelled', owner: 'client' })
    expect(of('3')).toMatchObject({ outcome: 'ok' })
    await waitFor('nobody answers', () => of('1'))
    expect(of('1')).toMatchObject({ outcome: 'cancelled', owner: 'client', error_type: 'cancelled' })
    server({ id: 1, ...text('much too late') })
    expect(events().filter((e) => e.kind === 'request').length).toBe(3)
    expect(events().filter((e) => e.kind === 'notification').length).toBe(4)
  })

  test('by closing its end is cancelled; what is answered all the same is not', () => {
    client(tool(1), tool(2))
    calls.clientGone()
    server({ id: 1, ...text('in time') })
    calls.serverGone('the server ended')
    expect(outcomes()).toEqual([
      ['1', 'ok', 'none', ''],
      ['2', 'cancelled', 'client', 'client_gone'],
    ])
  })

  test('a stream that has no end is no failure when its client leaves', () => {
    client({ id: 1, method: 'subscriptions/listen', params: { _meta: { [META.version]: MODERN_VERSION } } })
    calls.clientGone()
    calls.serverGone('the server ended')
    expect(outcomes()).toEqual([['1', 'ok', 'none', '']])
  })
})

test('a batch is as many calls as it has requests', () => {
  raw(
    'fromClient',
    `[${JSON.stringify({ jsonrpc: '2.0', ...tool(1) })}, {"jsonrpc":"2.0","id":2,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/x"}]\n`,
  )
  raw('fromServer', '[{"jsonrpc":"2.0","id":2,"result":{}},\n')
  raw(
    'fromServer',
    '[{"jsonrpc":"2.0","id":2,"result":{}},{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"?"}}]\n',
  )
  expect(outcomes()).toEqual([
    ['', 'ok', 'none', ''],
    ['2', 'ok', 'none', ''],
    ['1', 'rpc_error', 'client', '-32601'],
  ])
})

test('questions of the server and their answers are no calls; what it says meanwhile is counted with the call it belongs to', () => {
  client(tool(1, 'a', { _meta: { progressToken: 'p' } }), tool(2, 'b'))
  server(
    { id: 1, method: 'sampling/createMessage', params: { text: '"result": {}' } },
    { method: 'notifications/progress', params: { progressToken: 'p', progress: 1 } },
    { method: 'notifications/progress', params: { progressToken: 'unknown', progress: 1 } },
    { method: 'notifications/message', params: {} },
  )
  client({ id: 1, result: { role: 'assistant' } })
  expect(events()).toEqual([])
  server({ id: 1, ...text('x') }, { id: 2, ...text('x') })
  expect(events().map((e) => [e.tool, e.stream_messages])).toEqual([
    ['a', 1],
    ['b', 2],
  ])
})

test('lines that are no messages are recorded as such when a client sends them, and passed over when a server does', () => {
  raw('fromClient', 'hello\n\r\n  \n{"jsonrpc":"1.0","id":5,"method":"x"}\n[]\n')
  raw('fromClient', Buffer.from([0x7b, 0xff, 0x7d, 10]))
  raw('fromServer', 'Server is listening\n{"jsonrpc":"2.0","id":\n\u0000\n')
  expect(events().map((e) => [e.kind, e.outcome, e.owner, e.error_type])).toEqual([
    ['unreadable', 'invalid', 'client', 'parse_error'],
    ['unreadable', 'invalid', 'client', 'invalid_request'],
    ['unreadable', 'invalid', 'client', 'invalid_request'],
    ['unreadable', 'invalid', 'client', 'parse_error'],
  ])
})

test('a message in many pieces, cut anywhere, and one without its last newline', () => {
  const bytes = Buffer.from(`${JSON.stringify({ jsonrpc: '2.0', ...tool('grüße😀') })}\n`)
  for (const byte of bytes) raw('fromClient', Buffer.from([byte]))
  const answer = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 'grüße😀', ...text('€'.repeat(9)) }))
  for (const byte of answer) raw('fromServer', Buffer.from([byte]))
  expect(events()).toEqual([])
  calls.serverGone('the server ended')
  expect(events()[0]).toMatchObject({
    outcome: 'ok',
    response_bytes: answer.length,
    request_bytes: bytes.length - 1,
  })
})

test('phases add up, in a call that came in pieces too', async () => {
  const question = `${JSON.stringify({ jsonrpc: '2.0', ...tool(1) })}\n`
  raw('fromClient', question.slice(0, 20))
  await new Promise((resolve) => setTimeout(resolve, 2))
  raw('fromClient', question.slice(20))
  raw('fromServer', '{"jsonrpc":"2.0",')
  await new Promise((resolve) => setTimeout(resolve, 2))
  raw('fromServer', '"id":1,"result":{}}\n')
  const [e] = events()
  expect(e!.receive_us).toBeGreaterThan(1000)
  expect(e!.transfer_us).toBeGreaterThan(1000)
  const sum = e!.receive_us + e!.authorise_us + e!.connect_us + e!.wait_us + e!.transfer_us + e!.answer_us
  expect(Math.abs(sum - e!.duration_us)).toBeLessThanOrEqual(6)
})

test('messages larger than are ever kept are still calls with their tool, size and outcome', () => {
  const part = Buffer.alloc(1_048_576, 'z')
  const flood = (side: 'fromClient' | 'fromServer', head: string, tail: string): void => {
    raw(side, head)
    for (let i = 0; i < 65; i++) raw(side, part)
    raw(side, tail)
  }
  flood(
    'fromClient',
    '{"method":"tools/call","params":{"name":"big","arguments":{"a":"',
    '"}},"jsonrpc":"2.0","id":1}\n',
  )
  client(tool(2))
  flood(
    'fromServer',
    '{"result":{"content":[{"type":"text","text":"',
    '"}],"isError":true},"jsonrpc":"2.0","id":1}\n',
  )
  flood('fromServer', '{"jsonrpc":"2.0","id":2,"result":{"text":"', '"}}\n')
  expect(events().map((e) => [e.tool, e.outcome, e.request_bytes > 65e6, e.response_bytes > 65e6])).toEqual([
    ['big', 'tool_error', true, true],
    ['t', 'ok', false, true],
  ])
})

test('what is kept of arguments, results and error texts follows the capture rules', () => {
  recording.close()
  begin('capture: { arguments: size, keep: [ { tools: "srv_keep*", arguments: true, results: true } ] }')
  client(tool(1, 'keep-me'), tool(2, 'other'))
  server(
    { id: 1, ...text('mail a@b.example') },
    { id: 2, error: { code: 1, message: 'a@b.example: sk-abcdefghijklmnopqrst' } },
  )
  const [kept, other] = events()
  expect(kept).toMatchObject({ captured_arguments: '{"a":"ü"}', arguments_hash: '' })
  expect(kept!.captured_result).toContain('mail [email]')
  expect(other).toMatchObject({
    captured_arguments: '',
    captured_result: '',
    error_message: '[email]: [secret]',
  })
})
