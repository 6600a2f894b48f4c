/**
 * Access tokens of authorization servers: verified once, known by their digest until they expire, their server's keys change or the
 * config does. Only owner of jose besides issuer-keys.ts. Fails closed: whatever cannot be verified opens nothing.
 * Invariant: a token that is accepted was signed by a key of the server it names, with an algorithm the config lists.
 * Source: RFC 7519, RFC 8725, RFC 9068, RFC 8705 (section 3).
 */
import { hash } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose'
import { TokenRefused } from '../../config/claims.ts'
import type { Issuer } from '../../config/oauth.ts'
import type { Config } from '../../config/schema.ts'
import { WeirError } from '../errors.ts'
import { identityOf, scopesOf } from './claims.ts'
import type { Identity } from './identity.ts'
import type { IssuerKeys } from './issuer-keys.ts'
import type { ScopePolicy } from './scopes.ts'

export const TOKEN_CHARS_MAX = 8192
/** Tokens known at a time, in each worker: about 1 KB each. */
const KNOWN_MAX = 10_000
const MEDIA_TYPE = /^(?:application\/)?(?:jwt|at\+jwt)$/i

/** What a verified token opens. */
export type Grant = {
  readonly identity: Identity
  /** Whether it was made for us, by the audience that the config names; null: by the endpoint that is called. */
  readonly isOurs: boolean | null
  readonly audiences: readonly string[]
  readonly scopes: ReadonlySet<string>
  /** SHA-256 (base64url) of the client certificate it is bound to, '' for none. */
  readonly thumbprint: string
  readonly issuer: Issuer
  readonly keys: IssuerKeys
  readonly generation: number
}

type Trusted = { readonly issuer: Issuer; readonly keys: IssuerKeys }
type KeyLookup = NonNullable<Awaited<ReturnType<IssuerKeys['have']>>>

/** Whether a bearer credential looks like a token rather than a key of ours. */
export const looksLikeToken = (text: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]*$/.test(text)

export class TokenGate {
  readonly #issuers = new Map<string, Trusted>()
  readonly #config: Pick<Config, 'callers' | 'teams'>
  readonly #scopes: ScopePolicy
  readonly #told: (result: string) => void
  readonly #known = new Map<string, Grant>()
  readonly #known_max: number
  readonly #pending = new Map<string, Promise<Grant>>()

  /** `keysOf`: the keys of a server, kept over reloads. `told`: hears how each verification ended, in a word. */
  constructor(
    config: Pick<Config, 'callers' | 'teams' | 'auth'>,
    scopes: ScopePolicy,
    keysOf: (issuer: Issuer) => IssuerKeys,
    told: (result: string) => void,
    known_max = KNOWN_MAX,
  ) {
    this.#known_max = known_max
    this.#config = config
    this.#scopes = scopes
    this.#told = told
    for (const issuer of config.auth.oauth) this.#issuers.set(issuer.issuer, { issuer, keys: keysOf(issuer) })
  }

  get size(): number {
    return this.#known.size
  }

  /** Whether what was granted still counts. */
  stands(grant: Grant, now_ms: number): boolean {
    return (
      now_ms < grant.identity.expires_ms && grant.keys.isServing && grant.generation === grant.keys.generation
    )
  }

  /** What a token opens: at once when it is known. Throws or rejects with TokenRefused, or issuer_unavailable. */
  open(token: string, now_ms: number): Grant | Promise<Grant> {
    const digest = hash('sha256', token)
    const known = this.#known.get(digest)
    if (known) {
      if (this.stands(known, now_ms)) return known
      this.#known.delete(digest)
    }
    // Many calls at once with a new token are one verification.
    let pending = this.#pending.get(digest)
    if (!pending) {
      pending = this.#verify(token, now_ms)
        .then(
          (grant) => {
            this.#remember(digest, grant)
            this.#told('accepted')
            return grant
          },
          (error) => {
            this.#told(error instanceof TokenRefused ? 'refused' : 'unavailable')
            throw error
          },
        )
        .finally(() => this.#pending.delete(digest))
      this.#pending.set(digest, pending)
    }
    return pending
  }

  #remember(digest: string, grant: Grant): void {
    if (this.#known.size >= this.#known_max) this.#known.delete(this.#known.keys().next().value!)
    this.#known.set(digest, grant)
  }

  async #verify(token: string, now_ms: number): Promise<Grant> {
    const { issuer, keys } = this.#trustedBy(token)
    const lookUp = await keys.have()
    if (!lookUp) throw new WeirError('issuer_unavailable', `the keys of ${issuer.issuer} cannot be had`)
    const { generation } = keys
    try {
      return this.#grant(await verified(token, lookUp, issuer, now_ms), { issuer, keys }, generation)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw asRefusal(error)
    }
    // Signed by a key we have not seen: the server may have changed its keys.
    const newer = await keys.newer()
    if (!newer) throw new TokenRefused('The token is signed by an unknown key')
    try {
      return this.#grant(await verified(token, newer, issuer, now_ms), { issuer, keys }, keys.generation)
    } catch (error) {
      throw asRefusal(error)
    }
  }

