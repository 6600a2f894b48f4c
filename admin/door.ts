/**
 * Who may use the admin API. Credentials of its own: no key of a caller opens it. No page in a browser does either: whatever has an
 * Origin is refused, and the Host header has to name us. Secrets are compared as SHA-256 in constant time.
 */
import { timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { bareHost, hostOf, isLoopback } from '../config/address.ts'
import type { AdminConfig } from '../config/admin.ts'
import { expiryMs, sha256Hex } from '../config/key-text.ts'
import { AdminError } from './errors.ts'

/** Who asks, as the record of changes names it. */
export type Admitted = { readonly who: string; readonly may: 'read' | 'write' }

const BEARER_MAX = 300

/** Throws AdminError 401 and 403. `now_ms`: for tokens that run out. */
export function admit(request: FastifyRequest, admin: AdminConfig, listen: string, now_ms: number): Admitted {
  checkHost(request, admin, listen)
  const match = /^Bearer +(\S+)$/i.exec((request.headers.authorization ?? '').slice(0, BEARER_MAX))
  if (match) {
    const digest = Buffer.from(sha256Hex(match[1]!), 'hex')
    let found: AdminConfig['tokens'][number] | null = null
    for (const token of admin.tokens)
      if (timingSafeEqual(Buffer.from(token.sha256, 'hex'), digest)) found = token
    if (found && now_ms < expiryMs(found)) return { who: found.name, may: found.may }
  } else if (request.headers.authorization === undefined && admin.open_on_loopback && isLocal(request))
    return { who: 'this machine', may: 'write' }
  throw new AdminError(
    401,
    'unauthenticated',
    'the admin token is wrong, missing or no longer valid',
    'send "Authorization: Bearer <token>"; `weir key create --admin <name>` makes one',
  )
}

/** A reverse proxy on this machine speaks for others, and says so. */
const isLocal = ({ headers, raw }: FastifyRequest): boolean =>
  isLoopback(raw.socket.remoteAddress ?? '') &&
  headers['x-forwarded-for'] === undefined &&
  headers.forwarded === undefined &&
  headers['x-real-ip'] === undefined

function checkHost({ headers }: FastifyRequest, { allowed_hosts }: AdminConfig, listen: string): void {
  const asked = (headers.host ?? '').toLowerCase().replace(/:\d*$/, '')
  const own = hostOf(listen)
  const isKnown =
    isLoopback(bareHost(asked)) ||
    bareHost(asked) === own ||
    allowed_hosts.some((name) => name.toLowerCase() === asked)
  // Beyond this machine, behind a load balancer, any name may be ours unless the operator says which: a token is needed there.
  if (!isKnown && (isLoopback(own) || allowed_hosts.length > 0))
    throw new AdminError(
      403,
      'host_unknown',
      'the Host header does not name this service',
      'add the name to admin.allowed_hosts',
    )
  if (headers.origin !== undefined || headers['sec-fetch-site'] !== undefined)
    throw new AdminError(403, 'origin_refused', 'pages do not use the admin API', 'ask from a program')
}

export function needsWrite({ may, who }: Admitted): void {
  if (may !== 'write')
    throw new AdminError(403, 'read_only_token', `the token ${who} may only read`, 'use one that may write')
}
