/** Callers and their keys: what `weir key` does, and the callers themselves. */
import type { FastifyInstance, FastifyReply } from 'fastify'
import { createKey, removeCaller, revokeKey, rotateKey } from '../config/key-edits.ts'
import { expiryMs, keyId, makeKey } from '../config/key-text.ts'
import type { CallerConfig, Config } from '../config/schema.ts'
import { type Edit, EditRefused } from '../config/splice.ts'
import type { AdminParts } from './api.ts'
import {
  answers,
  CALLER,
  CHANGE_REQUEST,
  CHANGED,
  callerWish,
  KEY_WISH,
  NEW_KEY,
  ROTATION,
} from './describe.ts'
import type { Changed } from './editing.ts'
import { AdminError } from './errors.ts'
import { bodyOf, editRequest, statusOf, textIn, textsIn, wholeIn, withTag } from './requests.ts'

const OVERLAP_S = 86_400
const OVERLAP_MAX_S = 31_622_400
const KEY_FIELDS = ['id', 'expires', 'scope', 'user', 'app', 'note']
type Named = { Params: { name: string } }
type OfKey = { Params: { name: string; id: string } }

/** Principal → milliseconds of its last call; null when the store cannot be asked. */
type LastUse = ReadonlyMap<string, number> | null

function shown(name: string, caller: CallerConfig, lastUse: LastUse, now_ms: number): object {
  const { keys, ...rest } = caller
  return {
    name,
    ...rest,
    last_used_known: lastUse !== null,
    keys: keys.map(({ sha256, ...key }) => {
      const id = keyId({ id: key.id, sha256 })
      const last_ms = lastUse?.get(`${name}#${id}`)
      return {
        ...key,
        id,
        state: expiryMs(key) <= now_ms ? 'expired' : 'valid',
        last_used: last_ms === undefined ? null : new Date(last_ms).toISOString(),
      }
    }),
  }
}

const callerIn = ({ callers }: Config, name: string): CallerConfig => {
  if (!Object.hasOwn(callers, name))
    throw new AdminError(404, 'not_found', 'there is no such caller', 'GET /v1/callers lists them')
  return callers[name]!
}

/** Everything of a caller but its keys, as the body says it; what the body leaves out goes. */
function putCaller(
  config: Config,
  written: unknown,
  name: string,
  body: Readonly<Record<string, unknown>>,
): Edit[] {
  if ('keys' in body)
    throw new AdminError(
      400,
      'body_malformed',
      'keys are not set with their caller',
      'POST /v1/callers/{name}/keys makes one',
    )
  const before = (written ?? {}) as Record<string, unknown>
  const value = { ...body, ...('keys' in before ? { keys: before.keys } : {}) }
  // By this way alone a first caller comes without a key, and then nobody could call.
  if (Object.keys(config.callers).length === 0 && Object.keys(config.admin.tokens).length === 0)
    throw new EditRefused(
      'conflict',
      'there are no callers and no admin tokens: this would lock everybody out',
      'make a key first: weir key create <caller>',
    )
  return [{ op: 'set', path: ['callers', name], value }]
}

