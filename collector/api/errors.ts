/**
 * What the collector answers when it cannot do what was asked: one JSON shape, `{error: {code, message, fix}}`.
 * Texts are ours: what a store or a library said goes to the log only.
 */
import type { FastifyReply } from 'fastify'

export class ApiError extends Error {
  readonly status: number
  readonly code: string
  /** What the reader can do about it. */
  readonly fix: string
  /** Seconds; 0 when coming again does not help. */
  readonly retry_after_s: number
  constructor(status: number, code: string, message: string, fix: string, retry_after_s = 0) {
    super(message)
    this.status = status
    this.code = code
    this.fix = fix
    this.retry_after_s = retry_after_s
  }
}

/** The store cannot take it now. The sender keeps it and comes again. */
export const storeAway = (retry_after_s = 2): ApiError =>
  new ApiError(
    503,
    'store_unavailable',
    'the store cannot take rows now',
    'send the same bytes again later; see /readyz',
    retry_after_s,
  )

export function sendError(reply: FastifyReply, error: ApiError): FastifyReply {
  if (error.retry_after_s > 0) reply.header('retry-after', String(error.retry_after_s))
  return reply
    .code(error.status)
    .type('application/json; charset=utf-8')
    .send(JSON.stringify({ error: { code: error.code, message: error.message, fix: error.fix } }))
}

/** Errors of fastify itself, in our words. Null: not one of them, so a defect of ours. */
export function fromFramework(error: unknown): ApiError | null {
  const { statusCode, code } = error as { statusCode?: number; code?: string }
  if (statusCode === 413 || code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new ApiError(
      413,
      'body_too_large',
      'the body is larger than this endpoint takes',
      'send less at a time',
    )
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new ApiError(
      statusCode,
      'bad_request',
      'the request cannot be read',
      'see the documentation of this endpoint',
    )
  return null
}
