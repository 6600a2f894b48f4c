/**
 * Who calls: by API key, access token or client certificate. Before the body is read: strangers cost us no memory.
 * What is shown in the Authorization header decides; a certificate counts only where there is none.
 */

import type { Socket } from 'node:net'
import { isLoopback } from '../../config/address.ts'
import { TokenRefused } from '../../config/claims.ts'
import type { Call } from '../call.ts'
import { WeirError } from '../errors.ts'
import type { CertificateRing } from '../identity/certificate.ts'
import { firstScopes, ownAudiences } from '../identity/challenge.ts'
import { type Identity, identify as identifyKey, type KeyRing } from '../identity/identity.ts'
import { missing } from '../identity/scopes.ts'
import { type Grant, looksLikeToken, TOKEN_CHARS_MAX } from '../identity/tokens.ts'
import type { Stage } from '../pipeline.ts'
import { lacksScopes, malformed, resourceFor, stranger, type TokenRules } from '../token-refusal.ts'

/** What a connection showed last. The credential is not kept longer than the connection it came by. */
type Shown = { authorization: string; identity: Identity; grant: Grant | null }

/** RFC 6750, section 2.1: one token of these characters. */
const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*) *$/i

function take(call: Call, identity: Identity): void {
  call.identity = identity
  if (identity.tags) call.tags = identity.tags
}

/** Takes who a token is from, if it was made for us, is shown by whom it was made for, and may come in at all. */
function takeGrant(call: Call, grant: Grant, rules: TokenRules): void {
  const isOurs =
    grant.isOurs ?? ownAudiences(resourceFor(call, rules.origin)).some((one) => grant.audiences.includes(one))
  if (!isOurs) throw stranger(call, rules, 'The token is not for this resource')
  if (grant.thumbprint !== '' && grant.thumbprint !== call.certificate?.thumbprint)
    throw stranger(call, rules, 'The token is bound to a certificate that was not shown')
  take(call, grant.identity)
  call.grant = grant
  const lacking = missing(rules.scopes.base, grant.scopes)
  if (lacking.length > 0)
    throw lacksScopes(call, rules.origin, lacking, firstScopes(rules.scopes, resourceFor(call, rules.origin)))
}

/** The token of a header, when it is one. Throws a 400 for what is malformed, a 401 for what cannot be a token. */
function tokenOf(call: Call, authorization: string, rules: TokenRules): string {
  if (!/^bearer(?: |$)/i.test(authorization)) throw stranger(call, rules, null)
  const token = authorization.length <= TOKEN_CHARS_MAX ? BEARER.exec(authorization)?.[1] : undefined
  // Node keeps the first of two headers; another party on the way may have gone by the second.
  if (token === undefined || call.req.headersDistinct.authorization?.length !== 1)
    throw malformed(call, rules)
  if (!looksLikeToken(token)) throw stranger(call, rules, 'The token is not known here')
  return token
}

/** As the gate, with refusals as answers. */
function openToken(call: Call, token: string, rules: TokenRules, now_ms: number): Grant | Promise<Grant> {
  const opened = rules.gate.open(token, now_ms)
  if (!(opened instanceof Promise)) return opened
  return opened.catch((error) => {
    throw error instanceof TokenRefused ? stranger(call, rules, error.message) : error
  })
}

/** `rules`: null when no authorization server is configured. `certificates`: null when no caller has one. */
export function identify(
  ring: KeyRing,
  rules: TokenRules | null = null,
  certificates: CertificateRing | null = null,
): Stage {
  const shown = new WeakMap<Socket, Shown>()
  const keyOf = (call: Call, authorization: string | undefined, now_ms: number): Identity | null =>
    identifyKey(ring, authorization, isLoopback(call.peer_address), now_ms)

  /** By what the header holds: a key of ours, or a token. */
  function byHeader(call: Call, authorization: string): void | Promise<void> {
    const now_ms = Date.now()
    const keep = (identity: Identity, grant: Grant | null): void => {
      if (!ring.isOpen) shown.set(call.req.socket, { authorization, identity, grant })
    }
    const identity = keyOf(call, authorization, now_ms)
    if (identity) {
      take(call, identity)
      return keep(identity, null)
    }
    if (!rules) throw stranger(call, null, null)
    const opened = openToken(call, tokenOf(call, authorization, rules), rules, now_ms)
    const accept = (grant: Grant): void => {
      takeGrant(call, grant, rules)
      keep(grant.identity, grant)
    }
    if (!(opened instanceof Promise)) return accept(opened)
    return opened.then((grant) => {
      // Nobody is there to take an answer, and nobody sends the rest of the body.
      if (call.res.destroyed) throw new WeirError('client_gone')
      accept(grant)
    })
  }

  return {
    name: 'identify',
    why: 'everything after it is decided and recorded by who calls',
    needs: 'head',
    before(call) {
      const { authorization } = call.req.headers
      if (authorization === undefined) {
        const identity =
          (call.certificate && certificates?.identify(call.certificate, Date.now())) ||
          keyOf(call, undefined, Date.now())
        if (!identity) throw stranger(call, rules, null)
        return take(call, identity)
      }
      const last = shown.get(call.req.socket)
      // Hashing the same key for every call of a connection would cost more than the rest of the stage.
      if (last && last.authorization === authorization && Date.now() < last.identity.expires_ms) {
        if (last.grant === null) return take(call, last.identity)
        if (rules?.gate.stands(last.grant, Date.now())) return takeGrant(call, last.grant, rules)
      }
      return byHeader(call, authorization)
    },
  }
}
