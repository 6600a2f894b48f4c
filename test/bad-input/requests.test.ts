/**
 * Malformed requests, as bytes on a socket: each answered as the table says, the processes alive after each, and an event
 * where a call was made. Whoever sends such a thing learns what was wrong; nobody else notices.
 */
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Observed, startObserved } from '../e2e/support/observed.ts'
import { exchange, type RawAnswer, type RawServer, sized, startRawServer } from '../e2e/support/raw.ts'
import { initialize, send } from '../support/client.ts'
import { isAlive } from '../support/processes.ts'
import { waitFor } from '../support/wait.ts'

const PATH = '/servers/raw/mcp'
const OK_BODY = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'

type Event = [outcome: string, owner: string, error_type: string] | null
type Case = {
  bytes: string | Buffer | readonly (string | Buffer)[]
  /** 0: no answer can be expected. */
  status: number
  /** JSON-RPC code; absent: the answer is no JSON-RPC. */
  code?: number
  /** `data.weir` of a JSON-RPC error, or `error.code` of a plain one. */
  reason?: string
  event: Event
  /** Closes our side after the bytes. */
  isLeaving?: boolean
}

const head = (method: string, path: string, headers: readonly string[]): string =>
  `${method} ${path} HTTP/1.1\r\n${headers.map((h) => `${h}\r\n`).join('')}\r\n`
const HOST = 'Host: localhost'
const TYPE = 'Content-Type: application/json'
const ACCEPT = 'Accept: application/json, text/event-stream'
/** A POST; `headers` stand in for all but the length. */
const post = (
  body: string | Buffer,
  headers: readonly string[] = [HOST, TYPE, ACCEPT],
  path = PATH,
): Buffer =>
  Buffer.concat([
    Buffer.from(head('POST', path, [...headers, `Content-Length: ${Buffer.byteLength(body)}`])),
    Buffer.from(body),
  ])
const withHeaders = (...more: string[]): Buffer => post(OK_BODY, [HOST, TYPE, ACCEPT, ...more])
const request = (more: string): string => `{"jsonrpc":"2.0","id":1,"method":"tools/call",${more}}`

const invalid = (error_type: string): Event => ['invalid', 'client', error_type]
const denied = (error_type: string): Event => ['denied', 'client', error_type]
const gone: Event = ['cancelled', 'client', 'client_gone']
const fine: Event = ['ok', 'none', '']
const bad = (bytes: Buffer, code: number, reason: string, status = 400): Case => ({
  bytes,
  status,
  code,
  reason,
  event: invalid(reason),
})
/** Refused by the HTTP parser, before there is a request to speak of. */
const unparsed = (bytes: Case['bytes'], status = 400): Case => ({ bytes, status, event: null })

