/**
 * `auth`: who may vouch for callers besides this file: authorization servers (OAuth 2.1, OpenID Connect), and which scopes of
 * their tokens open what. Knows no token. Source: MCP authorization, RFC 9728, RFC 9068, RFC 8725.
 */
import { z } from 'zod'
import { bareHost, isLoopback } from './address.ts'
import { meta, ms } from './leaves.ts'

/** Signatures with a public key only: with a shared secret whoever can check a token could make one (RFC 8725, 3.1). */
export const TOKEN_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const

const parsed = (url: string): URL | null => {
  try {
    return new URL(url)
  } catch {
    return null
  }
}

/** https, or http on this machine; without user, query or fragment (RFC 8414, section 2). */
const trustedUrl = z.string().refine((text) => {
  const url = parsed(text)
  if (!url || url.username || url.password || url.search || url.hash) return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(bareHost(url.hostname)))
}, 'expected an https:// URL without user, query and fragment (http:// on loopback only), for example https://login.example.com')

/** Of a listener of ours: an origin. */
export const publicUrl = trustedUrl
  .refine((text) => parsed(text)?.pathname === '/', 'expected no path, for example https://weir.example.com')
  .transform((text) => new URL(text).origin)

const scope = z
  .string()
  .regex(
    /^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/,
    'a scope is a word without spaces, quotes and backslashes, for example bank.read',
  )
  .refine(
    (s) => s !== 'offline_access',
    'offline_access is between client and authorization server, for example bank.read',
  )

const loginScope = scope.refine((s) => s !== 'openid', 'openid is always asked for, for example email')

const claim = (fallback: string[], description: string, example?: string) =>
  z
    .union([z.string().min(1).max(200), z.array(z.string().min(1).max(200)).max(10)])
    .default(fallback)
    .transform((names) => (typeof names === 'string' ? [names] : names))
    .meta(meta(description, example === undefined ? {} : { example }))

const seconds = (fallback: number, max: number, description: string) =>
  z
    .number()
    .int()
    .min(0)
    .max(max)
    .default(fallback)
    .meta(meta(description, { unit: 's' }))

/** Login of people to the console at this issuer (OpenID Connect, authorization code with PKCE). */
const consoleLogin = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'expected lower-case letters, digits and "-", for example sso')
    .default('sso')
    .meta(
      meta('Name of this login in addresses; its redirect URI is `<console.public_url>/login/<id>/callback`'),
    ),
  name: z
    .string()
    .min(1)
    .max(60)
    .optional()
    .meta(meta('What the button says after "Sign in with"; default: the host of the issuer')),
  client_id: z
    .string()
    .min(1)
    .max(500)
    .meta(meta('Client that the console is at the issuer', { example: 'weir-console' })),
  client_secret: z
    .string()
    .min(1)
    .max(2000)
    .optional()
    .meta(meta('Its secret, use ${ENV} or file:; not set: a public client, with PKCE alone')),
  client_auth: z
    .enum(['client_secret_basic', 'client_secret_post'])
    .default('client_secret_basic')
    .meta(meta('How the secret is shown to the issuer')),
  scopes: z
    .array(loginScope)
    .max(20)
    .default([])
    .meta(meta('Scopes to ask for besides openid', { example: '[email, groups]' })),
  caller: claim(['sub'], 'Claims that name the person as a caller; the first that is there counts', 'email'),
  callers: z
    .array(z.string().min(1).max(100))
    .min(1, 'would let nobody in: leave it out for the callers of this file, for example ["*@example.com"]')
    .max(1000)
    .optional()
    .meta(
      meta(
        'Callers that may log in, with * as wildcard; default: those of this file, as far as the issuer may name them',
        { example: '["*@example.com"]' },
      ),
    ),
  roles: z
    .array(z.string().min(1).max(100))
    .min(1, 'would let nobody in: leave it out when no role is asked for, for example [weir-viewer]')
    .max(100)
    .optional()
    .meta(
      meta('Roles, one of which a person must have besides (`claims.roles`, and those of the caller)', {
        example: '[weir-viewer]',
      }),
    ),
})

