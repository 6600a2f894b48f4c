/**
 * Reads claims of verified tokens as the config maps them: names and words. Pure; for the proxy, which reads access tokens, and the
 * collector, which reads those of people who log in to the console. A claim that is not what it should be refuses the token.
 */
import { sha256Hex } from './key-text.ts'
import type { Issuer } from './oauth.ts'

const NAME_CHARS_MAX = 100
const ROLES_MAX = 256
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

/** The first claim of these that is there. */
const first = (claims: Claims, names: readonly string[]): unknown => {
  for (const name of names) {
    const value = claimOf(claims, name)
    if (value !== undefined && value !== null && value !== '') return value
  }
  return undefined
}

/** A name, '' when the claim is not there. Throws TokenRefused. */
export function nameOf(claims: Claims, names: readonly string[], what: string): string {
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

/** Words of all the claims that are there: lists, or texts with spaces between words. Throws TokenRefused. */
export function wordsOf(claims: Claims, names: readonly string[], what: string, max: number): string[] {
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

export const rolesOf = (claims: Claims, { claims: { roles } }: Pick<Issuer, 'claims'>): string[] =>
  wordsOf(claims, roles, 'roles', ROLES_MAX)

/** Who exactly a caller is: the caller, and the subject as a hash, for that may be a person's address. */
export const principalOf = (caller: string, { issuer }: Pick<Issuer, 'issuer'>, { sub }: Claims): string =>
  `${caller}#${sha256Hex(`${issuer} ${typeof sub === 'string' ? sub : ''}`).slice(0, 12)}`
