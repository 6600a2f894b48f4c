/** What a request of the admin API says, read strictly: what is half understood is refused. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Admitted } from './door.ts'
import { needsWrite } from './door.ts'
import type { Changed, EditRequest } from './editing.ts'
import { AdminError } from './errors.ts'

export type Body = Readonly<Record<string, unknown>>

const malformed = (message: string, fix: string): AdminError =>
  new AdminError(400, 'body_malformed', message, fix)

/** A JSON object with no other fields than `fields` (null: any). An empty body is an empty object. */
export function bodyOf(request: FastifyRequest, fields: readonly string[] | null): Body {
  const { body } = request
  if (body === undefined || body === null) return {}
  if (typeof body !== 'object' || Array.isArray(body))
    throw malformed('the body is not a JSON object', 'send {"…": …}')
  if (fields)
    for (const name of Object.keys(body))
      if (!fields.includes(name))
        throw malformed(
          `there is no field ${JSON.stringify(name.slice(0, 100))}`,
          `send ${fields.join(', ')}`,
        )
  return body as Body
}

export function textIn(body: Body, name: string): string | undefined {
  const value = body[name]
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw malformed(`${name} is not a text`, `send {"${name}": "…"}`)
  return value
}

export function textsIn(body: Body, name: string): string[] | undefined {
  const value = body[name]
  if (value === undefined) return undefined
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'string'))
    throw malformed(`${name} is not a list of texts`, `send {"${name}": ["…"]}`)
  return value as string[]
}

export function wholeIn(body: Body, name: string, fallback: number, max: number): number {
  const value = body[name] ?? fallback
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > max)
    throw malformed(`${name} is not a whole number of 0 to ${max}`, `send {"${name}": ${fallback}}`)
  return value as number
}

/** Who asks for what kind of change. Throws AdminError 400 and 403. */
export function editRequest(request: FastifyRequest, by: Admitted): EditRequest {
  const { dry_run, ...others } = request.query as Record<string, string | undefined>
  const odd = Object.keys(others)[0]
  if (odd !== undefined)
    throw new AdminError(
      400,
      'query_unknown',
      `there is no parameter ${odd.slice(0, 100)}`,
      'send dry_run=true, or none',
    )
  if (dry_run !== undefined && dry_run !== 'true' && dry_run !== 'false')
    throw new AdminError(400, 'query_unknown', 'dry_run is not true or false', 'send dry_run=true')
  if (dry_run !== 'true') needsWrite(by)
  const match = request.headers['if-match']
  if (match === undefined) return { by, dry_run: dry_run === 'true', expected: undefined }
  const expected = /^"([0-9a-f]{64})"$/.exec(match)?.[1]
  if (expected === undefined)
    throw new AdminError(
      400,
      'etag_malformed',
      'If-Match is no ETag of ours',
      'send the ETag of what was read',
    )
  return { by, dry_run: dry_run === 'true', expected }
}

/** 200, or 202 when the file has it and the workers do not. */
export const statusOf = ({ in_force, dry_run }: Changed, ok = 200): number => (in_force || dry_run ? ok : 202)

export function withTag(reply: FastifyReply, sha256: string): FastifyReply {
  return reply.header('etag', `"${sha256}"`).header('cache-control', 'no-store')
}
