/** Each test is an attempt to get in with a token that should open nothing, or proof that a good one does. */
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { exportJWK, exportSPKI, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose'
import { beforeEach, describe, expect, test } from 'vitest'
import { TokenRefused } from '../../../config/claims.ts'
import { parseConfig } from '../../../config/load.ts'
import { WeirError } from '../../../proxy/errors.ts'
import { IssuerKeys } from '../../../proxy/identity/issuer-keys.ts'
import { ScopePolicy } from '../../../proxy/identity/scopes.ts'
import { type Grant, looksLikeToken, TokenGate } from '../../../proxy/identity/tokens.ts'

const ISSUER = 'https://login.example.com'
const OTHER = 'https://other.example.com'
const AUDIENCE = 'https://weir.example.com'
const START_MS = Date.parse('2026-11-21T12:00:00Z')
const rsa = (): { privateKey: KeyObject; publicKey: KeyObject } =>
  generateKeyPairSync('rsa', { modulusLength: 2048 })
const FIRST = rsa()
const SECOND = rsa()
const FOREIGN = rsa()

const configOf = (issuer: object = {}, more: object = {}) =>
  parseConfig(
    JSON.stringify({
      auth: {
        oauth: [
          { issuer: ISSUER, audience: AUDIENCE, ...issuer },
          { issuer: OTHER, audience: AUDIENCE, callers: ['other-*'] },
        ],
      },
      ...more,
    }),
    'weir.yaml',
    {},
  ).config

/** What the two authorization servers publish, and whether they answer. */
let published: Record<string, object[]>
let isAway: boolean
let fetches: string[]
let now_ms: number
let gate: TokenGate

async function jwk(key: KeyObject, kid: string, more: object = {}): Promise<object> {
  return { ...(await exportJWK(key)), kid, use: 'sig', ...more }
}

function makeGate(issuer: object = {}, more: object = {}, known_max?: number): TokenGate {
  const config = configOf(issuer, more)
  const fetchJson = async (url: string): Promise<Record<string, unknown>> => {
    fetches.push(url)
    if (isAway) throw new Error('it did not answer in time')
    const { origin, pathname } = new URL(url)
    return pathname === '/jwks'
      ? { keys: published[origin]! }
      : { issuer: origin, jwks_uri: `${origin}/jwks` }
  }
  return new TokenGate(
    config,
    new ScopePolicy(config.auth),
    (one) =>
      new IssuerKeys(
        one,
        fetchJson,
        () => now_ms,
        () => {},
      ),
    () => {},
    known_max,
  )
}

beforeEach(async () => {
  published = {
    [ISSUER]: [await jwk(FIRST.publicKey, 'first')],
    [OTHER]: [await jwk(FOREIGN.publicKey, 'first')],
  }
  isAway = false
  fetches = []
  now_ms = START_MS
  gate = makeGate()
})

const seconds = (): number => Math.floor(now_ms / 1000)
const claims = (more: Record<string, unknown> = {}): JWTPayload =>
  ({
    iss: ISSUER,
    aud: AUDIENCE,
    sub: 'ada@example.com',
    client_id: 'rm-agent',
    iat: seconds(),
    exp: seconds() + 600,
    scope: 'mcp bank.read',
    ...more,
  }) as JWTPayload
const sign = (
  payload: JWTPayload = claims(),
  key: KeyObject = FIRST.privateKey,
  header: Record<string, unknown> = {},
): Promise<string> =>
  new SignJWT(payload).setProtectedHeader({ alg: 'RS256', kid: 'first', typ: 'at+jwt', ...header }).sign(key)
const open = async (token: string): Promise<Grant> => gate.open(token, now_ms)
const why = (token: string): Promise<string> =>
  open(token).then(
    () => 'let in',
    (error) => {
      if (!(error instanceof TokenRefused)) throw error
      return error.message
    },
  )
const b64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('a good token', () => {
  test('is who it says, and is verified once', async () => {
    const token = await sign()
    const grant = await open(token)
    expect(grant.identity).toMatchObject({
      caller: 'rm-agent',
      auth_method: 'oauth',
      roles: [],
      scope: null,
      expires_ms: (seconds() + 630) * 1000,
    })
    expect([...grant.scopes]).toEqual(['mcp', 'bank.read'])
    expect(gate.open(token, now_ms)).toBe(grant)
    expect(fetches).toEqual([`${ISSUER}/.well-known/oauth-authorization-server`, `${ISSUER}/jwks`])
  })

  test('shown by many calls at once is verified once, and its keys are fetched once', async () => {
    const token = await sign()
    const grants = await Promise.all(Array.from({ length: 20 }, () => open(token)))
    expect(new Set(grants).size).toBe(1)
    expect(fetches).toHaveLength(2)
  })

  test('holds no personal data that reaches an event: the subject is a hash', async () => {
    const { identity } = await open(await sign())
    expect(identity.principal).toMatch(/^rm-agent#[0-9a-f]{12}$/)
    expect(JSON.stringify(identity)).not.toContain('ada')
  })

  test.each(['ES256', 'EdDSA', 'PS256'])('may be signed with %s', async (alg) => {
    const pair =
      alg === 'ES256'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : alg === 'EdDSA'
          ? generateKeyPairSync('ed25519')
          : FIRST
    published[ISSUER] = [await jwk(pair.publicKey, 'first')]
    expect((await open(await sign(claims(), pair.privateKey, { alg }))).identity.caller).toBe('rm-agent')
  })

  test('that names no key is tried with each that fits', async () => {
    published[ISSUER] = [await jwk(SECOND.publicKey, 'a'), await jwk(FIRST.publicKey, 'b')]
    expect((await open(await sign(claims(), FIRST.privateKey, { kid: undefined }))).identity.caller).toBe(
      'rm-agent',
    )
    expect(await why(await sign(claims(), FOREIGN.privateKey, { kid: undefined }))).toBe(
      'The signature does not fit',
    )
  })
})

describe('a forged token', () => {
  test('alg none opens nothing, whatever it says', async () => {
    const unsigned = new UnsecuredJWT(claims()).encode()
    expect(looksLikeToken(unsigned)).toBe(true)
    expect(await why(unsigned)).toBe('The signature is of a kind that is not accepted')
    for (const alg of ['None', 'NONE', 'nOnE']) {
      const token = `${b64({ alg, typ: 'JWT', kid: 'first' })}.${b64(claims())}.`
      expect(await why(token), alg).toBe('The signature is of a kind that is not accepted')
    }
  })

  test('key confusion: the public key is no shared secret (HS256 over the PEM or the JWK)', async () => {
    const secrets = [
      await exportSPKI(createPublicKey(FIRST.privateKey) as never),
      JSON.stringify(await jwk(FIRST.publicKey, 'first')),
    ]
    for (const secret of secrets) {
      const head = `${b64({ alg: 'HS256', typ: 'at+jwt', kid: 'first' })}.${b64(claims())}`
      const token = `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`
      expect(await why(token)).toBe('The signature is of a kind that is not accepted')
    }
  })

  test('a shared secret in the published keys is no key', async () => {
    published[ISSUER] = [
      { kty: 'oct', k: Buffer.from('0123456789abcdef0123456789abcdef').toString('base64url'), kid: 'first' },
    ]
    const head = `${b64({ alg: 'HS256', kid: 'first' })}.${b64(claims())}`
    const mac = createHmac('sha256', '0123456789abcdef0123456789abcdef').update(head).digest('base64url')
    expect(await why(`${head}.${mac}`)).toBe('The signature is of a kind that is not accepted')
  })

  test('a key that the token brings along counts for nothing, and no address in it is asked', async () => {
    const own = await exportJWK(FOREIGN.publicKey)
    for (const header of [
      { jwk: own },
      { jku: 'https://attacker.example/jwks' },
      { x5u: 'https://attacker.example/cert' },
    ])
      expect(await why(await sign(claims(), FOREIGN.privateKey, header))).toBe('The signature does not fit')
    expect(fetches.every((url) => url.startsWith(ISSUER))).toBe(true)
  })

  test('another trusted server cannot sign for this one', async () => {
    // Its own key, under the same name, with this issuer in the token.
    expect(await why(await sign(claims(), FOREIGN.privateKey))).toBe('The signature does not fit')
  })

  test('a changed claim or signature opens nothing', async () => {
    const [head, , signature] = (await sign()).split('.') as [string, string, string]
    expect(await why(`${head}.${b64(claims({ client_id: 'admin' }))}.${signature}`)).toBe(
      'The signature does not fit',
    )
    const at = signature.length >> 1
    const flipped = `${signature.slice(0, at)}${signature[at] === 'A' ? 'B' : 'A'}${signature.slice(at + 1)}`
    expect(await why((await sign()).replace(signature, flipped))).toBe('The signature does not fit')
  })

  test('an extension that is declared critical and unknown is not passed over', async () => {
    const head = b64({ alg: 'RS256', kid: 'first', crit: ['exp2'], exp2: 1 })
    expect(await why(`${head}.${b64(claims())}.AAAA`)).toBe('The token cannot be verified')
  })

  test('an algorithm that is not listed opens nothing, though its signature is good', async () => {
    gate = makeGate({ algorithms: ['ES256'] })
    expect(await why(await sign())).toBe('The signature is of a kind that is not accepted')
  })

  test('a weak key is no key', async () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })
    published[ISSUER] = [await jwk(weak.publicKey, 'first')]
    const head = `${b64({ alg: 'RS256', kid: 'first' })}.${b64(claims())}`
    const { sign: rawSign } = await import('node:crypto')
    const token = `${head}.${rawSign('sha256', Buffer.from(head), weak.privateKey).toString('base64url')}`
    expect(await why(token)).toBe('The token cannot be verified')
  })
})

