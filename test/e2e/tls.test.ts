/**
 * TLS listeners and client certificates, made by openssl: who comes in by which certificate, over every transport, and what
 * happens when files change, certificates are revoked, or somebody claims a certificate he has not shown.
 */
import { createHash } from 'node:crypto'
import { copyFileSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { Agent, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import WebSocket from 'ws'
import { readNote } from '../../supervisor/data-folder.ts'
import { run } from '../cli/support/weir.ts'
import { Authority, certificateFolder, type Pair, pem, putListenerPair } from '../support/certificates.ts'
import { ACCEPT, initialize, toolCall } from '../support/client.ts'
import type { Folder } from '../support/folder.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'
import { type Observed, startObserved } from './support/observed.ts'

const KEY = 'key-of-the-agent'
const PATH = '/servers/stub/mcp'
const ONE = 'URI:spiffe://example.com/one'
const TWO = 'DNS:Two.Example.com'

let folder: Folder
let authority: Authority
let foreign: Authority
let one: Pair
let two: Pair
let upstream: UpstreamStub
let weir: Observed
/** Ports by what the listener asks of clients. */
let ports: Record<'none' | 'optional' | 'required', number>
let issuer: { url: string; sign(claims: object): Promise<string>; end(): void }

const file = (name: string): string => join(folder.path, name)
const put = (pair: Pair): void => putListenerPair(folder, pair)
const tls = (client_auth: string) => ({
  cert: file('weir.crt'),
  key: file('weir.key'),
  client_auth,
  ...(client_auth === 'none' ? {} : { client_ca: file('clients.crt'), client_crl: file('clients.crl') }),
})
const config = (more: object = {}) => ({
  workers: 2,
  listen: ['none', 'optional', 'required'].map((auth) => ({ address: '127.0.0.1:0', tls: tls(auth) })),
  servers: { stub: { url: upstream.url, era: 'legacy' } },
  callers: {
    one: { team: 'research', roles: ['analyst'], certificates: [{ san: ONE }] },
    two: { certificates: [{ san: TWO }, { san: 'email:two@example.com' }, { san: 'IP:10.0.0.2' }] },
    'key-agent': { keys: [{ sha256: createHash('sha256').update(KEY).digest('hex') }] },
  },
  ...more,
})

async function startIssuer(): Promise<typeof issuer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' }
  const server = createServer((_req, res) => res.end(JSON.stringify({ keys: [jwk] })))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    sign: (claims) =>
      new SignJWT({ client_id: 'one', aud: 'weir', ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: 'k' })
        .setIssuer(url)
        .setExpirationTime('10m')
        .sign(privateKey),
    end: () => server.close(),
  }
}

beforeAll(async () => {
  folder = certificateFolder()
  authority = new Authority(folder, 'authority')
  foreign = new Authority(folder, 'foreign')
  one = authority.issue([ONE])
  two = authority.issue([TWO])
  put(authority.issue(['IP:127.0.0.1', 'DNS:localhost'], 'serverAuth'))
  copyFileSync(authority.cert, file('clients.crt'))
  authority.revocations('clients.crl')
  upstream = await startUpstream({ sessions: true, keepBodies: true })
  issuer = await startIssuer()
  weir = await startObserved(config())
  await weir.weir.storing()
  const { listeners } = readNote(weir.weir.data)!
  expect(listeners.map((url) => new URL(url).protocol)).toEqual(['https:', 'https:', 'https:'])
  const [none, optional, required] = listeners.map((url) => Number(new URL(url).port))
  ports = { none: none!, optional: optional!, required: required! }
})
afterAll(async () => {
  await weir?.stop()
  await upstream?.end()
  issuer?.end()
  folder?.remove()
})

type Said = { status: number; text: string; serial: string; headers: Record<string, unknown> }
type Way = {
  headers?: Record<string, string>
  client?: Pair
  agent?: Agent
  path?: string
} & ConnectionOptions

