/**
 * Who an ID token is of, and whether the console is for them. Pure. Invariant: whoever the settings do not name stays outside, and
 * nobody sees more than an API key of that caller would show.
 */
import { type Claims, nameOf, principalOf, rolesOf } from '../../config/claims.ts'
import { fitsOne } from '../../config/glob.ts'
import type { ConsoleLogin, Issuer } from '../../config/oauth.ts'
import type { LoginFailure } from '../../event/login-failure.ts'

export type LoginIssuer = Issuer & { readonly console: ConsoleLogin }

export type LoginOptions = {
  /** Where browsers reach the console, an origin; '': at the address it listens on. */
  readonly public_url: string
  readonly issuers: readonly LoginIssuer[]
  /** `isNarrow`: there are keys, and each is for some tools only, so that none opens the console. */
  readonly callers: Readonly<
    Record<string, { readonly roles: readonly string[]; readonly isNarrow: boolean }>
  >
}

export const NO_LOGIN: LoginOptions = { public_url: '', issuers: [], callers: {} }

/** Somebody an issuer has vouched for. Whether they may enter is asked anew with every request. */
export type Person = {
  readonly issuer: string
  readonly caller: string
  /** Those of the token; the caller's own are added when they are asked for. */
  readonly roles: readonly string[]
  /** The caller, and the subject as a hash. */
  readonly principal: string
}

/** An address of mail that its issuer has not verified may be anybody's. */
const isMailVerified = ({ email_verified: said }: Claims): boolean =>
  said === undefined || said === true || said === 'true'

/** Claims that have to be known of a person. */
export const neededClaims = ({ console: login, claims }: LoginIssuer): string[] => [
  ...login.caller,
  ...(login.roles === undefined ? [] : claims.roles),
]

/** Null when no claim names a caller. Throws TokenRefused for a claim that is not what it should be. */
export function personOf(claims: Claims, issuer: LoginIssuer): Person | null {
  const names = issuer.console.caller.filter((name) => name !== 'email' || isMailVerified(claims))
  const caller = nameOf(claims, names, 'caller')
  if (caller === '') return null
  return {
    issuer: issuer.issuer,
    caller,
    roles: rolesOf(claims, issuer),
    principal: principalOf(caller, issuer, claims),
  }
}

/** Null: they may. */
export function whyNot(
  { issuer, caller, roles }: Person,
  { issuers, callers }: LoginOptions,
): LoginFailure | null {
  const at = issuers.find((one) => one.issuer === issuer)
  if (!at) return 'user_not_allowed'
  const known = Object.hasOwn(callers, caller) ? callers[caller]! : null
  const { callers: admitted, roles: wanted } = at.console
  if (admitted === undefined && !known) return 'user_unknown'
  if (known?.isNarrow || !fitsOne(admitted ?? at.callers, caller)) return 'user_not_allowed'
  const has = new Set([...roles, ...(known?.roles ?? [])])
  return wanted === undefined || wanted.some((role) => has.has(role)) ? null : 'user_not_allowed'
}
