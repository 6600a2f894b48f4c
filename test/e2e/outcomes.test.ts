/**
 * Promise 7 (true outcome): every way a call can end, as the client sees it and as the event tells it. Answers of servers
 * are in transparency.test.ts; here are the ends that are nobody's answer.
 */
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callTool, initialize, open, send, toolCall } from '../support/client.ts'
import { waitFor } from '../support/wait.ts'
import { freePort } from './support/go-server.ts'
import { type Observed, type Row, startObserved } from './support/observed.ts'
import {
  chunked,
  post,
  type RawRequest,
  type RawServer,
  type Recorded,
  sized,
  startRawServer,
} from './support/raw.ts'

const sha256 = (key: string): string => createHash('sha256').update(key).digest('hex')
const KEY = 'key-of-the-agent'
const AUTH = { authorization: `Bearer ${KEY}` }
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n'
const STREAM = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n'
const PROGRESS =
  'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}\n\n'
const frame = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

/** What the server does, by the name of the tool that is called. */
function behave(request: RawRequest): Recorded {
  const message = JSON.parse(request.body.toString() || '{}') as {
    id?: unknown
    method?: string
    params?: { name?: string; protocolVersion?: string }
  }
  if (message.method === 'initialize')
    return sized(
      '200 OK',
      'application/json',
      `{"jsonrpc":"2.0","id":${JSON.stringify(message.id)},"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"raw","version":"1"}}}`,
      ['Mcp-Session-Id: upstream-1'],
    )
  if (message.id === undefined) return sized('202 Accepted', 'application/json', '')
  const id = JSON.stringify(message.id)
  switch (message.params?.name) {
    case 'silent':
      return { pieces: [], isSilent: true }
    case 'cut':
      return { pieces: [HEAD, `{"jsonrpc":"2.0","id":${id},"result":`], isReset: true }
    case 'cut-later':
      return {
        pieces: [
          HEAD.replace('1000', '300000'),
          `{"jsonrpc":"2.0","id":${id},"result":`,
          `{"a":"${'x'.repeat(200_000)}`,
          '"',
        ],
        isReset: true,
      }
    case 'close':
      return { pieces: [], isClosing: true }
    case 'not-http':
      return { pieces: ['SSH-2.0-OpenSSH_9.9\r\n\r\n'], isClosing: true }
    case 'cut-stream':
      return { pieces: [STREAM, frame(PROGRESS)], isReset: true }
    case 'silent-stream':
      return { pieces: [STREAM, frame(PROGRESS)] }
    case 'slow-progress':
      return {
        pieces: [
          STREAM,
          ...Array.from({ length: 300 }, () => frame(PROGRESS)),
          frame(`data: {"jsonrpc":"2.0","id":${id},"result":{}}\n\n`),
          '0\r\n\r\n',
        ],
      }
    case 'auth':
      return sized('401 Unauthorized', 'application/json', '{"error":"invalid_token"}', [
        'WWW-Authenticate: Bearer resource_metadata="http://secret.internal"',
      ])
    case 'late-stream-error':
      return chunked('200 OK', 'text/event-stream', [
        PROGRESS,
        `data: {"jsonrpc":"2.0","id":${id},"error":{"code":-32603,"message":"boom"}}\n\n`,
      ])
    default:
      return sized('200 OK', 'application/json', `{"jsonrpc":"2.0","id":${id},"result":{"content":[]}}`)
  }
}

