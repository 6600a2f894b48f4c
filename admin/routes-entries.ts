/**
 * Rules, limits, budgets, prices and teams: sections whose entries are read, set and removed by name, all the same way. What an
 * entry may be the schema of weir.yaml says; nothing here knows.
 */
import type { FastifyInstance } from 'fastify'
import { byName } from '../config/audit.ts'
import type { Edit } from '../config/splice.ts'
import type { AdminParts } from './api.ts'
import { answers, CHANGE_REQUEST, CHANGED, named } from './describe.ts'
import type { Current } from './editing.ts'
import { AdminError } from './errors.ts'
import { editRequest, statusOf, withTag } from './requests.ts'

/** Sections that are lists; an entry goes by its name, or what it says it allows or denies. */
export const LISTS = ['rules', 'limits', 'budgets', 'prices'] as const
/** Sections that are mappings. */
export const MAPPINGS = ['teams'] as const

type Named = { Params: { name: string } }

/** Entries as the file has them, references and all. */
const entriesOf = ({ written }: Current, section: string): [string, unknown][] => {
  const value = written[section]
  return value === undefined || value === null ? [] : byName(section, value)
}

const unknown = (section: string, name: string): AdminError =>
  new AdminError(
    404,
    'not_found',
    `there is no ${JSON.stringify(name.slice(0, 100))} in ${section}`,
    `GET /v1/${section} lists them`,
  )

function objectOf(body: unknown): object {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new AdminError(
      400,
      'body_malformed',
      'the body is not a JSON object',
      'send the entry as weir.yaml has it',
    )
  return body
}

/** The place of an entry in the file; for a new one of a list, null. */
function placeOf(current: Current, section: string, name: string): readonly (string | number)[] | null {
  if ((MAPPINGS as readonly string[]).includes(section)) return [section, name]
  const index = entriesOf(current, section).findIndex(([one]) => one === name)
  return index < 0 ? null : [section, index]
}

export function entryRoutes(app: FastifyInstance, { editing, whoAsks }: AdminParts): void {
  for (const section of [...LISTS, ...MAPPINGS]) {
    const isList = (LISTS as readonly string[]).includes(section)
    const tags = [section]
    const one = named(section)
    const { entry } = one.properties as Record<string, Record<string, unknown>>
    const response = answers({ 200: CHANGED, 202: CHANGED })

    app.get(
      `/v1/${section}`,
      {
        schema: {
          tags,
          summary: `All ${section}`,
          response: answers({ 200: { type: 'array', items: one } }),
        },
      },
      async (_request, reply) => {
        const current = editing.current()
        return withTag(reply, current.sha256).send(
          entriesOf(current, section).map(([name, value]) => ({ name, entry: value })),
        )
      },
    )
    app.get<Named>(
      `/v1/${section}/:name`,
      { schema: { tags, summary: `One of ${section}`, response: answers({ 200: one }) } },
      async (request, reply) => {
        const current = editing.current()
        const { name } = request.params
        const found = entriesOf(current, section).find(([its]) => its === name)
        if (!found) throw unknown(section, name)
        return withTag(reply, current.sha256).send({ name, entry: found[1] })
      },
    )
    app.put<Named>(
      `/v1/${section}/:name`,
      {
        schema: {
          tags,
          summary: `Set one of ${section}, or add it`,
          ...CHANGE_REQUEST,
          body: entry,
          response,
        },
      },
      async (request, reply) => {
        const { name } = request.params
        const value = objectOf(request.body)
        if (isList && byName(section, [value])[0]![0] !== name.replace(/ \(\d+\)$/, ''))
          throw new AdminError(
            400,
            'name_differs',
            `the entry goes by another name: ${JSON.stringify(byName(section, [value])[0]![0].slice(0, 200))}`,
            `PUT it at that name, or give it this one`,
          )
        const changed = await editing.change(editRequest(request, whoAsks(request)), (): Edit[] => {
          const path = placeOf(editing.current(), section, name)
          return path === null ? [{ op: 'append', path: [section], value }] : [{ op: 'set', path, value }]
        })
        return withTag(reply, changed.sha256).code(statusOf(changed)).send(changed)
      },
    )
    app.delete<Named>(
      `/v1/${section}/:name`,
      { schema: { tags, summary: `Remove one of ${section}`, ...CHANGE_REQUEST, response } },
      async (request, reply) => {
        const { name } = request.params
        const changed = await editing.change(editRequest(request, whoAsks(request)), (): Edit[] => {
          const current = editing.current()
          const path = placeOf(current, section, name)
          if (path === null || !entriesOf(current, section).some(([its]) => its === name))
            throw unknown(section, name)
          return [{ op: 'remove', path }]
        })
        return withTag(reply, changed.sha256).code(statusOf(changed)).send(changed)
      },
    )
    if (!isList) continue
    app.put(
      `/v1/${section}`,
      {
        schema: {
          tags,
          summary: `Set all ${section} at once, in this order`,
          ...CHANGE_REQUEST,
          body: { type: 'array', items: entry },
          response,
        },
      },
      async (request, reply) => {
        const { body } = request
        if (!Array.isArray(body))
          throw new AdminError(
            400,
            'body_malformed',
            'the body is not a JSON list',
            'send the entries as weir.yaml has them',
          )
        const changed = await editing.change(editRequest(request, whoAsks(request)), () => [
          { op: 'set', path: [section], value: body },
        ])
        return withTag(reply, changed.sha256).code(statusOf(changed)).send(changed)
      },
    )
  }
}
