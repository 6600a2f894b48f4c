/**
 * What may be done with keys, as edits of weir.yaml: make, rotate with an overlap, revoke. The same for the commands and the admin
 * API. Pure but for the randomness of a new secret. Invariant: nothing here can open a door: with the last key gone a caller stays,
 * and whoever shows no key is refused as before.
 */
import type { CallerKey } from './caller-keys.ts'
import { expiryMs, isoSeconds, keyId, type NewKey } from './key-text.ts'
import type { Config } from './schema.ts'
import { type Edit, EditRefused } from './splice.ts'

/** What a new key may have besides its secret. */
export type KeyWish = Partial<Pick<CallerKey, 'id' | 'expires' | 'scope' | 'user' | 'app' | 'note'>>
/** Of the caller, when it is made along. */
export type CallerWish = { readonly team?: string | undefined; readonly project?: string | undefined }

const given = <T extends object>(value: T): Partial<T> =>
  Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as Partial<T>

/** A name that can be one in weir.yaml and in a path. */
function checkName(name: string): void {
  if (!/^[^\s#/\p{Cc}][^#/\p{Cc}]{0,99}$/u.test(name) || name !== name.trim() || RESERVED.has(name))
    throw new EditRefused(
      'value',
      'a caller has a name of 1 to 100 characters without # and /',
      'write for example rm-agent',
    )
}
/** Words that objects know already. */
const RESERVED = new Set(['__proto__', 'constructor', 'prototype'])

const entryOf = (key: NewKey, wish: KeyWish, now_ms: number): Record<string, unknown> => ({
  sha256: key.sha256,
  id: wish.id ?? key.id,
  created: isoSeconds(now_ms),
  ...given({ expires: wish.expires, scope: wish.scope, user: wish.user, app: wish.app, note: wish.note }),
})

const callerOf = ({ callers }: Config, name: string): Config['callers'][string] | undefined =>
  Object.hasOwn(callers, name) ? callers[name] : undefined

const unknownCaller = (name: string): EditRefused =>
  new EditRefused('missing', `there is no caller ${name}`, '`weir key list` shows them')

/** A new key of a caller; the caller is made along when there is none. */
export function createKey(
  config: Config,
  name: string,
  key: NewKey,
  wish: KeyWish,
  caller: CallerWish,
  now_ms: number,
): Edit[] {
  checkName(name)
  const known = callerOf(config, name)
  const { team, project } = caller
  if (
    known &&
    ((team !== undefined && team !== known.team) || (project !== undefined && project !== known.project))
  )
    throw new EditRefused(
      'conflict',
      `${name} is of team "${known.team}", project "${known.project}"`,
      'leave team and project out, or change the caller first',
    )
  const id = wish.id ?? key.id
  if (known?.keys.some((one) => keyId(one) === id))
    throw new EditRefused(
      'conflict',
      `${name} has a key ${id} already`,
      'choose another id, or rotate that one',
    )
  const entry = entryOf(key, wish, now_ms)
  return known
    ? [{ op: 'append', path: ['callers', name, 'keys'], value: entry }]
    : [{ op: 'set', path: ['callers', name], value: { ...given({ team, project }), keys: [entry] } }]
}

function indexOf(config: Config, name: string, id: string): number {
  const caller = callerOf(config, name)
  if (!caller) throw unknownCaller(name)
  const index = caller.keys.findIndex((key) => keyId(key) === id)
  if (index < 0)
    throw new EditRefused('missing', `${name} has no key ${id}`, `\`weir key list ${name}\` shows them`)
  return index
}

/** A new key in the place of another, which holds for `overlap_ms` longer, or until it expires if that is sooner. 0: not at all. */
export function rotateKey(
  config: Config,
  name: string,
  id: string,
  key: NewKey,
  wish: Pick<KeyWish, 'id' | 'expires'>,
  overlap_ms: number,
  now_ms: number,
): Edit[] {
  const index = indexOf(config, name, id)
  const old = config.callers[name]!.keys[index]!
  if (expiryMs(old) <= now_ms)
    throw new EditRefused('conflict', `the key ${name}#${id} has expired`, 'make a new one, and revoke it')
  const { scope, user, app, note } = old
  const entry = entryOf(key, { scope, user, app, note, ...given(wish) }, now_ms)
  const until_ms = Math.min(expiryMs(old), now_ms + overlap_ms)
  const path = ['callers', name, 'keys']
  const end: Edit =
    overlap_ms === 0
      ? { op: 'remove', path: [...path, index] }
      : until_ms === expiryMs(old)
        ? { op: 'set', path: [...path, index, 'expires'], value: old.expires }
        : {
            op: 'set',
            path: [...path, index, 'expires'],
            value: isoSeconds(until_ms),
          }
  return [end, { op: 'append', path, value: entry }]
}

/** Ends one key of a caller, or all of them (`id` null). */
export function revokeKey(config: Config, name: string, id: string | null): Edit[] {
  if (id !== null) return [{ op: 'remove', path: ['callers', name, 'keys', indexOf(config, name, id)] }]
  if (!callerOf(config, name)) throw unknownCaller(name)
  return [{ op: 'set', path: ['callers', name, 'keys'], value: [] }]
}

/** Takes a caller away with its keys. Not the last one: without callers everyone on this machine may call. */
export function removeCaller(config: Config, name: string): Edit[] {
  if (!callerOf(config, name)) throw unknownCaller(name)
  if (Object.keys(config.callers).length === 1)
    throw new EditRefused(
      'conflict',
      `${name} is the last caller: without callers every program on this machine may call`,
      'revoke its keys in place of it, or remove it from the file by hand',
    )
  return [{ op: 'remove', path: ['callers', name] }]
}

/** Whose key has this digest; null when nobody's. */
export function ownerOf(config: Config, sha256: string): { caller: string; id: string } | null {
  for (const [caller, { keys }] of Object.entries(config.callers)) {
    const key = keys.find((one) => one.sha256 === sha256)
    if (key) return { caller, id: keyId(key) }
  }
  return null
}

export function createAdminToken(
  config: Config,
  key: NewKey,
  wish: { name: string; may: 'read' | 'write'; expires?: string | undefined; note?: string | undefined },
  now_ms: number,
): Edit[] {
  if (config.admin.tokens.some(({ name }) => name === wish.name))
    throw new EditRefused(
      'conflict',
      `there is an admin token ${wish.name} already`,
      'choose another name, or revoke it',
    )
  const value = {
    sha256: key.sha256,
    name: wish.name,
    may: wish.may,
    created: isoSeconds(now_ms),
    ...given({ expires: wish.expires, note: wish.note }),
  }
  return [{ op: 'append', path: ['admin', 'tokens'], value }]
}

export function revokeAdminToken(config: Config, name: string): Edit[] {
  const index = config.admin.tokens.findIndex((token) => token.name === name)
  if (index < 0)
    throw new EditRefused('missing', `there is no admin token ${name}`, '`weir key list` shows them')
  return [{ op: 'remove', path: ['admin', 'tokens', index] }]
}
