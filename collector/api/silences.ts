/**
 * `POST /api/silences` and `DELETE /api/silences/:id`: the only thing about alerts that is written from outside. For this machine,
 * with an API key, or for who is logged in to the console, as reading is. A page of another site cannot get here: the guard knows origins, a body has to be JSON
 * (which a browser asks about first, and nothing here ever says yes), and Sec-Fetch-Site is believed.
 */
import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { isLabelName, KNOWN_LABELS, type Matcher, matcherProblem, OPERATORS } from '../../config/matchers.ts'
import type { Reader } from '../queries/client.ts'
import { run as readSilences, type SilenceRow } from '../queries/silences.ts'
import { type Store, StoreError } from '../sink/store.ts'
import type { AlertOptions } from '../watch/alerts/options.ts'
import { type Silence, writeSilence } from '../watch/alerts/silences.ts'
import { ApiError, storeAway } from './errors.ts'
import type { Guard } from './guard.ts'
import type { Logins } from './logins.ts'

const BODY_MAX = 16_384
const MATCHERS_MAX = 20
const TEXT_MAX = 500
const NAME_MAX = 100
const YEAR_MS = 366 * 86_400_000
/** Clocks differ; a silence that begins a moment ago begins now. */
const PAST_MS = 60_000

export type SilenceParts = {
  guard: Guard
  logins: Logins
  store: Store
  reader: Reader
  isReady(): boolean
  alerts(): AlertOptions
}

const refuse = (message: string, fix: string): ApiError =>
  new ApiError(400, 'silence_malformed', message, fix)

/** Labels that alerts here can have. */
export const labelsInForce = ({ alerts }: AlertOptions): Set<string> =>
  new Set([...KNOWN_LABELS, ...Object.values(alerts.rules).flatMap((rule) => Object.keys(rule.labels ?? {}))])

function matcherOf(value: unknown, labels: ReadonlySet<string>): Matcher {
  const {
    name,
    op,
    value: text,
  } = (typeof value === 'object' && value ? value : {}) as Record<string, unknown>
  if (typeof name !== 'string' || typeof op !== 'string' || typeof text !== 'string')
    throw refuse(
      'a matcher is not {name, op, value}',
      `send for example {"name": "server", "op": "=", "value": "bank"}`,
    )
  const matcher = { name, op: op as Matcher['op'], value: text }
  const problem = matcherProblem(matcher)
  if (problem !== null) {
    const [message, example] = problem.split(', for example ')
    throw refuse(`the matcher ${message}`, `write something like ${example ?? OPERATORS.join(' ')}`)
  }
  if (!isLabelName(name) || !labels.has(name))
    throw refuse(
      `no alert here has the label ${name.slice(0, NAME_MAX)}`,
      `use one of: ${[...labels].join(', ')}`,
    )
  return matcher
}

/** A moment: milliseconds since 1970, or ISO 8601 with its zone. */
function momentOf(value: unknown, name: string): number {
  const ms = typeof value === 'number' ? value : typeof value === 'string' ? Date.parse(value) : Number.NaN
  if (!Number.isFinite(ms))
    throw refuse(`${name} is not a moment`, 'send milliseconds since 1970, or 2027-01-31T12:00:00Z')
  return Math.round(ms)
}

const textOf = (value: unknown, name: string, max: number): string => {
  if (value === undefined) return ''
  if (typeof value !== 'string' || value.length > max)
    throw refuse(`${name} is not a text of up to ${max} characters`, 'send a shorter text')
  return value.toWellFormed()
}

const FIELDS = new Set(['matchers', 'starts_at', 'ends_at', 'created_by', 'comment'])