/** One POST over TLS; rejects with the code when the connection fails. */
function post(
  port: number,
  body: unknown,
  { headers = {}, client, agent, path = PATH, ...more }: Way = {},
): Promise<Said> {
  const text = JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const req = request(
      {
        host: '127.0.0.1',
        port,
        path,
        method: 'POST',
        agent: agent ?? false,
        ca: readFileSync(authority.cert),
        ...(client ? pem(client) : {}),
        ...more,
        headers: {
          'content-type': 'application/json',
          accept: ACCEPT,
          'content-length': Buffer.byteLength(text),
          ...headers,
        },
      } as never,
      (res) => {
        const { serialNumber } = (res.socket as TLSSocket).getPeerCertificate()
        let said = ''
        res.on('data', (chunk: Buffer) => {
          said += chunk
        })
        res.on('end', () =>
          resolve({ status: res.statusCode!, text: said, serial: serialNumber, headers: res.headers }),
        )
        res.on('error', reject)
      },
    )
    req.on('error', reject)
    req.end(text)
  })
}
const echo = (id: string, port: number, way: Way = {}): Promise<Said> =>
  post(port, toolCall(id, 'echo', {}), way)
const key = { authorization: `Bearer ${KEY}` }

async function reload(next: object): Promise<string> {
  const before = weir.weir.output.length
  weir.weir.writeConfig(next as Record<string, unknown>)
  const said = (): string => weir.weir.output.slice(before)
  await waitFor('the config was looked at', () =>
    /config reloaded|not taken over|cannot|refused/.test(said()),
  )
  return said()
}

