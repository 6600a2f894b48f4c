/**
 * What a span says about a call, written once and in two tongues: SQL for the view `otel_traces`, and a function for the
 * OTLP export. Generated from event/fields.ts wherever a field is an attribute by itself.
 * A request of a server (kind `server_request`) reverses the parts: Weir serves the server and is a client of the client,
 * so whatever a span says of its peer comes from the other side of the event.
 * One rule for absence: an empty string and a zero are left out, a boolean never is. Captured content is in
 * `call_payloads` only: no span carries it.
 */
import type { Attempt } from '../../event/attempt.ts'
import { type CallEvent, FIELDS } from '../../event/fields.ts'
import {
  ATTRIBUTE,
  CALLER_FAULT_CODES,
  PHASES,
  phaseAttribute,
  RESOURCE_ATTRIBUTES,
} from '../../event/names.ts'

export type AttributeValue = string | number | boolean

/** `sql` is a String expression over `calls AS c` (and the attempt `a` on a CLIENT span); '' means absent. */
export type Attribute<From> = {
  readonly name: string
  readonly sql: string
  readonly of: (from: From) => AttributeValue
}
export type ClientSource = { readonly call: CallEvent; readonly attempt: Attempt }

const isFailed = (outcome: string): boolean => outcome !== 'ok' && outcome !== 'input_required'
const FAILED_SQL = "c.outcome NOT IN ('ok', 'input_required')"

/** Whether a server asked: then the parts are reversed. */
const isAsked = (call: CallEvent): boolean => call.kind === 'server_request'
const ASKED_SQL = "c.kind = 'server_request'"

/** Fields whose attribute depends on other fields too. */
const DERIVED = new Set([
  'tool',
  'error_type',
  'error_code',
  'upstream_endpoint',
  'client_address',
  'protocol_version',
  'upstream_protocol_version',
])

function plain(field: (typeof FIELDS)[number]): Omit<Attribute<CallEvent>, 'name'> {
  const column = `c.${field.name}`
  const of = (call: CallEvent): AttributeValue => call[field.name] as AttributeValue
  if (field.json === 'boolean') return { sql: `if(${column}, 'true', 'false')`, of }
  if (field.json === 'integer') return { sql: `if(${column} = 0, '', toString(${column}))`, of }
  return { sql: `toString(${column})`, of }
}

const generated = (prefix: '' | 'client:', keep: (name: string) => boolean): Attribute<CallEvent>[] =>
  FIELDS.filter((field) => field.column !== '' && field.otel !== '' && !DERIVED.has(field.name))
    .filter((field) => field.otel.startsWith('client:') === (prefix !== ''))
    .map((field) => ({ name: field.otel.slice(prefix.length), ...plain(field) }))
    .filter((attribute) => keep(attribute.name))

/** Target of the call: on both spans. */
const TARGET: readonly Attribute<CallEvent>[] = [
  {
    name: ATTRIBUTE.operation,
    sql: "if(c.method = 'tools/call', 'execute_tool', '')",
    of: (call) => (call.method === 'tools/call' ? 'execute_tool' : ''),
  },
  {
    name: ATTRIBUTE.tool,
    sql: "if(c.method = 'tools/call', toString(c.tool), '')",
    of: (call) => (call.method === 'tools/call' ? call.tool : ''),
  },
  {
    name: ATTRIBUTE.prompt,
    sql: "if(c.method = 'prompts/get', toString(c.tool), '')",
    of: (call) => (call.method === 'prompts/get' ? call.tool : ''),
  },
]

const transportOf = (transport: string): string =>
  transport === '' ? '' : transport === 'stdio' ? 'pipe' : 'tcp'
const transportSql = (of: string): string => `multiIf(${of} = '', '', ${of} = 'stdio', 'pipe', 'tcp')`
const protocolOf = (transport: string): string =>
  transport === 'stdio' ? '' : transport === 'websocket' ? 'websocket' : transport && 'http'
const protocolSql = (of: string): string =>
  `multiIf(${of} IN ('', 'stdio'), '', ${of} = 'websocket', 'websocket', 'http')`

/** `http://host:port/path` → host and port; the same pattern in RE2 and in JavaScript. Anything else is an address as a whole. */
const HOST = '^[a-z]+://(\\[[^\\]]*\\]|[^/:?#]*)'
const PORT = '^[a-z]+://(?:\\[[^\\]]*\\]|[^/:?#]*):([0-9]+)'
const hostPattern = new RegExp(HOST)
const portPattern = new RegExp(PORT)
const sqlString = (text: string): string => `'${text.replaceAll(/[\\']/g, '\\$&')}'`
const hostOf = (endpoint: string): string => hostPattern.exec(endpoint)?.[1] ?? endpoint
const hostSql = (of: string): string =>
  `if(match(${of}, ${sqlString(HOST)}), extract(${of}, ${sqlString(HOST)}), toString(${of}))`