describe('a token that is not for us, or not now', () => {
  test('from a server that is not trusted', async () => {
    const refused = 'The token is from an authorization server that is not trusted here'
    for (const iss of [
      `${ISSUER}/`,
      'HTTPS://login.example.com',
      'https://evil.example',
      '',
      undefined,
      ['x'],
      1,
    ])
      expect(await why(await sign(claims({ iss: iss as string })))).toBe(refused)
    // Whose keys are asked for is the config's to say.
    expect(fetches).toEqual([])
  })

  test('without an audience, or without an end', async () => {
    const wrong = 'A claim of the token is missing or wrong'
    expect(await why(await sign(claims({ aud: undefined })))).toBe(wrong)
    expect(await why(await sign(claims({ exp: undefined })))).toBe(wrong)
    expect(await why(await sign({ ...claims(), exp: 'never' } as never))).toMatch(
      /missing or wrong|cannot be verified/,
    )
  })

  test('expired, by more than clocks may be apart', async () => {
    expect((await open(await sign(claims({ exp: seconds() - 29 })))).identity.caller).toBe('rm-agent')
    expect(await why(await sign(claims({ exp: seconds() - 31 })))).toBe('The token has expired')
  })

  test('not valid yet, by more than clocks may be apart', async () => {
    expect((await open(await sign(claims({ nbf: seconds() + 29 })))).identity.caller).toBe('rm-agent')
    expect(await why(await sign(claims({ nbf: seconds() + 31 })))).toBe('The token is not valid yet')
  })

  test('a known token ends when it expires', async () => {
    const token = await sign(claims({ exp: seconds() + 60 }))
    const grant = await open(token)
    now_ms += 89_000
    expect(gate.open(token, now_ms)).toBe(grant)
    now_ms += 2_000
    expect(await why(token)).toBe('The token has expired')
  })

  test('of another kind: an ID token by type, a logout token, a proof, an encrypted one', async () => {
    const refused = 'The token is not an access token as a JWT'
    for (const typ of ['logout+jwt', 'dpop+jwt', 'secevent+jwt', 'at+jwt; x', '', 7])
      expect(await why(await sign(claims(), FIRST.privateKey, { typ })), String(typ)).toBe(refused)
    for (const typ of ['JWT', 'at+jwt', 'application/at+jwt', undefined])
      expect((await open(await sign(claims(), FIRST.privateKey, { typ }))).identity.caller).toBe('rm-agent')
    expect(looksLikeToken('a.b.c.d.e')).toBe(false)
  })

  test('bound to a key that cannot be checked here', async () => {
    const refused = 'The token is bound to a key that cannot be checked here'
    for (const cnf of [{ jkt: 'x' }, { 'x5t#S256': 'x', jkt: 'y' }, { 'x5t#S256': '' }, {}, null, 'x'])
      expect(await why(await sign(claims({ cnf })))).toBe(refused)
    expect((await open(await sign(claims({ cnf: { 'x5t#S256': 'abc' } })))).thumbprint).toBe('abc')
  })

  test.each([
    '..',
    'a.b.c',
    `${b64({ alg: 'RS256' })}.${b64([])}.AAAA`,
    `${b64('x')}.${b64({})}.AAAA`,
    `${b64(null)}.e30.`,
  ])('%j is no token and no crash', async (token) => {
    expect(await why(token)).toBe('The token is not an access token as a JWT')
  })
})

