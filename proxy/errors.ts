/**
 * WeirError and its renderings. The public text comes from the table; `detail` is private and goes to log and event only.
 * Knows nothing of stages or transports.
 */
import type { ErrorSpec } from '../event/error-spec.ts'
import { ERRORS, type ErrorCode } from '../event/error-table.ts'
import { META, WEIR_INFO } from './mcp/versions.ts'

export class WeirError extends Error {
  readonly code: ErrorCode
  /** Private: never in an answer. */
  readonly detail: string
  /** Public: `data` of the JSON-RPC error, for example the supported versions. */
  readonly data: Record<string, unknown> | undefined
  /** Public: headers of the answer, names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  constructor(
    code: ErrorCode,
    detail = '',
    more: { cause?: unknown; data?: Record<string, unknown>; headers?: Record<string, string> } = {},
  ) {
    super(`${code}${detail ? `: ${detail}` : ''}`, { cause: more.cause })
    this.code = code
    this.detail = detail
    this.data = more.data
    this.headers = more.headers ?? {}
  }
  get spec(): ErrorSpec {
    return ERRORS[this.code]
  }
}

/** Anything thrown that is not a WeirError is a bug of ours. */
export const asWeirError = (error: unknown): WeirError =>
  error instanceof WeirError
    ? error
    : new WeirError('internal', error instanceof Error ? error.message : String(error), { cause: error })

export const tooManySessions = (value: number): WeirError =>
  new WeirError('sessions_exhausted', `more than ${value} sessions`, {
    data: { limit: 'http.sessions_per_caller_max', value },
  })

/** JSON-RPC error response. `id` is JSON text, `null` when the request's id could not be read. */
export function toJsonRpc(error: WeirError, id: string | null): string {
  const { rpc, text, fix, retry } = error.spec
  const data = { ...error.data, weir: error.code, ...(fix ? { fix } : {}), retry }
  return `{"jsonrpc":"2.0","id":${id ?? 'null'},"error":${JSON.stringify({ code: rpc, message: text, data })}}`
}

/** Own key in `_meta`: what is wrong, for programs. */
export const ERROR_KEY = 'dev.weir/error'

/**
 * A failure as a result of the tool: models read results, and few clients show them errors. Legal in every revision.
 * `id` is JSON text; `lines` says what is wrong.
 */
export function toToolResult(error: WeirError, id: string, isModern: boolean, lines: string): string {
  const { text, retry } = error.spec
  const closing = retry === 'changed' ? '\nCorrect this and call the tool again.' : ''
  const result = {
    ...(isModern && { resultType: 'complete' }),
    content: [{ type: 'text', text: `${text}:\n${lines}${closing}` }],
    isError: true,
    _meta: {
      [ERROR_KEY]: { code: error.code, retry, ...error.data },
      ...(isModern && { [META.serverInfo]: WEIR_INFO }),
    },
  }
  return `{"jsonrpc":"2.0","id":${id},"result":${JSON.stringify(result)}}`
}

/** Body for errors that are answered by HTTP status alone. */
export const toHttpJson = (error: WeirError): string =>
  JSON.stringify({ error: { code: error.code, message: error.spec.text, fix: error.spec.fix } })
