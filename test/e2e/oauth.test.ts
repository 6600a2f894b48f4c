/**
 * Access tokens of a real authorization server at a real Weir: the official SDKs find it, log in and step up by themselves;
 * every way of speaking is refused alike; a server that is away, changes its keys or leaves the config is noticed.
 */
import { createHash } from 'node:crypto'
import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernTransport,
} from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import WebSocket from 'ws'
import { openLine } from '../bad-input/support/lines.ts'
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts'
import { type Answer, callTool, initialize, open, send, toolCall } from '../support/client.ts'
import { makePerson } from '../support/sdk-oauth.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'
import { type Observed, startObserved } from './support/observed.ts'

const KEY = 'key-of-the-agent'
const PATH = '/servers/stub/mcp'
let idp: AuthorizationServer
let upstream: UpstreamStub
let weir: Observed
let base: string

const config = (keys: object = { cooldown_s: 0 }) => ({
  workers: 2,
  servers: { stub: { url: upstream.url, era: 'legacy' }, other: { url: upstream.url, era: 'legacy' } },
  callers: {
    'key-agent': { keys: [{ sha256: createHash('sha256').update(KEY).digest('hex') }] },
    'rm-agent': { project: 'advisory' },
  },
  auth: {
    public_url: base,
    oauth: [
      {
        issuer: idp.issuer,
        claims: { team: 'department', roles: 'duties' },
        keys,
      },
    ],
    scopes: { '*': ['mcp'], 'stub/echo': ['bank.read'] },
    scope_implies: { 'bank.write': ['bank.read'] },
  },
})

beforeAll(async () => {
  idp = await startAuthorizationServer()
  upstream = await startUpstream({ sessions: true, keepBodies: true })
  base = 'http://127.0.0.1'
  weir = await startObserved(config())
  base = weir.weir.addresses.proxy
  await weir.weir.storing()
  await reload(config())
})
afterAll(async () => {
  await weir?.stop()
  await upstream?.end()
  await idp?.end()
})

async function reload(next: Record<string, unknown>): Promise<void> {
  const before = weir.weir.output.length
  weir.weir.writeConfig(next)
  await waitFor('the config is taken over', () =>
    /config (?:reloaded|not)|cannot/.exec(weir.weir.output.slice(before)),
  )
  expect(weir.weir.output.slice(before)).toContain('config reloaded')
}

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })
const call = (id: string, token: string, path = PATH, tool = 'slow'): Promise<Answer> =>
  callTool(`${base}${path}`, id, tool, {}, { headers: bearer(token) })
const challengeOf = ({ headers }: Answer): string => String(headers['www-authenticate'])
const metadataUrl = (path: string): string => `${base}/.well-known/oauth-protected-resource${path}`

describe('a client that has no token', () => {
  test('is told where the metadata is, and with which scopes to begin', async () => {
    const answer = await send(`${base}/mcp`, initialize(1))
    expect(answer.status).toBe(401)
    expect(challengeOf(answer)).toBe(
      `Bearer realm="weir", resource_metadata="${metadataUrl('/mcp')}", scope="mcp"`,
    )
    expect(challengeOf(await send(`${base}${PATH}`, initialize(1)))).toContain(`"${metadataUrl(PATH)}"`)
  })

  test.each(['/mcp', PATH, '/servers/none/mcp', '/sse', ''])(
    'reads who makes tokens for %j',
    async (path) => {
      const answer = await fetch(metadataUrl(path))
      expect(answer.status).toBe(200)
      expect(await answer.json()).toEqual({
        resource: `${base}${path}`,
        authorization_servers: [idp.issuer],
        scopes_supported: ['mcp'],
        bearer_methods_supported: ['header'],
        resource_name: 'Weir',
      })
    },
  )

  test('reads nothing else beside it', async () => {
    for (const path of ['/', '/other', '/servers/stub', '/servers/a%22b/mcp'])
      expect((await fetch(metadataUrl(path))).status, path).toBe(404)
    expect((await fetch(metadataUrl('/mcp'), { method: 'POST' })).status).toBe(404)
  })

  test('is told the same of a server that there is not', async () => {
    const [there, nowhere] = await Promise.all(
      ['stub', 'none'].map((name) => send(`${base}/servers/${name}/mcp`, initialize(1))),
    )
    expect([nowhere!.status, nowhere!.text]).toEqual([there!.status, there!.text])
    expect(challengeOf(nowhere!).replaceAll('none', 'stub')).toBe(challengeOf(there!))
  })

  test('in a browser may read both, when its origin is admitted', async () => {
    const headers = { origin: 'http://localhost:3000' }
    const metadata = await fetch(metadataUrl('/mcp'), { headers })
    expect(metadata.headers.get('access-control-allow-origin')).toBe('http://localhost:3000')
    const preflight = await fetch(metadataUrl('/mcp'), {
      method: 'OPTIONS',
      headers: {
        ...headers,
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'mcp-protocol-version',
      },
    })
    expect(preflight.status).toBe(204)
    expect((await fetch(metadataUrl('/mcp'), { headers: { origin: 'https://evil.example' } })).status).toBe(
      403,
    )
  })
})

