/**
 * The console as a client of one issuer (OpenID Connect Core, authorization code with PKCE, RFC 9700). Only owner of openid-client,
 * which builds the requests and checks state, iss, nonce, aud, exp, alg and signature. Nothing is asked before somebody wants to log
 * in, so an issuer that is away keeps nobody else out. Fails closed.
 */
import * as client from 'openid-client'
import { type Claims, claimOf } from '../../config/claims.ts'
import type { LoginFailure } from '../../event/login-failure.ts'
import { type AskIssuer, reachOf } from '../../net/issuer-fetch.ts'
import { type LoginIssuer, neededClaims } from './entry.ts'
import type { Pending } from './pending.ts'

/** An issuer that was away just now is not asked again for everybody who tries. */
const COOLDOWN_MS = 5_000

/** `message`: for the log; of what a browser or issuer sent it repeats words of the protocol alone. */
export class LoginFailed extends Error {
  readonly failure: LoginFailure
  constructor(failure: LoginFailure, message: string) {
    super(message)
    this.failure = failure
  }
}

export type Vouched = {
  readonly claims: Claims
  /** From when the ID token says nothing any more, milliseconds since 1970. */
  readonly expires_ms: number
}

export class IssuerLogin {
  readonly issuer: LoginIssuer
  readonly #fetch: client.CustomFetch
  readonly #now: () => number
  #found: { configuration: client.Configuration; at_ms: number } | null = null
  #finding: Promise<client.Configuration> | null = null
  #failed: { error: LoginFailed; at_ms: number } | null = null

  constructor(issuer: LoginIssuer, ask: AskIssuer, now_ms: () => number) {
    this.issuer = issuer
    this.#now = now_ms
    this.#fetch = fetchBy(issuer, ask)
  }

  /** A new login and where to send the browser with it. Throws LoginFailed. */
  async begin(redirect_uri: string, to: string): Promise<{ pending: Pending; url: URL }> {
    const configuration = await this.#configuration()
    const { scopes } = this.issuer.console
    const pending = {
      issuer: this.issuer.issuer,
      state: client.randomState(),
      nonce: client.randomNonce(),
      verifier: client.randomPKCECodeVerifier(),
      to,
    }
    try {
      const url = client.buildAuthorizationUrl(configuration, {
        redirect_uri,
        scope: ['openid', ...scopes].join(' '),
        state: pending.state,
        nonce: pending.nonce,
        code_challenge: await client.calculatePKCECodeChallenge(pending.verifier),
        code_challenge_method: 'S256',
      })
      return { pending, url }
    } catch (error) {
      throw asFailure(error)
    }
  }

  /** Whom the issuer vouches for. `url`: the redirect URI with what the browser brought. Throws LoginFailed. */
  async finish(url: URL, { state, nonce, verifier }: Pending): Promise<Vouched> {
    const configuration = await this.#configuration()
    try {
      const tokens = await client.authorizationCodeGrant(configuration, url, {
        expectedState: state,
        expectedNonce: nonce,
        pkceCodeVerifier: verifier,
        idTokenExpected: true,
      })
      const claims = tokens.claims()!
      return {
        claims: await this.#completed(configuration, tokens.access_token, claims),
        expires_ms: claims.exp * 1000,
      }
    } catch (error) {
      throw asFailure(error)
    }
  }

  /** Some issuers keep what names a person out of the ID token. What it says stands over the rest. */
  async #completed(
    configuration: client.Configuration,
    access_token: string,
    claims: client.IDToken,
  ): Promise<Claims> {
    const isComplete = neededClaims(this.issuer).every((name) => claimOf(claims, name) !== undefined)
    if (isComplete || configuration.serverMetadata().userinfo_endpoint === undefined) return claims
    return { ...(await client.fetchUserInfo(configuration, access_token, claims.sub)), ...claims }
  }

  /** The issuer as its metadata describe it: asked for once, and again when that is old. */
  async #configuration(): Promise<client.Configuration> {
    const now_ms = this.#now()
    if (this.#found && now_ms - this.#found.at_ms <= this.issuer.keys.refresh_s * 1000)
      return this.#found.configuration
    if (this.#failed && now_ms - this.#failed.at_ms < COOLDOWN_MS) {
      if (this.#found) return this.#found.configuration
      throw this.#failed.error
    }
    this.#finding ??= this.#discover().finally(() => {
      this.#finding = null
    })
    return this.#finding
  }

  async #discover(): Promise<client.Configuration> {
    try {
      const configuration = await discovered(this.issuer, this.#fetch)
      this.#found = { configuration, at_ms: this.#now() }
      this.#failed = null
      return configuration
    } catch (error) {
      const failed = asFailure(error, 'issuer_unavailable')
      this.#failed = { error: failed, at_ms: this.#now() }
      // Its endpoints seldom move.
      if (this.#found) return this.#found.configuration
      throw failed
    }
  }
}

