/** What the admin API answers when it does not do what was asked: `{error: {code, message, fix, problems?}}`. No values, no secrets. */
import type { FastifyReply } from 'fastify'
import { ConfigError, type Problem } from '../config/load.ts'
import { EditRefused } from '../config/splice.ts'

export class AdminError extends Error {
  readonly status: number
  readonly code: string
  readonly fix: string
  readonly problems: readonly Problem[]
  constructor(status: number, code: string, message: string, fix: string, problems: readonly Problem[] = []) {
    super(message)
    this.status = status
    this.code = code
    this.fix = fix
    this.problems = problems
  }
}

const OF_EDITS: Readonly<Record<EditRefused['kind'], readonly [status: number, code: string]>> = {
  read_only: [409, 'config_read_only'],
  conflict: [409, 'conflict'],
  value: [422, 'value_refused'],
  missing: [404, 'not_found'],
}

/** A problem as others may read it: the place within the file, not where the file is. */
export const problemOf = ({ line, column, path, message, fix }: Problem): object => ({
  path,
  message,
  fix,
  line,
  column,
})

/** Any error in our words; null for a defect of ours. */
export function asAdminError(error: unknown): AdminError | null {
  if (error instanceof AdminError) return error
  if (error instanceof EditRefused) {
    const [status, code] = OF_EDITS[error.kind]
    return new AdminError(status, code, error.message, error.fix)
  }
  if (error instanceof ConfigError)
    return new AdminError(
      422,
      'config_invalid',
      'the configuration would not load',
      'see problems',
      error.problems,
    )
  const { statusCode } = error as { statusCode?: number }
  if (statusCode === 413)
    return new AdminError(413, 'body_too_large', 'the body is larger than this takes', 'send less')
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new AdminError(statusCode, 'bad_request', 'the request cannot be read', 'see /openapi.json')
  return null
}

export function sendError(reply: FastifyReply, error: AdminError): FastifyReply {
  if (error.status === 401) reply.header('www-authenticate', 'Bearer realm="weir-admin"')
  const problems = error.problems.length > 0 ? { problems: error.problems.map(problemOf) } : {}
  return reply
    .code(error.status)
    .send({ error: { code: error.code, message: error.message, fix: error.fix, ...problems } })
}
