/**
 * Promise 6: secrets put into every input are found nowhere afterwards: no spool file, row, log line, metric, error text or
 * span. The exception is what a capture rule names, and there they are masked.
 */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callTool, initialize, open, send, toolCall } from '../support/client.ts'
import { startWeir, type Weir } from '../support/installation.ts'
import { readStore, type StoreReader, waitForRows } from '../support/store-reader.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'

/** A word that stands nowhere else, so that finding it means it leaked. Shaped like what it stands for. */
const SECRETS = {
  apiKey: 'weir_canaryApiKey7d0f3b9a1c5e',
  wrongKey: 'weir_canaryWrongKey44aa55bb66cc',
  bearer: 'canary-upstream-bearer-91827364',
  configHeader: 'canary-config-header-55512345',
  urlPassword: 'canaryUrlPassw0rd',
  argument: 'canary argument: the client wants to sell everything',
  result: 'canary result: balance is 1,234,567',
  email: 'canary.person@private.example',
  card: '4111 1111 1111 1111',
  iban: 'DE89370400440532013000',
  jwt: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLWNhbmFyeQ',
  password: 'canaryHunter2',
  cookie: 'canary-cookie-value-111',
  header: 'canary-client-header-222',
  baggage: 'canary-baggage-value-333',
  uri: 'canary-uri-query-444',
  uriUser: 'canaryUriUser555',
  meta: 'canary-meta-value-666',
} as const

let upstream: UpstreamStub
let weir: Weir
let store: StoreReader
let session = ''
let url = ''
const auth = { authorization: `Bearer ${SECRETS.apiKey}` }
const inputs: Record<string, string> = {
  ...auth,
  cookie: `sid=${SECRETS.cookie}`,
  'x-private': SECRETS.header,
  baggage: `agent=visible-agent,private=${SECRETS.baggage}`,
}

beforeAll(async () => {
  upstream = await startUpstream({ sessions: true, keepBodies: true })
  const withUser = upstream.url.replace('http://', `http://user:${SECRETS.urlPassword}@`)
  weir = await startWeir({
    config: {
      log: { level: 'debug' },
      servers: {
        stub: {
          url: upstream.url,
          era: 'legacy',
          credentials: { bearer: SECRETS.bearer },
          headers: { 'x-extra': SECRETS.configHeader },
        },
        userinfo: { url: withUser, era: 'legacy' },
        kept: { url: upstream.url, era: 'legacy' },
        away: { url: `http://user:${SECRETS.urlPassword}@127.0.0.1:9/mcp`, era: 'legacy' },
      },
      callers: {
        agent: { team: 't', keys: [{ sha256: createHash('sha256').update(SECRETS.apiKey).digest('hex') }] },
      },
      capture: { keep: [{ tools: 'kept_*', arguments: true, results: true }] },
      spool: { segment_age_ms: 1_000 },
    },
  })
  store = readStore(weir.addresses.store)
  url = `${weir.addresses.proxy}/servers/stub/mcp`
})

afterAll(async () => {
  await store.close()
  await weir.remove()
  await upstream.end()
})

/** What a server may say of its caller, one thing at a time. */
const GOSSIP = [
  `no access for ${SECRETS.email}, card ${SECRETS.card} 12/27`,
  `unknown iban ${SECRETS.iban} or token ${SECRETS.jwt}`,
  `login failed with password=${SECRETS.password} at http://user:${SECRETS.urlPassword}@db.internal/x`,
  `{"error":"denied","password":"${SECRETS.password}","card":"${SECRETS.card.replaceAll(' ', '')}"}`,
  `the header was Bearer ${SECRETS.bearer}, ${SECRETS.configHeader}`,
  `Authorization: Bearer ${SECRETS.bearer}`,
  `cookie: sid=${SECRETS.cookie}`,
]
const gossip = GOSSIP.join(' ; ')

