/**
 * Who may talk to the collector. A page in somebody's browser must not reach a service on loopback: the Host header has to
 * name us, an Origin has to be known, and nothing here ever answers with CORS headers.
 * Secrets are compared as SHA-256 in constant time.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { type LoginOptions, NO_LOGIN, whyNot } from '../login/entry.ts'
import { ApiError } from './errors.ts'
import type { Holder } from './logins.ts'

const LOOPBACK_NAMES = new Set(['localhost', '127.0.0.1', '[::1]'])
const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Host of a Host header or authority, without port. */
export const hostOf = (authority: string): string => authority.toLowerCase().replace(/:\d*$/, '')
const isLoopbackAddress = (address: string): boolean => /^(::ffff:)?127\./.test(address) || address === '::1'

/** Whether the peer is on this machine. A reverse proxy on this machine speaks for others, and says so by its headers. */
export const isLocalPeer = (request: FastifyRequest): boolean =>
  isLoopbackAddress(request.raw.socket.remoteAddress ?? '') &&
  request.headers['x-forwarded-for'] === undefined &&
  request.headers.forwarded === undefined

export type GuardOptions = {
  listen: string
  intake_token: string
  caller_keys: readonly string[]
  key_expiries?: Readonly<Record<string, number>>
  has_callers?: boolean
  login?: LoginOptions
  allowed_hosts: readonly string[]
  allowed_origins: readonly string[]
}

export type Guard = {
  /** Every route. Throws ApiError 403. */
  checkOrigin(request: FastifyRequest): void
  /** Intake. Throws ApiError 401. */
  checkIntake(request: FastifyRequest): void
  /** OTLP: loopback while there are no keys, else a key. Throws ApiError 401. */
  checkCaller(request: FastifyRequest): void
  /** /metrics: loopback, or a key. Throws ApiError 401. */
  checkReader(request: FastifyRequest): void
  /**
   * The console: whoever sits at this machine, a key, or a session while what it was opened with is good (null: no session).
   * Throws ApiError 401, and 403 for a page of another site.
   */
  checkConsole(request: FastifyRequest, holder: Holder | null): void
  isKnownKey(secret: string): boolean
}

function bearerOf(request: FastifyRequest): string {
  const match = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')
  return match?.[1] ?? ''
}

export function openGuard(options: GuardOptions): Guard {
  const listenHost = hostOf(options.listen)
  const isLoopbackListener = LOOPBACK_NAMES.has(listenHost) || isLoopbackAddress(listenHost)
  const hosts = new Set([
    ...LOOPBACK_NAMES,
    listenHost,
    ...options.allowed_hosts.map((host) => host.toLowerCase()),
  ])
  const login = options.login ?? NO_LOGIN
  // Browsers come by that name, over a proxy it may be. It names us, and yet does not tell who sits at this machine.
  const publicHost = login.public_url === '' ? '' : hostOf(new URL(login.public_url).host)
  const origins = new Set(options.allowed_origins.map((origin) => origin.toLowerCase()))
  // Behind a load balancer any name may be ours, unless the operator says which.
  const anyHost = !isLoopbackListener && options.allowed_hosts.length === 0
  const token = sha256(options.intake_token)
  const keys = options.caller_keys.map((key) => Buffer.from(key, 'hex')).filter((key) => key.length === 32)

  // Callers whose keys are all revoked are callers: nobody is let in for want of keys.
  const isKeyed = options.has_callers ?? keys.length > 0
  const holds = (digest: string): boolean =>
    Date.now() < (options.key_expiries?.[digest] ?? Number.POSITIVE_INFINITY)
  const isKnownKey = (secret: string): boolean => {
    if (secret === '') return false
    const digest = sha256(secret)
    let known = false
    for (const key of keys) known = timingSafeEqual(key, digest) || known
    return known && holds(digest.toString('hex'))
  }
  const isKnownOrigin = (origin: string): boolean => {
    if (origins.has(origin.toLowerCase())) return true
    const url = URL.parse(origin)
    return isLoopbackListener && url !== null && LOOPBACK_NAMES.has(url.hostname)
  }
  // The page of the console itself, under whatever name of ours: the Host header is checked before.
  const isOwnPage = (request: FastifyRequest, origin: string): boolean =>
    request.url.startsWith('/api/') && URL.parse(origin)?.host === request.headers.host?.toLowerCase()
  // A name that resolves to this machine but is none of ours may be another site's: it does not open the door.
  const isAtThisMachine = (request: FastifyRequest): boolean =>
    isLocalPeer(request) && hosts.has(hostOf(request.headers.host ?? ''))
  const isValid = (holder: Holder): boolean =>
    'person' in holder
      ? whyNot(holder.person, login) === null
      : holds(holder.digest) && keys.some((key) => key.toString('hex') === holder.digest)
  const unauthenticated = (message: string, fix: string): ApiError =>
    new ApiError(401, 'unauthenticated', message, fix)
  return {
    checkOrigin(request) {
      const host = hostOf(request.headers.host ?? '')
      if (!anyHost && !hosts.has(host) && (publicHost === '' || host !== publicHost))
        throw new ApiError(
          403,
          'host_unknown',
          'the Host header does not name this service',
          'add the name to http.allowed_hosts, or set console.public_url',
        )
      const origin = request.headers.origin
      if (origin !== undefined && !isKnownOrigin(origin) && !isOwnPage(request, origin))
        throw new ApiError(
          403,
          'origin_unknown',
          'the page that asks is not known here',
          'add its origin to http.allowed_origins',
        )
    },
    checkIntake(request) {
      const given = sha256(bearerOf(request))
      if (options.intake_token === '' || !timingSafeEqual(given, token))
        throw unauthenticated(
          'the intake token is wrong or missing',
          'set collector.token to the same secret on both sides',
        )
    },
    checkCaller(request) {
      if (!isKeyed ? !isLocalPeer(request) : !isKnownKey(bearerOf(request)))
        throw unauthenticated(
          'the API key is wrong or missing',
          'send "Authorization: Bearer <key>" of a configured caller',
        )
    },
    checkReader(request) {
      if (!isLocalPeer(request) && !isKnownKey(bearerOf(request)))
        throw unauthenticated(
          'metrics are for this machine or for holders of an API key',
          'send "Authorization: Bearer <key>"',
        )
    },
    checkConsole(request, holder) {
      if (request.headers['sec-fetch-site'] === 'cross-site')
        throw new ApiError(403, 'origin_unknown', 'a page of another site asks', 'open the console itself')
      if (isAtThisMachine(request) || isKnownKey(bearerOf(request))) return
      if (holder !== null && isValid(holder)) return
      throw unauthenticated(
        'the console is for this machine or for holders of an API key',
        keys.length === 0 && login.issuers.length === 0
          ? 'add a caller with a key to weir.yaml, or open the console on the machine Weir runs on'
          : 'log in',
      )
    },
    isKnownKey,
  }
}