describe('what a token may say of its bearer', () => {
  test('a server names only the callers it may', async () => {
    const token = (client_id: string): Promise<string> =>
      sign(claims({ iss: OTHER, client_id }), FOREIGN.privateKey)
    expect((await open(await token('other-agent'))).identity.caller).toBe('other-agent')
    expect(await why(await token('rm-agent'))).toBe('The authorization server may not name this caller')
  })

  test('no caller is no entry', async () => {
    expect(await why(await sign(claims({ client_id: undefined, sub: undefined })))).toBe(
      'The token names no caller',
    )
    expect((await open(await sign(claims({ client_id: undefined, azp: 'by-azp' })))).identity.caller).toBe(
      'by-azp',
    )
  })

  test.each([
    ['too long', 'x'.repeat(101)],
    ['a control character', 'rm\nagent'],
    ['turned around', 'rm\u202eagent'],
    ['with something in it that is not seen', 'rm\u200b-agent'],
    ['space around', ' rm-agent'],
    ['no text', { toString: 'x' }],
    ['a list', ['rm-agent']],
  ])('a caller that is %s is refused', async (_what, client_id) => {
    expect(await why(await sign(claims({ client_id })))).toBe('The claim for the caller is not a name')
  })

  test('roles, team and project come from the claims that the config names, own ones only', async () => {
    gate = makeGate({
      claims: {
        team: 'dept',
        project: ['https://example.com/project'],
        roles: ['realm_access.roles', 'roles'],
      },
    })
    const { identity } = await open(
      await sign(
        claims({
          dept: 'research',
          'https://example.com/project': 'advisory',
          realm_access: { roles: ['analyst'] },
          roles: 'reader writer',
        }),
      ),
    )
    expect(identity).toMatchObject({
      team: 'research',
      project: 'advisory',
      roles: ['analyst', 'reader', 'writer'],
    })
    gate = makeGate({ claims: { team: ['constructor.name', '__proto__.x', 'toString'] } })
    expect((await open(await sign())).identity.team).toBe('')
  })

  test('a claim that is not named by the config says nothing', async () => {
    const { identity } = await open(await sign(claims({ team: 'admins', roles: ['root'], project: 'x' })))
    expect(identity).toMatchObject({ team: '', project: '', roles: [] })
  })

  test('what the config says of a caller stands over its token, and roles add up', async () => {
    gate = makeGate(
      { claims: { team: 'team', roles: 'roles' } },
      {
        callers: { 'rm-agent': { team: 'advisory', roles: ['known'] } },
        teams: { advisory: { tags: { cost_center: '42' } } },
      },
    )
    const { identity } = await open(await sign(claims({ team: 'admins', roles: ['claimed'] })))
    expect(identity).toMatchObject({
      team: 'advisory',
      roles: ['known', 'claimed'],
      tags: { cost_center: '42' },
    })
  })

  test('roles that are too many, or no words, refuse the token: one left out could be the one that a rule denies', async () => {
    gate = makeGate({ claims: { roles: 'roles' } })
    const many = Array.from({ length: 257 }, (_, i) => `role-${i}`)
    expect(await why(await sign(claims({ roles: many })))).toBe('The token has more than 256 roles')
    for (const roles of [{ a: 1 }, [1], [['x']], ['a\u0000b'], 7])
      expect(await why(await sign(claims({ roles })))).toMatch(/^The claim for the roles /)
  })
})