describe.each([
  ['1', Client, StreamableHTTPClientTransport],
  ['2', ModernClient, ModernTransport],
] as const)('the OAuth client of SDK %s', (_version, SdkClient, Transport) => {
  test('finds the server, registers, logs in, calls, and steps up when a call needs more', async () => {
    const person = makePerson()
    const url = new URL(`${base}${PATH}`)
    const connect = async () => {
      const client = new SdkClient({ name: 'sdk', version: '1' }) as Client
      const transport = new Transport(url, { authProvider: person as never }) as StreamableHTTPClientTransport
      return { client, transport }
    }
    const finish = (transport: StreamableHTTPClientTransport): Promise<void> =>
      (transport.finishAuth as (code: string, iss: string) => Promise<void>).call(
        transport,
        person.code,
        person.iss,
      )
    const first = await connect()
    await expect(first.client.connect(first.transport)).rejects.toThrow(/[Uu]nauthorized/)
    expect(person.sent[0]!.origin).toBe(idp.issuer)
    expect(person.sent[0]!.searchParams.get('resource')).toBe(url.href)
    expect(person.sent[0]!.searchParams.get('scope')).toBe('mcp')
    await finish(first.transport)
    const { client, transport } = await connect()
    await client.connect(transport)
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain('echo')
    await client.callTool({ name: 'slow', arguments: {} })

    await expect(client.callTool({ name: 'echo', arguments: { text: 'x' } })).rejects.toThrow(
      /[Uu]nauthorized/,
    )
    expect(person.sent).toHaveLength(2)
    expect(person.sent[1]!.searchParams.get('scope')!.split(' ').sort()).toEqual(['bank.read', 'mcp'])
    await finish(transport)
    const result = await client.callTool({ name: 'echo', arguments: { text: 'stepped up' } })
    expect(JSON.stringify(result.content)).toContain('stepped up')
    await client.close()

    const { client_id } = (await person.clientInformation())!
    const rows = await weir.events(`caller = '${client_id}' AND method = 'tools/call'`, 3)
    expect(
      rows.map(({ tool, outcome, error_type, decision, decision_rule, decision_facts }) => [
        tool,
        outcome,
        error_type,
        decision,
        decision_rule,
        decision_facts,
      ]),
    ).toEqual([
      ['slow', 'ok', '', 'allow', 'default', {}],
      ['echo', 'denied', 'scope_missing', 'deny', 'scope bank.read', {}],
      ['echo', 'ok', '', 'allow', 'default', { scopes: 'mcp bank.read' }],
    ])
    expect(rows[0]).toMatchObject({ auth_method: 'oauth', team: 'research', roles: ['analyst', 'reader'] })
  })
})

