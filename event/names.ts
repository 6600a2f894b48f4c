/**
 * Names Weir shows to others: span and resource attributes beside those in event/fields.ts, and metrics.
 * docs/signals.md is made from here. Source: OpenTelemetry conventions for MCP and GenAI (in development, moved to
 * semantic-conventions-genai in May 2026), hence one file: a renamed convention is one change.
 */
import type { FieldName } from './fields.ts'

/** Resource and scope of every span Weir writes about itself. */
export const SERVICE_NAME = 'weir'
export const SCOPE_NAME = 'weir'

/** Attributes of FIELDS that describe the process, not the call: they stand on the resource. */
export const RESOURCE_ATTRIBUTES: readonly string[] = ['service.instance.id', 'deployment.environment.name']

/** Attributes that are derived from several fields. */
export const ATTRIBUTE = {
  operation: 'gen_ai.operation.name',
  tool: 'gen_ai.tool.name',
  prompt: 'gen_ai.prompt.name',
  method: 'mcp.method.name',
  resourceUri: 'mcp.resource.uri',
  errorType: 'error.type',
  rpcStatus: 'rpc.response.status_code',
  transport: 'network.transport',
  protocol: 'network.protocol.name',
  serverAddress: 'server.address',
  serverPort: 'server.port',
  clientAddress: 'client.address',
  clientPort: 'client.port',
  protocolVersion: 'mcp.protocol.version',
  weirKind: 'weir.kind',
  weirServer: 'weir.server',
} as const

/** Phases of a call, on the SERVER span, in microseconds. */
export const PHASES = [
  'receive_us',
  'authorise_us',
  'queue_us',
  'connect_us',
  'wait_us',
  'transfer_us',
  'answer_us',
] as const satisfies readonly FieldName[]
export const phaseAttribute = (phase: (typeof PHASES)[number]): string => `weir.phase.${phase}`

/** JSON-RPC codes that tell the caller of its own mistake: a SERVER span keeps them as an attribute and is no error. */
export const CALLER_FAULT_CODES: readonly number[] = [-32700, -32600, -32601, -32602, -32002]

export type MetricName = {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly unit:
    | ''
    | 'seconds'
    | 'bytes'
    | 'calls'
    | 'rows'
    | 'runs'
    | 'logins'
    | 'spans'
    | 'batches'
    | 'requests'
    | 'reports'
  readonly help: string
  readonly labels: readonly string[]
  readonly buckets?: readonly number[]
}

const metric = <const N extends string>(
  name: N,
  type: MetricName['type'],
  unit: MetricName['unit'],
  help: string,
  labels: readonly string[] = [],
  buckets?: readonly number[],
): MetricName & { readonly name: N } => ({ name, type, unit, help, labels, ...(buckets ? { buckets } : {}) })

const SECONDS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60]

/** Metrics of the collector. Labels take values from closed sets only. */
export const COLLECTOR_METRICS = [
  metric(
    'weir_collector_batches_total',
    'counter',
    'batches',
    'Batches by what became of them: stored, duplicate, rejected (the sender is wrong), retry (the sender shall come again)',
    ['result'],
  ),
  metric('weir_collector_batches_in_progress', 'gauge', 'batches', 'Batches being read or stored'),
  metric(
    'weir_collector_rows_total',
    'counter',
    'rows',
    'Rows stored by table: calls, call_payloads, call_intents, otel_spans',
    ['table'],
  ),
  metric('weir_collector_intake_bytes_total', 'counter', 'bytes', 'Bytes of batches after decompression'),
  metric(
    'weir_collector_dead_letters_total',
    'counter',
    'rows',
    'Lines that could not become rows, by reason',
    ['reason'],
  ),
  metric(
    'weir_collector_unknown_fields_total',
    'counter',
    'rows',
    'Fields in events that this version does not know and left out (a newer proxy)',
  ),
  metric(
    'weir_collector_losses_reported_total',
    'counter',
    'reports',
    'Reports of lost events taken from proxies',
  ),
  metric(
    'weir_collector_insert_duration_seconds',
    'histogram',
    'seconds',
    'One insert into the store, by table',
    ['table'],
    SECONDS,
  ),
  metric(
    'weir_collector_batch_duration_seconds',
    'histogram',
    'seconds',
    'One batch from its first byte to its answer',
    [],
    SECONDS,
  ),
  metric(
    'weir_collector_store_errors_total',
    'counter',
    'requests',
    'Requests the store did not serve, by class: content, unreachable, busy, refused',
    ['class'],
  ),
  metric(
    'weir_collector_lag_seconds',
    'gauge',
    'seconds',
    'Age of the newest call stored; grows when nothing is called',
  ),
  metric('weir_collector_ready', 'gauge', '', '1 when the store answers and the schema is in place'),
  metric(
    'weir_collector_otlp_received_spans_total',
    'counter',
    'spans',
    'Spans of others that came in over OTLP, by result: stored, rejected',
    ['result'],
  ),
  metric(
    'weir_collector_otlp_requests_total',
    'counter',
    'requests',
    'OTLP requests by answer: ok, partial, bad, refused, retry',
    ['result'],
  ),
  metric(
    'weir_collector_export_spans_total',
    'counter',
    'spans',
    'Spans for other backends, by endpoint (number in the config) and result: sent, failed, dropped',
    ['endpoint', 'result'],
  ),
  metric('weir_collector_export_queue_spans', 'gauge', 'spans', 'Spans waiting to be exported, by endpoint', [
    'endpoint',
  ]),
  metric(
    'weir_collector_event_loop_delay_seconds',
    'gauge',
    'seconds',
    'Event loop delay since the last scrape, by quantile',
    ['quantile'],
  ),
  metric(
    'weir_collector_calls_rated_total',
    'counter',
    'calls',
    'Calls that may cost something, by where their cost comes from; unpriced: no price names them',
    ['source'],
  ),
  metric(
    'weir_collector_formula_failures_total',
    'counter',
    'calls',
    'Calls whose price formula gave no amount (an argument was missing, or the result was none): they are unpriced',
  ),
  metric(
    'weir_console_logins_total',
    'counter',
    'logins',
    'Logins to the console by way (key, issuer) and result: ok, unknown_key, issuer_unavailable, login_refused, login_invalid, login_expired, client_refused, user_unknown, user_not_allowed',
    ['way', 'result'],
  ),
  metric(
    'weir_watch_runs_total',
    'counter',
    'runs',
    'Runs of the jobs of the watch (detectors, alerts, budgets), by result: ok, failed',
    ['job', 'result'],
  ),
  metric(
    'weir_watch_run_duration_seconds',
    'histogram',
    'seconds',
    'How long a run took',
    ['job'],
    [0.01, 0.05, 0.1, 0.5, 1, 5, 30],
  ),
  metric(
    'weir_alerts',
    'gauge',
    '',
    'Alerts by state: pending, firing, nodata; silenced counts again those that are quiet',
    ['state'],
  ),
  metric(
    'weir_alert_deliveries_total',
    'counter',
    'requests',
    'Attempts to tell a receiver of alerts, by result: sent, retry, failed',
    ['receiver', 'result'],
  ),
  metric('weir_alert_messages_waiting', 'gauge', '', 'Messages that a receiver of alerts has not taken yet', [
    'receiver',
  ]),
] as const satisfies readonly MetricName[]
