/**
 * What the claims of a verified access token say in words of this installation: caller, team, project, roles, scopes. Pure. What
 * the config says of a caller stands over the token; a claim that is not what it should be refuses the token.
 */
import { type Claims, nameOf, principalOf, rolesOf, TokenRefused, wordsOf } from '../../config/claims.ts'
import { fitsOne } from '../../config/glob.ts'
import type { Issuer } from '../../config/oauth.ts'
import type { Config } from '../../config/schema.ts'
import { type Identity, NO_ROLES, tagsOf } from './identity.ts'

const SCOPES_MAX = 1000

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
  if (!fitsOne(issuer.callers, caller))
    throw new TokenRefused('The authorization server may not name this caller')
  const known = Object.hasOwn(callers, caller) ? callers[caller]! : null
  const team = known?.team || nameOf(claims, names.team, 'team')
  const roles = [...new Set([...(known?.roles ?? []), ...rolesOf(claims, issuer)])]
  return {
    caller,
    team,
    project: known?.project || nameOf(claims, names.project, 'project'),
    principal: principalOf(caller, issuer, claims),
    auth_method: 'oauth',
    roles: roles.length > 0 ? roles : NO_ROLES,
    scope: null,
    expires_ms,
    tags: tagsOf(teams, team, known?.tags),
  }
}