/** Throws ApiError 400 for whatever a silence cannot be: one that is half understood would hide the wrong alerts. */
export function readSilence(body: Buffer, labels: ReadonlySet<string>, now_ms: number): Silence {
  let given: Record<string, unknown>
  try {
    given = JSON.parse(body.toString('utf8')) as Record<string, unknown>
  } catch {
    throw refuse('the body is not JSON', 'send {"matchers": [...], "ends_at": ...}')
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw refuse('the body is not a JSON object', 'send {"matchers": [...], "ends_at": ...}')
  for (const name of Object.keys(given))
    if (!FIELDS.has(name))
      throw refuse(`there is no field ${name.slice(0, NAME_MAX)}`, `send ${[...FIELDS].join(', ')}`)
  const { matchers, starts_at, ends_at } = given
  if (!Array.isArray(matchers) || matchers.length === 0 || matchers.length > MATCHERS_MAX)
    throw refuse(
      `there have to be 1 to ${MATCHERS_MAX} matchers`,
      'name what shall be quiet, for example {"name": "server", "op": "=", "value": "bank"}',
    )
  const read = matchers.map((matcher) => matcherOf(matcher, labels))
  if (
    read.every(
      ({ op, value }) =>
        (op === '=' && value === '') || op === '!=' || op === '!~' || (op === '=~' && /^\.[*+]$/.test(value)),
    )
  )
    throw refuse('the matchers keep everything quiet', 'add one that names what is meant')
  const starts_ms =
    starts_at === undefined ? now_ms : Math.max(momentOf(starts_at, 'starts_at'), now_ms - PAST_MS)
  const ends_ms = momentOf(ends_at, 'ends_at')
  if (ends_ms <= Math.max(starts_ms, now_ms))
    throw refuse('ends_at is not after its start', 'send a later moment')
  if (ends_ms - now_ms > YEAR_MS)
    throw refuse('ends_at is more than a year away', 'send an earlier moment, or switch the rule off')
  return {
    id: randomUUID(),
    matchers: read,
    starts_ms,
    ends_ms,
    created_by: textOf(given.created_by, 'created_by', NAME_MAX),
    comment: textOf(given.comment, 'comment', TEXT_MAX),
  }
}

function checkSender({ guard, logins }: SilenceParts, request: FastifyRequest): void {
  guard.checkConsole(request, logins.holderOf(request.headers.cookie))
  const site = request.headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    throw new ApiError(
      403,
      'origin_unknown',
      'the page that asks is not the console',
      'use the console or `weir silence`',
    )
}

function checkJson(request: FastifyRequest): void {
  if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? ''))
    throw new ApiError(
      415,
      'content_type',
      'the body has to be application/json',
      'send content-type: application/json',
    )
}

export function silenceRoutes(app: FastifyInstance, parts: SilenceParts): void {
  const { store, reader } = parts
  const within = async <T>(work: () => Promise<T>): Promise<T> => {
    if (!parts.isReady()) throw storeAway()
    try {
      return await work()
    } catch (error) {
      throw error instanceof StoreError ? storeAway() : error
    }
  }
  app.post(
    '/api/silences',
    {
      bodyLimit: BODY_MAX,
      onRequest: async (request) => {
        checkSender(parts, request)
        checkJson(request)
      },
    },
    async (request, reply) => {
      const now_ms = Date.now()
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
      const silence = readSilence(body, labelsInForce(parts.alerts()), now_ms)
      await within(() => writeSilence(store, silence, now_ms))
      return reply.code(201).send(silence)
    },
  )
  app.delete<{ Params: { id: string } }>(
    '/api/silences/:id',
    { onRequest: async (request) => checkSender(parts, request) },
    async (request) => {
      const now_ms = Date.now()
      const { id } = request.params
      const row = await within(async () =>
        (await readSilences(reader, { only: 'running' })).find((silence: SilenceRow) => silence.id === id),
      )
      if (!row)
        throw new ApiError(
          404,
          'silence_unknown',
          'there is no such silence that has not ended',
          '`weir silence list` shows them',
        )
      // One that had not begun never will.
      const ended = {
        ...row,
        matchers: row.matchers as Matcher[],
        starts_ms: Math.min(row.starts_ms, now_ms),
        ends_ms: now_ms,
      }
      await within(() => writeSilence(store, ended, now_ms))
      return { id, ended_ms: now_ms }
    },
  )
}