describe('ends of a call', () => {
  let server: RawServer
  let weir: Observed
  let n = 0
  const id = (): string => `end-${n++}`
  const url = (name = 'raw'): string => `${weir.url}/servers/${name}/mcp`
  const event = async (request_id: string): Promise<Row> => {
    const rows = await weir.events(`request_id = '${request_id}'`)
    expect(rows.length).toBe(1)
    return rows[0]!
  }

  beforeAll(async () => {
    server = await startRawServer((_name, request) => behave(request))
    const at = `http://127.0.0.1:${server.port}/`
    weir = await startObserved({
      callers: {
        agent: { team: 'research', project: 'p', keys: [{ sha256: sha256(KEY) }] },
        old: { keys: [{ sha256: sha256('old-key'), expires: '2020-01-01' }] },
      },
      servers: {
        raw: { url: at, timeout_ms: 60_000 },
        hasty: { url: at, timeout_ms: 1000 },
        refused: { url: `http://127.0.0.1:${await freePort()}/` },
        nowhere: { url: 'http://does-not-exist.invalid/' },
        'no-command': { command: ['weir-test-no-such-program'] },
        dying: { command: [process.execPath, '-e', 'process.exit(3)'] },
        mute: { command: [process.execPath, '-e', 'process.stdin.resume()'], timeout_ms: 500 },
      },
    })
  })
  afterAll(async () => {
    await weir?.stop()
    await server?.close()
  })

  const TABLE: Record<
    string,
    { server?: string; tool: string; status: number; code?: number; reason?: string; event: Partial<Row> }
  > = {
    answered: {
      tool: 'ok',
      status: 200,
      event: {
        outcome: 'ok',
        owner: 'none',
        error_type: '',
        caller: 'agent',
        team: 'research',
        project: 'p',
        auth_method: 'api_key',
      },
    },
    // What has come is held back while it is one piece, so the client can still be told.
    'cut after the first piece': {
      tool: 'cut',
      status: 502,
      code: 10502,
      reason: 'upstream_closed',
      event: { outcome: 'upstream_error', owner: 'upstream', error_type: 'upstream_closed' },
    },
    'cut mid-answer': {
      tool: 'cut-later',
      status: 200,
      event: { outcome: 'upstream_error', owner: 'upstream', error_type: 'upstream_closed' },
    },
    'closed before an answer': {
      tool: 'close',
      status: 502,
      code: 10502,
      reason: 'upstream_closed',
      event: {
        outcome: 'upstream_error',
        owner: 'upstream',
        error_type: 'upstream_closed',
        error_code: 10502,
      },
    },
    'not HTTP': {
      tool: 'not-http',
      status: 502,
      code: 10502,
      reason: 'upstream_protocol',
      event: { outcome: 'upstream_error', owner: 'upstream', error_type: 'upstream_protocol' },
    },
    'a stream that is cut': {
      tool: 'cut-stream',
      status: 200,
      code: 10502,
      reason: 'upstream_closed',
      event: {
        outcome: 'upstream_error',
        owner: 'upstream',
        error_type: 'upstream_closed',
        stream_messages: 1,
      },
    },
    'credentials refused by the server': {
      tool: 'auth',
      status: 502,
      code: 10502,
      reason: 'upstream_auth',
      event: { outcome: 'upstream_error', owner: 'config', error_type: 'upstream_auth' },
    },
    'an error at the end of a stream': {
      tool: 'late-stream-error',
      status: 200,
      code: -32603,
      event: {
        outcome: 'rpc_error',
        owner: 'upstream',
        error_type: '-32603',
        error_code: -32603,
        error_message: 'boom',
      },
    },
    'no answer in time': {
      server: 'hasty',
      tool: 'silent',
      status: 504,
      code: 10504,
      reason: 'upstream_timeout',
      event: { outcome: 'timeout', owner: 'upstream', error_type: 'upstream_timeout' },
    },
    'no answer in time, in a stream': {
      server: 'hasty',
      tool: 'silent-stream',
      status: 200,
      code: 10504,
      reason: 'upstream_timeout',
      event: { outcome: 'timeout', owner: 'upstream', error_type: 'upstream_timeout' },
    },
    'progress moves the deadline': {
      server: 'hasty',
      tool: 'slow-progress',
      status: 200,
      event: { outcome: 'ok', stream_messages: 300 },
    },
    'nobody listens': {
      server: 'refused',
      tool: 'x',
      status: 503,
      code: 10503,
      reason: 'upstream_unavailable',
      event: { outcome: 'unavailable', owner: 'capacity', error_type: 'upstream_unavailable' },
    },
    'no such host': {
      server: 'nowhere',
      tool: 'x',
      status: 503,
      code: 10503,
      reason: 'upstream_unavailable',
      event: { outcome: 'unavailable', owner: 'capacity', error_type: 'upstream_unavailable' },
    },
  }
  for (const [name, { server: at = 'raw', tool, status, code, reason, event: wanted }] of Object.entries(
    TABLE,
  ))
    test(name, async () => {
      const request_id = id()
      const answer = await callTool(url(at), request_id, tool, { a: 1 }, { headers: AUTH })
      expect(answer.status).toBe(status)
      if (code !== undefined) {
        expect(answer.message?.error?.code).toBe(code)
        expect((answer.message as { id?: unknown }).id).toBe(request_id)
        expect(answer.message?.error?.data?.weir).toBe(reason)
      }
      if (reason) expect(answer.text, 'no private detail').not.toMatch(/secret\.internal|ECONN|127\.0\.0\.1/)
      expect(await event(request_id)).toMatchObject({ server: at, tool, ...wanted })
    })

  describe('stdio servers that do not run', () => {
    const STDIO: Record<string, Partial<Row>> = {
      'no-command': { outcome: 'unavailable', owner: 'config', error_type: 'spawn_failed' },
      dying: { outcome: 'upstream_error', owner: 'upstream', error_type: 'upstream_closed' },
      mute: { outcome: 'timeout', owner: 'upstream' },
    }
    for (const [name, wanted] of Object.entries(STDIO))
      test(name, async () => {
        const request_id = id()
        const answer = await send(url(name), initialize(request_id), { headers: AUTH })
        expect(answer.message?.error).toBeDefined()
        expect(await event(request_id)).toMatchObject({ server: name, method: 'initialize', ...wanted })
      })
  })

  test('denied: a wrong key, an expired key, no key; the caller is not named', async () => {
    for (const headers of [
      { authorization: 'Bearer wrong' },
      { authorization: 'Bearer old-key' },
      {},
      { authorization: `Basic ${KEY}` },
    ]) {
      const before = (await weir.events("outcome = 'denied'", 0)).length
      const answer = await callTool(url(), id(), 'ok', {}, { headers: headers as Record<string, string> })
      expect(answer.status).toBe(401)
      expect(answer.headers['www-authenticate']).toBe('Bearer realm="weir"')
      expect(JSON.parse(answer.text)).toMatchObject({ error: { code: 'unauthenticated' } })
      const rows = await weir.events("outcome = 'denied'", before + 1)
      expect(rows.length).toBe(before + 1)
      expect(rows.at(-1)).toMatchObject({
        owner: 'client',
        error_type: 'unauthenticated',
        caller: '',
        kind: 'unreadable',
        http_status: 401,
        endpoint: '/servers/raw/mcp',
      })
    }
  })

  test('cancelled: the client leaves while it waits', async () => {
    for (const tool of ['silent', 'silent-stream']) {
      const request_id = id()
      const socket = connect(weir.port, '127.0.0.1')
      socket.write(
        post('/servers/raw/mcp', weir.port, JSON.stringify(toolCall(request_id, tool)), [
          `Authorization: Bearer ${KEY}`,
          `X-Case: ${request_id}`,
        ]),
      )
      await waitFor('the call has arrived', () => server.seen.has(request_id))
      socket.destroy()
      expect(await event(request_id)).toMatchObject({
        outcome: 'cancelled',
        owner: 'client',
        error_type: 'client_gone',
        tool,
      })
    }
  })

  test('cancelled: the client says so, and the server says nothing more', async () => {
    const opened = await send(url(), initialize(id()), { headers: AUTH })
    const session = { ...AUTH, 'mcp-session-id': String(opened.headers['mcp-session-id']) }
    expect(session['mcp-session-id']).not.toBe('upstream-1')
    for (const tool of ['silent', 'silent-stream']) {
      const request_id = id()
      const waiting = open(url(), {
        method: 'POST',
        body: toolCall(request_id, tool),
        headers: { ...session, 'content-type': 'application/json', 'x-case': request_id },
      })
      await waitFor('the call has arrived', () => server.seen.has(request_id))
      const told = await send(
        url(),
        {
          jsonrpc: '2.0',
          method: 'notifications/cancelled',
          params: { requestId: request_id, reason: 'enough' },
        },
        { headers: session },
      )
      expect(told.status).toBe(202)
      await (await waiting).ended
      expect(await event(request_id)).toMatchObject({
        outcome: 'cancelled',
        owner: 'client',
        error_type: 'cancelled',
      })
    }
    expect(
      (await weir.events("method = 'notifications/cancelled'", 2)).every(
        (r) => r.outcome === 'ok' && r.kind === 'notification',
      ),
    ).toBe(true)
  })

  test('an upstream session id never reaches the client, and its own travels back', async () => {
    const opened = await send(url(), initialize(id()), { headers: AUTH })
    const handle = String(opened.headers['mcp-session-id'])
    const request_id = id()
    await callTool(
      url(),
      request_id,
      'ok',
      {},
      { headers: { ...AUTH, 'mcp-session-id': handle, 'x-case': request_id } },
    )
    expect(server.seen.get(request_id)![0]!.headers).toContainEqual(['mcp-session-id', 'upstream-1'])
    const row = await event(request_id)
    expect(row).toMatchObject({ client_name: 'test-client', client_version: '1', run_source: 'session' })
    expect(row.session_id).toMatch(/^[0-9a-f]{32}$/)
    expect(handle).not.toContain(String(row.session_id))
  })

  test('errors read as causes: equal ones have one fingerprint, whatever differs in their text', async () => {
    const rows = await weir.events("error_type = 'upstream_timeout'", 2)
    expect(new Set(rows.map((r) => r.error_fingerprint)).size).toBe(1)
  })
})
