/**
 * What became of a call, read from the HTTP answer of its server or from how the connection failed.
 * Pure but for the call it fills in; sends nothing.
 */
import type { Call } from '../call.ts'
import { WeirError } from '../errors.ts'
import { type ErrorScan, isResponse, readAnswer } from '../mcp/answer.ts'
import { frameData } from '../mcp/frames.ts'
import { readHostRefusal } from './host-refusal.ts'

/** How an answer came. `isCompressed`: although none was asked for; it is passed on and not read. */
export type AnswerForm = {
  readonly isJson: boolean
  readonly isCompressed: boolean
  /** The answer came from the host, which also answers for itself. */
  readonly isHosted: boolean
}
export const UNKNOWN_FORM: AnswerForm = { isJson: false, isCompressed: false, isHosted: false }

const UNREACHABLE =
  /ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|ENOENT|UND_ERR_CONNECT_TIMEOUT|CERT|TLS|SSL/
const NOT_HTTP = /^HPE_|CONTENT_LENGTH_MISMATCH|HEADERS_OVERFLOW/

/** The error a failed connection stands for. `code` is undici's; its HTTP parser gives none (seen: undici 8.12). */
export function connectionFailure(
  error: Error,
  code: string,
): 'upstream_unavailable' | 'upstream_protocol' | 'upstream_closed' {
  if (UNREACHABLE.test(code)) return 'upstream_unavailable'
  return error.name === 'HTTPParserError' || NOT_HTTP.test(code) ? 'upstream_protocol' : 'upstream_closed'
}

/** An answer that says by its status alone that it is none. */
export function httpFailure(call: Call): void {
  const status = call.http_status
  const owner = status === 429 || status === 503 ? 'capacity' : status < 500 ? 'client' : 'upstream'
  call.fail('upstream_error', owner, String(status), `HTTP ${status}`)
}

const noAnswer = (call: Call): void =>
  call.fail(
    'upstream_error',
    'upstream',
    'upstream_protocol',
    `HTTP ${call.http_status} without a JSON-RPC answer`,
  )

/** Whose failure an error answer really is: the server's, the host's, or nobody's because the client had cancelled. */
export function readFailure(call: Call, text: string, isHosted: boolean, isCancelAsked: boolean): void {
  if (call.outcome !== 'rpc_error') return
  if (isCancelAsked) call.refail('cancelled', 'client', 'cancelled', '')
  else if (isHosted) readHostRefusal(call, text)
}

/** Reads a whole body. Returns its text when it was a JSON-RPC answer. */
export function readWhole(
  call: Call,
  whole: Buffer,
  form: AnswerForm,
  isCancelAsked: boolean,
): string | null {
  const isFailed = call.http_status >= 400
  if (call.kind === 'request') {
    if (form.isJson && form.isCompressed && !isFailed) return null
    if (form.isJson && !form.isCompressed && whole.length > 0) {
      const text = whole.toString()
      if (readAnswer(call, text)) {
        readFailure(call, text, form.isHosted, isCancelAsked)
        if (isFailed && call.outcome === 'ok') httpFailure(call)
        return text
      }
    }
    if (!isFailed) noAnswer(call)
  }
  if (isFailed) httpFailure(call)
  return null
}

/** The last piece of a plain answer as the client gets it; `whole`: null when it was too large to keep. */
export function rewritten(
  last: Buffer | null,
  whole: Buffer | null,
  form: AnswerForm,
  rewrite: ((json: string) => string) | null,
): Buffer | null {
  if (rewrite === null || whole === null || !form.isJson || form.isCompressed) return last
  return Buffer.from(rewrite(whole.toString()))
}

/** A stream has ended without an answer, unless what was left of it is one. */
export function readStreamEnd(call: Call, rest: Buffer, isHosted: boolean, isCancelAsked: boolean): void {
  if (call.kind !== 'request') return
  const data = rest.length > 0 ? frameData(rest) : null
  const isAnswer = data !== null && isResponse(data) && readAnswer(call, data)
  if (isAnswer) readFailure(call, data, isHosted, isCancelAsked)
  else if (isCancelAsked) call.fail('cancelled', 'client', 'cancelled', '')
  else if (call.http_status < 400)
    call.fail('upstream_error', 'upstream', 'upstream_closed', 'the stream ended without an answer')
  else httpFailure(call)
}

/** The time of a call is over. `isSent`: else the server was not asked at all. */
export const overdueError = (
  isSent: boolean,
  { timeout_ms, connections_max }: { timeout_ms: number; connections_max: number },
): WeirError =>
  isSent
    ? new WeirError('upstream_timeout', `no answer within ${timeout_ms} ms`)
    : new WeirError(
        'upstream_unavailable',
        `none of ${connections_max} connections was free within ${timeout_ms} ms`,
      )

/** What can be told of a body that was too large to keep. */
export function readScanned(call: Call, scan: ErrorScan, form: AnswerForm): void {
  if (call.kind !== 'request') return
  call.text_bytes_out = call.response_bytes
  if (call.http_status >= 400) httpFailure(call)
  else if (!form.isJson) noAnswer(call)
  else if (!form.isCompressed) scan.settle(call)
}
