/**
 * The HTTP face of the collector: which path asks whom what, and what goes back when it fails. The only place that knows
 * fastify's application object. Invariant: every route passes the guard before its body is read.
 */
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import { CHANGES_PATH } from '../../event/config-change.ts'
import { INTAKE_HEADERS } from '../../event/segment.ts'
import type { Console } from '../console/assets.ts'
import { pageRoutes, sendMissing } from '../console/pages.ts'
import type { BatchIntake } from '../intake/batches.ts'
import { readChanges, writeChanges } from '../intake/config-changes.ts'
import { readLosses, writeLosses } from '../intake/losses.ts'
import { type Log, reasonOf } from '../log.ts'
import type { IssuerLogins } from '../login/issuer-logins.ts'
import type { Metrics } from '../metrics.ts'
import type { OtlpIntake } from '../otlp/receive.ts'
import type { ConsoleReader } from '../queries/client.ts'
import { type Store, StoreError } from '../sink/store.ts'
import { askRoutes } from './ask.ts'
import { BODY_MAX, inflate, OTLP_BODY_MAX } from './body.ts'
import { ApiError, fromFramework, sendError, storeAway } from './errors.ts'
import type { Guard } from './guard.ts'
import type { Readiness } from './health.ts'
import { loginRoutes } from './login-routes.ts'
import { openLogins } from './logins.ts'
import { type RatingParts, ratingRoutes } from './ratings.ts'
import { type SilenceParts, silenceRoutes } from './silences.ts'
import { openSlots } from './slots.ts'

export type ApiParts = {
  guard: Guard
  batches: BatchIntake
  otlp: OtlpIntake
  readiness: () => Promise<Readiness>
  /** Whether the schema is in place. */
  isReady(): boolean
  store: Store
  metrics: Metrics
  metricsText: () => Promise<string>
  log: Log
  console: Console
  reader: ConsoleReader
  silences: Pick<SilenceParts, 'reader' | 'alerts'>
  issuerLogins: IssuerLogins
} & RatingParts

/** Bodies in memory at once, and requests that wait for such a place with their bytes still in the socket. */
const BODIES = 4
const WAITING = 64

type Headers = FastifyRequest['headers']
const header = (headers: Headers, name: string): string => {
  const value = headers[name]
  return typeof value === 'string' ? value : ''
}

export function buildApi(parts: ApiParts): FastifyInstance {
  const { guard, metrics } = parts
  const app = fastify({
    bodyLimit: BODY_MAX,
    requestTimeout: 60_000,
    routerOptions: { maxParamLength: 200 },
    forceCloseConnections: 'idle',
    // A client keeps its connections open between batches; ours must not close first.
    keepAliveTimeout: 75_000,
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.setErrorHandler((error, request, reply) => {
    const known = error instanceof ApiError ? error : fromFramework(error)
    if (!known)
      parts.log('error', 'defect in a route', {
        route: request.routeOptions.url ?? '',
        reason: reasonOf(error),
      })
    return sendError(
      reply,
      known ??
        new ApiError(500, 'internal', 'this is a defect of the collector', 'its log has the reason', 5),
    )
  })
  app.setNotFoundHandler(async (request, reply) => {
    if (await sendMissing(request, reply, parts.console)) return reply
    return sendError(
      reply,
      new ApiError(
        404,
        'path_unknown',
        'there is nothing at this path',
        'see the documentation of the collector',
      ),
    )
  })
  app.addHook('onRequest', async (request) => guard.checkOrigin(request))
  healthRoutes(app, parts)
  const admit = admission(metrics)
  batchRoutes(app, parts, admit)
  otlpRoute(app, parts, admit)
  ratingRoutes(app, parts)
  pageRoutes(app, parts.console)
  const logins = openLogins()
  loginRoutes(app, { ...parts, logins, issuers: parts.issuerLogins })
  askRoutes(app, { ...parts, logins, around: { metrics: parts.metricsText } })
  silenceRoutes(app, { ...parts, ...parts.silences, logins })
  return app
}

type Admit = {
  /** Hook: waits for a place before the body is read. */
  place(request: FastifyRequest, reply: FastifyReply): Promise<void>
  /** Runs a route that keeps its place until it is done, even when the sender has left. */
  within<T>(request: object, work: () => Promise<T>): Promise<T>
}

/** Gives each body a place in memory, until its answer is out and its route has ended. */
function admission(metrics: Metrics): Admit {
  const slots = openSlots(BODIES, WAITING)
  const held = new WeakMap<object, { isRunning: boolean; isClosed: boolean; release: () => void }>()
  return {
    async place(request, reply) {
      const release = await slots.take()
      const hold = {
        isRunning: false,
        // The sender may have left while it waited: then 'close' is over already.
        isClosed: reply.raw.destroyed,
        release() {
          if (hold.isRunning || !hold.isClosed) return
          release()
          metrics.set('weir_collector_batches_in_progress', slots.inUse)
        },
      }
      metrics.set('weir_collector_batches_in_progress', slots.inUse)
      held.set(request, hold)
      reply.raw.once('close', () => {
        hold.isClosed = true
        hold.release()
      })
      hold.release()
    },
    async within(request, work) {
      const hold = held.get(request)
      if (hold) hold.isRunning = true
      try {
        return await work()
      } finally {
        if (hold) hold.isRunning = false
        hold?.release()
      }
    },
  }
}

function healthRoutes(app: FastifyInstance, { guard, readiness, metricsText, metrics }: ApiParts): void {
  app.get('/healthz', async () => ({ alive: true }))
  app.get('/readyz', async (_request, reply) => {
    const state = await readiness()
    return reply.code(state.ready ? 200 : 503).send(state)
  })
  app.get('/metrics', { onRequest: async (request) => guard.checkReader(request) }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metricsText()),
  )
}

const bodyOf = (request: FastifyRequest): Buffer =>
  Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)

