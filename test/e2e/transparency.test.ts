/**
 * Promise 4, byte by byte: what a client gets through `/servers/<name>/mcp` is what the server sent, and what the server
 * gets is what the client sent, but for the trace context. Both ways on raw sockets, each case direct and through Weir.
 */
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Observed, startObserved } from './support/observed.ts'
import {
  chunked,
  exchange,
  headerOf,
  post,
  type RawAnswer,
  type RawServer,
  type Recorded,
  sized,
  startRawServer,
} from './support/raw.ts'

const JSON_TYPE = 'application/json'
const SSE = 'text/event-stream'
const result = (inner: string): string => `{"jsonrpc":"2.0","id":1,"result":${inner}}`
const OK = result('{"content":[{"type":"text","text":"ok"}]}')
const text = (n: number): string => 'abcdefghij'.repeat(n / 10)
const bytewise = (body: string | Buffer): Buffer[] => [...Buffer.from(body)].map((b) => Buffer.of(b))

type AnswerCase = { answer: Recorded; outcome: string; owner?: string; error_type?: string }

/** Answers of a server, and what Weir must say became of the call. */
const ANSWERS: Record<string, AnswerCase> = {
  'plain JSON': { answer: sized('200 OK', JSON_TYPE, OK), outcome: 'ok' },
  'a type with a charset': { answer: sized('200 OK', 'Application/JSON; charset=utf-8', OK), outcome: 'ok' },
  'odd whitespace': {
    answer: sized('200 OK', JSON_TYPE, `\n\t{ "jsonrpc" :"2.0",\r\n "id":  1,"result" : { } } \n`),
    outcome: 'ok',
  },
  'unknown fields': {
    answer: sized(
      '200 OK',
      JSON_TYPE,
      '{"x":[1,{"y":null}],"jsonrpc":"2.0","id":1,"result":{"future":true,"_meta":{"a/b":1}}}',
    ),
    outcome: 'ok',
  },
  'big integers': {
    answer: sized('200 OK', JSON_TYPE, result('{"n":12345678901234567890123,"f":1.0,"e":1E+3,"z":-0}')),
    outcome: 'ok',
  },
  'duplicate keys': {
    answer: sized('200 OK', JSON_TYPE, '{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2},"result":{"a":3}}'),
    outcome: 'ok',
  },
  'unicode escapes': {
    answer: sized('200 OK', JSON_TYPE, result('{"a":"\\u00e9\\ud83d\\ude00\\ud800 é😀\u2028\u2029\\/"}')),
    outcome: 'ok',
  },
  'chunked JSON': {
    answer: chunked('200 OK', JSON_TYPE, [OK.slice(0, 7), OK.slice(7, 30), OK.slice(30)]),
    outcome: 'ok',
  },
  'byte by byte, characters cut': {
    answer: chunked('200 OK', JSON_TYPE, bytewise(result('{"a":"é😀"}'))),
    outcome: 'ok',
  },
  'ended by closing': {
    answer: {
      pieces: [`HTTP/1.1 200 OK\r\nContent-Type: ${JSON_TYPE}\r\nConnection: close\r\n\r\n`, OK],
      isClosing: true,
    },
    outcome: 'ok',
  },
  'after an early hint': {
    answer: {
      pieces: ['HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n', ...sized('200 OK', JSON_TYPE, OK).pieces],
    },
    outcome: 'ok',
  },
  'many headers': {
    answer: sized(
      '200 OK',
      JSON_TYPE,
      OK,
      Array.from({ length: 60 }, (_, i) => `X-Many-${i}: value ${i}`),
    ),
    outcome: 'ok',
  },
  'a header several times': {
    answer: sized('200 OK', JSON_TYPE, OK, [
      'Set-Cookie: a=1',
      'Set-Cookie: b=2',
      'X-Twice: 1',
      'X-Twice: 2',
    ]),
    outcome: 'ok',
  },
  'a large body': {
    answer: sized('200 OK', JSON_TYPE, result(`{"content":[{"type":"text","text":"${text(3_000_000)}"}]}`)),
    outcome: 'ok',
  },
  'a large body in chunks': {
    answer: chunked('200 OK', JSON_TYPE, [...result(`{"t":"${text(700_000)}"}`).match(/.{1,65536}/g)!]),
    outcome: 'ok',
  },
  'a large tool error': {
    answer: sized(
      '200 OK',
      JSON_TYPE,
      result(`{"content":[{"type":"text","text":"${text(500_000)}"}],"isError":true}`),
    ),
    outcome: 'tool_error',
    owner: 'upstream',
  },
  'a compressed body': {
    answer: sized('200 OK', JSON_TYPE, gzipSync(OK), ['Content-Encoding: gzip']),
    outcome: 'ok',
  },
  'a tool error': {
    answer: sized(
      '200 OK',
      JSON_TYPE,
      result('{"content":[{"type":"text","text":"no such row"}],"isError":true}'),
    ),
    outcome: 'tool_error',
    owner: 'upstream',
    error_type: 'tool_error',
  },
  'input required': {
    answer: sized('200 OK', JSON_TYPE, result('{"resultType":"input_required","requestState":"s"}')),
    outcome: 'input_required',
    owner: 'none',
  },
  "an error that is the caller's": {
    answer: sized('200 OK', JSON_TYPE, '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"bad"}}'),
    outcome: 'rpc_error',
    owner: 'client',
    error_type: '-32602',
  },
  "an error that is the server's": {
    answer: sized('200 OK', JSON_TYPE, '{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"oops"}}'),
    outcome: 'rpc_error',
    owner: 'upstream',
    error_type: '-32603',
  },
  'an error with status 400': {
    answer: sized(
      '400 Bad Request',
      JSON_TYPE,
      '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"bad"}}',
    ),
    outcome: 'rpc_error',
    owner: 'client',
    error_type: '-32602',
  },
  'an unknown method': {
    answer: sized(
      '404 Not Found',
      JSON_TYPE,
      '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}',
    ),
    outcome: 'rpc_error',
    owner: 'client',
    error_type: '-32601',
  },
  'an HTML error': {
    answer: sized('502 Bad Gateway', 'text/html', '<html>bad gateway</html>'),
    outcome: 'upstream_error',
    owner: 'upstream',
    error_type: '502',
  },
  'a large HTML error': {
    answer: sized('500 Internal Server Error', 'text/html', `<html>${text(400_000)}</html>`),
    outcome: 'upstream_error',
    owner: 'upstream',
    error_type: '500',
  },
  'an HTML success': {
    answer: sized('200 OK', 'text/html', '<html>welcome</html>'),
    outcome: 'upstream_error',
    owner: 'upstream',
    error_type: 'upstream_protocol',
  },
  'a large HTML success': {
    answer: sized('200 OK', 'text/html', `<html>${text(400_000)}</html>`),
    outcome: 'upstream_error',
    owner: 'upstream',
    error_type: 'upstream_protocol',
  },
  'not JSON': {
    answer: sized('200 OK', JSON_TYPE, '{"jsonrpc":"2.0","id":1,"result":'),
    outcome: 'upstream_error',
    owner: 'upstream',
    error_type: 'upstream_protocol',
  },
  'JSON that is no answer': {
    answer: sized('200 OK', JSON_TYPE, '[]'),
    outcome: 'upstream_error',
    owner: 'upstream',
    error_type: 'upstream_protocol',
  },
  'too many requests': {
    answer: sized('429 Too Many Requests', 'text/plain', 'later', ['Retry-After: 7']),
    outcome: 'upstream_error',
    owner: 'capacity',
    error_type: '429',
  },
  '202 without a body': {
    answer: { pieces: ['HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n'] },
    outcome: 'upstream_error',
    owner: 'upstream',
    error_type: 'upstream_protocol',
  },
  '204': {
    answer: { pieces: ['HTTP/1.1 204 No Content\r\n\r\n'] },
    outcome: 'upstream_error',
    owner: 'upstream',
    error_type: 'upstream_protocol',
  },
  'an empty body': {
    answer: sized('200 OK', JSON_TYPE, ''),
    outcome: 'upstream_error',
    owner: 'upstream',
    error_type: 'upstream_protocol',
  },
  'a stream with LF': { answer: chunked('200 OK', SSE, [`event: message\ndata: ${OK}\n\n`]), outcome: 'ok' },
  'a stream with CRLF': {
    answer: chunked('200 OK', SSE, [
      `: hello\r\n\r\nid: 1\r\ndata:\r\n\r\nretry: 500\r\n\r\nevent: message\r\ndata: ${OK}\r\n\r\n`,
    ]),
    outcome: 'ok',
  },
  'a stream with CR': { answer: chunked('200 OK', SSE, [`: hello\r\rdata: ${OK}\r\r`]), outcome: 'ok' },
  'a stream byte by byte': {
    answer: chunked('200 OK', SSE, bytewise(`id: 7\r\ndata:\r\n\r\ndata: ${result('{"a":"é😀"}')}\r\n\r\n`)),
    outcome: 'ok',
  },
  'messages before the answer': {
    answer: chunked('200 OK', 'text/event-stream; charset=utf-8', [
      'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":"t"}}\n\n',
      'data: {"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"result":1}}\n\n',
      `data: ${OK}\n\n`,
    ]),
    outcome: 'ok',
  },
  'data on several lines': {
    answer: chunked('200 OK', SSE, [
      'data: {"jsonrpc":"2.0","id":1,\ndata: "result":\u2028\ndata:{"a":1}}\n\n'.replace('\u2028', ''),
    ]),
    outcome: 'ok',
  },
  'frames after the answer': {
    answer: chunked('200 OK', SSE, [
      `data: ${OK}\n\n`,
      ': bye\n\n',
      'data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n',
    ]),
    outcome: 'ok',
  },
  'no blank line at the end': { answer: chunked('200 OK', SSE, [`data: ${OK}`]), outcome: 'ok' },
  'a large answer in a stream': {
    answer: chunked('200 OK', SSE, [
      `event: message\ndata: ${result(`{"structuredContent":{"method":"x"},"content":[{"type":"text","text":"${text(900_000)}"}]}`)}\n\n`,
    ]),
    outcome: 'ok',
  },
  'a large error in a stream': {
    answer: chunked('200 OK', SSE, [
      `event: message\ndata: {"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"${text(400_000)}"}}\n\n`,
    ]),
    outcome: 'rpc_error',
    owner: 'upstream',
  },
  'a large message before the answer': {
    answer: chunked('200 OK', SSE, [
      `data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"${text(400_000)}"}}\n\n`,
      `data: ${OK}\n\n`,
    ]),
    outcome: 'ok',
  },
  'a stream without an answer': {
    answer: chunked('200 OK', SSE, [': only this\n\n']),
    outcome: 'upstream_error',
    owner: 'upstream',
    error_type: 'upstream_closed',
  },
  'a tool error in a stream': {
    answer: chunked('200 OK', SSE, [`data: ${result('{"isError":true,"content":[]}')}\n\n`]),
    outcome: 'tool_error',
    owner: 'upstream',
  },
}