describe('keys that change, and servers that are away', () => {
  const rotate = async (): Promise<void> => {
    published[ISSUER] = [await jwk(SECOND.publicKey, 'second')]
  }
  const signSecond = (): Promise<string> => sign(claims(), SECOND.privateKey, { kid: 'second' })

  test('a token signed by a new key is accepted at once: the keys are fetched again', async () => {
    await open(await sign())
    now_ms += 31_000
    await rotate()
    expect((await open(await signSecond())).identity.caller).toBe('rm-agent')
  })

  test('stale keys: a token of a withdrawn key is refused once the keys were fetched again, though it was known', async () => {
    const token = await sign(claims({ exp: seconds() + 86_400 }))
    const grant = await open(token)
    now_ms += 31_000
    await rotate()
    await open(await signSecond())
    expect(gate.stands(grant, now_ms)).toBe(false)
    expect(await why(token)).toBe('The token is signed by an unknown key')
  })

  test('keys are fetched again when they are old, beside the calls, also while only known tokens come', async () => {
    const token = await sign(claims({ exp: seconds() + 86_400 }))
    const grant = await open(token)
    await rotate()
    now_ms += 601_000
    // This one does not wait.
    expect(gate.open(token, now_ms)).toBe(grant)
    await expect.poll(() => gate.stands(grant, now_ms)).toBe(false)
    expect(await why(token)).toBe('The token is signed by an unknown key')
  })

  test('unknown keys by the hundred cause one fetch in a cooldown', async () => {
    await open(await sign())
    const before = fetches.length
    now_ms += 31_000
    const tokens = await Promise.all(
      Array.from({ length: 100 }, (_, i) => sign(claims(), FOREIGN.privateKey, { kid: `unknown-${i}` })),
    )
    for (const token of tokens) expect(await why(token)).toBe('The token is signed by an unknown key')
    expect(fetches.length - before).toBe(2)
  })

  test('a server that is away: known keys count for the configured time and not longer, even for known tokens', async () => {
    gate = makeGate({ keys: { refresh_s: 600, stale_max_s: 3600 } })
    const token = await sign(claims({ exp: seconds() + 86_400 }))
    await open(token)
    isAway = true
    now_ms += 4_199_000
    expect((await open(token)).identity.caller).toBe('rm-agent')
    expect((await open(await sign(claims({ jti: 'new' })))).identity.caller).toBe('rm-agent')
    now_ms += 2_000
    await expect(open(token)).rejects.toMatchObject({ code: 'issuer_unavailable' })
    isAway = false
    now_ms += 31_000
    expect((await open(token)).identity.caller).toBe('rm-agent')
  })

  test('a server that was never there: nobody comes in, and it is not asked for every call', async () => {
    isAway = true
    const failures = await Promise.all(
      Array.from({ length: 10 }, async (_, i) =>
        open(await sign(claims({ jti: String(i) }))).catch((error) => error),
      ),
    )
    for (const error of failures) {
      expect(error).toBeInstanceOf(WeirError)
      expect(error).toMatchObject({ code: 'issuer_unavailable' })
    }
    expect(fetches).toEqual([
      `${ISSUER}/.well-known/oauth-authorization-server`,
      `${ISSUER}/.well-known/openid-configuration`,
    ])
  })

  test('metadata that names another issuer gives no keys (mix-up)', async () => {
    const keys = new IssuerKeys(
      configOf().auth.oauth[0]!,
      async () => ({ issuer: OTHER, jwks_uri: `${OTHER}/jwks` }),
      () => now_ms,
      () => {},
    )
    expect(await keys.have()).toBeNull()
  })

  test('known tokens are bounded, and what was refused takes no place', async () => {
    gate = makeGate({}, {}, 10)
    const tokens = await Promise.all(Array.from({ length: 25 }, (_, i) => sign(claims({ jti: String(i) }))))
    for (const token of tokens) await open(token)
    expect(gate.size).toBe(10)
    const fresh = makeGate()
    gate = fresh
    for (const token of tokens.slice(0, 5))
      expect(await why(`${token.slice(0, -12)}AAAAAAAAAAAA`)).not.toBe('let in')
    expect(gate.size).toBe(0)
    // One that made place for others is verified again.
    expect((await open(tokens[0]!)).identity.caller).toBe('rm-agent')
  })
})
