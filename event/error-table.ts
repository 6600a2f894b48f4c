/**
 * Every error Weir itself answers with: one row, from which the HTTP answer, the JSON-RPC error, the event, the metric
 * label and docs/errors.md come. An upstream's own errors are relayed untouched and only recorded.
 * Own JSON-RPC codes stay out of -32768…-32000, as revision 2026-07-28 asks. A retired code is never used again.
 */
import type { Outcome, Owner } from './fields.ts'

export type ErrorSpec = {
  /** HTTP status while nothing of the answer has been sent. */
  readonly http: number
  /** JSON-RPC code; 0 = answered by HTTP status alone. */
  readonly rpc: number
  readonly outcome: Outcome
  readonly owner: Owner
  readonly retry: 'no' | 'after' | 'changed' | 'idempotent' | 'login'
  /** What the client may read. Private detail goes only to log and event. */
  readonly text: string
  /** What to do about it. */
  readonly fix: string
}

export const ERRORS = {
  parse_error: { http: 400, rpc: -32700, outcome: 'invalid', owner: 'client', retry: 'no', text: 'The body is not valid JSON in UTF-8', fix: 'Send one JSON-RPC message as JSON' },
  invalid_request: { http: 400, rpc: -32600, outcome: 'invalid', owner: 'client', retry: 'no', text: 'The body is not a JSON-RPC 2.0 message', fix: 'Send an object with "jsonrpc":"2.0" and a method' },
  batch_unsupported: { http: 400, rpc: -32600, outcome: 'invalid', owner: 'client', retry: 'changed', text: 'JSON-RPC batches are not supported here', fix: 'Send each message in a request of its own' },
  params_invalid: { http: 400, rpc: -32602, outcome: 'invalid', owner: 'client', retry: 'changed', text: 'The params of this method are not as the protocol asks', fix: 'Compare them with the MCP specification' },
  header_mismatch: { http: 400, rpc: -32020, outcome: 'invalid', owner: 'client', retry: 'changed', text: 'A header does not agree with the body', fix: 'Make MCP-Protocol-Version, Mcp-Method and Mcp-Name say what the body says' },
  version_unsupported: { http: 400, rpc: -32022, outcome: 'invalid', owner: 'client', retry: 'changed', text: 'This protocol version is not supported', fix: 'Use one of the versions in data.supported' },
  method_unknown: { http: 404, rpc: -32601, outcome: 'invalid', owner: 'client', retry: 'no', text: 'There is no such method', fix: 'Check the method name' },
  method_not_allowed: { http: 405, rpc: 0, outcome: 'invalid', owner: 'client', retry: 'no', text: 'This path does not take this HTTP method', fix: 'POST messages; GET opens the stream of a session, DELETE ends it' },
  path_unknown: { http: 404, rpc: 0, outcome: 'invalid', owner: 'client', retry: 'no', text: 'There is nothing at this path', fix: 'Use /mcp for all servers, or /servers/<name>/mcp for one' },
  content_type: { http: 415, rpc: -32600, outcome: 'invalid', owner: 'client', retry: 'changed', text: 'The content type must be application/json', fix: 'Send Content-Type: application/json' },
  not_acceptable: { http: 406, rpc: -32600, outcome: 'invalid', owner: 'client', retry: 'changed', text: 'The client must accept application/json and text/event-stream', fix: 'Send Accept: application/json, text/event-stream' },
  payload_too_large: { http: 413, rpc: 10413, outcome: 'invalid', owner: 'client', retry: 'no', text: 'The body is larger than this proxy takes', fix: 'Send less, or raise http.body_max_bytes' },
  host_refused: { http: 403, rpc: 0, outcome: 'denied', owner: 'client', retry: 'no', text: 'This Host is not served here', fix: 'Use the listed address, or add the name to http.allowed_hosts' },
  origin_refused: { http: 403, rpc: 0, outcome: 'denied', owner: 'client', retry: 'no', text: 'This Origin may not call here', fix: 'Add it to http.allowed_origins' },
  unauthenticated: { http: 401, rpc: 0, outcome: 'denied', owner: 'client', retry: 'login', text: 'A valid API key is required', fix: 'Send Authorization: Bearer <key> with a key listed under callers' },
  session_unknown: { http: 404, rpc: -32001, outcome: 'invalid', owner: 'client', retry: 'login', text: 'Session not found', fix: 'Start a new session with initialize' },
  session_required: { http: 400, rpc: -32000, outcome: 'invalid', owner: 'client', retry: 'login', text: 'Mcp-Session-Id header is required', fix: 'Start with initialize and send the session id it returns' },
  stream_exists: { http: 409, rpc: 0, outcome: 'invalid', owner: 'client', retry: 'no', text: 'This session already has its stream open', fix: 'Close the other GET first' },
  streams_exhausted: { http: 503, rpc: 0, outcome: 'unavailable', owner: 'capacity', retry: 'after', text: 'Too many streams are open', fix: 'Try again later, raise http.streams_max, or raise the descriptor limit' },
  tool_unknown: { http: 200, rpc: -32602, outcome: 'invalid', owner: 'client', retry: 'no', text: 'Unknown tool', fix: 'Use a name from tools/list' },
  prompt_unknown: { http: 200, rpc: -32602, outcome: 'invalid', owner: 'client', retry: 'no', text: 'Unknown prompt', fix: 'Use a name from prompts/list' },
  resource_unknown: { http: 200, rpc: -32602, outcome: 'invalid', owner: 'client', retry: 'no', text: 'Unknown resource', fix: 'Use a URI from resources/list or a template' },
  cursor_invalid: { http: 200, rpc: -32602, outcome: 'invalid', owner: 'client', retry: 'changed', text: 'This cursor is not one of ours', fix: 'Start the list again without a cursor' },
  upstream_unavailable: { http: 503, rpc: 10503, outcome: 'unavailable', owner: 'capacity', retry: 'after', text: 'The server cannot be reached', fix: 'Check that it runs: weir doctor' },
  upstream_timeout: { http: 504, rpc: 10504, outcome: 'timeout', owner: 'upstream', retry: 'idempotent', text: 'The server did not answer in time', fix: 'Raise timeout_ms of the server, or look at its health' },
  upstream_closed: { http: 502, rpc: 10502, outcome: 'upstream_error', owner: 'upstream', retry: 'idempotent', text: 'The server closed the connection before it answered', fix: 'Look at the log of the server' },
  upstream_protocol: { http: 502, rpc: 10502, outcome: 'upstream_error', owner: 'upstream', retry: 'idempotent', text: 'The server answered something that is not MCP', fix: 'Check the url of the server' },
  upstream_auth: { http: 502, rpc: 10502, outcome: 'upstream_error', owner: 'config', retry: 'no', text: "The server refused the proxy's credentials", fix: 'Check credentials of the server in the config' },
  client_gone: { http: 499, rpc: 0, outcome: 'cancelled', owner: 'client', retry: 'no', text: 'The client went away', fix: '' },
  record_unavailable: { http: 503, rpc: 10507, outcome: 'unavailable', owner: 'weir', retry: 'after', text: 'The call cannot be recorded, and durability is strict', fix: 'Free disk space for the spool, or use durability: normal' },
  draining: { http: 503, rpc: 10503, outcome: 'unavailable', owner: 'weir', retry: 'after', text: 'The proxy is stopping', fix: 'Connect again' },
  internal: { http: 500, rpc: -32603, outcome: 'upstream_error', owner: 'weir', retry: 'no', text: 'Internal error', fix: 'This is a bug in Weir: see its log' },
} as const satisfies Record<string, ErrorSpec>

export type ErrorCode = keyof typeof ERRORS
