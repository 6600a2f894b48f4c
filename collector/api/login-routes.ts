/**
 * The way in to the console and out of it: by an API key, or by way of an issuer. A login that fails says why on the page of the
 * console, in words of that page: nothing that a browser brought is shown.
 */
import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { TokenRefused } from '../../config/claims.ts'
import type { LoginFailure } from '../../event/login-failure.ts'
import { SECURITY_HEADERS } from '../console/pages.ts'
import { type Log, reasonOf } from '../log.ts'
import { LoginFailed } from '../login/issuer-login.ts'
import type { IssuerLogins } from '../login/issuer-logins.ts'
import { PENDING_S, returnPath } from '../login/pending.ts'
import type { Metrics } from '../metrics.ts'
import { ApiError } from './errors.ts'
import type { Guard } from './guard.ts'
import { cookieIn, type Logins } from './logins.ts'
import { QUESTIONS } from './registry.ts'

export type LoginParts = {
  guard: Guard
  logins: Logins
  issuers: IssuerLogins
  metrics: Metrics
  log: Log
}

const BODY_MAX = 4096
/** Keeps a login that is under way at an issuer. */
const PENDING_COOKIE = 'weir_login'
const SEALED = /^[A-Za-z0-9_.-]{1,4000}$/
/** Not for shared or own caches: what is told depends on who asks. */
const HEADERS = { ...SECURITY_HEADERS, 'cache-control': 'no-store' }

type Named = { Params: { id: string } }
type At = Named & { Querystring: { to?: unknown } }

export function loginRoutes(app: FastifyInstance, parts: LoginParts): void {
  const { guard, logins, issuers } = parts
  app.get('/api/session', async (request, reply) => {
    reply.headers(HEADERS)
    const holder = logins.holderOf(request.headers.cookie)
    const offers = issuers.offers()
    try {
      guard.checkConsole(request, holder)
      return { open: true, logged_in: holder !== null, questions: Object.keys(QUESTIONS).sort(), offers }
    } catch (error) {
      if (error instanceof ApiError && error.status === 401)
        return { open: false, logged_in: false, questions: [], offers }
      throw error
    }
  })
  app.post('/api/login', { bodyLimit: BODY_MAX }, async (request, reply) => {
    const key = keyIn(request)
    if (!guard.isKnownKey(key)) {
      told(parts, 'key', 'unknown_key')
      throw new ApiError(
        401,
        'unauthenticated',
        'no caller has this key',
        'use the API key of a caller in weir.yaml',
      )
    }
    const isSecure = request.headers['x-forwarded-proto'] === 'https'
    const digest = createHash('sha256').update(key).digest('hex')
    told(parts, 'key', 'ok', { key: digest.slice(0, 8) })
    return reply.headers(HEADERS).header('set-cookie', logins.open({ digest }, isSecure)).send({ open: true })
  })
  app.post('/api/logout', async (request, reply) =>
    reply.headers(HEADERS).header('set-cookie', logins.close(request.headers.cookie)).send({ open: false }),
  )
  issuerRoutes(app, parts)
}

function issuerRoutes(app: FastifyInstance, parts: LoginParts): void {
  const { logins, issuers } = parts
  app.get<At>('/login/:id', { exposeHeadRoute: false }, async (request, reply) => {
    const { id } = request.params
    const to = returnPath(request.query.to)
    try {
      const begun = await issuers.begin(id, to)
      if (begun === null) return reply.callNotFound()
      reply.header('set-cookie', pendingCookie(id, begun.sealed, PENDING_S, begun.isSecure))
      return away(reply, begun.url.href)
    } catch (error) {
      return failed(parts, reply, id, to, error)
    }
  })
  app.get<At>('/login/:id/callback', { exposeHeadRoute: false }, async (request, reply) => {
    const { id } = request.params
    const sealed = cookieIn(request.headers.cookie, PENDING_COOKIE, SEALED)
    const at = request.url.indexOf('?')
    try {
      const done = await issuers.finish(id, at < 0 ? '' : request.url.slice(at), sealed)
      if (done === null) return reply.callNotFound()
      const { person, expires_ms, isSecure } = done
      told(parts, 'issuer', 'ok', { issuer: person.issuer, principal: person.principal })
      reply.header('set-cookie', [
        pendingCookie(id, '', 0, isSecure),
        logins.open({ person }, isSecure, expires_ms),
      ])
      return away(reply, done.to)
    } catch (error) {
      return failed(parts, reply, id, '/', error)
    }
  })
}

/** Lax: the issuer's page sends the browser back with it. Only the login of that name gets to see it. */
const pendingCookie = (id: string, value: string, age_s: number, isSecure: boolean): string =>
  `${PENDING_COOKIE}=${value}; Path=/login/${id}; HttpOnly; SameSite=Lax; Max-Age=${age_s}${isSecure ? '; Secure' : ''}`

const away = (reply: FastifyReply, url: string): FastifyReply =>
  reply.headers(HEADERS).code(303).header('location', url).send()

function failed(
  parts: LoginParts,
  reply: FastifyReply,
  id: string,
  to: string,
  error: unknown,
): FastifyReply {
  // A claim that cannot be read names nobody.
  const known = error instanceof TokenRefused ? new LoginFailed('user_unknown', error.message) : error
  if (!(known instanceof LoginFailed)) throw known
  told(parts, 'issuer', known.failure, { login: id, reason: reasonOf(known) })
  const search = new URLSearchParams({ error: known.failure, with: id, ...(to === '/' ? {} : { to }) })
  return away(reply, `/login?${search}`)
}

/** `about`: never a secret, and nothing that a browser brought. */
function told(
  { log, metrics }: LoginParts,
  way: 'key' | 'issuer',
  result: 'ok' | 'unknown_key' | LoginFailure,
  about: Readonly<Record<string, string>> = {},
): void {
  metrics.count('weir_console_logins_total', 1, { way, result })
  if (result === 'ok') log('info', 'somebody logged in to the console', { way, ...about })
  else log('warn', 'a login to the console failed', { way, result, ...about })
}

/** The key in the body of a login. A form of another page cannot send JSON. */
function keyIn(request: FastifyRequest): string {
  const malformed = new ApiError(
    400,
    'body_malformed',
    'the body is not {"key": "…"}',
    'send JSON with the API key',
  )
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) throw malformed
  try {
    const { key } = JSON.parse(String(request.body)) as { key?: unknown }
    if (typeof key === 'string' && key !== '') return key
  } catch {}
  throw malformed
}