const issuer = z.strictObject({
  issuer: trustedUrl.meta(
    meta('The authorization server: exactly what its tokens say in `iss`', {
      example: 'https://login.example.com',
    }),
  ),
  audience: z
    .union([z.string().min(1).max(500), z.array(z.string().min(1).max(500)).min(1).max(50)])
    .optional()
    .transform((names) => (typeof names === 'string' ? [names] : names))
    .meta(
      meta(
        'What tokens for Weir say in `aud`; default: `auth.public_url`, or the URL of the endpoint that is called',
        { example: 'https://weir.example.com' },
      ),
    ),
  jwks_uri: trustedUrl.optional().meta(
    meta("Where the server's public keys are; default: as its metadata says", {
      example: 'https://login.example.com/jwks',
    }),
  ),
  algorithms: z
    .array(z.enum(TOKEN_ALGORITHMS))
    .min(1)
    .default(['RS256', 'PS256', 'ES256', 'EdDSA'])
    .meta(meta('Signatures that are accepted; never `none`, never a shared secret')),
  clock_skew_s: seconds(30, 300, 'How far the clocks of the server and of Weir may be apart'),
  private_network: z
    .boolean()
    .default(false)
    .meta(
      meta(
        'Whether the server may be at a private address (10.0.0.0/8 and the like); link-local ones never are',
      ),
    ),
  keys: z
    .strictObject({
      refresh_s: seconds(600, 86_400, 'Public keys older than this are fetched again, beside the calls'),
      cooldown_s: seconds(
        30,
        3600,
        'Least time between two fetches, however many tokens name an unknown key',
      ),
      stale_max_s: seconds(
        3600,
        604_800,
        'While the server is away its last known keys count this long; after that its tokens are refused',
      ),
      timeout_ms: ms(5000, 'How long one fetch may take'),
    })
    .prefault({})
    .meta(meta("The server's public keys")),
  claims: z
    .strictObject({
      caller: claim(
        ['client_id', 'azp', 'sub'],
        'Claims that name the caller; the first that is there counts',
      ),
      team: claim([], 'Claims that name the team; empty: none', 'team'),
      project: claim([], 'Claims that name the project; empty: none', 'project'),
      roles: claim(
        [],
        'Claims with the roles, a list or words; a dot leads into a mapping',
        'realm_access.roles',
      ),
      scopes: claim(['scope', 'scp'], 'Claims with the scopes, words or a list'),
    })
    .prefault({})
    .meta(meta('What the claims of a token mean here')),
  callers: z
    .array(z.string().min(1).max(100))
    .default(['*'])
    .meta(
      meta('Callers this server may name, with * as wildcard; []: it is for logins to the console alone', {
        example: '[agent-*]',
      }),
    ),
  console: consoleLogin.optional().meta(meta('Login to the console at this server; not set: it offers none')),
})

export const auth = z
  .strictObject({
    public_url: publicUrl.optional().meta(
      meta('Where clients reach Weir; default: the scheme of the listener and the Host of the request', {
        example: 'https://weir.example.com',
      }),
    ),
    oauth: z.array(issuer).max(20).default([]).meta(meta('Authorization servers whose tokens are accepted')),
    scopes: z
      .record(
        z
          .string()
          .max(200)
          .regex(
            /^(\*|[^/]+\/.+)$/,
            'expected * (everything) or server/tool with * as wildcard, for example bank/*',
          ),
        z.array(scope).min(1).max(20),
      )
      .default({})
      .meta(
        meta(
          'Scopes a token must have, by pattern: `*` for any request, `server/tool` for calls; all that match add up',
          { example: '{ "*": [mcp], "bank/*": [bank.read], "bank/transfer": [bank.write] }' },
        ),
      ),
    scope_implies: z
      .record(scope, z.array(scope).min(1).max(50))
      .default({})
      .meta(
        meta('Broader scopes and the narrower ones they include', { example: '{ bank.write: [bank.read] }' }),
      ),
  })
  .prefault({})
  .meta(meta('Tokens of authorization servers (OAuth 2.1, OpenID Connect)'))

export type Auth = z.output<typeof auth>
export type Issuer = Auth['oauth'][number]
export type ConsoleLogin = NonNullable<Issuer['console']>
