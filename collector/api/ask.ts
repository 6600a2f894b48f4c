/**
 * `GET /api/<question>`: parameters, rights, time limit, the answer as JSON or CSV.
 * Invariants: asks the store with a reader's rights only; a question whose asker left is cancelled in the store; what the
 * store says of an error goes to the log, never to the page.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { SECURITY_HEADERS } from '../console/pages.ts'
import { type Log, reasonOf } from '../log.ts'
import type { ConsoleReader } from '../queries/client.ts'
import { StoreError } from '../sink/store.ts'
import { toCsv } from './csv.ts'
import { ApiError } from './errors.ts'
import type { Guard } from './guard.ts'
import type { Logins } from './logins.ts'
import type { Around, Asked, Question } from './questions.ts'
import { QUESTIONS } from './registry.ts'

export type AskParts = {
  guard: Guard
  logins: Logins
  reader: ConsoleReader
  around: Around
  isReady(): boolean
  log: Log
}

/** How long the store may work on one question, seconds. */
const QUESTION_MAX_S = 55

export function askRoutes(app: FastifyInstance, parts: AskParts): void {
  const { guard, logins } = parts
  const known = async (request: FastifyRequest): Promise<void> =>
    guard.checkConsole(request, logins.holderOf(request.headers.cookie))
  app.get<{ Params: { question: string } }>('/api/:question', { onRequest: known }, async (request, reply) =>
    answer(parts, request, request.params.question, reply),
  )
}

/** Parameters of the URL. Throws for one that comes twice or that the question does not know. */
function askedOf(request: FastifyRequest, question: Question): { asked: Asked; format: string } {
  const asked: Record<string, string> = {}
  const search = new URL(request.url, 'http://x').searchParams
  for (const [name, value] of search) {
    if (Object.hasOwn(asked, name))
      throw new ApiError(400, 'parameter_twice', `the parameter ${name} comes twice`, 'send it once')
    if (name !== 'format' && !question.params.includes(name))
      throw new ApiError(
        400,
        'parameter_unknown',
        `the parameter ${name.slice(0, 60)} is not known here`,
        `this question knows ${question.params.join(', ') || 'none'}`,
      )
    asked[name] = value
  }
  const { format = '', ...rest } = asked
  if (!['', 'json', 'csv'].includes(format))
    throw new ApiError(
      400,
      'parameter_malformed',
      'the format is not known',
      'send format=json or format=csv',
    )
  const wantsCsv = format === 'csv' || (format === '' && request.headers.accept === 'text/csv')
  return { asked: rest, format: wantsCsv ? 'csv' : 'json' }
}

async function answer(
  parts: AskParts,
  request: FastifyRequest,
  name: string,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const question = Object.hasOwn(QUESTIONS, name) ? QUESTIONS[name]! : null
  if (!question)
    throw new ApiError(404, 'question_unknown', 'there is no such question', 'GET /api/session lists them')
  const { asked, format } = askedOf(request, question)
  if (!parts.isReady())
    throw new ApiError(
      503,
      'store_starting',
      'the store is not ready yet',
      'wait a moment; /readyz says why',
      2,
    )
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  const started = performance.now()
  let rows: unknown
  try {
    rows = await question.run(parts.reader.asking(gone.signal, QUESTION_MAX_S), asked, parts.around)
  } catch (error) {
    throw explain(parts, name, error, gone.signal.aborted)
  }
  reply.headers({ ...SECURITY_HEADERS, 'cache-control': 'no-store' })
  reply.header('server-timing', `store;dur=${(performance.now() - started).toFixed(1)}`)
  if (format === 'json') return reply.type('application/json; charset=utf-8').send(JSON.stringify(rows))
  return reply
    .type('text/csv; charset=utf-8; header=present')
    .header('content-disposition', `attachment; filename="weir-${name}.csv"`)
    .send(toCsv(tableOf(rows)))
}

/** What a table shows of an answer: the rows, or the first list in it. */
function tableOf(answered: unknown): Record<string, unknown>[] {
  if (Array.isArray(answered)) return answered as Record<string, unknown>[]
  const lists = Object.values(answered as object).filter(Array.isArray)
  return (lists[0] ?? [answered]) as Record<string, unknown>[]
}

const TOO_LONG = new Set([159, 160])
const TOO_MUCH = new Set([241, 396, 307, 158])
const CROWDED = new Set([202])

/** What the store said, as something the person in front of the page can act on. */
function explain({ log }: AskParts, question: string, error: unknown, isGone: boolean): unknown {
  if (!(error instanceof StoreError)) return error
  if (isGone) return new ApiError(499, 'cancelled', 'the question was cancelled', 'ask again')
  log('warn', 'a question of the console failed', { question, code: error.code, reason: reasonOf(error) })
  const narrower = 'choose a shorter time range or add a filter'
  if (TOO_LONG.has(error.code) || /timeout/i.test(error.message))
    return new ApiError(
      504,
      'question_too_long',
      `the store did not finish within ${QUESTION_MAX_S} s`,
      narrower,
    )
  if (TOO_MUCH.has(error.code))
    return new ApiError(
      422,
      'question_too_large',
      'the store has not enough memory for this question',
      narrower,
    )
  if (CROWDED.has(error.code))
    return new ApiError(
      503,
      'store_busy',
      'the store has too many questions at once',
      'it is asked again shortly',
      2,
    )
  if (error.kind === 'unreachable' || error.kind === 'busy')
    return new ApiError(
      503,
      'store_unavailable',
      'the store does not answer',
      '`weir doctor` looks for the cause',
      2,
    )
  return new ApiError(
    500,
    'question_failed',
    'the store refused this question',
    "the collector's log has the reason",
  )
}