export function callerRoutes(app: FastifyInstance, { editing, keyUse, whoAsks, now }: AdminParts): void {
  const tags = ['callers and keys']
  const lastUse = (): Promise<LastUse> =>
    keyUse().then(
      (rows) => new Map(rows.map(({ principal, last_ms }) => [principal, last_ms])),
      () => null,
    )
  const answer = (reply: FastifyReply, changed: Changed, body: object, ok: number): FastifyReply =>
    withTag(reply, changed.sha256).code(statusOf(changed, ok)).send(body)

  app.get(
    '/v1/callers',
    {
      schema: {
        tags,
        summary: 'All callers with their keys',
        response: answers({ 200: { type: 'array', items: CALLER } }),
      },
    },
    async (_request, reply) => {
      const { config, sha256 } = editing.current()
      const uses = await lastUse()
      return withTag(reply, sha256).send(
        Object.entries(config.callers).map(([name, caller]) => shown(name, caller, uses, now())),
      )
    },
  )
  app.get<Named>(
    '/v1/callers/:name',
    { schema: { tags, summary: 'One caller', response: answers({ 200: CALLER }) } },
    async (request, reply) => {
      const { config, sha256 } = editing.current()
      const { name } = request.params
      const caller = callerIn(config, name)
      return withTag(reply, sha256).send(shown(name, caller, await lastUse(), now()))
    },
  )
  app.put<Named>(
    '/v1/callers/:name',
    {
      schema: {
        tags,
        summary: 'Make a caller, or set everything of it but its keys',
        ...CHANGE_REQUEST,
        body: callerWish(),
        response: answers({ 200: CHANGED, 202: CHANGED }),
      },
    },
    async (request, reply) => {
      const { name } = request.params
      const body = bodyOf(request, null)
      const changed = await editing.change(editRequest(request, whoAsks(request)), (config) => {
        // Read when it is this change's turn: a key that was revoked meanwhile must not come back.
        const { callers } = editing.current().written as { callers?: Record<string, unknown> | null }
        const written = callers && Object.hasOwn(callers, name) ? callers[name] : undefined
        return putCaller(config, written, name, body)
      })
      return answer(reply, changed, changed, 200)
    },
  )
  app.delete<Named>(
    '/v1/callers/:name',
    {
      schema: {
        tags,
        summary: 'Remove a caller with its keys; not the last one',
        ...CHANGE_REQUEST,
        response: answers({ 200: CHANGED, 202: CHANGED }),
      },
    },
    async (request, reply) => {
      const changed = await editing.change(editRequest(request, whoAsks(request)), (config) =>
        removeCaller(config, request.params.name),
      )
      return answer(reply, changed, changed, 200)
    },
  )
  app.post<Named>(
    '/v1/callers/:name/keys',
    {
      schema: {
        tags,
        summary: 'Make a key; the secret is in the answer, this once',
        ...CHANGE_REQUEST,
        body: KEY_WISH,
        response: answers({ 201: NEW_KEY, 202: NEW_KEY }),
      },
    },
    async (request, reply) => {
      const { name } = request.params
      const body = bodyOf(request, KEY_FIELDS)
      const key = makeKey()
      const wish = {
        id: textIn(body, 'id'),
        expires: textIn(body, 'expires'),
        scope: textsIn(body, 'scope'),
        user: textIn(body, 'user'),
        app: textIn(body, 'app'),
        note: textIn(body, 'note'),
      }
      const asked = editRequest(request, whoAsks(request))
      const result = await editing.change(asked, (config) => {
        callerIn(config, name)
        return createKey(config, name, key, wish, {}, now())
      })
      const secret = asked.dry_run ? {} : { key: key.text }
      return answer(reply, result, { caller: name, id: wish.id ?? key.id, ...secret, result }, 201)
    },
  )
  app.post<OfKey>(
    '/v1/callers/:name/keys/:id/rotate',
    {
      schema: {
        tags,
        summary: 'A new key in the place of one that goes on for a while',
        ...CHANGE_REQUEST,
        body: ROTATION,
        response: answers({ 201: NEW_KEY, 202: NEW_KEY }),
      },
    },
    async (request, reply) => {
      const { name, id } = request.params
      const body = bodyOf(request, ['id', 'expires', 'overlap_s'])
      const overlap_ms = wholeIn(body, 'overlap_s', OVERLAP_S, OVERLAP_MAX_S) * 1000
      const key = makeKey()
      const wish = { id: textIn(body, 'id'), expires: textIn(body, 'expires') }
      const asked = editRequest(request, whoAsks(request))
      const result = await editing.change(asked, (config) =>
        rotateKey(config, name, id, key, wish, overlap_ms, now()),
      )
      const secret = asked.dry_run ? {} : { key: key.text }
      return answer(reply, result, { caller: name, id: wish.id ?? key.id, ...secret, result }, 201)
    },
  )
  app.delete<OfKey>(
    '/v1/callers/:name/keys/:id',
    {
      schema: {
        tags,
        summary: 'Revoke a key',
        ...CHANGE_REQUEST,
        response: answers({ 200: CHANGED, 202: CHANGED }),
      },
    },
    async (request, reply) => {
      const { name, id } = request.params
      const changed = await editing.change(editRequest(request, whoAsks(request)), (config) =>
        revokeKey(config, name, id),
      )
      return answer(reply, changed, changed, 200)
    },
  )
}
