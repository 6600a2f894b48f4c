/**
 * The text of a secret that Weir gives out: a prefix, 256 random bits in base62, and a checksum of both, so that secret scanners
 * and Weir itself know one without a look-up, and a mistyped one from a revoked one. Knows no config. Invariant: what is kept of a
 * secret is its SHA-256; the text is shown once, by whoever made it.
 */
import { createHash, randomBytes, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** What a secret opens: calls of a caller, or the admin API. */
export const KEY_PREFIXES = { caller: 'weir_', admin: 'weiradm_' } as const
export type KeyKind = keyof typeof KEY_PREFIXES

/** What scanners look for: both kinds, body and checksum. */
export const KEY_PATTERN = /\bweir(?:adm)?_[0-9A-Za-z]{49}\b/

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const BYTES = 32
/** 62^43 > 2^256, 62^6 > 2^32. */
const BODY_CHARS = 43
const CHECK_CHARS = 6
const ID_CHARS = 8
/** No digits that are read as others: ids are read out and typed. */
const ID_DIGITS = 'abcdefghjkmnpqrstuvwxyz23456789'

function base62(value: bigint, chars: number): string {
  let text = ''
  for (let rest = value; text.length < chars; rest /= 62n) text = DIGITS[Number(rest % 62n)] + text
  return text
}

const checkOf = (text: string): string => base62(BigInt(crc32(text)), CHECK_CHARS)

/** A moment to the second, as files and commands have it. */
export const isoSeconds = (at_ms: number): string => `${new Date(at_ms).toISOString().slice(0, 19)}Z`

export const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex')

export type NewKey = {
  /** The secret. Shown once, kept nowhere. */
  readonly text: string
  readonly sha256: string
  /** Name of the key: part of the principal in every event of its calls. */
  readonly id: string
}

export function makeKey(kind: KeyKind = 'caller'): NewKey {
  const body = KEY_PREFIXES[kind] + base62(BigInt(`0x${randomBytes(BYTES).toString('hex')}`), BODY_CHARS)
  const text = body + checkOf(body)
  const id = Array.from({ length: ID_CHARS }, () => ID_DIGITS[randomInt(ID_DIGITS.length)]).join('')
  return { text, sha256: sha256Hex(text), id }
}

/** Which kind of secret of Weir's a text is; null when it is none, or was mistyped. Says nothing of whether it is valid still. */
export function kindOfKey(text: string): KeyKind | null {
  if (!/^weir(?:adm)?_[0-9A-Za-z]{49}$/.test(text)) return null
  if (checkOf(text.slice(0, -CHECK_CHARS)) !== text.slice(-CHECK_CHARS)) return null
  return text.startsWith(KEY_PREFIXES.admin) ? 'admin' : 'caller'
}

/** Name of a key among those of its caller. */
export const keyId = (key: { readonly id?: string | undefined; readonly sha256: string }): string =>
  key.id ?? key.sha256.slice(0, 8)

/** From when a key is refused, milliseconds since 1970; Infinity for never. */
export const expiryMs = ({ expires }: { readonly expires?: string | undefined }): number =>
  expires === undefined ? Number.POSITIVE_INFINITY : Date.parse(expires)
