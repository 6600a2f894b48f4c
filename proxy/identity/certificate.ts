/**
 * Certificates of clients: what a verified one says of its holder, how one worker tells another, and whose it is. Names of the
 * subject itself (CN) count for nothing (RFC 9525). Invariant: a certificate that two callers could claim belongs to neither.
 */
import { hash, type X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { sanKey } from '../../config/access-check.ts'
import type { Config } from '../../config/schema.ts'
import { type Identity, NO_ROLES, tagsOf } from './identity.ts'

export type Certificate = {
  /** Kind and value, as the config writes them, ready to be compared. */
  readonly sans: readonly string[]
  /** SHA-256 in base64url, as `x5t#S256` of a token names it. */
  readonly thumbprint: string
  readonly expires_ms: number
}

const SANS_MAX = 100
const KINDS: Readonly<Record<string, string>> = { DNS: 'DNS', URI: 'URI', email: 'email', 'IP Address': 'IP' }
const seen = new WeakMap<TLSSocket, Certificate | null>()

/** The certificate a connection has proved to hold; null for none, or one that no trusted authority has signed. */
export function certificateOf(socket: Socket): Certificate | null {
  if (!(socket instanceof TLSSocket)) return null
  const known = seen.get(socket)
  if (known !== undefined) return known
  const x509 = socket.authorized ? socket.getPeerX509Certificate() : undefined
  const certificate = x509 ? readCertificate(x509) : null
  seen.set(socket, certificate)
  return certificate
}

export const readCertificate = (x509: X509Certificate): Certificate => ({
  sans: sansOf(x509.subjectAltName ?? ''),
  thumbprint: hash('sha256', x509.raw, 'base64url'),
  expires_ms: x509.validToDate.getTime(),
})

/**
 * Node writes the names as one text, `DNS:a, URI:b`, a value with anything unusual in it as a JSON string. A value could look
 * like several names, so the text is read from its beginning; from what does not fit on nothing counts.
 */
export function sansOf(text: string): string[] {
  const found: string[] = []
  const entry = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y
  while (entry.lastIndex < text.length && found.length < SANS_MAX) {
    const match = entry.exec(text)
    if (!match) return []
    const kind = KINDS[match[1]!]
    // A quoted value holds what no name in the config may hold.
    if (kind && match[2] !== '' && !match[2]!.startsWith('"')) found.push(sanKey(`${kind}:${match[2]}`))
  }
  return found
}

/** For the socket between workers; '' for none. */
export const hopText = (certificate: Certificate | null): string =>
  certificate === null ? '' : Buffer.from(JSON.stringify(certificate)).toString('base64url')

/** What another worker says; only read on the socket between workers. */
export const fromHopText = (text: unknown): Certificate | null =>
  typeof text === 'string' && text !== ''
    ? (JSON.parse(Buffer.from(text, 'base64url').toString()) as Certificate)
    : null

export class CertificateRing {
  readonly #bySan = new Map<string, Omit<Identity, 'principal' | 'expires_ms'>>()

  constructor(callers: Config['callers'], teams: Config['teams'] = {}) {
    for (const [caller, { team, project, roles, tags, certificates }] of Object.entries(callers))
      for (const { san } of certificates)
        this.#bySan.set(sanKey(san), {
          caller,
          team,
          project,
          auth_method: 'mtls',
          roles: roles.length > 0 ? roles : NO_ROLES,
          scope: null,
          tags: tagsOf(teams, team, tags),
        })
  }

  get size(): number {
    return this.#bySan.size
  }

  /** Whose the certificate is, or null. */
  identify({ sans, thumbprint, expires_ms }: Certificate, now_ms: number): Identity | null {
    if (now_ms >= expires_ms) return null
    const owners = sans.flatMap((san) => this.#bySan.get(san) ?? [])
    const owner = owners[0]
    if (!owner || owners.some(({ caller }) => caller !== owner.caller)) return null
    return { ...owner, principal: `${owner.caller}#${thumbprint.slice(0, 12)}`, expires_ms }
  }
}
