/**
 * THE CONTRACT between proxy, collector and dashboards: every field of the one record a call leaves behind.
 * From this table come the TypeScript type, the ClickHouse columns, the OpenTelemetry attributes and docs/event.md.
 * Additive only: a removed or re-meant field is a new EVENT_VERSION; a retired name is never used again.
 */

import type { Attempt } from './attempt.ts'
import { lc, small, wide, words } from './column-types.ts'
import { DECISION_FIELDS } from './decision-fields.ts'
import { bytes, count, type Field, field, us } from './field.ts'

export const EVENT_VERSION = 1

/** Promise 7: the closed set of outcomes. `ok` and `input_required` are the only ones that are not failures. */
export const OUTCOMES = [
  'ok',
  'tool_error',
  'rpc_error',
  'upstream_error',
  'timeout',
  'cancelled',
  'denied',
  'limited',
  'invalid',
  'unavailable',
  'input_required',
] as const
export type Outcome = (typeof OUTCOMES)[number]

/** Whose fault a failure is; `none` when the call did not fail. */
export const OWNERS = ['none', 'client', 'config', 'weir', 'upstream', 'capacity'] as const
export type Owner = (typeof OWNERS)[number]

/**
 * `request` and `notification` came from a client; `unreadable` never became a message. `server_request` is what a server
 * asked a client: the parts are reversed, so its "upstream" phases and sizes of the answer are the client's. Only `request` is a call.
 */
export const KINDS = ['request', 'notification', 'server_request', 'unreadable'] as const
export type Kind = (typeof KINDS)[number]

/** Wire eras of MCP: handshake revisions up to 2025-11-25, and 2026-07-28 onward. */
export const ERAS = ['unknown', 'legacy', 'modern'] as const
export type Era = (typeof ERAS)[number]

