/**
 * A real authorization server (oidc-provider) on loopback: metadata, registration of clients, authorization code with PKCE,
 * client credentials, resource indicators, tokens as JWTs. Whoever comes to its login page is let in as the person of that moment.
 */
import { generateKeyPair } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { exportJWK, type JWK } from 'jose'
// Types: oidc-provider.d.ts.
import { Provider } from 'oidc-provider'

export const SCOPES = ['mcp', 'bank.read', 'bank.write'] as const
export const AGENT = { client_id: 'rm-agent', client_secret: 'secret-of-the-rm-agent' }

/** The console as a client of the server. */
export const CONSOLE = { client_id: 'weir-console', client_secret: 'secret-of-the-console' }

/** Who comes to the login page: claims besides `sub`. */
export type Visitor = { sub: string; email?: string; email_verified?: boolean; groups?: string[] }
const ADA: Visitor = { sub: 'ada@example.com' }

export type AuthorizationServer = {
  readonly issuer: string
  /** Whoever logs in from now on; null: they turn away at the login page. */
  visitor: Visitor | null
  /** From now on people may be sent back there after a login to the console. */
  admitConsole(redirect_uri: string): void
  /** Paths that were asked for, oldest first. */
  readonly asked: string[]
  /** A token for the client AGENT by client credentials. */
  token(resource: string, scope?: string): Promise<string>
  /** From now on it signs with another key; the old one is gone from its key set. */
  rotate(): Promise<void>
  /** Nobody answers any more, or somebody again. */
  away(isAway: boolean): void
  end(): Promise<void>
}

/** How long a login holds. */
export const ID_TOKEN_S = 1800

const newKey = async (kid: string): Promise<JWK> => {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  return { ...(await exportJWK(privateKey)), kid, use: 'sig', alg: 'RS256' }
}

function makeProvider(
  issuer: string,
  key: JWK,
  redirect_uris: string[],
  visitors: Map<string, Visitor>,
): Provider {
  const provider = new Provider(issuer, {
    jwks: { keys: [key] },
    cookies: { keys: ['test'] },
    scopes: ['openid', 'offline_access', 'email', 'groups', ...SCOPES],
    clients: [
      {
        ...AGENT,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: 'client_secret_post',
      },
      { ...CONSOLE, redirect_uris },
    ],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
    findAccount: (_context: unknown, accountId: string) => ({
      accountId,
      claims: () => ({ ...visitors.get(accountId), sub: accountId }),
    }),
    ttl: { IdToken: ID_TOKEN_S },
    interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/login/${uid}` },
    extraTokenClaims: () => ({ department: 'research', duties: ['analyst', 'reader'] }),
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (_context: unknown, resource: string) => ({
          scope: SCOPES.join(' '),
          audience: resource,
          accessTokenTTL: 600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  })
  return provider
}

/** What a person would do at the login page: be the user, and grant what is asked; or turn away. */
async function login(
  provider: Provider,
  visitor: Visitor | null,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const { prompt, params } = await provider.interactionDetails(req, res)
  if (visitor === null) {
    await provider.interactionFinished(req, res, { error: 'access_denied' })
    return
  }
  const accountId = visitor.sub
  if (prompt.name === 'login') {
    await provider.interactionFinished(req, res, { login: { accountId } })
    return
  }
  const grant = new provider.Grant({ accountId, clientId: String(params.client_id) })
  grant.addOIDCScope(['openid', 'email', 'groups', ...SCOPES].join(' '))
  if (params.resource !== undefined)
    grant.addResourceScope(String(params.resource), String(params.scope ?? ''))
  await provider.interactionFinished(
    req,
    res,
    { consent: { grantId: await grant.save() } },
    { mergeWithLastSubmission: true },
  )
}

/** SDK clients register with the scopes they know of then, and ask for more later: this server lets them. */
async function register(provider: Provider, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { scope: _scope, ...metadata } = (await json(req)) as Record<string, unknown>
  await provider.callback()(Object.assign(req, { body: metadata }), res)
}

export async function startAuthorizationServer(): Promise<AuthorizationServer> {
  const asked: string[] = []
  const visitors = new Map<string, Visitor>()
  const redirects: string[] = []
  let visitor: Visitor | null = ADA
  let isAway = false
  let provider: Provider
  const server: Server = createServer((req, res) => {
    asked.push(req.url ?? '')
    if (isAway) return void req.socket.destroy()
    if (req.url?.startsWith('/login/')) {
      login(provider, visitor, req, res).catch((error) => res.writeHead(500).end(String(error)))
      return
    }
    if (req.method !== 'POST' || req.url !== '/reg') return void provider.callback()(req, res)
    void register(provider, req, res)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  let keys = 1
  let key = await newKey('key-1')
  const renew = (): void => {
    provider = makeProvider(issuer, key, redirects, visitors)
  }
  renew()
  return {
    issuer,
    asked,
    get visitor() {
      return visitor
    },
    set visitor(next) {
      visitor = next
      if (next) visitors.set(next.sub, next)
    },
    admitConsole(redirect_uri) {
      redirects.push(redirect_uri)
      renew()
    },
    async token(resource, scope = 'mcp') {
      const body = new URLSearchParams({ grant_type: 'client_credentials', resource, scope, ...AGENT })
      const answer = (await (await fetch(`${issuer}/token`, { method: 'POST', body })).json()) as {
        access_token?: string
      }
      if (!answer.access_token) throw new Error(JSON.stringify(answer))
      return answer.access_token
    },
    async rotate() {
      key = await newKey(`key-${++keys}`)
      renew()
    },
    away(next) {
      isAway = next
    },
    async end() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