/** Headers that belong to one hop, or that a hop may write by itself. */
const HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'date', 'content-length'])
const shown = (answer: RawAnswer): unknown => ({
  status: answer.status,
  headers: answer.headers.filter(([name]) => !HOP.has(name)).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
  isComplete: answer.isComplete,
})

const call = (inner = '{"name":"t","arguments":{}}'): string =>
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${inner}}`

/** Bodies of a client that must arrive as they are. */
const REQUESTS: Record<string, string> = {
  plain: call(),
  'no params': '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
  'empty params': '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}',
  'params first': '{"params":{"name":"t"},"method":"tools/call","id":1,"jsonrpc":"2.0"}',
  'odd whitespace':
    ' {\r\n\t"jsonrpc" : "2.0" ,"id":1 , "method":\n"tools/call", "params" :\t{ "name" : "t" }\n}\n',
  'unknown fields':
    '{"x":{"params":{}},"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","params":{"a":1}},"y":[]}',
  'big integers':
    '{"jsonrpc":"2.0","id":12345678901234567890,"method":"tools/call","params":{"name":"t","arguments":{"n":9007199254740993,"f":1.0,"e":1e400}}}',
  'duplicate keys':
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"},"params":{"name":"b","name":"c"}}',
  'escaped keys':
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","\\u0070arams":{"name":"t","\\u005fmeta":{"a/b":1}}}',
  'unicode escapes': call('{"name":"t","arguments":{"a":"\\u00e9\\ud83d\\ude00\\ud800 é😀\u2028\\/"}}'),
  'a string id': '{"jsonrpc":"2.0","id":"a\\"b\\\\c\\u00e9","method":"tools/call","params":{"name":"t"}}',
  'an empty _meta': call('{"name":"t","_meta":{}}'),
  'a full _meta': call('{"_meta":{"progressToken":"p","x/y":{"z":[1,2]}},"name":"t"}'),
  '_meta that is null': call('{"name":"t","_meta":null}'),
  '_meta that is a text': call('{"name":"t","_meta":"x"}'),
  'params that are a list': '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[1,2]}',
  'braces in texts': call('{"name":"t","arguments":{"a":"}{\\"_meta\\":{","b":"\\\\"}}'),
  'a large body': call(`{"name":"t","arguments":{"a":"${text(1_000_000)}"}}`),
  'a notification':
    '{ "jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}',
  'an answer': '{ "jsonrpc":"2.0","id":"s1","result":{"roots":[]}}',
}

/** What was sent, of what arrived. */
const withoutContext = (body: string): string =>
  body
    .replace(
      /"params":\{"_meta":\{"traceparent":"00-[0-9a-f]{32}-[0-9a-f]{16}-01"\}\},(?="jsonrpc":"2.0","id":1,"method":"tools\/list")/,
      '',
    )
    .replace(/(?<!"name":"t",)"_meta":\{"traceparent":"00-[0-9a-f]{32}-[0-9a-f]{16}-01"\},?/, '')
    .replace(/"traceparent":"00-[0-9a-f]{32}-[0-9a-f]{16}-01",?/, '')

describe('bytes through a server endpoint', () => {
  let server: RawServer
  let weir: Observed
  const PATH = '/servers/raw/mcp'

  beforeAll(async () => {
    server = await startRawServer((name) => ANSWERS[name]?.answer ?? sized('200 OK', JSON_TYPE, OK))
    weir = await startObserved({
      servers: {
        raw: {
          url: `http://127.0.0.1:${server.port}/up?x=1`,
          headers: { 'X-Own': 'weir' },
          credentials: { bearer: 'upstream-secret' },
        },
      },
      labels: { case: { header: 'x-case' } },
    })
  })
  afterAll(async () => {
    await weir?.stop()
    await server?.close()
  })

  describe('answers arrive as the server sent them', () => {
    const got = new Map<string, RawAnswer>()
    for (const name of Object.keys(ANSWERS))
      test(name, async () => {
        const body = call()
        const headers = [`X-Case: ${name}`]
        const direct = await exchange(server.port, [post('/up', server.port, body, headers)])
        const through = await exchange(weir.port, [post(PATH, weir.port, body, headers)])
        expect(shown(through)).toEqual(shown(direct))
        expect(
          through.body.equals(direct.body),
          `${through.body.subarray(0, 300)} is not ${direct.body.subarray(0, 300)}`,
        ).toBe(true)

        got.set(name, direct)
      })

    test('and each left one event that tells what became of it', async () => {
      const rows = await weir.events("labels['case'] != '' AND kind = 'request'", got.size)
      expect(rows.length).toBe(got.size)
      for (const [name, direct] of got) {
        const { outcome, owner, error_type } = ANSWERS[name]!
        const event = rows.find((r) => (r.labels as Record<string, string>).case === name)
        // What comes after the answer is not counted: the event was written with it.
        const response_bytes =
          name === 'frames after the answer' ? `data: ${OK}\n\n`.length : direct.body.length
        expect(event, name).toMatchObject({
          kind: 'request',
          method: 'tools/call',
          outcome,
          server: 'raw',
          tool: 't',
          http_status: direct.status,
          response_bytes,
          ...(owner ? { owner } : {}),
          ...(error_type ? { error_type } : {}),
        })
        const phases = [
          'receive_us',
          'authorise_us',
          'queue_us',
          'connect_us',
          'wait_us',
          'transfer_us',
          'answer_us',
        ].map((p) => Number(event![p]))
        // Each phase is rounded by itself.
        expect(Math.abs(phases.reduce((a, b) => a + b, 0) - event!.duration_us), name).toBeLessThanOrEqual(
          phases.length,
        )
      }
    })
  })

  describe('requests arrive as the client sent them', () => {
    for (const [name, body] of Object.entries(REQUESTS))
      test(name, async () => {
        await exchange(weir.port, [post(PATH, weir.port, body, [`X-Case: ask ${name}`])])
        const [seen] = server.seen.get(`ask ${name}`)!
        const arrived = seen!.body.toString()
        expect(withoutContext(arrived)).toBe(body)
        JSON.parse(arrived)
      })

    test('in chunks', async () => {
      const body = Buffer.from(call())
      const head = `POST ${PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nX-Case: ask chunked\r\n\r\n`
      const pieces = [...body].map((b) =>
        Buffer.concat([Buffer.from('1\r\n'), Buffer.of(b), Buffer.from('\r\n')]),
      )
      const answer = await exchange(weir.port, [head, ...pieces, '0\r\n\r\n'])
      expect(answer.status).toBe(200)
      expect(withoutContext(server.seen.get('ask chunked')![0]!.body.toString())).toBe(body.toString())
    })

    test('headers travel on, but for those of the hop and the secrets of the caller', async () => {
      const headers = [
        'X-Case: ask headers',
        'X-Twice: 1',
        'X-Twice: 2',
        'Mcp-Param-Region: =?base64?w6k=?=',
        'MCP-Protocol-Version: 2025-06-18',
        'Last-Event-ID: 9',
        'Baggage: agent=a',
        'User-Agent: me/1',
      ]
      const dropped = [
        'Authorization: Bearer mine',
        'Cookie: c=1',
        'Connection: x-hop',
        'Keep-Alive: 1',
        'TE: trailers',
        'Origin: http://localhost',
        'X-Forwarded-For: 1.2.3.4',
        'Weir-Principal: root',
        'Proxy-Authorization: x',
        'X-Own: client',
      ]
      await exchange(weir.port, [post(PATH, weir.port, call(), [...headers, ...dropped])])
      const [seen] = server.seen.get('ask headers')!
      const got = seen!.headers
      expect(seen!.line).toBe('POST /up?x=1 HTTP/1.1')
      for (const header of headers) {
        const [name, value] = header.split(/: (.*)/s) as [string, string]
        expect(got.filter(([n]) => n === name.toLowerCase()).map(([, v]) => v)).toContain(value)
      }
      expect(headerOf(got, 'authorization')).toBe('Bearer upstream-secret')
      expect(got.filter(([n]) => n === 'x-own')).toEqual([['x-own', 'weir']])
      for (const name of [
        'cookie',
        'keep-alive',
        'te',
        'origin',
        'x-forwarded-for',
        'weir-principal',
        'proxy-authorization',
      ])
        expect(headerOf(got, name)).toBeUndefined()
      const known = new Set([
        'host',
        'connection',
        'content-length',
        'content-type',
        'accept',
        'accept-encoding',
        'traceparent',
        'authorization',
        'x-own',
        ...headers.map((h) => h.split(':')[0]!.toLowerCase()),
      ])
      expect(got.map(([n]) => n).filter((n) => !known.has(n))).toEqual([])
    })
  })
})