describe('a listener with TLS', () => {
  test('serves calls, with keys as anywhere', async () => {
    expect((await echo('plain-key', ports.none, { headers: key })).status).toBe(200)
    expect((await echo('plain-nobody', ports.none)).status).toBe(401)
    const [row] = await weir.events("request_id = 'plain-key'")
    expect(row).toMatchObject({ caller: 'key-agent', auth_method: 'api_key', outcome: 'ok' })
  })

  test('speaks no old TLS, and no plain HTTP', async () => {
    await expect(
      echo('old', ports.none, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    ).rejects.toThrow()
    await expect(fetch(`http://127.0.0.1:${ports.none}${PATH}`, { method: 'POST' })).rejects.toThrow()
    await waitFor('it was counted', async () => (await metric('weir_tls_failures_total')) > 0)
  })

  test('asks for no certificate when none is wanted: one that is shown says nothing', async () => {
    expect((await echo('unasked', ports.none, { client: one })).status).toBe(401)
  })
})

/** Over TLS: the helper of the installation speaks plain HTTP only. */
async function metric(name: string): Promise<number> {
  const text = await new Promise<string>((resolve, reject) => {
    request(
      {
        host: '127.0.0.1',
        port: ports.none,
        path: '/metrics',
        ca: readFileSync(authority.cert),
        agent: false,
      },
      (res) => {
        let said = ''
        res.on('data', (chunk: Buffer) => {
          said += chunk
        })
        res.on('end', () => resolve(said))
      },
    )
      .on('error', reject)
      .end()
  })
  return text
    .split('\n')
    .filter((line) => line.startsWith(name))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

describe('a client certificate', () => {
  test('is whose name it holds', async () => {
    expect((await echo('cert-one', ports.required, { client: one })).status).toBe(200)
    expect((await echo('cert-two', ports.optional, { client: two })).status).toBe(200)
    const email = authority.issue(['email:two@example.com'])
    const ip = authority.issue(['IP:10.0.0.2'])
    expect((await echo('cert-email', ports.required, { client: email })).status).toBe(200)
    expect((await echo('cert-ip', ports.required, { client: ip })).status).toBe(200)
    const rows = await weir.events("request_id LIKE 'cert-%'", 4)
    expect(rows.map(({ request_id, caller }) => [request_id, caller])).toEqual([
      ['cert-one', 'one'],
      ['cert-two', 'two'],
      ['cert-email', 'two'],
      ['cert-ip', 'two'],
    ])
    expect(rows[0]).toMatchObject({ auth_method: 'mtls', team: 'research', roles: ['analyst'] })
    expect(String(rows[0]!.principal)).toMatch(/^one#[\w-]{12}$/)
  })

  test('no certificate, or one of a foreign authority, is refused in the handshake where one is required', async () => {
    await expect(echo('no-cert', ports.required, { headers: key })).rejects.toThrow()
    const forged = foreign.issue([ONE])
    await expect(echo('forged', ports.required, { client: forged })).rejects.toThrow()
  })

  test('one of a foreign authority is nobody where certificates are optional, and its holder may still have a key', async () => {
    const forged = foreign.issue([ONE])
    expect((await echo('forged-optional', ports.optional, { client: forged })).status).toBe(401)
    expect((await echo('forged-key', ports.optional, { client: forged, headers: key })).status).toBe(200)
    expect((await echo('nobody-optional', ports.optional)).status).toBe(401)
  })

  test.each([
    ['has expired', () => authority.issue([ONE], 'clientAuth', -1)],
    ['is for servers', () => authority.issue([ONE], 'serverAuth')],
  ])('that %s is refused', async (_what, issue) => {
    const pair = issue()
    await expect(echo('unfit', ports.required, { client: pair })).rejects.toThrow()
    expect((await echo('unfit', ports.optional, { client: pair })).status).toBe(401)
  })

  test.each([
    ['the name of nobody', ['URI:spiffe://example.com/none']],
    ['no names: the common name counts for nothing', []],
    ['a longer name', [`${ONE}/x`]],
    ['another case of a path', ['URI:spiffe://example.com/ONE']],
    ['the name as another kind', ['DNS:spiffe.example.com']],
    ['the names of two callers', [ONE, TWO]],
    // Node's text of it reads `DNS:x, URI:spiffe://example.com/one` to whoever splits it at commas.
    ['a name that looks like two', ['DNS:x, URI:spiffe://example.com/one']],
  ])('with %s opens nothing', async (_what, sans) => {
    expect((await echo('unknown', ports.required, { client: authority.issue(sans) })).status).toBe(401)
  })

  test('beside a header says nothing: what the header holds decides', async () => {
    expect(
      (await echo('both-bad', ports.required, { client: one, headers: { authorization: 'Bearer wrong' } }))
        .status,
    ).toBe(401)
    expect((await echo('both-good', ports.required, { client: one, headers: key })).status).toBe(200)
    expect(await weir.events("request_id = 'both-good'")).toMatchObject([{ caller: 'key-agent' }])
  })

  test('header smuggling: a certificate that was not shown cannot be claimed', async () => {
    const claim = Buffer.from(
      JSON.stringify({ sans: [ONE], thumbprint: 'x', expires_ms: Date.now() + 60_000 }),
    ).toString('base64url')
    const headers = {
      'weir-hop-certificate': claim,
      'x-client-cert': readFileSync(one.cert, 'base64'),
      'x-forwarded-client-cert': `URI=${ONE.slice(4)}`,
    }
    for (const port of [ports.none, ports.optional])
      expect((await echo('claimed', port, { headers })).status).toBe(401)
    // With a key, through the worker that owns the session: there the header would be read.
    const opened = await post(ports.optional, initialize('claimed-open'), {
      path: '/mcp',
      headers: { ...headers, ...key },
    })
    const session = String(opened.headers['mcp-session-id'])
    for (let i = 0; i < 6; i++) {
      const answer = await post(ports.optional, toolCall(`claimed-${i}`, 'stub_echo', {}), {
        path: '/mcp',
        headers: { ...headers, 'mcp-session-id': session },
      })
      expect(answer.status).toBe(401)
    }
    const { arrived } = await upstream.seen()
    expect(arrived.filter((a) => Object.keys(a.headers).some((name) => name.startsWith('weir-')))).toEqual([])
  })

  test('holds in a session that another worker owns, in a batch, over SSE and over WebSocket', async () => {
    const opened = await post(ports.required, initialize('session'), { path: '/mcp', client: one })
    const session = { 'mcp-session-id': String(opened.headers['mcp-session-id']) }
    const calls = await Promise.all(
      [0, 1, 2, 3].map((i) =>
        post(ports.required, toolCall(`session-${i}`, 'stub_echo', {}), {
          path: '/mcp',
          client: one,
          headers: session,
        }),
      ),
    )
    expect(calls.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    // A session is its caller's: another certificate does not open it.
    const stolen = await post(ports.required, toolCall('stolen', 'stub_echo', {}), {
      path: '/mcp',
      client: two,
      headers: session,
    })
    expect(stolen.status).toBe(404)
    const batch = await post(
      ports.required,
      [toolCall('batch-0', 'echo', {}), toolCall('batch-1', 'echo', {})],
      {
        client: one,
        headers: { 'mcp-protocol-version': '2025-03-26' },
      },
    )
    expect(batch.status).toBe(200)
    const socket = new WebSocket(`wss://127.0.0.1:${ports.required}${PATH}`, 'mcp', {
      ca: readFileSync(authority.cert),
      ...pem(one),
    })
    const heard: string[] = []
    socket.on('message', (data: Buffer) => heard.push(data.toString()))
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    socket.send(JSON.stringify(initialize('ws-open')))
    await waitFor('the session', () => heard.some((text) => text.includes('"ws-open"')))
    socket.send(JSON.stringify(toolCall('ws-0', 'echo', {})))
    await waitFor('the answer', () => heard.some((text) => text.includes('"ws-0"')))
    socket.terminate()
    for (const [like, count] of [
      ['session-%', 4],
      ['batch-%', 2],
      ['ws-0', 1],
    ] as const)
      for (const row of await weir.events(`request_id LIKE '${like}'`, count))
        expect(row).toMatchObject({ caller: 'one', auth_method: 'mtls', outcome: 'ok' })
  })

  test('to which a token is bound has to be shown with it (RFC 8705)', async () => {
    await reload(
      config({
        auth: {
          oauth: [
            { issuer: issuer.url, jwks_uri: `${issuer.url}/jwks`, audience: 'weir', algorithms: ['ES256'] },
          ],
        },
      }),
    )
    const der = Buffer.from(readFileSync(one.cert, 'utf8').replace(/-----[^-]+-----|\s/g, ''), 'base64')
    const bound = await issuer.sign({
      cnf: { 'x5t#S256': createHash('sha256').update(der).digest('base64url') },
    })
    const headers = { authorization: `Bearer ${bound}` }
    expect((await echo('bound', ports.optional, { client: one, headers })).status).toBe(200)
    const stolen = await echo('bound-stolen', ports.optional, { client: two, headers })
    expect(stolen.status).toBe(401)
    expect(String(stolen.headers['www-authenticate'])).toContain('bound to a certificate that was not shown')
    expect((await echo('bound-none', ports.none, { headers })).status).toBe(401)
    // On a connection that has shown it before, too.
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: readFileSync(authority.cert), ...pem(two) })
    expect((await echo('bound-kept', ports.optional, { agent, headers: key })).status).toBe(200)
    expect((await echo('bound-kept', ports.optional, { agent, headers })).status).toBe(401)
    agent.destroy()
    await reload(config())
  })
})

describe('files that change', () => {
  const serialNow = async (): Promise<string> => (await echo('serial', ports.none, { headers: key })).serial

  test("Weir's own certificate is taken over without a restart, on every worker, and open connections go on", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: readFileSync(authority.cert) })
    const before = (await echo('kept-before', ports.none, { agent, headers: key })).serial
    put(authority.issue(['IP:127.0.0.1'], 'serverAuth'))
    await waitFor('both workers show the new one', async () => {
      const serials = await Promise.all([0, 1, 2, 3].map(serialNow))
      return serials.every((serial) => serial !== before)
    })
    const kept = await echo('kept-after', ports.none, { agent, headers: key })
    expect([kept.status, kept.serial]).toEqual([200, before])
    agent.destroy()
    expect(weir.weir.pids('worker')).toHaveLength(2)
  })

  test('a certificate without its key changes nothing, and is told once', async () => {
    const before = await serialNow()
    const other = authority.issue(['IP:127.0.0.1'], 'serverAuth')
    const said = weir.weir.output.length
    copyFileSync(other.cert, file('weir.crt'))
    await waitFor('it is told', () =>
      weir.weir.output.slice(said).includes('changed certificates are not taken over'),
    )
    expect(await serialNow()).toBe(before)
    // The other half.
    copyFileSync(other.key, file('weir.key'))
    await waitFor('the new one is shown', async () => (await serialNow()) !== before)
    expect(weir.weir.output.slice(said)).not.toContain('PRIVATE KEY')
  })

  test('files behind links, as mounted secrets are, are followed', async () => {
    const next = authority.issue(['IP:127.0.0.1'], 'serverAuth')
    const before = await serialNow()
    for (const [from, to] of [
      [next.cert, 'weir.crt'],
      [next.key, 'weir.key'],
    ] as const) {
      symlinkSync(from, `${file(to)}.link`)
      renameSync(`${file(to)}.link`, file(to))
    }
    await waitFor('the new one is shown', async () => (await serialNow()) !== before)
  })

  test('a revoked certificate opens nothing: not by a new connection, not by a resumed one, not by one that is open', async () => {
    const revoked = authority.issue([ONE])
    const agent = new Agent({
      keepAlive: true,
      maxSockets: 1,
      ca: readFileSync(authority.cert),
      ...pem(revoked),
    })
    expect((await echo('revoked-before', ports.required, { agent })).status).toBe(200)
    const session = await sessionOf(revoked)
    authority.revoke(revoked)
    authority.revocations('clients.crl')
    await waitFor('new connections are refused by both workers', async () => {
      const tries = await Promise.allSettled(
        [0, 1, 2, 3].map(() => echo('revoked', ports.required, { client: revoked })),
      )
      return tries.every(({ status }) => status === 'rejected')
    })
    await expect(echo('resumed', ports.required, { client: revoked, session } as Way)).rejects.toThrow()
    expect((await echo('revoked-optional', ports.optional, { client: revoked })).status).toBe(401)
    await waitFor('the open connection has ended', async () => {
      const said = await echo('revoked-open', ports.required, { agent }).catch(() => null)
      return said === null
    })
    agent.destroy()
    expect((await echo('not-revoked', ports.required, { client: one })).status).toBe(200)
  })

  /** A TLS session that a client could take up again. */
  function sessionOf(client: Pair): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const socket = connect({
        host: '127.0.0.1',
        port: ports.required,
        ca: readFileSync(authority.cert),
        ...pem(client),
      })
      socket.once('session', (session) => {
        socket.end()
        resolve(session)
      })
      socket.once('error', reject)
      socket.resume()
    })
  }

  test('an authority that is no longer trusted vouches for nobody', async () => {
    expect((await echo('trusted', ports.required, { client: two })).status).toBe(200)
    copyFileSync(foreign.cert, file('clients.crt'))
    foreign.revocations('clients.crl')
    await waitFor('both workers refuse', async () => {
      const tries = await Promise.allSettled(
        [0, 1, 2, 3].map(() => echo('untrusted', ports.required, { client: two })),
      )
      return tries.every(({ status }) => status === 'rejected')
    })
    expect((await echo('newly-trusted', ports.required, { client: foreign.issue([TWO]) })).status).toBe(200)
    copyFileSync(authority.cert, file('clients.crt'))
    authority.revocations('clients.crl')
    await waitFor('both workers trust it again', async () => {
      const tries = await Promise.allSettled(
        [0, 1, 2, 3].map(() => echo('again', ports.required, { client: two })),
      )
      return tries.every((one) => one.status === 'fulfilled' && one.value.status === 200)
    })
  })

  test('a caller that the config no longer knows by its certificate is refused at once', async () => {
    expect((await echo('known', ports.required, { client: one })).status).toBe(200)
    await reload(config({ callers: { two: { certificates: [{ san: TWO }] } } }))
    expect((await echo('forgotten', ports.required, { client: one })).status).toBe(401)
    await reload(config())
  })

  test('other paths are taken over with the config; unreadable ones change nothing, with the reason', async () => {
    const next = authority.issue(['IP:127.0.0.1'], 'serverAuth')
    const listen = config().listen.map((listener, i) =>
      i === 0 ? { ...listener, tls: { ...listener.tls, cert: next.cert, key: next.key } } : listener,
    )
    const before = await serialNow()
    expect(await reload(config({ listen }))).toContain('config reloaded')
    expect(await serialNow()).not.toBe(before)
    const missing = listen.map((listener, i) =>
      i === 1 ? { ...listener, tls: { ...listener.tls, key: file('missing.key') } } : listener,
    )
    expect(await reload(config({ listen: missing }))).toContain('missing.key cannot be read (ENOENT)')
    expect((await echo('after-missing', ports.optional, { client: one })).status).toBe(200)
    writeFileSync(file('noise.crt'), 'noise')
    const noise = listen.map((listener, i) =>
      i === 1 ? { ...listener, tls: { ...listener.tls, cert: file('noise.crt') } } : listener,
    )
    expect(await reload(config({ listen: noise }))).toMatch(/noise\.crt and its key cannot be used/)
    expect((await echo('after-noise', ports.optional, { client: one })).status).toBe(200)
    await reload(config())
  })

  test('whether a listener speaks TLS, and whom it asks, needs a restart, and it says so', async () => {
    const plain = config().listen.map((listener, i) => (i === 0 ? { address: listener.address } : listener))
    expect(await reload(config({ listen: plain }))).toContain('listen cannot change while running')
    await reload(config())
  })
})

test('`weir doctor` reaches it by its socket, and tells how long its certificates last', async () => {
  const { out } = await run(weir.weir.folder.path, 'doctor', '--json')
  const { checks } = JSON.parse(out) as { checks: { name: string; state: string; detail: string }[] }
  const found = (name: string) => checks.filter((check) => check.name.startsWith(name))
  expect(found('proxy')).toMatchObject([{ state: 'ok' }])
  expect(found('certificate').map(({ name, state }) => [name, state])).toEqual(
    [0, 1, 2].map((i) => [`certificate listen[${i}]`, 'warning']),
  )
  expect(found('certificate')[0]!.detail).toMatch(/^ends on \d{4}-\d{2}-\d{2}$/)
})