describe('a token', () => {
  test('is attributed to the caller it names; what the config says of it stands', async () => {
    const answer = await call('attributed', await idp.token(`${base}${PATH}`))
    expect(answer.status).toBe(200)
    const [row] = await weir.events("request_id = 'attributed'")
    expect(row).toMatchObject({
      caller: 'rm-agent',
      auth_method: 'oauth',
      team: 'research',
      project: 'advisory',
      roles: ['analyst', 'reader'],
    })
    expect(String(row!.principal)).toMatch(/^rm-agent#[0-9a-f]{12}$/)
  })

  test('is never sent to a server', async () => {
    const token = await idp.token(`${base}${PATH}`)
    await call('upstream', token)
    const { arrived } = await upstream.seen()
    const seen = arrived.find(({ id }) => id === 'upstream')!
    expect(JSON.stringify(seen)).not.toContain(token)
    expect(seen.headers.authorization).toBeUndefined()
  })

  test('for another endpoint, or for something else, opens nothing here; one for all of Weir does everywhere', async () => {
    const refused = async (resource: string, path: string): Promise<void> => {
      const answer = await call('audience', await idp.token(resource), path)
      expect(answer.status).toBe(401)
      expect(challengeOf(answer)).toContain(
        'error="invalid_token", error_description="The token is not for this resource"',
      )
    }
    await refused(`${base}/servers/other/mcp`, PATH)
    await refused(`${base}/mcp`, PATH)
    await refused(`${base}${PATH}`, '/mcp')
    await refused('http://127.0.0.1.evil.example', PATH)
    await refused('https://elsewhere.example', PATH)
    expect((await call('audience-all', await idp.token(`${base}/`))).status).toBe(200)
  })

  test('in the query is none, and beside a header it is not looked at', async () => {
    const token = await idp.token(`${base}${PATH}`)
    const url = `${base}${PATH}?access_token=${token}`
    expect((await send(url, initialize(1))).status).toBe(401)
    expect((await send(url, initialize(1), { headers: bearer('x.y.z') })).status).toBe(401)
  })

  test.each([
    ['no token', 'Bearer'],
    ['an empty one', 'Bearer '],
    ['two', 'Bearer a.b.c d.e.f'],
    ['a list', 'Bearer a.b.c, Bearer d.e.f'],
    ['an odd letter', 'Bearer a.b.\u00fc'],
    ['far too long a one', `Bearer a.${'b'.repeat(9000)}.c`],
  ])('malformed: a header with %s is a 400', async (_what, authorization) => {
    const answer = await send(`${base}${PATH}`, initialize(1), { headers: { authorization } })
    expect(answer.status).toBe(400)
    expect(challengeOf(answer)).toContain('error="invalid_request"')
  })

  test('header smuggling: of two headers none counts', async () => {
    const token = await idp.token(`${base}${PATH}`)
    const headers = { authorization: ['Bearer a.b.c', `Bearer ${token}`] } as never
    expect((await send(`${base}${PATH}`, initialize(1), { headers })).status).toBe(400)
  })

  test('of another scheme is a stranger', async () => {
    const answer = await send(`${base}${PATH}`, initialize(1), { headers: { authorization: 'Basic YTpi' } })
    expect(answer.status).toBe(401)
    expect(challengeOf(answer)).not.toContain('error=')
  })

  test('opens nothing without the scope of any request, and says which', async () => {
    const answer = await call('no-mcp', await idp.token(`${base}${PATH}`, 'bank.read'))
    expect(answer.status).toBe(403)
    expect(challengeOf(answer)).toMatch(/error="insufficient_scope".*scope="mcp"/)
    // Nor a stream, nor a list of what there is.
    const stream = await open(`${base}${PATH}`, {
      headers: bearer(await idp.token(`${base}${PATH}`, 'bank.read')),
    })
    expect(stream.status).toBe(403)
    const [row] = await weir.events("error_type = 'scope_missing' AND decision_rule = 'scope mcp'")
    expect(row).toMatchObject({
      caller: 'rm-agent',
      decision: 'deny',
      decision_rule: 'scope mcp',
      error_type: 'scope_missing',
    })
  })

  test('a broader scope does for a narrower one', async () => {
    const token = await idp.token(`${base}${PATH}`, 'mcp bank.write')
    expect((await call('broader', token, PATH, 'echo')).status).toBe(200)
  })

  test('keys and tokens live side by side, and keys need no scopes', async () => {
    expect((await call('by-key', KEY, PATH, 'echo')).status).toBe(200)
    const [row] = await weir.events("request_id = 'by-key'")
    expect(row).toMatchObject({ caller: 'key-agent', auth_method: 'api_key' })
    const answer = await call('by-no-key', 'weir_unknown')
    expect(answer.status).toBe(401)
    expect(challengeOf(answer)).toContain('error="invalid_token"')
  })

  test('nothing of it is in an event, a log line or an answer', async () => {
    const token = await idp.token(`${base}${PATH}`)
    const [, payload, signature] = token.split('.') as [string, string, string]
    const broken = `${token.slice(0, -20)}AAAAAAAAAAAAAAAAAAAA`
    const answers = [
      await call('canary-1', token),
      await call('canary-2', broken),
      await call('canary-3', token, '/mcp'),
    ]
    await weir.settled()
    const rows = JSON.stringify(await weir.store.rows("SELECT * FROM calls WHERE request_id LIKE 'canary-%'"))
    for (const text of [rows, weir.weir.output, JSON.stringify(answers), await weir.weir.metrics()]) {
      expect(text).not.toContain(payload)
      expect(text).not.toContain(signature)
    }
  })
})

describe('a call that needs more scopes is refused by every way of speaking', () => {
  test.each(['websocket', 'sse'] as const)('over %s', async (way) => {
    const token = await idp.token(`${base}/`)
    const port = Number(new URL(base).port)
    const line = await openLine(way, {
      port,
      path: PATH,
      agent: way,
      headers: { host: `127.0.0.1:${port}`, ...bearer(token) },
    })
    await line.say(JSON.stringify(initialize(`${way}-open`)))
    await waitFor('the session', () => line.heard.some((text) => text.includes(`"${way}-open"`)))
    await line.say(JSON.stringify(toolCall(`${way}-echo`, 'echo', {})))
    const heard = await waitFor('the answer', () => line.heard.find((text) => text.includes(`"${way}-echo"`)))
    expect(heard).toContain('scope_missing')
    await line.close()
    expect(await weir.events(`request_id = '${way}-echo'`)).toMatchObject([
      { decision: 'deny', transport: way },
    ])
  })

  test('in a batch, under the roof, as a notification, and under another spelling', async () => {
    const token = await idp.token(`${base}/`)
    const headers = { ...bearer(token), 'mcp-protocol-version': '2025-03-26' }
    const batch = await send(
      `${base}${PATH}`,
      [toolCall('batch-echo', 'echo', {}), toolCall('batch-slow', 'slow', {})],
      { headers },
    )
    expect(batch.text).toContain('scope_missing')
    expect(await weir.events("request_id IN ('batch-echo', 'batch-slow')", 2)).toMatchObject([
      { request_id: expect.any(String) },
      { request_id: expect.any(String) },
    ])
    expect(await weir.events("request_id = 'batch-echo'")).toMatchObject([{ outcome: 'denied' }])
    expect(await weir.events("request_id = 'batch-slow'")).toMatchObject([{ outcome: 'ok' }])
    const roof = await send(`${base}/mcp`, initialize('roof'), { headers: bearer(token) })
    const session = { ...bearer(token), 'mcp-session-id': String(roof.headers['mcp-session-id']) }
    const under = await callTool(`${base}/mcp`, 'roof-echo', 'stub_echo', {}, { headers: session })
    expect(under.status).toBe(403)
    // Without an id it is a notification, which a server may carry out all the same: refused before its scopes are looked at.
    const { id: _id, ...silent } = toolCall('x', 'echo', { text: 'silent' }) as Record<string, unknown>
    expect((await send(`${base}${PATH}`, silent, { headers: bearer(token) })).status).toBe(400)
    expect((await call('spelling', token, PATH, 'ECHO')).status).toBe(403)
    const { arrived } = await upstream.seen()
    expect(arrived.filter(({ body }) => body.includes('silent'))).toEqual([])
  })

  test('a WebSocket handshake without a token is told where to get one', async () => {
    const socket = new WebSocket(`${base.replace('http', 'ws')}${PATH}`, 'mcp')
    const header = await new Promise((resolve) => {
      socket.on('unexpected-response', (_req, res) => resolve(res.headers['www-authenticate']))
      socket.on('error', () => {})
    })
    expect(header).toContain('resource_metadata=')
    socket.terminate()
  })

  test('on an SSE stream each message goes with the token it came with', async () => {
    const [plain, more] = [await idp.token(`${base}/`), await idp.token(`${base}/`, 'mcp bank.read')]
    const stream = await open(`${base}/servers/stub/sse`, { headers: bearer(plain) })
    const path = await waitFor('the endpoint', () => /\ndata: (\S+)\n/.exec(stream.text())?.[1])
    await send(`${base}${path}`, initialize('renewed'), { headers: bearer(plain) })
    await waitFor('the session', () => stream.text().includes('"renewed"'))
    await send(`${base}${path}`, toolCall('renewed-echo', 'echo', {}), { headers: bearer(more) })
    await waitFor('the answer', () => /"renewed-echo".*result|result.*"renewed-echo"/.test(stream.text()))
    stream.close()
  })
})

describe('an authorization server', () => {
  test('that changes its keys is followed; tokens of the old key open nothing any more', async () => {
    const old = await idp.token(`${base}/`)
    expect((await call('old-key', old)).status).toBe(200)
    await idp.rotate()
    const fresh = await idp.token(`${base}/`)
    await waitFor('both workers have the new keys', async () => {
      for (const i of [0, 1, 2, 3]) expect((await call(`new-key-${i}`, fresh)).status).toBe(200)
      const answers = await Promise.all([0, 1, 2, 3].map((i) => call(`old-key-${i}`, old)))
      return answers.every(({ status }) => status === 401)
    })
  })

  test('that is away: its keys count for the configured time, then nobody comes in, and keys of ours still do', async () => {
    const short = { cooldown_s: 0, refresh_s: 1, stale_max_s: 8 }
    await reload(config(short))
    const token = await idp.token(`${base}/`)
    expect((await call('before-away', token)).status).toBe(200)
    idp.away(true)
    expect((await call('away', token)).status).toBe(200)
    const refused = await waitFor('its keys are too old', async () => {
      const answer = await call('away-long', token)
      return answer.status !== 200 && answer
    })
    expect(refused.status).toBe(503)
    expect(refused.headers['retry-after']).toBeDefined()
    expect(refused.text).toContain('issuer_unavailable')
    expect((await call('away-key', KEY)).status).toBe(200)
    // A config that changes meanwhile forgets nothing and lets nobody in.
    await reload({ ...config(short), budgets: [], labels: {} })
    expect((await call('away-reloaded', token)).status).toBe(503)
    idp.away(false)
    await waitFor('it is back', async () => (await call('back', token)).status === 200)
    expect(weir.weir.output).toContain('the keys of an authorization server cannot be fetched')
  })

  test('that the config no longer lists vouches for nobody, at once', async () => {
    const token = await idp.token(`${base}/`)
    expect((await call('listed', token)).status).toBe(200)
    const opened = await send(`${base}/mcp`, initialize('standing'), { headers: bearer(token) })
    const stream = await open(`${base}/mcp`, {
      headers: { ...bearer(token), 'mcp-session-id': String(opened.headers['mcp-session-id']) },
    })
    expect(stream.status).toBe(200)
    await reload({ ...config(), labels: {} })
    const ended = stream.ended.then(() => 'ended')
    expect(await Promise.race([ended, call('still-listed', token).then(({ status }) => status)])).toBe(200)
    await reload({ ...config(), auth: {} })
    // What it opened before goes with it.
    expect(await ended).toBe('ended')
    const answer = await call('unlisted', token)
    expect([answer.status, challengeOf(answer)]).toEqual([401, 'Bearer realm="weir"'])
    expect((await fetch(metadataUrl('/mcp'))).status).toBe(404)
    await reload(config())
    expect((await call('listed-again', token)).status).toBe(200)
  })
})
