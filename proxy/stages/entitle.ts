/**
 * Whether a token's scopes suffice for the call (step-up). After `authorize`: of a tool that the caller must not see, not even
 * the scopes are told. Callers with keys and certificates have no scopes; rules say what they may.
 */
import { decide } from '../decision.ts'
import type { Origin } from '../identity/challenge.ts'
import { missing, type ScopePolicy } from '../identity/scopes.ts'
import type { Stage } from '../pipeline.ts'
import { lacksScopes } from '../token-refusal.ts'

/** `origins`: by listener. */
export const entitle = (scopes: ScopePolicy, origins: readonly Origin[]): Stage => ({
  name: 'entitle',
  why: 'a client can ask for the scopes it lacks only when it learns which, and only of tools it may know of',
  needs: 'target',
  before(call) {
    const { grant } = call
    if (!grant) return
    const needed = scopes.neededBy(call.method, call.server, call.tool)
    if (needed.length === scopes.base.length) return
    const lacking = missing(needed, grant.scopes)
    if (lacking.length > 0) throw lacksScopes(call, origins[call.listener]!, lacking, needed)
    const scopesNeeded = needed.join(' ')
    decide(call, 'allow', `scope ${scopesNeeded}`, 'The token has the scopes that the call needs', {
      scopes: scopesNeeded,
    })
  },
})
