/**
 * Who is logged in to the console: random session ids in memory, each for a limited time, each bound to what it was opened with,
 * an API key or the word of an issuer. A restart of the collector ends them all.
 * Invariant: a session is only as good as what it was opened with is now; ids are kept as hashes.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Person } from '../login/entry.ts'

export const COOKIE = 'weir_console'
const LIFETIME_S = 12 * 3600
const SESSIONS_MAX = 10_000

/** What a session was opened with: SHA-256 (hex) of an API key, or a person. */
export type Holder = { readonly digest: string } | { readonly person: Person }

export type Logins = {
  /** A new session, which ends at `expires_ms` at the latest; the value of the Set-Cookie header. */
  open(holder: Holder, isSecure: boolean, expires_ms?: number): string
  /** What a request's session was opened with; null when it has none. */
  holderOf(cookies: string | undefined): Holder | null
  /** Ends the session of a request; the Set-Cookie header that removes it. */
  close(cookies: string | undefined): string
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** The first value of a cookie that looks as it should. */
export function cookieIn(cookies: string | undefined, wanted: string, looks: RegExp): string | null {
  for (const part of (cookies ?? '').split(';')) {
    const [name, value] = part.trim().split('=')
    if (name === wanted && value && looks.test(value)) return value
  }
  return null
}
const idOf = (cookies: string | undefined): string | null => cookieIn(cookies, COOKIE, /^[A-Za-z0-9_-]{43}$/)

export function openLogins(now_ms: () => number = Date.now): Logins {
  const sessions = new Map<string, { holder: Holder; until_ms: number }>()
  const cookie = (value: string, age_s: number, isSecure: boolean): string =>
    `${COOKIE}=${value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${age_s}${isSecure ? '; Secure' : ''}`
  return {
    open(holder, isSecure, expires_ms = Number.POSITIVE_INFINITY) {
      for (const [id, session] of sessions) if (session.until_ms <= now_ms()) sessions.delete(id)
      // Oldest first: a Map keeps the order in which they came.
      if (sessions.size >= SESSIONS_MAX) sessions.delete(sessions.keys().next().value!)
      const id = randomBytes(32).toString('base64url')
      const until_ms = Math.min(now_ms() + LIFETIME_S * 1000, expires_ms)
      sessions.set(sha256(id), { holder, until_ms })
      return cookie(id, Math.floor((until_ms - now_ms()) / 1000), isSecure)
    },
    holderOf(cookies) {
      const id = idOf(cookies)
      const session = id === null ? undefined : sessions.get(sha256(id))
      return session && session.until_ms > now_ms() ? session.holder : null
    },
    close(cookies) {
      const id = idOf(cookies)
      if (id !== null) sessions.delete(sha256(id))
      return cookie('', 0, false)
    },
  }
}