const portOf = (endpoint: string): number => Number(portPattern.exec(endpoint)?.[1] ?? 0)
const portSql = (of: string): string => `extract(${of}, ${sqlString(PORT)})`

/** Transport of the one a SERVER span serves: the client, or the server when that one asks. */
const servedSql = `if(${ASKED_SQL}, toString(c.upstream_transport), toString(c.transport))`
const served = (call: CallEvent): string => (isAsked(call) ? call.upstream_transport : call.transport)

export const RESOURCE: readonly Attribute<CallEvent>[] = generated('', (name) =>
  RESOURCE_ATTRIBUTES.includes(name),
)

export const SERVER: readonly Attribute<CallEvent>[] = [
  ...generated('', (name) => !RESOURCE_ATTRIBUTES.includes(name)),
  ...TARGET,
  {
    name: ATTRIBUTE.errorType,
    sql: `if(${FAILED_SQL}, if(c.error_type = '', toString(c.outcome), toString(c.error_type)), '')`,
    of: (call) => (isFailed(call.outcome) ? call.error_type || call.outcome : ''),
  },
  {
    name: ATTRIBUTE.rpcStatus,
    sql: "if(c.error_code = 0, '', toString(c.error_code))",
    of: (call) => (call.error_code === 0 ? '' : String(call.error_code)),
  },
  { name: ATTRIBUTE.transport, sql: transportSql(servedSql), of: (call) => transportOf(served(call)) },
  { name: ATTRIBUTE.protocol, sql: protocolSql(servedSql), of: (call) => protocolOf(served(call)) },
  {
    name: ATTRIBUTE.protocolVersion,
    sql: `if(${ASKED_SQL}, toString(c.upstream_protocol_version), toString(c.protocol_version))`,
    of: (call) => (isAsked(call) ? call.upstream_protocol_version : call.protocol_version),
  },
  {
    name: ATTRIBUTE.clientAddress,
    sql: `if(${ASKED_SQL}, ${hostSql('c.upstream_endpoint')}, toString(c.client_address))`,
    of: (call) => (isAsked(call) ? hostOf(call.upstream_endpoint) : call.client_address),
  },
  {
    name: ATTRIBUTE.clientPort,
    sql: `if(${ASKED_SQL}, ${portSql('c.upstream_endpoint')}, '')`,
    of: (call) => (isAsked(call) ? portOf(call.upstream_endpoint) : 0),
  },
  ...PHASES.map((phase) => ({
    name: phaseAttribute(phase),
    sql: `if(c.${phase} = 0, '', toString(c.${phase}))`,
    of: (call: CallEvent) => call[phase],
  })),
]

const onCall = (attribute: Attribute<CallEvent>): Attribute<ClientSource> => ({
  ...attribute,
  of: ({ call }) => attribute.of(call),
})

export const CLIENT: readonly Attribute<ClientSource>[] = [
  { name: ATTRIBUTE.method, sql: 'toString(c.method)', of: ({ call }) => call.method },
  { name: ATTRIBUTE.resourceUri, sql: 'c.target', of: ({ call }) => call.target },
  {
    name: ATTRIBUTE.weirKind,
    sql: `if(${ASKED_SQL}, toString(c.kind), '')`,
    of: ({ call }) => (isAsked(call) ? call.kind : ''),
  },
  ...TARGET.map(onCall),
  {
    name: ATTRIBUTE.protocolVersion,
    sql: `if(${ASKED_SQL}, toString(c.protocol_version), toString(c.upstream_protocol_version))`,
    of: ({ call }) => (isAsked(call) ? call.protocol_version : call.upstream_protocol_version),
  },
  ...generated('client:', () => true).map(onCall),
  { name: ATTRIBUTE.weirServer, sql: 'toString(a.server)', of: ({ attempt }) => attempt.server },
  {
    name: ATTRIBUTE.serverAddress,
    sql: hostSql('a.endpoint'),
    of: ({ attempt }) => hostOf(attempt.endpoint),
  },
  {
    name: ATTRIBUTE.serverPort,
    sql: portSql('a.endpoint'),
    of: ({ attempt }) => portOf(attempt.endpoint),
  },
  {
    name: ATTRIBUTE.transport,
    sql: transportSql('a.transport'),
    of: ({ attempt }) => transportOf(attempt.transport),
  },
  {
    name: ATTRIBUTE.protocol,
    sql: protocolSql('a.transport'),
    of: ({ attempt }) => protocolOf(attempt.transport),
  },
  {
    name: ATTRIBUTE.errorType,
    sql: "if(a.outcome NOT IN ('ok', 'input_required'), if(a.error_type = '', toString(a.outcome), toString(a.error_type)), '')",
    of: ({ attempt }) => (isFailed(attempt.outcome) ? attempt.error_type || attempt.outcome : ''),
  },
  {
    // With several upstream messages the code belongs to one of them, and the event does not say which.
    name: ATTRIBUTE.rpcStatus,
    sql: "if(c.error_code = 0 OR notEmpty(c.upstream_attempts) OR a.outcome = 'ok', '', toString(c.error_code))",
    of: ({ call, attempt }) =>
      call.error_code === 0 || call.upstream_attempts.length > 0 || attempt.outcome === 'ok'
        ? ''
        : String(call.error_code),
  },
]

