import { describe, expect, test } from 'vitest'
import { challenge, ownAudiences, resourceMetadata, resourceOf } from '../../../proxy/identity/challenge.ts'
import { missing, ScopePolicy } from '../../../proxy/identity/scopes.ts'

const policy = new ScopePolicy({
  scopes: {
    '*': ['mcp'],
    'bank/*': ['bank.read'],
    'bank/transfer': ['bank.write'],
    '*/delete_*': ['danger'],
  },
  scope_implies: { admin: ['write'], write: ['read', 'admin'] },
})
const ORIGIN = { public_url: undefined, isTls: false, address: '127.0.0.1:7332' }

describe('what a call needs', () => {
  test.each([
    ['bank', 'balance', ['mcp', 'bank.read']],
    ['bank', 'transfer', ['mcp', 'bank.read', 'bank.write']],
    ['bank', '', ['mcp', 'bank.read']],
    ['files', 'delete_all', ['mcp', 'danger']],
    ['files', 'read', ['mcp']],
    ['bankrupt', 'transfer', ['mcp']],
  ])('%s/%s: %j', (server, tool, needed) => {
    expect(policy.needed(server, tool)).toEqual(needed)
  })

  test.each(['Transfer', 'TRANSFER', 'ｔransfer', 'trans\ufb00er'.replace('\ufb00', 'f')])(
    'another spelling of a tool, %s, needs no less',
    (tool) => {
      expect(policy.needed('bank', tool)).toContain('bank.write')
    },
  )

  test.each([
    'initialize',
    'ping',
    'tools/list',
    'resources/templates/list',
    'notifications/initialized',
    '',
  ])('the method %j only introduces, lists or tells', (method) => {
    expect(policy.neededBy(method, 'bank', '')).toEqual(['mcp'])
  })

  test.each([
    'tools/call',
    'prompts/get',
    'resources/read',
    'resources/subscribe',
    'completion/complete',
    'tasks/list',
    'x/list',
    'Tools/list',
    'subscriptions/listen',
    'tools/list/x',
  ])('the method %j is a call', (method) => {
    expect(policy.neededBy(method, 'bank', '')).toEqual(['mcp', 'bank.read'])
  })

  test('a broader scope includes the narrower ones at any depth, also in a circle', () => {
    expect([...policy.granted(['admin'])]).toEqual(['admin', 'write', 'read'])
    expect(missing(['read', 'x'], policy.granted(['write']))).toEqual(['x'])
  })
})

describe('what a client is told', () => {
  test('a challenge is one header with the place of the metadata', () => {
    const resource = resourceOf('/servers/bank/mcp?x=1', 'weir.example:8443', { ...ORIGIN, isTls: true })
    expect(challenge(resource, { error: null, description: '', scopes: [] })).toBe(
      'Bearer realm="weir", resource_metadata="https://weir.example:8443/.well-known/oauth-protected-resource/servers/bank/mcp"',
    )
    expect(
      challenge(resource, {
        error: 'insufficient_scope',
        description: 'The token lacks a',
        scopes: ['mcp', 'a'],
      }),
    ).toMatch(
      /^Bearer realm="weir", error="insufficient_scope", error_description="The token lacks a", resource_metadata="[^"]+", scope="mcp a"$/,
    )
  })

  test.each(['evil"x', 'a b', 'x/y', 'x\\', '', 'a:b:c', 'user@host'])(
    'the host %j does not get into it',
    (host) => {
      expect(resourceOf('/mcp', host, ORIGIN).base).toBe('http://127.0.0.1:7332')
    },
  )

  test.each(['/servers/a"b/mcp', '/servers/../mcp', '/servers/a%22/mcp', '/other', '/mcp/', '/servers//mcp'])(
    'the path %s does not get into it',
    (path) => {
      expect(resourceOf(path, 'weir', ORIGIN).path).toBe('')
    },
  )

  test('a server that there is and one that there is not are told the same', () => {
    const of = (name: string): string =>
      JSON.stringify(
        resourceMetadata(
          `/.well-known/oauth-protected-resource/servers/${name}/mcp`,
          'weir',
          ORIGIN,
          { oauth: [] },
          new ScopePolicy({ scopes: {}, scope_implies: {} }),
        ),
      ).replace(name, 'NAME')
    expect(of('bank')).toBe(of('nothing'))
  })

  test('only all of Weir, or the endpoint that is called, is us', () => {
    const audiences = (url: string): string[] => ownAudiences(resourceOf(url, 'weir', ORIGIN))
    expect(audiences('/servers/bank/mcp')).toEqual([
      'http://weir',
      'http://weir/servers/bank/mcp',
      'http://weir/servers/bank/sse',
    ])
    expect(audiences('/mcp')).toEqual(['http://weir', 'http://weir/mcp', 'http://weir/sse'])
    expect(audiences('/message?sessionId=x')).toEqual(['http://weir', 'http://weir/sse', 'http://weir/mcp'])
    expect(audiences('/metrics')).toEqual(['http://weir'])
  })
})
