/**
 * A real authorization server (oidc-provider) on loopback: metadata, registration of clients, authorization code with PKCE,
 * client credentials, resource indicators, tokens as JWTs. Whoever comes to its login page is let in as the user it names.
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

export type AuthorizationServer = {
  readonly issuer: string
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

const newKey = async (kid: string): Promise<JWK> => {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  return { ...(await exportJWK(privateKey)), kid, use: 'sig', alg: 'RS256' }
}

function makeProvider(issuer: string, key: JWK): Provider {
  const provider = new Provider(issuer, {
    jwks: { keys: [key] },
    cookies: { keys: ['test'] },
    scopes: ['openid', 'offline_access', ...SCOPES],
    clients: [
      {
        ...AGENT,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: 'client_secret_post',
      },
    ],
    findAccount: (_context: unknown, accountId: string) => ({
      accountId,
      claims: () => ({ sub: accountId }),
    }),
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

/** What a person would do at the login page: be the user, and grant what is asked. */
async function login(provider: Provider, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { prompt, params } = await provider.interactionDetails(req, res)
  if (prompt.name === 'login') {
    await provider.interactionFinished(req, res, { login: { accountId: 'ada@example.com' } })
    return
  }
  const grant = new provider.Grant({ accountId: 'ada@example.com', clientId: String(params.client_id) })
  grant.addOIDCScope(SCOPES.join(' '))
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
  let isAway = false
  let provider: Provider
  const server: Server = createServer((req, res) => {
    asked.push(req.url ?? '')
    if (isAway) return void req.socket.destroy()
    if (req.url?.startsWith('/login/')) {
      login(provider, req, res).catch((error) => res.writeHead(500).end(String(error)))
      return
    }
    if (req.method !== 'POST' || req.url !== '/reg') return void provider.callback()(req, res)
    void register(provider, req, res)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  let keys = 1
  provider = makeProvider(issuer, await newKey('key-1'))
  return {
    issuer,
    asked,
    async token(resource, scope = 'mcp') {
      const body = new URLSearchParams({ grant_type: 'client_credentials', resource, scope, ...AGENT })
      const answer = (await (await fetch(`${issuer}/token`, { method: 'POST', body })).json()) as {
        access_token?: string
      }
      if (!answer.access_token) throw new Error(JSON.stringify(answer))
      return answer.access_token
    },
    async rotate() {
      provider = makeProvider(issuer, await newKey(`key-${++keys}`))
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
