/**
 * Three things that narrow a caller, at once: the scope of its personal token, the scopes of its access token, and rules. Each
 * binds whoever shows it and nobody else, and a scope is only asked for of what the caller may know of.
 */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts'
import { type Answer, initialize, send, toolCall } from '../support/client.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { type Observed, startObserved } from './support/observed.ts'

const PERSONAL = 'personal-token-of-ada'
let idp: AuthorizationServer
let upstream: UpstreamStub
let weir: Observed
let base: string
beforeAll(async () => {
  idp = await startAuthorizationServer()
  upstream = await startUpstream({})
  weir = await startObserved({
    servers: { stub: { url: upstream.url, era: 'legacy' } },
    callers: {
      'rm-agent': {
        keys: [
          {
            sha256: createHash('sha256').update(PERSONAL).digest('hex'),
            id: 'ada',
            user: 'ada',
            scope: ['stub/echo', 'stub/download'],
          },
        ],
      },
    },
    auth: {
      public_url: 'http://127.0.0.1',
      oauth: [{ issuer: idp.issuer, claims: { roles: 'duties' }, keys: { cooldown_s: 0 } }],
      scopes: { '*': ['mcp'], 'stub/*': ['bank.read'], 'stub/sse': ['bank.write'] },
      scope_implies: { 'bank.write': ['bank.read'] },
    },
    // Of the token's own roles; the key of the same caller has none.
    rules: [
      { deny: 'no downloads for analysts', roles: 'analyst', tools: 'download' },
      { deny: 'nobody floods', tools: 'sse_flood' },
    ],
  })
  base = weir.weir.addresses.proxy
})
afterAll(async () => {
  await weir?.stop()
  await upstream?.end()
  await idp?.end()
})

const tokenOf = (scopes: string): Promise<string> => idp.token('http://127.0.0.1/', scopes)
/** A caller with its credential, at the endpoint of the server or under the roof. */
async function client(credential: string, path: string) {
  const authorization = `Bearer ${credential}`
  const hello = await send(base + path, initialize('hello'), { headers: { authorization } })
  const session = hello.headers['mcp-session-id']
  const headers = { authorization, ...(session && { 'mcp-session-id': String(session) }) }
  const ask = (message: object): Promise<Answer> => send(base + path, message, { headers })
  const prefix = path === '/mcp' ? 'stub_' : ''
  return {
    call: (name: string, id: string) => ask(toolCall(id, prefix + name, {})),
    list: async (): Promise<string[]> => {
      const { message } = await ask({ jsonrpc: '2.0', id: 'l', method: 'tools/list' })
      return (message!.result!.tools as { name: string }[])
        .map(({ name }) => name.slice(prefix.length))
        .sort()
    },
  }
}
const shape = ({ status, headers, text }: Answer, id: string): string => {
  const { date: _date, ...rest } = headers
  return JSON.stringify({ status, headers: rest, text: text.replace(id, 'ID') })
}
const PATHS = ['/servers/stub/mcp', '/mcp']
let calls = 0
const next = (): string => `c-${String(++calls).padStart(3, '0')}`

test.each(PATHS)(
  'the scope of a personal token binds that token, and not the access tokens of the same caller (%s)',
  async (path) => {
    const personal = await client(PERSONAL, path)
    const token = await client(await tokenOf('mcp bank.write'), path)
    expect(await personal.list()).toEqual(['download', 'echo'])
    const seen = await token.list()
    expect(seen).toContain('slow')
    expect(seen).not.toContain('download')
    expect(seen).not.toContain('sse_flood')
    expect((await personal.call('echo', next())).message?.result).toBeDefined()
    expect((await personal.call('slow', next())).message?.error?.message).toBe('Unknown tool')
    expect((await token.call('slow', next())).message?.result).toBeDefined()
    // No scope of the authorization server is asked of a key, and no role of a token is the key's.
    expect((await personal.call('download', next())).status).toBe(200)
    expect((await token.call('download', next())).message?.error?.message).toBe('Unknown tool')
  },
)

test.each(PATHS)('a call that needs more is told which, and passes with them (%s)', async (path) => {
  const first = await client(await tokenOf('mcp'), path)
  const lacking = await first.call('sse', next())
  expect(lacking.status).toBe(403)
  expect(String(lacking.headers['www-authenticate'])).toMatch(
    /error="insufficient_scope".*scope="mcp bank\.read bank\.write"/,
  )
  const second = await client(await tokenOf('mcp bank.write'), path)
  const id = next()
  expect((await second.call('sse', id)).message?.result).toBeDefined()
  const [row] = await weir.events(`request_id = '${id}'`)
  expect(row).toMatchObject({
    outcome: 'ok',
    caller: 'rm-agent',
    auth_method: 'oauth',
    decision: 'allow',
  })
})

test.each(PATHS)(
  'of what a rule forbids no scope is asked: with and without them it is a tool that is not there (%s)',
  async (path) => {
    for (const scopes of ['mcp', 'mcp bank.read', 'mcp bank.write']) {
      const { call } = await client(await tokenOf(scopes), path)
      const [forbidden, unknown] = [next(), next()]
      const one = shape(await call('download', forbidden), forbidden)
      expect(one).toBe(shape(await call('upgrades', unknown), unknown))
      expect(one).toContain('Unknown tool')
      expect(one).not.toContain('insufficient_scope')
      const [row] = await weir.events(`request_id = '${forbidden}'`)
      expect(row).toMatchObject({ outcome: 'denied', decision_rule: 'no downloads for analysts' })
    }
  },
)

test.each(PATHS)('outside the scope of a personal token is what does not exist (%s)', async (path) => {
  const { call } = await client(PERSONAL, path)
  const [outside, unknown, denied] = [next(), next(), next()]
  const shapes = [
    shape(await call('sse', outside), outside),
    shape(await call('xyz', unknown), unknown),
    shape(await call('sse_flood', denied), denied),
  ]
  expect(new Set(shapes).size).toBe(1)
  expect(await weir.events(`request_id = '${outside}'`)).toMatchObject([
    { outcome: 'denied', decision_rule: 'scope', principal: 'rm-agent#ada' },
  ])
})
