/**
 * Who is logged in to the console: random session ids in memory, each for a limited time, each bound to the API key it was
 * opened with. A restart of the collector ends them all. Another way in (OIDC) would open a session the same way.
 * Invariant: a session is only as good as its key is now; ids are kept as hashes.
 */
import { createHash, randomBytes } from 'node:crypto'

export const COOKIE = 'weir_console'
const LIFETIME_S = 12 * 3600
const SESSIONS_MAX = 10_000

export type Logins = {
  /** A new session; the value of the Set-Cookie header. `digest`: SHA-256 of the key in hex. */
  open(digest: string, isSecure: boolean): string
  /** SHA-256 (hex) of the key a request's session was opened with; null when it has none. */
  keyOf(cookies: string | undefined): string | null
  /** Ends the session of a request; the Set-Cookie header that removes it. */
  close(cookies: string | undefined): string
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

function idOf(cookies: string | undefined): string | null {
  for (const part of (cookies ?? '').split(';')) {
    const [name, value] = part.trim().split('=')
    if (name === COOKIE && value && /^[A-Za-z0-9_-]{43}$/.test(value)) return value
  }
  return null
}

export function openLogins(now_ms: () => number = Date.now): Logins {
  const sessions = new Map<string, { digest: string; until_ms: number }>()
  const cookie = (value: string, age_s: number, isSecure: boolean): string =>
    `${COOKIE}=${value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${age_s}${isSecure ? '; Secure' : ''}`
  return {
    open(digest, isSecure) {
      for (const [id, session] of sessions) if (session.until_ms <= now_ms()) sessions.delete(id)
      // Oldest first: a Map keeps the order in which they came.
      if (sessions.size >= SESSIONS_MAX) sessions.delete(sessions.keys().next().value!)
      const id = randomBytes(32).toString('base64url')
      sessions.set(sha256(id), { digest, until_ms: now_ms() + LIFETIME_S * 1000 })
      return cookie(id, LIFETIME_S, isSecure)
    },
    keyOf(cookies) {
      const id = idOf(cookies)
      const session = id === null ? undefined : sessions.get(sha256(id))
      return session && session.until_ms > now_ms() ? session.digest : null
    },
    close(cookies) {
      const id = idOf(cookies)
      if (id !== null) sessions.delete(sha256(id))
      return cookie('', 0, false)
    },
  }
}
