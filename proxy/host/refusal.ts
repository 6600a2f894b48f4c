/**
 * What the host answers itself instead of a child: JSON-RPC error texts and refusals with an HTTP status.
 * `data.weir` names the reason for the worker. Texts hold no output of a child: it may contain secrets.
 */
import { RPC } from '../mcp/versions.ts'

/** Why the host itself answered. A worker maps these to outcomes. */
export type Reason =
  | 'principal_missing'
  | 'server_unknown'
  | 'server_removed'
  | 'method_not_allowed'
  | 'content_type'
  | 'not_acceptable'
  | 'body_too_large'
  | 'version_unsupported'
  | 'session_missing'
  | 'session_unknown'
  | 'session_busy'
  | 'event_unknown'
  | 'stream_over'
  | 'session_open'
  | 'sessions_max'
  | 'sessions_exhausted'
  | 'id_in_use'
  | 'batch_unsupported'
  | 'draining'
  | 'processes_max'
  | 'restarting'
  | 'spawn_failed'
  | 'connect_failed'
  | 'initialize_timeout'
  | 'upstream_closed'
  | 'memory_exceeded'
  | 'answer_too_large'
  | 'session_ended'
  | 'session_lost'
  | 'undeliverable'
  | 'bridge_impossible'
  | 'internal'

export type RefusalDetail = Record<string, string | number | null>

/** Thrown on the way to a child; the HTTP side turns it into the answer. */
export class Refusal extends Error {
  readonly http_status: number
  readonly reason: Reason
  readonly detail: RefusalDetail
  readonly code: number

  constructor(
    http_status: number,
    reason: Reason,
    message: string,
    detail: RefusalDetail = {},
    code: number = RPC.internal,
  ) {
    super(message)
    this.http_status = http_status
    this.reason = reason
    this.detail = detail
    this.code = code
  }

  /** The JSON text for the request whose id is the JSON text `id`. */
  text(id: string): string {
    return errorText(id, this.code, this.message, { weir: this.reason, ...this.detail })
  }

  get headers(): Record<string, string> {
    const { retry_after_ms, allow } = this.detail
    if (typeof allow === 'string') return { allow }
    if (typeof retry_after_ms !== 'number') return {}
    return { 'retry-after': String(Math.max(1, Math.ceil(retry_after_ms / 1000))) }
  }
}

/** What is no refusal is a failure of the host, and tells nobody more. */
export const asRefusal = (error: unknown): Refusal =>
  error instanceof Refusal ? error : new Refusal(500, 'internal', 'the host failed; its log says why')

/** A JSON-RPC error answer. `id` is JSON text, so that the caller's own spelling of it survives. */
export function errorText(id: string, code: number, message: string, data?: object): string {
  return `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify({ code, message, ...(data && { data }) })}}`
}