function batchRoutes(app: FastifyInstance, parts: ApiParts, admit: Admit): void {
  const { guard, batches, metrics, store } = parts
  const intake = async (request: FastifyRequest): Promise<void> => guard.checkIntake(request)
  app.post<{ Params: { batch_id: string } }>(
    '/v1/batches/:batch_id',
    { onRequest: [intake, admit.place] },
    async (request) => {
      const started = performance.now()
      try {
        const answer = await admit.within(request, () =>
          batches({
            batch_id: request.params.batch_id,
            instance: header(request.headers, INTAKE_HEADERS.instance),
            attempt: header(request.headers, INTAKE_HEADERS.attempt) || '1',
            checksum: header(request.headers, INTAKE_HEADERS.checksum),
            encoding: request.headers['content-encoding'],
            body: bodyOf(request),
          }),
        )
        metrics.count('weir_collector_batches_total', 1, {
          result: answer.duplicate ? 'duplicate' : 'stored',
        })
        metrics.observe('weir_collector_batch_duration_seconds', (performance.now() - started) / 1000)
        return answer
      } catch (error) {
        const isRetry = !(error instanceof ApiError) || error.status >= 500
        metrics.count('weir_collector_batches_total', 1, { result: isRetry ? 'retry' : 'rejected' })
        throw error
      }
    },
  )
  app.post('/v1/losses', { onRequest: [intake, admit.place] }, async (request) => {
    const losses = readLosses(await inflate(bodyOf(request), request.headers['content-encoding']))
    if (!parts.isReady()) throw storeAway()
    try {
      await writeLosses(store, losses)
    } catch (error) {
      throw error instanceof StoreError ? storeAway() : error
    }
    metrics.count('weir_collector_losses_reported_total', losses.length)
    return { losses: losses.length }
  })
  app.post(CHANGES_PATH, { onRequest: [intake, admit.place] }, async (request) => {
    const changes = readChanges(await inflate(bodyOf(request), request.headers['content-encoding']))
    if (!parts.isReady()) throw storeAway()
    try {
      await writeChanges(store, changes)
    } catch (error) {
      throw error instanceof StoreError ? storeAway() : error
    }
    return { changes: changes.length }
  })
}

function otlpRoute(app: FastifyInstance, { guard, otlp }: ApiParts, admit: Admit): void {
  const caller = async (request: FastifyRequest): Promise<void> => guard.checkCaller(request)
  app.post(
    '/v1/traces',
    { bodyLimit: OTLP_BODY_MAX, onRequest: [caller, admit.place] },
    async (request, reply) => {
      const answer = await admit.within(request, () =>
        otlp({
          contentType: request.headers['content-type'] ?? '',
          encoding: request.headers['content-encoding'],
          body: bodyOf(request),
        }),
      )
      if (answer.retry_after_s > 0) reply.header('retry-after', String(answer.retry_after_s))
      return reply.code(answer.status).type(answer.contentType).send(answer.body)
    },
  )
}