async function discovered(issuer: LoginIssuer, fetch: client.CustomFetch): Promise<client.Configuration> {
  const { client_id, client_secret, client_auth } = issuer.console
  const timeout = Math.ceil(issuer.keys.timeout_ms / 1000)
  // Whether http is right the fetch decides: on loopback, for an issuer there.
  const extensions = reachOf(issuer.issuer, false).loopback ? [client.allowInsecureRequests] : []
  const first = await client.discovery(new URL(issuer.issuer), client_id, undefined, undefined, {
    [client.customFetch]: fetch,
    execute: extensions,
    timeout,
  })
  const metadata: client.ServerMetadata = first.serverMetadata()
  if (metadata.issuer !== issuer.issuer)
    throw new LoginFailed('issuer_unavailable', 'its metadata name another issuer')
  const configuration = new client.Configuration(
    {
      ...metadata,
      ...(issuer.jwks_uri === undefined ? {} : { jwks_uri: issuer.jwks_uri }),
      // The config says which signatures count, not the issuer.
      id_token_signing_alg_values_supported: [...issuer.algorithms],
    },
    client_id,
    { [client.clockTolerance]: issuer.clock_skew_s },
    client_secret === undefined
      ? client.None()
      : client_auth === 'client_secret_post'
        ? client.ClientSecretPost(client_secret)
        : client.ClientSecretBasic(client_secret),
  )
  configuration[client.customFetch] = fetch
  configuration.timeout = timeout
  for (const extension of extensions) extension(configuration)
  // The token comes from the issuer itself; its signature is checked all the same.
  client.enableNonRepudiationChecks(configuration)
  return configuration
}

/** Requests of the library, made the guarded way. */
const fetchBy = (issuer: LoginIssuer, ask: AskIssuer): client.CustomFetch => {
  const reach = reachOf(issuer.issuer, issuer.private_network)
  return async (url, { method, headers, body }) => {
    const text = body instanceof URLSearchParams ? body.toString() : ''
    const request = { method: method === 'POST' ? 'POST' : 'GET', headers, body: text } as const
    const answer = await ask(url, request, reach, issuer.keys.timeout_ms)
    const isEmpty = [204, 205, 304].includes(answer.status)
    return new Response(isEmpty ? null : new Uint8Array(answer.body), {
      status: answer.status,
      headers: { 'content-type': answer.type },
    })
  }
}

const UNAVAILABLE = new Set([undefined, 'OAUTH_TIMEOUT', 'OAUTH_ABORT', 'OAUTH_RESPONSE_IS_NOT_CONFORM'])
/** Words of RFC 6749 and OpenID Connect; anything else is not repeated. */
const word = (text: unknown): string =>
  typeof text === 'string' && /^[a-z_]{1,40}$/.test(text) ? text : 'an error'

/** `otherwise`: what an error that says nothing better is. */
function asFailure(error: unknown, otherwise: LoginFailure = 'login_invalid'): LoginFailed {
  if (error instanceof LoginFailed) return error
  if (error instanceof client.AuthorizationResponseError)
    return new LoginFailed('login_refused', `it answered ${word(error.error)}`)
  if (error instanceof client.WWWAuthenticateChallengeError)
    return new LoginFailed('client_refused', `it answered HTTP ${error.status}`)
  if (error instanceof client.ResponseBodyError) {
    const isClient = /^(?:invalid_client|unauthorized_client)$/.test(error.error)
    return new LoginFailed(isClient ? 'client_refused' : 'login_invalid', `it answered ${word(error.error)}`)
  }
  if (!(error instanceof client.ClientError)) return new LoginFailed(otherwise, (error as Error).message)
  const cause = error.cause instanceof Error ? error.cause.message : error.message
  return new LoginFailed(UNAVAILABLE.has(error.code) ? 'issuer_unavailable' : otherwise, cause)
}