const CASES: Record<string, Case> = {
  // methods and paths
  PUT: {
    bytes: head('PUT', PATH, [HOST, 'Content-Length: 0']),
    status: 405,
    reason: 'method_not_allowed',
    event: null,
  },
  PATCH: {
    bytes: head('PATCH', PATH, [HOST, 'Content-Length: 0']),
    status: 405,
    reason: 'method_not_allowed',
    event: null,
  },
  OPTIONS: { bytes: head('OPTIONS', '/mcp', [HOST]), status: 405, reason: 'method_not_allowed', event: null },
  TRACE: { bytes: head('TRACE', '/mcp', [HOST]), status: 405, reason: 'method_not_allowed', event: null },
  'a method that does not exist': unparsed(head('FETCH', PATH, [HOST])),
  CONNECT: { bytes: head('CONNECT', 'localhost:80', [HOST]), status: 0, event: null },
  'a path with nothing': {
    bytes: post(OK_BODY, [HOST, TYPE], '/nowhere'),
    status: 404,
    reason: 'path_unknown',
    event: null,
  },
  'an unknown server': {
    bytes: post(OK_BODY, [HOST, TYPE], '/servers/none/mcp'),
    status: 404,
    reason: 'path_unknown',
    event: null,
  },
  'a slash at the end': {
    bytes: post(OK_BODY, [HOST, TYPE], `${PATH}/`),
    status: 404,
    reason: 'path_unknown',
    event: null,
  },
  'dots in the path': {
    bytes: post(OK_BODY, [HOST, TYPE], '/servers/../mcp'),
    status: 404,
    reason: 'path_unknown',
    event: null,
  },
  'the name of a prototype': {
    bytes: post(OK_BODY, [HOST, TYPE], '/__proto__'),
    status: 404,
    reason: 'path_unknown',
    event: null,
  },
  'a whole URL as path': {
    bytes: post(OK_BODY, [HOST, TYPE], 'http://localhost/mcp'),
    status: 404,
    reason: 'path_unknown',
    event: null,
  },
  'an odd query': bad(post(OK_BODY, [HOST, TYPE, ACCEPT], '/mcp?%zz=%'), -32000, 'session_required'),
  // GET and DELETE
  'GET without Accept': {
    bytes: head('GET', PATH, [HOST]),
    status: 406,
    code: -32600,
    reason: 'not_acceptable',
    event: null,
  },
  'GET of JSON': {
    bytes: head('GET', PATH, [HOST, 'Accept: application/json']),
    status: 406,
    code: -32600,
    reason: 'not_acceptable',
    event: null,
  },
  'GET at the roof without a session': {
    bytes: head('GET', '/mcp', [HOST, 'Accept: text/event-stream']),
    status: 405,
    reason: 'method_not_allowed',
    event: null,
  },
  'DELETE at the roof without a session': {
    bytes: head('DELETE', '/mcp', [HOST]),
    status: 400,
    code: -32000,
    reason: 'session_required',
    event: null,
  },
  'DELETE of a strange session': {
    bytes: head('DELETE', '/mcp', [HOST, 'Mcp-Session-Id: x']),
    status: 404,
    code: -32001,
    reason: 'session_unknown',
    event: null,
  },
  // content
  'text as content': bad(post(OK_BODY, [HOST, 'Content-Type: text/plain']), -32600, 'content_type', 415),
  'another character set': bad(
    post(OK_BODY, [HOST, 'Content-Type: application/json; charset=gbk']),
    -32600,
    'content_type',
    415,
  ),
  'two character sets': bad(
    post(OK_BODY, [HOST, 'Content-Type: application/json;charset="utf-8";Charset = utf-16le']),
    -32600,
    'content_type',
    415,
  ),
  'no content type': bad(post(OK_BODY, [HOST]), -32600, 'content_type', 415),
  'a type that begins like JSON': bad(
    post(OK_BODY, [HOST, 'Content-Type: application/json-seq']),
    -32600,
    'content_type',
    415,
  ),
  'a compressed body': bad(withHeaders('Content-Encoding: gzip'), -32600, 'content_type', 415),
  'an empty body': bad(post(''), -32700, 'parse_error'),
  'not JSON': bad(post('hello'), -32700, 'parse_error'),
  'half a JSON': bad(post('{"jsonrpc":"2.0","id":1,'), -32700, 'parse_error'),
  'JSON with a comment': bad(post(`${OK_BODY} // x`), -32700, 'parse_error'),
  'two messages': bad(post(`${OK_BODY}${OK_BODY}`), -32700, 'parse_error'),
  'not UTF-8': bad(post(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d])), -32700, 'parse_error'),
  'UTF-16': bad(post(Buffer.from(OK_BODY, 'utf16le')), -32700, 'parse_error'),
  'a byte order mark': bad(post(`\ufeff${OK_BODY}`), -32700, 'parse_error'),
  'zero bytes': bad(post(Buffer.alloc(64)), -32700, 'parse_error'),
  'endless brackets': bad(post('['.repeat(50_000)), -32700, 'parse_error'),
  'arguments of great depth': bad(
    post(request(`"params":{"name":"t","arguments":${'{"0":'.repeat(100_000)}1${'}'.repeat(100_000)}}`)),
    -32602,
    'params_invalid',
  ),
  'more than may be sent, announced': bad(
    Buffer.from(head('POST', PATH, [HOST, TYPE, 'Content-Length: 99999999'])),
    10413,
    'payload_too_large',
    413,
  ),
  'more than may be sent, in chunks': {
    bytes: [
      head('POST', PATH, [HOST, TYPE, 'Transfer-Encoding: chunked']),
      ...Array.from({ length: 20 }, () => `${(65_536).toString(16)}\r\n${'x'.repeat(65_536)}\r\n`),
    ],
    status: 413,
    code: 10413,
    reason: 'payload_too_large',
    event: invalid('payload_too_large'),
  },
  // JSON-RPC
  'a batch of one': { bytes: post(`[${OK_BODY}]`), status: 200, event: fine },
  'an empty batch': bad(post('[]'), -32600, 'batch_empty'),
  'an empty batch with space around': bad(post(' [ \r\n\t]\n'), -32600, 'batch_empty'),
  'half a batch': bad(post(`[${OK_BODY},`), -32700, 'parse_error'),
  'a batch that is not UTF-8': bad(post(Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d])), -32700, 'parse_error'),
  'a batch of numbers': bad(post('[1,2]'), -32600, 'batch_element'),
  'a batch in a batch': bad(post(`[[${OK_BODY}]]`), -32600, 'batch_element'),
  'a batch with one broken message': bad(post(`[${OK_BODY},{"id":2}]`), -32600, 'batch_element'),
  'a batch with initialize': bad(
    post(`[${OK_BODY},{"jsonrpc":"2.0","id":2,"method":"initialize","params":{}}]`),
    -32600,
    'batch_initialize',
  ),
  'a batch of a later revision': bad(
    post(`[${OK_BODY}]`, [HOST, TYPE, ACCEPT, 'MCP-Protocol-Version: 2025-06-18']),
    -32600,
    'batch_unsupported',
  ),
  'a batch with a modern header': bad(
    post(`[${OK_BODY}]`, [HOST, TYPE, ACCEPT, 'MCP-Protocol-Version: 2026-07-28']),
    -32600,
    'batch_unsupported',
  ),
  'a batch with a modern envelope': bad(
    post(
      `[{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}]`,
    ),
    -32600,
    'batch_unsupported',
  ),
  'a batch of too many': bad(post(`[${Array(101).fill(OK_BODY).join(',')}]`), 10413, 'batch_too_large', 413),
  'a batch of a strange session': bad(
    post(`[${OK_BODY}]`, [HOST, TYPE, ACCEPT, 'Mcp-Session-Id: x']),
    -32001,
    'session_unknown',
    404,
  ),
  null: bad(post('null'), -32600, 'invalid_request'),
  'a text': bad(post('"tools/list"'), -32600, 'invalid_request'),
  'a number': bad(post('1'), -32600, 'invalid_request'),
  'an empty object': bad(post('{}'), -32600, 'invalid_request'),
  'a null id': bad(post('{"jsonrpc":"2.0","id":null,"method":"x"}'), -32600, 'invalid_request'),
  'a fraction as id': bad(post('{"jsonrpc":"2.0","id":1.5,"method":"x"}'), -32600, 'invalid_request'),
  'an endless id': bad(post('{"jsonrpc":"2.0","id":1e999,"method":"x"}'), -32600, 'invalid_request'),
  'an object as id': bad(post('{"jsonrpc":"2.0","id":{},"method":"x"}'), -32600, 'invalid_request'),
  'a list as id': bad(post('{"jsonrpc":"2.0","id":[1],"method":"x"}'), -32600, 'invalid_request'),
  'true as id': bad(post('{"jsonrpc":"2.0","id":true,"method":"x"}'), -32600, 'invalid_request'),
  'no jsonrpc': bad(post('{"id":1,"method":"x"}'), -32600, 'invalid_request'),
  'JSON-RPC 1.0': bad(post('{"jsonrpc":"1.0","id":1,"method":"x"}'), -32600, 'invalid_request'),
  'jsonrpc as a number': bad(post('{"jsonrpc":2.0,"id":1,"method":"x"}'), -32600, 'invalid_request'),
  'no method': bad(post('{"jsonrpc":"2.0","id":1}'), -32600, 'invalid_request'),
  'a number as method': bad(post('{"jsonrpc":"2.0","id":1,"method":7}'), -32600, 'invalid_request'),
  'null as method': bad(post('{"jsonrpc":"2.0","id":1,"method":null}'), -32600, 'invalid_request'),
  'a result without an id': bad(post('{"jsonrpc":"2.0","result":{}}'), -32600, 'invalid_request'),
  'params as a text': bad(post(request('"params":"x"')), -32602, 'params_invalid'),
  'params as a number': bad(post(request('"params":7')), -32602, 'params_invalid'),
  'null as params': bad(post(request('"params":null')), -32602, 'params_invalid'),
  'a modern header without its envelope': {
    bytes: post(OK_BODY, [HOST, TYPE, ACCEPT, 'MCP-Protocol-Version: 2026-07-28'], '/mcp'),
    status: 400,
    code: -32602,
    event: ['invalid', 'client', '-32602'],
  },
  // hosts, origins, sessions
  'another Host': {
    bytes: post(OK_BODY, ['Host: evil.example.com', TYPE]),
    status: 403,
    reason: 'host_refused',
    event: denied('host_refused'),
  },
  'a Host that begins like loopback': {
    bytes: post(OK_BODY, ['Host: 127.evil.example.com', TYPE]),
    status: 403,
    reason: 'host_refused',
    event: denied('host_refused'),
  },
  'an empty Host': {
    bytes: post(OK_BODY, ['Host:', TYPE]),
    status: 403,
    reason: 'host_refused',
    event: denied('host_refused'),
  },
  'no Host': unparsed(post(OK_BODY, [TYPE])),
  'another Origin': {
    bytes: withHeaders('Origin: http://evil.example.com'),
    status: 403,
    reason: 'origin_refused',
    event: denied('origin_refused'),
  },
  'an Origin that begins like loopback': {
    bytes: withHeaders('Origin: http://127.evil.example.com'),
    status: 403,
    reason: 'origin_refused',
    event: denied('origin_refused'),
  },
  'the Origin null': {
    bytes: withHeaders('Origin: null'),
    status: 403,
    reason: 'origin_refused',
    event: denied('origin_refused'),
  },
  'an Origin on another Host of a stream': {
    bytes: head('GET', '/mcp', [HOST, 'Origin: https://evil.example.com', 'Accept: text/event-stream']),
    status: 403,
    reason: 'origin_refused',
    event: null,
  },
  'a strange session': bad(withHeaders('Mcp-Session-Id: x'), -32001, 'session_unknown', 404),
  'a forged session': bad(
    withHeaders(
      `Mcp-Session-Id: weir1.${Buffer.from('["a","local","raw","u","","","","",""]').toString('base64url')}.AAAAAAAAAAAAAAAAAAAAAA`,
    ),
    -32001,
    'session_unknown',
    404,
  ),
  'a session id of dots': bad(withHeaders('Mcp-Session-Id: weir1...'), -32001, 'session_unknown', 404),
  'a very long session': bad(
    withHeaders(`Mcp-Session-Id: weir1.${'A'.repeat(9000)}.x`),
    -32001,
    'session_unknown',
    404,
  ),
  'two sessions': bad(withHeaders('Mcp-Session-Id: a', 'Mcp-Session-Id: b'), -32001, 'session_unknown', 404),
  // HTTP itself
  'headers too large': unparsed(withHeaders(`X-Large: ${'x'.repeat(40_000)}`), 431),
  'a space before a colon': unparsed(withHeaders('X-Space : 1')),
  'a line break in a header': unparsed(withHeaders('X-Fold: a\r\n b\rc: d')),
  'no HTTP at all': unparsed('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n'),
  'HTTP/2 in clear text': unparsed('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  'length and chunks (smuggling)': unparsed([
    head('POST', PATH, [HOST, TYPE, 'Content-Length: 4', 'Transfer-Encoding: chunked']),
    '0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n',
  ]),
  'two lengths (smuggling)': unparsed(post(OK_BODY, [HOST, TYPE, 'Content-Length: 3'])),
  // The parser only sees after the headers that no body can follow: there was a call, and it came to nothing.
  'an unknown transfer encoding (smuggling)': {
    bytes: [head('POST', PATH, [HOST, TYPE, 'Transfer-Encoding: xchunked']), '0\r\n\r\n'],
    status: 400,
    event: gone,
  },
  'chunks twice (smuggling)': unparsed([
    head('POST', PATH, [HOST, TYPE, 'Transfer-Encoding: chunked, identity']),
    '0\r\n\r\n',
  ]),
  'a chunk size that is none': {
    bytes: [head('POST', PATH, [HOST, TYPE, 'Transfer-Encoding: chunked']), 'zz\r\n{}\r\n0\r\n\r\n'],
    status: 400,
    event: gone,
  },
  'a negative length': unparsed(head('POST', PATH, [HOST, TYPE, 'Content-Length: -1'])),
  'an expectation nobody has': { bytes: withHeaders('Expect: miracles'), status: 417, event: null },
  // leaving early
  'leaves after the headers': {
    bytes: head('POST', PATH, [HOST, TYPE, 'Content-Length: 100']),
    status: 0,
    isLeaving: true,
    event: gone,
  },
  'leaves within the body': {
    bytes: [head('POST', PATH, [HOST, TYPE, 'Content-Length: 100']), '{"jsonrpc":'],
    status: 0,
    isLeaving: true,
    event: gone,
  },
  'leaves within a chunk': {
    bytes: [head('POST', PATH, [HOST, TYPE, 'Transfer-Encoding: chunked']), 'ff\r\n{"json'],
    status: 0,
    isLeaving: true,
    event: gone,
  },
  'leaves within the headers': {
    bytes: `POST ${PATH} HTTP/1.1\r\nHost: loc`,
    status: 0,
    isLeaving: true,
    event: null,
  },
  // odd, and all right
  'a huge id': {
    bytes: post('{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"tools/list"}'),
    status: 200,
    event: fine,
  },
  'an empty method': { bytes: post('{"jsonrpc":"2.0","id":1,"method":""}'), status: 200, event: fine },
  'a key of the prototype': {
    bytes: post(
      '{"jsonrpc":"2.0","id":1,"method":"tools/list","__proto__":{"a":1},"params":{"__proto__":{"_meta":1},"constructor":1}}',
    ),
    status: 200,
    event: fine,
  },
  'a body byte by byte': {
    bytes: [head('POST', PATH, [HOST, TYPE, `Content-Length: ${OK_BODY.length}`]), ...OK_BODY],
    status: 200,
    event: fine,
  },
  'waits to be asked for the body': {
    bytes: [
      head('POST', PATH, [HOST, TYPE, 'Expect: 100-continue', `Content-Length: ${OK_BODY.length}`]),
      OK_BODY,
    ],
    status: 200,
    event: fine,
  },
  'HTTP/1.0': { bytes: post(OK_BODY).toString().replace('HTTP/1.1', 'HTTP/1.0'), status: 200, event: fine },
  'a wish for a websocket': {
    bytes: withHeaders('Connection: Upgrade', 'Upgrade: websocket'),
    status: 200,
    event: fine,
  },
  'a wish for HTTP/2': {
    bytes: withHeaders(
      'Connection: Upgrade, HTTP2-Settings',
      'Upgrade: h2c',
      'HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA',
    ),
    status: 200,
    event: fine,
  },
  'a type in capitals, with a charset': {
    bytes: post(OK_BODY, [HOST, 'Content-Type: APPLICATION/JSON ; charset=utf-8']),
    status: 200,
    event: fine,
  },
  'an Origin of this machine': {
    bytes: withHeaders('Origin: http://localhost:3000'),
    status: 200,
    event: fine,
  },
}