  /** The server a token says it is from, if that is one of ours. Nothing is believed yet. */
  #trustedBy(token: string): Trusted {
    let iss: unknown
    try {
      const { alg, typ } = decodeProtectedHeader(token)
      iss = decodeJwt(token).iss
      if (typeof alg !== 'string') throw new Error()
      // Other kinds of signed tokens (of logouts, of proofs, of events) are no access tokens.
      if (typ !== undefined && !(typeof typ === 'string' && MEDIA_TYPE.test(typ))) throw new Error()
    } catch {
      throw new TokenRefused('The token is not an access token as a JWT')
    }
    const trusted = typeof iss === 'string' ? this.#issuers.get(iss) : undefined
    if (!trusted) throw new TokenRefused('The token is from an authorization server that is not trusted here')
    return trusted
  }

  #grant(claims: JWTPayload, { issuer, keys }: Trusted, generation: number): Grant {
    const { aud, exp, cnf } = claims
    const audiences = (Array.isArray(aud) ? aud : [aud])
      .filter((one) => typeof one === 'string')
      .map(withoutSlash)
    return {
      identity: identityOf(claims, issuer, this.#config, (exp! + issuer.clock_skew_s) * 1000),
      isOurs: issuer.audience?.some((one) => audiences.includes(withoutSlash(one))) ?? null,
      audiences,
      scopes: this.#scopes.granted(scopesOf(claims, issuer)),
      thumbprint: boundTo(cnf),
      issuer,
      keys,
      generation,
    }
  }
}

/** Audiences are URLs that some write with a slash at the end, some without. */
const withoutSlash = (url: string): string => url.replace(/\/$/, '')

/** The certificate a token is bound to. One that is bound to anything else cannot be checked here, and so opens nothing. */
function boundTo(cnf: unknown): string {
  if (cnf === undefined) return ''
  const thumbprint =
    typeof cnf === 'object' && cnf !== null ? (cnf as Record<string, unknown>)['x5t#S256'] : null
  if (typeof thumbprint !== 'string' || thumbprint === '' || Object.keys(cnf as object).length !== 1)
    throw new TokenRefused('The token is bound to a key that cannot be checked here')
  return thumbprint
}

async function verified(
  token: string,
  lookUp: KeyLookup,
  issuer: Issuer,
  now_ms: number,
): Promise<JWTPayload> {
  const options = {
    issuer: issuer.issuer,
    algorithms: [...issuer.algorithms],
    clockTolerance: issuer.clock_skew_s,
    requiredClaims: ['exp', 'aud'],
    currentDate: new Date(now_ms),
  }
  try {
    return (await jwtVerify(token, lookUp, options)).payload
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    // No key is named and several fit: the one that verifies counts.
    for await (const key of error) {
      try {
        return (await jwtVerify(token, key, options)).payload
      } catch (inner) {
        if (!(inner instanceof errors.JWSSignatureVerificationFailed)) throw inner
      }
    }
    throw new errors.JWSSignatureVerificationFailed()
  }
}

/** Why, in words for the bearer: none of them holds a part of the token. */
function asRefusal(error: unknown): unknown {
  if (error instanceof TokenRefused || error instanceof WeirError) return error
  if (error instanceof errors.JWTExpired) return new TokenRefused('The token has expired')
  if (error instanceof errors.JWTClaimValidationFailed)
    return new TokenRefused(
      error.claim === 'nbf' ? 'The token is not valid yet' : 'A claim of the token is missing or wrong',
    )
  if (error instanceof errors.JOSEAlgNotAllowed)
    return new TokenRefused('The signature is of a kind that is not accepted')
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return new TokenRefused('The signature does not fit')
  // A malformed token, or a key that is too weak: whatever it is, nothing was verified.
  return new TokenRefused('The token cannot be verified')
}