/** Whether a SERVER span is an error: a failure that is not the own one of whoever asked. */
export const SERVER_ERROR_SQL = `(${FAILED_SQL} AND c.owner != if(${ASKED_SQL}, 'upstream', 'client') AND c.error_code NOT IN (${CALLER_FAULT_CODES.join(', ')}))`
export const isServerError = (call: CallEvent): boolean =>
  isFailed(call.outcome) &&
  call.owner !== (isAsked(call) ? 'upstream' : 'client') &&
  !CALLER_FAULT_CODES.includes(call.error_code)

/** Whether a CLIENT span is an error. */
export const CLIENT_ERROR_SQL = "a.outcome NOT IN ('ok', 'input_required')"
export const isClientError = (attempt: Attempt): boolean => isFailed(attempt.outcome)

/** Refused by Weir itself: what the upstream was asked, if anything, did not fail. */
const OWN_REFUSALS: readonly string[] = ['denied', 'limited', 'invalid']
const OWN_REFUSAL_SQL = `c.outcome IN (${OWN_REFUSALS.map((word) => `'${word}'`).join(', ')})`

/** When the upstream was contacted, in microseconds after `ts`: for a call with one upstream message. */
export const CLIENT_START_SQL = 'c.receive_us + c.authorise_us + c.queue_us'

/** The one upstream message of a call that needed no list of them. */
export const SINGLE_ATTEMPT_SQL = `CAST((c.server, if(${ASKED_SQL}, toString(c.client_address), toString(c.upstream_endpoint)), if(${ASKED_SQL}, toString(c.transport), toString(c.upstream_transport)), c.client_span_id, toUInt64(${CLIENT_START_SQL}), c.upstream_us, if(${OWN_REFUSAL_SQL}, 'ok', toString(c.outcome)), if(${OWN_REFUSAL_SQL}, '', toString(c.error_type))), 'Tuple(server String, endpoint String, transport String, span_id String, start_us UInt64, duration_us UInt64, outcome String, error_type String)')`

/** Upstream messages of a call: its list, or the one its flat fields tell of, or none. */
export function attemptsOf(call: CallEvent): readonly Attempt[] {
  if (call.upstream_attempts.length > 0) return call.upstream_attempts
  if (call.client_span_id === '') return []
  const refused = OWN_REFUSALS.includes(call.outcome)
  return [
    {
      server: call.server,
      endpoint: isAsked(call) ? call.client_address : call.upstream_endpoint,
      transport: isAsked(call) ? call.transport : call.upstream_transport,
      span_id: call.client_span_id,
      start_us: call.receive_us + call.authorise_us + call.queue_us,
      duration_us: call.upstream_us,
      outcome: refused ? 'ok' : call.outcome,
      error_type: refused ? '' : call.error_type,
    },
  ]
}

/** Name of both spans: `{method} {tool}`; what never became a message is named by its kind. A question is about no tool. */
export const SPAN_NAME_SQL =
  "multiIf(c.method = '', toString(c.kind), c.tool = '' OR c.kind = 'server_request', toString(c.method), concat(c.method, ' ', c.tool))"
export const spanName = (call: CallEvent): string =>
  call.method === ''
    ? call.kind
    : call.tool === '' || isAsked(call)
      ? call.method
      : `${call.method} ${call.tool}`
