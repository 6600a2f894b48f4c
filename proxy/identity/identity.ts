/**
 * Who calls: API keys as hashes, mapped to caller, team and project. Fails closed: with callers configured,
 * whoever shows no valid key is refused. Without callers only loopback is served, as `local`.
 */
import { hash } from 'node:crypto'
import type { CallerKey } from '../../config/caller-keys.ts'
import { expiryMs, keyId } from '../../config/key-text.ts'
import type { Config } from '../../config/schema.ts'

export type Identity = {
  readonly caller: string
  readonly team: string
  readonly project: string
  /** Which credential: `local`, or the caller's name and the id of its key (by default the start of its hash). */
  readonly principal: string
  readonly auth_method: 'local' | 'api_key' | 'oauth' | 'mtls'
  readonly roles: readonly string[]
  /** Patterns `server/tool` that the credential is limited to, * as wildcard; null: no limit of its own. */
  readonly scope: readonly string[] | null
  readonly expires_ms: number
  /** Of the caller and its team, from the config; null for none. */
  readonly tags: Record<string, string> | null
}

// Not frozen: a frozen array takes JSON.stringify of the whole event off its fast path. Never added to.
export const NO_ROLES: readonly string[] = []

const LOCAL: Identity = {
  caller: 'local',
  team: '',
  project: '',
  principal: 'local',
  auth_method: 'local',
  roles: NO_ROLES,
  scope: null,
  expires_ms: Number.POSITIVE_INFINITY,
  tags: null,
}

export type KeyRing = { readonly isOpen: boolean; readonly byDigest: ReadonlyMap<string, Identity> }

/** Whose personal token, or which application's, it is: as tags, so that costs can be told by them. */
const labelsOf = ({ user, app }: CallerKey): Record<string, string> =>
  user !== undefined ? { user } : app !== undefined ? { app } : {}
/** Tags of a caller and its team; null for none. */
export function tagsOf(
  teams: Config['teams'],
  team: string,
  own: Record<string, string> = {},
): Record<string, string> | null {
  const tags = { ...(Object.hasOwn(teams, team) ? teams[team]!.tags : {}), ...own }
  return Object.keys(tags).length > 0 ? tags : null
}

/** Compiles the callers of a config. Lookup goes by digest, so no raw key stays in memory and timing tells nothing of one. */
export function makeKeyRing(callers: Config['callers'], teams: Config['teams'] = {}): KeyRing {
  const byDigest = new Map<string, Identity>()
  for (const [caller, { team, project, keys, roles, tags: own }] of Object.entries(callers)) {
    for (const key of keys) {
      byDigest.set(key.sha256, {
        caller,
        team,
        project,
        principal: `${caller}#${keyId(key)}`,
        auth_method: 'api_key',
        roles: roles.length > 0 ? roles : NO_ROLES,
        scope: key.scope ?? null,
        expires_ms: expiryMs(key),
        tags: tagsOf(teams, team, { ...own, ...labelsOf(key) }),
      })
    }
  }
  return { isOpen: Object.keys(callers).length === 0, byDigest }
}

/** The identity of a request, or null when it must be refused. `authorization` is the header's value. */
export function identify(
  ring: KeyRing,
  authorization: string | undefined,
  isLoopbackPeer: boolean,
  now_ms: number,
): Identity | null {
  if (ring.isOpen) return isLoopbackPeer ? LOCAL : null
  if (authorization === undefined || authorization.length > 1024) return null
  if (authorization.slice(0, 7).toLowerCase() !== 'bearer ') return null
  const identity = ring.byDigest.get(hash('sha256', authorization.slice(7).trim()))
  return identity && now_ms < identity.expires_ms ? identity : null
}
