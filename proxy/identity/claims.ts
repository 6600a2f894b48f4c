/**
 * What the claims of a verified token say in words of this installation: caller, team, project, roles, scopes. Pure. What the
 * config says of a caller stands over the token; a claim that is not what it should be refuses the token.
 */
import { hash } from 'node:crypto'
import { fits } from '../../config/glob.ts'
import type { Issuer } from '../../config/oauth.ts'
import type { Config } from '../../config/schema.ts'
import { type Identity, NO_ROLES, tagsOf } from './identity.ts'

const NAME_CHARS_MAX = 100
const ROLES_MAX = 256
const SCOPES_MAX = 1000
/** Controls and what is not seen: with those a name reads as another one. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u

export type Claims = Readonly<Record<string, unknown>>

/** A token that proves who it is from and yet opens nothing. The message may be read by its bearer: it holds no claim's value. */
export class TokenRefused extends Error {}

/** A claim by its name, or by a path of names with dots. Own properties only. */
export function claimOf(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name]
  let at: unknown = claims
  for (const part of name.split('.')) {
    if (typeof at !== 'object' || at === null || Array.isArray(at) || !Object.hasOwn(at, part))
      return undefined
    at = (at as Record<string, unknown>)[part]
  }
  return at
}

const first = (claims: Claims, names: readonly string[]): unknown => {
  for (const name of names) {
    const value = claimOf(claims, name)
    if (value !== undefined && value !== null && value !== '') return value
  }
  return undefined
}

/** A name, '' when the claim is not there. */
function nameOf(claims: Claims, names: readonly string[], what: string): string {
  const value = first(claims, names)
  if (value === undefined) return ''
  if (
    typeof value !== 'string' ||
    value.length > NAME_CHARS_MAX ||
    UNSEEN.test(value) ||
    value.trim() !== value
  )
    throw new TokenRefused(`The claim for the ${what} is not a name`)
  return value.normalize('NFC')
}

/** Words of all the claims that are there: lists, or texts with spaces between words. */
function wordsOf(claims: Claims, names: readonly string[], what: string, max: number): string[] {
  const found = new Set<string>()
  for (const name of names) {
    const value = claimOf(claims, name)
    if (value === undefined || value === null) continue
    const words = typeof value === 'string' ? value.split(' ').filter((word) => word !== '') : value
    if (!Array.isArray(words)) throw new TokenRefused(`The claim for the ${what} is no list of words`)
    for (const word of words) {
      if (typeof word !== 'string' || word.length > NAME_CHARS_MAX || UNSEEN.test(word))
        throw new TokenRefused(`The claim for the ${what} holds something that is not a word`)
      found.add(word)
    }
    // One that is left out could be the one that a rule denies.
    if (found.size > max) throw new TokenRefused(`The token has more than ${max} ${what}`)
  }
  return [...found]
}

export const scopesOf = (claims: Claims, { claims: { scopes } }: Pick<Issuer, 'claims'>): string[] =>
  wordsOf(claims, scopes, 'scopes', SCOPES_MAX)

/** Who the bearer is. Throws TokenRefused. `expires_ms`: when the token opens nothing any more. */
export function identityOf(
  claims: Claims,
  issuer: Issuer,
  { callers, teams }: Pick<Config, 'callers' | 'teams'>,
  expires_ms: number,
): Identity {
  const { claims: names } = issuer
  const caller = nameOf(claims, names.caller, 'caller')
  if (caller === '') throw new TokenRefused('The token names no caller')
  if (!issuer.callers.some((pattern) => fits(pattern.split('*'), caller)))
    throw new TokenRefused('The authorization server may not name this caller')
  const known = Object.hasOwn(callers, caller) ? callers[caller]! : null
  const team = known?.team || nameOf(claims, names.team, 'team')
  const roles = [...new Set([...(known?.roles ?? []), ...wordsOf(claims, names.roles, 'roles', ROLES_MAX)])]
  const subject = typeof claims.sub === 'string' ? claims.sub : ''
  return {
    caller,
    team,
    project: known?.project || nameOf(claims, names.project, 'project'),
    // A subject may be a person's address: it is told apart by its hash.
    principal: `${caller}#${hash('sha256', `${issuer.issuer} ${subject}`).slice(0, 12)}`,
    auth_method: 'oauth',
    roles: roles.length > 0 ? roles : NO_ROLES,
    scope: null,
    expires_ms,
    tags: tagsOf(teams, team, known?.tags),
  }
}
