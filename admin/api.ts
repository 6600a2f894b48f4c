/**
 * The HTTP face of the admin API: its own listener, its own credentials, an OpenAPI document of itself. Knows weir.yaml only through
 * config/. Invariant: every route but the document passes the door before its body is read.
 */
import swagger from '@fastify/swagger'
import { type FastifyInstance, type FastifyRequest, type FastifyServerFactory, fastify } from 'fastify'
import type { AdminConfig } from '../config/admin.ts'
import type { Log } from '../event/log.ts'
import { type Admitted, admit } from './door.ts'
import type { Editing } from './editing.ts'
import { AdminError, asAdminError, sendError } from './errors.ts'
import type { KeyUse } from './options.ts'
import { callerRoutes } from './routes-callers.ts'
import { configRoutes } from './routes-config.ts'
import { entryRoutes } from './routes-entries.ts'

export type AdminParts = {
  readonly editing: Editing
  /** Rejects when the store cannot be asked. */
  keyUse(): Promise<readonly KeyUse[]>
  whoAsks(request: FastifyRequest): Admitted
  /** Milliseconds since 1970. */
  now(): number
}

export type ApiOptions = {
  readonly editing: Editing
  keyUse(): Promise<readonly KeyUse[]>
  /** host:port as configured. */
  readonly listen: string
  /** The settings in force. */
  admin(): AdminConfig
  readonly log: Log
  readonly version: string
  /** Makes the server; not set: one that speaks plain HTTP. */
  readonly serverFactory?: FastifyServerFactory | undefined
}

/** How long a request may take to arrive. */
export const REQUEST_MAX_MS = 60_000

const BODY_MAX = 1024 * 1024
const DOCUMENT = '/openapi.json'
/** Encoded names: a rule is called by a sentence. */
const NAME_MAX = 1_000

const DESCRIPTION = `Keys, callers, rules, limits, budgets, prices and teams of a Weir installation. Every change is checked with the whole
configuration, written to weir.yaml with its comments, taken over by every process before the answer, and recorded with who made it.`

export async function buildApi({
  editing,
  keyUse,
  listen,
  admin,
  log,
  version,
  serverFactory,
}: ApiOptions): Promise<FastifyInstance> {
  const app = fastify({
    bodyLimit: BODY_MAX,
    requestTimeout: REQUEST_MAX_MS,
    ...(serverFactory ? { serverFactory } : {}),
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: NAME_MAX },
  })
  // The schemas describe. What is taken is decided where it is read, and answers leave nothing out.
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => (value) => JSON.stringify(value))
  app.addContentTypeParser(['application/yaml', 'text/yaml'], { parseAs: 'string' }, (_request, body, done) =>
    done(null, body),
  )
  app.setErrorHandler((error, request, reply) => {
    const known = asAdminError(error)
    if (!known)
      log.error('defect in a route', {
        route: request.routeOptions.url ?? '',
        reason: (error as Error).message,
      })
    return sendError(
      reply,
      known ?? new AdminError(500, 'internal', 'this is a defect of Weir', 'its log has the reason'),
    )
  })
  app.setNotFoundHandler((_request, reply) =>
    sendError(reply, new AdminError(404, 'path_unknown', 'there is nothing at this path', `see ${DOCUMENT}`)),
  )
  const asking = new WeakMap<FastifyRequest, Admitted>()
  app.addHook('onRequest', async (request) => {
    if (request.routeOptions.url === DOCUMENT) return
    asking.set(request, admit(request, admin(), listen, Date.now()))
  })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Weir admin API', version, description: DESCRIPTION },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
  })
  const parts: AdminParts = {
    editing,
    keyUse,
    now: Date.now,
    whoAsks(request) {
      const who = asking.get(request)
      if (!who) throw new AdminError(401, 'unauthenticated', 'nobody asks', 'send a token')
      return who
    },
  }
  await app.register(async (inner) => {
    callerRoutes(inner, parts)
    entryRoutes(inner, parts)
    configRoutes(inner, parts)
  })
  app.get(DOCUMENT, { schema: { hide: true } }, async () => app.swagger())
  await app.ready()
  return app
}