function leave(port: number, pieces: readonly (string | Buffer)[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', reject)
    socket.on('close', () => resolve())
    for (const piece of pieces) socket.write(piece)
    socket.end(() => socket.destroy())
  })
}

describe('malformed requests', () => {
  let server: RawServer
  let weir: Observed
  let pids: number[]
  const done: { name: string; event: Event }[] = []

  beforeAll(async () => {
    server = await startRawServer((_name, { body }) => {
      const id = /"id":(\d+)/.exec(body.toString())?.[1] ?? '1'
      return sized('200 OK', 'application/json', `{"jsonrpc":"2.0","id":${id},"result":{"tools":[]}}`)
    })
    weir = await startObserved({
      servers: { raw: { url: `http://127.0.0.1:${server.port}/` } },
      http: { body_max_bytes: 1_000_000 },
    })
    pids = weir.weir.allPids()
  })
  afterAll(async () => {
    await weir?.stop()
    await server?.close()
  })

  for (const [name, { bytes, status, code, reason, event, isLeaving }] of Object.entries(CASES))
    test(name, async () => {
      const pieces = typeof bytes === 'string' || Buffer.isBuffer(bytes) ? [bytes] : bytes
      done.push({ name, event })
      if (isLeaving) await leave(weir.port, pieces)
      else {
        const answer: RawAnswer | null = await exchange(weir.port, pieces).catch(() => null)
        expect(answer?.status ?? 0).toBe(status)
        if (reason !== undefined || code !== undefined) {
          const body = JSON.parse(answer!.body.toString()) as {
            id?: unknown
            error: { code: unknown; message: string; data?: { weir?: unknown; fix?: string }; fix?: string }
          }
          expect(body.error.message).toBeTypeOf('string')
          if (code !== undefined) {
            expect(body.error.code).toBe(code)
            if (reason !== undefined) expect(body.error.data).toMatchObject({ weir: reason })
          } else {
            expect(body.error.code).toBe(reason)
            expect(body.error.fix).toBeTypeOf('string')
          }
        }
      }
      const health = await exchange(weir.port, [head('GET', '/healthz', [HOST])])
      expect(health.status).toBe(200)
    })

  test('every call left its event, in order, and nothing else did', async () => {
    const wanted = done.filter((d) => d.event !== null).map((d) => `${d.name}: ${d.event!.join(' ')}`)
    const rows = await weir.events('1', wanted.length)
    const names = done.filter((d) => d.event !== null).map((d) => d.name)
    expect(rows.map((r, i) => `${names[i]}: ${r.outcome} ${r.owner} ${r.error_type}`.trimEnd())).toEqual(
      wanted.map((w) => w.trimEnd()),
    )
    for (const row of rows) {
      expect(row.event_id).toMatch(/^[0-9a-f-]{36}$/)
      expect(row.trace_id).toMatch(/^[0-9a-f]{32}$/)
      expect(row.endpoint).not.toBe('')
    }
  })

  test('no process has died, and none was started anew', () => {
    expect(weir.weir.allPids()).toEqual(pids)
    expect(pids.every(isAlive)).toBe(true)
    expect(weir.weir.output).not.toMatch(/internal error/)
  })

  describe('within a session at the roof', () => {
    let headers: Record<string, string>
    beforeAll(async () => {
      const hello = await send(`${weir.url}/mcp`, initialize('hello'))
      headers = { 'mcp-session-id': String(hello.headers['mcp-session-id']) }
    })
    const TABLE: Record<
      string,
      { method: string; params?: unknown; status: number; code: number; reason: string }
    > = {
      'no name of a tool': {
        method: 'tools/call',
        params: {},
        status: 200,
        code: -32602,
        reason: 'tool_unknown',
      },
      'a number as name': {
        method: 'tools/call',
        params: { name: 7 },
        status: 200,
        code: -32602,
        reason: 'tool_unknown',
      },
      'an empty name': {
        method: 'tools/call',
        params: { name: '' },
        status: 200,
        code: -32602,
        reason: 'tool_unknown',
      },
      'a name that looks cut': {
        method: 'tools/call',
        params: { name: 'nobody-0123abcd' },
        status: 200,
        code: -32602,
        reason: 'tool_unknown',
      },
      'a very long name': {
        method: 'tools/call',
        params: { name: 'x'.repeat(100_000) },
        status: 200,
        code: -32602,
        reason: 'tool_unknown',
      },
      'a name with strange characters': {
        method: 'tools/call',
        params: { name: 'a\u0000\u202e\ud800"\n' },
        status: 200,
        code: -32602,
        reason: 'tool_unknown',
      },
      'an unknown prompt': {
        method: 'prompts/get',
        params: { name: 'nobody' },
        status: 200,
        code: -32602,
        reason: 'prompt_unknown',
      },
      'an unknown resource': {
        method: 'resources/read',
        params: { uri: 'x://nowhere' },
        status: 200,
        code: -32602,
        reason: 'resource_unknown',
      },
      'a resource without a URI': {
        method: 'resources/read',
        params: {},
        status: 400,
        code: -32602,
        reason: 'params_invalid',
      },
      'a number as URI': {
        method: 'resources/subscribe',
        params: { uri: 7 },
        status: 400,
        code: -32602,
        reason: 'params_invalid',
      },
      'a strange cursor': {
        method: 'tools/list',
        params: { cursor: 'x' },
        status: 200,
        code: -32602,
        reason: 'cursor_invalid',
      },
      'a number as cursor': {
        method: 'prompts/list',
        params: { cursor: 7 },
        status: 200,
        code: -32602,
        reason: 'cursor_invalid',
      },
      'a completion of nothing': {
        method: 'completion/complete',
        params: {},
        status: 400,
        code: -32602,
        reason: 'params_invalid',
      },
      'an unknown method': { method: 'tools/destroy', status: 200, code: -32601, reason: 'method_unknown' },
      'a method of the prototype': {
        method: '__proto__',
        status: 200,
        code: -32601,
        reason: 'method_unknown',
      },
    }
    for (const [name, { method, params, status, code, reason }] of Object.entries(TABLE))
      test(name, async () => {
        const answer = await send(
          `${weir.url}/mcp`,
          { jsonrpc: '2.0', id: `roof ${name}`, method, ...(params === undefined ? {} : { params }) },
          { headers },
        )
        expect([answer.status, answer.message?.error?.code, answer.message?.error?.data?.weir]).toEqual([
          status,
          code,
          reason,
        ])
      })
    test('an answer nobody asked for', async () => {
      const answer = await send(`${weir.url}/mcp`, { jsonrpc: '2.0', id: 'raw:1x', result: {} }, { headers })
      expect([answer.status, answer.message?.error?.code, answer.message?.error?.data?.weir]).toEqual([
        400,
        -32600,
        'invalid_request',
      ])
    })
    test('each left an event that says the client was wrong', async () => {
      const rows = await weir.events("startsWith(request_id, 'roof ')", Object.keys(TABLE).length)
      const told = Object.fromEntries(
        rows.map((r) => [String(r.request_id).slice(5), [r.outcome, r.owner, r.error_type, r.error_code]]),
      )
      expect(told).toEqual(
        Object.fromEntries(
          Object.entries(TABLE).map(([name, { code, reason }]) => [
            name,
            ['invalid', 'client', reason, code],
          ]),
        ),
      )
    })
  })

  test('a slow sender holds up nobody', async () => {
    const slow = connect(weir.port, '127.0.0.1')
    slow.on('error', () => {})
    slow.write(head('POST', PATH, [HOST, TYPE, 'Content-Length: 1000']))
    const before = (await weir.events('1', 0)).length
    for (let i = 0; i < 20; i++) {
      slow.write(' ')
      expect((await exchange(weir.port, [post(OK_BODY)])).status).toBe(200)
    }
    slow.destroy()
    const rows = await weir.events('1', before + 21)
    expect(rows.length).toBe(before + 21)
    expect(rows.filter((r) => r.error_type === 'client_gone').length).toBeGreaterThan(0)
    await waitFor('no call is left open', async () => (await weir.weir.metric('weir_calls_open')) === 0)
  })
})
