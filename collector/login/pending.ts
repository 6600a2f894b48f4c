/**
 * Logins that are under way at an issuer. What has to come back with them (state, nonce, PKCE verifier) is sealed into a cookie of
 * the browser they were begun in, so that strangers who begin many cost no memory. A restart ends them all.
 * Invariant: a login is finished at most once, in that browser, at the issuer it was begun at, and in time.
 */
import { randomBytes } from 'node:crypto'
import { EncryptJWT, jwtDecrypt } from 'jose'

/** A person types a password and finds a second factor in this time. */
export const PENDING_S = 600
const SPENT_MAX = 10_000
/** It has to fit into the cookie, encoded. */
const PATH_MAX = 1_000

export type Pending = {
  /** At which it was begun. */
  readonly issuer: string
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  /** Path of the console to go on to. */
  readonly to: string
}

export type PendingLogins = {
  seal(pending: Pending): Promise<string>
  /** Null for a text that is none of ours, or too old. */
  open(sealed: string): Promise<Pending | null>
  /** False when it was spent before. */
  spend(pending: Pending): boolean
}

export function openPendingLogins(now_ms: () => number = Date.now): PendingLogins {
  const key = randomBytes(32)
  const spent = new Set<string>()
  const seconds = (): number => Math.floor(now_ms() / 1000)
  return {
    seal: (pending) =>
      new EncryptJWT({ ...pending })
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
        .setExpirationTime(seconds() + PENDING_S)
        .encrypt(key),
    async open(sealed) {
      try {
        const { payload } = await jwtDecrypt<Pending>(sealed, key, { currentDate: new Date(now_ms()) })
        const { issuer, state, nonce, verifier, to } = payload
        return { issuer, state, nonce, verifier, to }
      } catch {
        return null
      }
    },
    spend({ state }) {
      if (spent.has(state)) return false
      // Oldest first; by then the cookie they came with has run out, or the issuer refuses the code.
      if (spent.size >= SPENT_MAX) spent.delete(spent.keys().next().value!)
      spent.add(state)
      return true
    },
  }
}

/** A path of the console to go to after a login; `/` for whatever could lead elsewhere. */
export function returnPath(asked: unknown): string {
  if (typeof asked !== 'string' || !asked.startsWith('/')) return '/'
  // What a browser would make of it, backslashes, tabs and dots included.
  const here = 'http://console.invalid'
  const url = URL.parse(asked, here)
  if (url === null || url.origin !== here) return '/'
  if (/^\/(?:\/|api(?:\/|$)|login(?:\/|$))/.test(url.pathname)) return '/'
  const path = url.pathname + url.search
  return path.length > PATH_MAX ? '/' : path
}
