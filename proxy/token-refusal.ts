/**
 * The answers to credentials that open nothing: 401, 403 and 400 with the challenge that says where to get a token, and which.
 * Without authorization servers there is nothing to say, and the answer is a plain 401.
 */
import type { Call } from './call.ts'
import { decide } from './decision.ts'
import { WeirError } from './errors.ts'
import {
  challenge,
  firstScopes,
  type Origin,
  type Refusal,
  type Resource,
  resourceOf,
} from './identity/challenge.ts'
import type { ScopePolicy } from './identity/scopes.ts'
import type { TokenGate } from './identity/tokens.ts'

/** How tokens are judged at one listener. */
export type TokenRules = { readonly gate: TokenGate; readonly scopes: ScopePolicy; readonly origin: Origin }

export const resourceFor = (call: Call, origin: Origin): Resource =>
  resourceOf(call.req.url ?? '/', call.req.headers.host, origin)

const refusal = (
  code: 'unauthenticated' | 'authorization_malformed' | 'scope_missing',
  resource: Resource,
  why: Refusal,
): WeirError =>
  new WeirError(code, why.description, { headers: { 'www-authenticate': challenge(resource, why) } })

/** 401. `why`: null when no token was shown. */
export function stranger(call: Call, rules: TokenRules | null, why: string | null): WeirError {
  if (!rules) return new WeirError('unauthenticated')
  const resource = resourceFor(call, rules.origin)
  return refusal('unauthenticated', resource, {
    error: why === null ? null : 'invalid_token',
    description: why ?? '',
    scopes: firstScopes(rules.scopes, resource),
  })
}

/** 400: the header is no bearer token, or there are two. */
export const malformed = (call: Call, { origin }: TokenRules): WeirError =>
  refusal('authorization_malformed', resourceFor(call, origin), {
    error: 'invalid_request',
    description: 'The Authorization header is not one bearer token',
    scopes: [],
  })

/** 403; the challenge names all scopes that the request needs, so that a client asks once. */
export function lacksScopes(
  call: Call,
  origin: Origin,
  lacking: readonly string[],
  needed: readonly string[],
): WeirError {
  const description = `The token lacks ${lacking.join(' ')}`
  decide(call, 'deny', `scope ${lacking.join(' ')}`, description)
  return refusal('scope_missing', resourceFor(call, origin), {
    error: 'insufficient_scope',
    description,
    scopes: needed,
  })
}