test('secrets of every input are found in no spool file, row, log line, metric or span', async () => {
  let spool = ''
  const watch = setInterval(() => {
    spool += weir.spoolText
  }, 100)
  const opened = await send(url, initialize('canary-init'), { headers: inputs })
  session = String(opened.headers['mcp-session-id'])
  const upstreamSession = /upstream-session-[a-z0-9]+/.exec(
    Buffer.from(session.split('.')[1]!, 'base64url').toString(),
  )![0]
  const headers = { ...inputs, 'mcp-session-id': session }
  const secretArguments = {
    text: SECRETS.result,
    note: SECRETS.argument,
    password: SECRETS.password,
    mail: SECRETS.email,
  }
  const meta = { private: SECRETS.meta, baggage: `private=${SECRETS.baggage}` }
  const ids: string[] = []
  const call = async (tool: string, args: Record<string, unknown>, at = url): Promise<void> => {
    const id = `canary-${ids.length}`
    ids.push(id)
    await send(at, toolCall(id, tool, args, meta), { headers: at === url ? headers : inputs })
  }
  for (const tool of ['echo', 'sse', 'garbage', 'cut_body', 'cut_sse']) await call(tool, secretArguments)
  for (const tool of ['rpc_error', 'tool_error', 'http_error'])
    for (const text of [...GOSSIP, `session ${upstreamSession} is unknown`, `session ${session} is unknown`])
      await call(tool, { ...secretArguments, text })
  await call('echo', secretArguments, `${weir.addresses.proxy}/servers/userinfo/mcp`)
  await call('echo', secretArguments, `${weir.addresses.proxy}/servers/away/mcp`)
  await call('stub_echo', secretArguments, `${weir.addresses.proxy}/mcp`)
  await send(
    url,
    {
      jsonrpc: '2.0',
      id: 'canary-read',
      method: 'resources/read',
      params: { uri: `https://${SECRETS.uriUser}:x@host/path?key=${SECRETS.uri}#${SECRETS.uri}` },
    },
    { headers },
  )
  // Not JSON, a wrong key, a foreign session, a foreign path.
  await send(url, `{"note": "${SECRETS.argument}", ${SECRETS.password}`, { headers })
  await send(url, toolCall('canary-denied', 'echo', secretArguments), {
    headers: { authorization: `Bearer ${SECRETS.wrongKey}` },
  })
  await send(url, toolCall('canary-session', 'echo', secretArguments), {
    headers: { ...inputs, 'mcp-session-id': `${session}x` },
  })
  await send(
    `${weir.addresses.proxy}/nowhere?key=${SECRETS.apiKey}`,
    toolCall('canary-path', 'echo', secretArguments),
    { headers },
  )
  const stream = await open(url, { headers: { ...headers } })
  stream.close()
  await callTool(
    `${weir.addresses.proxy}/servers/kept/mcp`,
    'canary-kept',
    'echo',
    { ...secretArguments, text: gossip, headers: { cookie: SECRETS.cookie } },
    { headers: inputs },
  )

  const counts = await waitForRows(store, 'canary-', [...ids, 'canary-read', 'canary-kept'])
  expect(counts.get('canary-kept')).toBe(1)
  clearInterval(watch)
  spool += weir.spoolText
  const metrics = [
    await weir.metrics(),
    await (await fetch(`${weir.addresses.collector}/metrics`)).text(),
    await (await fetch(`${weir.addresses.proxy}/readyz`)).text(),
    await (await fetch(`${weir.addresses.collector}/readyz`)).text(),
  ].join('\n')
  // Stored after the calls of their batch.
  const payloads = await waitFor('both payloads are rows', async () => {
    const found = await store.rows<{ part: string; body: string }>(
      'SELECT part, body FROM call_payloads ORDER BY part',
    )
    return found.length >= 2 && found
  })
  const rows = await store.dump()
  expect(spool).toContain('"request_id":"canary-0"')
  expect(rows).toContain('canary-0')
  expect(rows).toContain('visible-agent')

  // What a capture rule names: kept, and masked.
  const texts = payloads.map((p) => p.body).join('\n')
  expect(payloads.map((p) => p.part)).toEqual(['arguments', 'result'])
  expect(texts).toContain(SECRETS.argument)
  const masked = [
    'bearer',
    'configHeader',
    'urlPassword',
    'email',
    'card',
    'iban',
    'jwt',
    'password',
    'cookie',
    'apiKey',
  ] as const
  for (const name of masked) expect(texts, name).not.toContain(SECRETS[name])

  // Everywhere else: nothing at all.
  const withoutPayloads = (text: string): string =>
    text
      .split('\n')
      .filter(
        (line) => !payloads.some((p) => line.includes(JSON.stringify(p.body).slice(1, -1).slice(0, 60))),
      )
      .join('\n')
  const places = { spool: withoutPayloads(spool), rows: withoutPayloads(rows), log: weir.output, metrics }
  const tokens = { ...SECRETS, sealedSession: session, upstreamSession }
  const found = Object.entries(places).flatMap(([place, text]) =>
    Object.entries(tokens)
      .filter(([, secret]) => text.includes(secret) || text.includes(encodeURIComponent(secret)))
      .map(
        ([name, secret]) =>
          `${name} in ${place}: ${text.slice(Math.max(0, text.indexOf(secret) - 80), text.indexOf(secret) + 40)}`,
      ),
  )
  expect(found).toEqual([])
}, 120_000)

test('the server gets its own credentials and none of the caller', async () => {
  const { arrived } = await upstream.seen()
  const echo = await waitFor('a call of the stub', () => arrived.find((a) => a.id === 'canary-0'))
  expect(echo.headers.authorization).toBe(`Bearer ${SECRETS.bearer}`)
  expect(echo.headers['x-extra']).toBe(SECRETS.configHeader)
  expect(echo.headers['x-private']).toBe(SECRETS.header)
  expect(JSON.stringify(echo.headers)).not.toContain(SECRETS.apiKey)
  expect(JSON.stringify(echo.headers)).not.toContain(SECRETS.cookie)
  expect(String(echo.headers['mcp-session-id'])).toMatch(/^upstream-session-/)
})