export const FIELDS = [
  // identity of the record
  field('version', 'integer', 'UInt16', 'Version of this contract the record was written by'),
  field(
    'event_id',
    'string',
    'UUID',
    'Identity of the record; the call id: unique, made by the proxy (UUID)',
  ),
  field(
    'ts',
    'integer',
    "DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1))",
    'When the first byte of the call was received, in microseconds since 1970 UTC; a server_request: when it was handed to the client',
    us,
  ),
  field(
    'kind',
    KINDS,
    words(KINDS),
    'What arrived, and from whom: `server_request` came from a server, all else from a client. Only `request` counts as a call',
    { otel: 'weir.kind' },
  ),
  // trace
  field('trace_id', 'string', 'String', 'W3C trace id, 32 hex digits'),
  field('span_id', 'string', 'String', 'Span id of the SERVER span, 16 hex digits'),
  field(
    'parent_span_id',
    'string',
    'String',
    "Span id of the caller's span, '' for a root; a server_request: the CLIENT span of the call on whose stream it came",
  ),
  field(
    'client_span_id',
    'string',
    'String',
    "Span id of the CLIENT span towards the upstream (a server_request: towards the client), '' when none was contacted",
  ),
  field(
    'trace_source',
    ['meta', 'header', 'run', 'new'],
    words(['meta', 'header', 'run', 'new']),
    'Where the trace id comes from: `_meta`, HTTP headers, the run the call belongs to, or made for this call',
    { otel: 'weir.trace.source' },
  ),
  field('link_trace_id', 'string', 'String', 'Trace id of a context that was linked and not continued'),
  field('link_span_id', 'string', 'String', 'Span id of that linked context'),
  field(
    'sampled',
    'boolean',
    'Bool',
    'Whether the trace flags asked for recording by others (the event itself is always recorded)',
    { otel: 'weir.sampled' },
  ),
  field('run_id', 'string', 'String', 'The agent run the call belongs to', { otel: 'weir.run.id' }),
  field(
    'run_source',
    ['label', 'session', 'trace', 'inferred'],
    words(['label', 'session', 'trace', 'inferred']),
    "How the run was found: a label, the session, the client's trace, or inferred from what the calls of one caller and client have in common",
    { otel: 'weir.run.source' },
  ),
  field(
    'run_confidence',
    'integer',
    'UInt8',
    'How sure it is that the call belongs to this run, in percent: label 100; session 90; trace of `_meta` 95, of a header 80; inferred: how likely it is beside the other runs it could be of, from 95 to 40 (docs/runs.md); 0: refused before it was understood',
    { otel: 'weir.run.confidence' },
  ),
  field(
    'run_evidence',
    'string',
    lc,
    'What an inferred run goes by: sequence (of request ids), handle, connection, sequence+connection, sequence+handle, start, first, alone, recent; empty for other runs',
    { otel: 'weir.run.evidence' },
  ),
  field(
    'session_id',
    'string',
    'String',
    'Public handle of the legacy session (never the id that travels on the wire)',
    { otel: 'mcp.session.id' },
  ),
  field(
    'request_id',
    'string',
    'String',
    'JSON-RPC id in string form, as whoever asked wrote it; a question in an input_required result: its key',
    { otel: 'jsonrpc.request.id' },
  ),
  // who
  field(
    'caller',
    'string',
    lc,
    'Configured name the call is attributed to; `local` without callers; empty when it was refused',
    { otel: 'weir.caller' },
  ),
  field('team', 'string', lc, 'Team of the caller', { otel: 'weir.team' }),
  field('project', 'string', lc, 'Project of the caller; where the config names none, by label', {
    otel: 'weir.project',
  }),
  field('agent', 'string', lc, 'Agent by label', { otel: 'gen_ai.agent.name' }),
  field(
    'labels',
    'labels',
    `Map(${lc}, String)`,
    'Further labels taken from headers or baggage by the allow-list',
  ),
  field('principal', 'string', lc, 'Verified identity: key id, or `local`', { otel: 'weir.principal' }),
  field('auth_method', 'string', lc, 'How the caller was identified: local, api_key, oauth, mtls, none', {
    otel: 'weir.auth.method',
  }),
  field('client_name', 'string', lc, 'clientInfo.name as the client says', { otel: 'weir.client.name' }),
  field('client_version', 'string', lc, 'clientInfo.version as the client says', {
    otel: 'weir.client.version',
  }),
  field('client_address', 'string', lc, 'Address of the peer', {
    otel: 'client.address',
    sensitivity: 'personal',
  }),
  // where
  field('instance', 'string', lc, 'Name of the Weir installation that served the call', {
    otel: 'service.instance.id',
  }),
  field('worker', 'string', lc, 'Worker process that served the call', { otel: 'weir.worker' }),
  field('env', 'string', lc, 'Deployment environment from the config', {
    otel: 'deployment.environment.name',
  }),
  field('endpoint', 'string', lc, 'Path the client spoke to', { otel: 'weir.endpoint' }),
  // what
  field('method', 'string', lc, 'MCP method', { otel: 'mcp.method.name' }),
  field(
    'server',
    'string',
    lc,
    "Configured name of the upstream server, '' when the roof answered or none was found",
    { otel: 'weir.server' },
  ),
  field(
    'tool',
    'string',
    lc,
    "The server's own name of the tool or prompt; a server_request: of the call that caused it",
    { otel: 'gen_ai.tool.name' },
  ),
  field('exposed_name', 'string', lc, 'The name the client used', { otel: 'weir.exposed_name' }),
  field('target', 'string', 'String', 'Resource URI without user info, query and fragment', {
    otel: 'mcp.resource.uri',
  }),
  field('era', ERAS, words(ERAS), 'Wire era the client spoke', { otel: 'weir.era' }),
  field('protocol_version', 'string', lc, 'Protocol revision of the client side', {
    otel: 'mcp.protocol.version',
  }),
  field('upstream_protocol_version', 'string', lc, 'Protocol revision of the upstream side', {
    otel: 'client:mcp.protocol.version',
  }),
  field('transport', 'string', lc, 'Transport of the client side: http, websocket, sse, stdio', {
    otel: 'weir.transport',
  }),
  field('upstream_transport', 'string', lc, 'Transport of the upstream side: http, stdio, sse, websocket', {
    otel: 'weir.upstream.transport',
  }),
  field('http_status', 'integer', 'UInt16', 'HTTP status the client got', {
    otel: 'http.response.status_code',
  }),
  // outcome
  field(
    'outcome',
    OUTCOMES,
    words(OUTCOMES),
    'What became of the call. A question in an `input_required` result has that outcome itself, at once: its answer is the next call',
    { otel: 'weir.outcome' },
  ),
  field('owner', OWNERS, words(OWNERS), 'Whose fault a failure is', { otel: 'weir.owner' }),
  field(
    'error_type',
    'string',
    lc,
    'Code of the error table, JSON-RPC code, or tool_error; a server_request nobody answered: withdrawn, unanswered, session_ended, questions_max, or why its call ended',
    { otel: 'error.type' },
  ),
  field('error_code', 'integer', 'Int32 CODEC(T64, ZSTD(1))', 'JSON-RPC error code, 0 when none', {
    otel: 'rpc.response.status_code',
  }),
  field('error_message', 'string', 'String', 'Error text, redacted, at most 300 characters'),
  field(
    'error_fingerprint',
    'string',
    lc,
    'Hash of the normalised error text: equal causes, equal fingerprint',
    { otel: 'weir.error.fingerprint' },
  ),
  // phases
  field(
    'duration_us',
    'integer',
    wide,
    "Received to answered; a server_request: handed to the client until the client's answer was taken",
    us,
  ),
  field('receive_us', 'integer', small, "First byte of the request to its last: the client's upload", us),
  field('authorise_us', 'integer', small, 'Parsing, identity, routing and policy', us),
  field(
    'queue_us',
    'integer',
    small,
    'Waiting for capacity: a child process, a session with the server, the record of intent',
    us,
  ),
  field('connect_us', 'integer', small, 'Waiting for an upstream connection and taking it', us),
  field('wait_us', 'integer', wide, 'Request sent to first upstream byte', us),
  field('transfer_us', 'integer', wide, 'First to last upstream byte', us),
  field('answer_us', 'integer', small, 'Last upstream byte to answered', us),
  field(
    'upstream_us',
    'integer',
    wide,
    'Time during which an upstream (a server_request: the client) was working: connect + wait + transfer',
    us,
  ),
  field('overhead_us', 'integer', small, "Weir's own share: duration less receive, queue and upstream", {
    unit: 'us',
    otel: 'weir.overhead_us',
  }),
  // sizes
  field('request_bytes', 'integer', small, 'Body of the request', {
    unit: 'bytes',
    otel: 'http.request.body.size',
  }),
  field('response_bytes', 'integer', wide, 'Body of the answer', {
    unit: 'bytes',
    otel: 'http.response.body.size',
  }),
  field('arguments_bytes', 'integer', small, 'Arguments as JSON', bytes),
  field('arguments_hash', 'string', 'String', 'Keyed hash of the arguments, 32 hex digits', {}),
  field('result_hash', 'string', 'String', "Keyed hash of the answer's bytes, 32 hex digits", {}),
  field(
    'result_read',
    ['none', 'parsed', 'scanned'],
    words(['none', 'parsed', 'scanned']),
    'How far the answer was read: above a size it is only scanned for errors',
  ),
  field('content_text', 'integer', 'UInt16', 'Text blocks of the result', count),
  field('content_image', 'integer', 'UInt16', 'Image blocks of the result', count),
  field('content_audio', 'integer', 'UInt16', 'Audio blocks of the result', count),
  field(
    'content_resource',
    'integer',
    'UInt16',
    'Embedded resources and resource links of the result',
    count,
  ),
  field('content_structured', 'boolean', 'Bool', 'Whether the result had structuredContent'),
  field('list_items', 'integer', 'UInt32', 'Entries of a list result', count),
  field('stream_messages', 'integer', 'UInt32', 'Messages streamed before the answer', count),
  field('tokens_in', 'integer', small, 'Tokens of the arguments, by tokens_method', {
    unit: 'tokens',
    otel: 'weir.tokens.in',
  }),
  field('tokens_out', 'integer', small, 'Tokens of the result as a model would read it, by tokens_method', {
    unit: 'tokens',
    otel: 'weir.tokens.out',
  }),
  field('tokens_method', 'string', lc, 'How tokens were counted: bytes/4 is an estimate', {
    otel: 'weir.tokens.method',
  }),
  // upstream
  field('attempts', 'integer', 'UInt8', 'Upstream messages sent for the call', {
    unit: 'count',
    otel: 'weir.attempts',
  }),
  field('upstream_endpoint', 'string', lc, 'Address of the upstream, without credentials', {
    otel: 'client:server.address',
  }),
  field(
    'upstream_attempts',
    'attempts',
    `Array(Tuple(server ${lc}, endpoint ${lc}, transport ${lc}, span_id String, start_us UInt64, duration_us UInt64, outcome ${lc}, error_type ${lc}))`,
    'Every upstream message when there was more than one; start_us counts from ts',
  ),
  field('missed_servers', 'strings', `Array(${lc})`, 'Servers a merged answer had to do without'),
  // money and context
  field(
    'tags',
    'labels',
    `Map(${lc}, String)`,
    'Tags of the caller and its team from the config (cost_center and the like): a client cannot set them',
  ),
  field(
    'meters',
    'numbers',
    `Map(${lc}, Float64)`,
    'Numbers that price formulas name, taken from the arguments: only what a formula asks for, never a text',
    count,
  ),
  field('cost_reported', 'boolean', 'Bool', 'Whether a trusted server said in the result what the call cost'),
  field(
    'cost_reported_nano',
    'integer',
    'Int64 CODEC(T64, ZSTD(1))',
    'That cost in nano-dollars (10^-9 USD); means something only with cost_reported',
  ),
  field(
    'list_id',
    'string',
    'String',
    'What a tools/list answer held, as key of `tool_lists`; empty for anything else',
  ),
  ...DECISION_FIELDS,
  // captured content
  field('captured_arguments', 'string', '', 'Arguments, masked, when a capture rule names the call', {
    sensitivity: 'content',
    otel: 'gen_ai.tool.call.arguments',
  }),
  field('captured_result', 'string', '', 'Result, masked, when a capture rule names the call', {
    sensitivity: 'content',
    otel: 'gen_ai.tool.call.result',
  }),
] as const satisfies readonly Field[]

type Value<J> = J extends readonly string[]
  ? J[number]
  : J extends 'string'
    ? string
    : J extends 'integer'
      ? number
      : J extends 'boolean'
        ? boolean
        : J extends 'strings'
          ? readonly string[]
          : J extends 'labels'
            ? Readonly<Record<string, string>>
            : J extends 'numbers'
              ? Readonly<Record<string, number>>
              : readonly Attempt[]

export type FieldName = (typeof FIELDS)[number]['name']

/** The record of one call. In a spool line a field that is not there is empty: '', 0, false, an empty list or object. */
export type CallEvent = {
  -readonly [F in (typeof FIELDS)[number] as F['name']]: Value<F['json']>
}
