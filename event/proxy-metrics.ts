/** Every metric of the proxy side (workers, host, supervisor): name, type, labels, help. docs/metrics.md is made from it. */

export type MetricSpec = {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  readonly help: string
  readonly buckets?: readonly number[]
}

/** Bounds of the OpenTelemetry MCP conventions, seconds. */
const OPERATION_S = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300] as const
/** Fine enough to see microseconds: the first conventional bound is far above what Weir adds. */
const OVERHEAD_S = [
  0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 1,
] as const

export const METRICS = {
  mcp_server_operation_duration_seconds: {
    type: 'histogram',
    labels: [
      'mcp_method_name',
      'gen_ai_tool_name',
      'weir_server',
      'weir_outcome',
      'error_type',
      'mcp_protocol_version',
    ],
    buckets: OPERATION_S,
    help: 'Duration of MCP operations as the client sees them (OpenTelemetry mcp.server.operation.duration)',
  },
  mcp_client_operation_duration_seconds: {
    type: 'histogram',
    labels: ['mcp_method_name', 'gen_ai_tool_name', 'weir_server', 'error_type', 'network_transport'],
    buckets: OPERATION_S,
    help: 'Duration of MCP operations towards upstream servers (OpenTelemetry mcp.client.operation.duration)',
  },
  weir_overhead_seconds: {
    type: 'histogram',
    labels: ['weir_server'],
    buckets: OVERHEAD_S,
    help: "Weir's own share of a call: total less upload and upstream",
  },
  weir_server_request_duration_seconds: {
    type: 'histogram',
    labels: ['mcp_method_name', 'weir_server', 'weir_outcome'],
    buckets: OPERATION_S,
    help: 'Requests of servers to clients (sampling, elicitation, roots, ping): handed to the client until its answer was taken',
  },
  weir_server_requests_open: {
    type: 'gauge',
    labels: ['worker'],
    help: 'Requests of servers that their clients have not answered yet',
  },
  weir_cost_reports_total: {
    type: 'counter',
    labels: ['weir_server', 'result'],
    help: 'Costs that trusted servers reported in results: taken, currency (not USD), malformed',
  },
  weir_validations_total: {
    type: 'counter',
    labels: ['weir_server', 'what', 'result'],
    help: 'Arguments and results held against schemas: valid, invalid, unknown (no definition of the tool), unusable (its schema cannot be used)',
  },
  weir_limit_refusals_total: {
    type: 'counter',
    labels: ['limit', 'kind', 'mode'],
    help: 'Calls that a limit refused, or (mode shadow) would have refused',
  },
  weir_limit_used_ratio: {
    type: 'gauge',
    labels: ['limit', 'key'],
    help: 'Part of a quota, or of money, that is taken in its running period',
  },
  weir_limit_warnings_total: {
    type: 'counter',
    labels: ['limit', 'share'],
    help: 'Times that a share of warn_at of a quota, or of money, was reached',
  },
  weir_limit_keys: { type: 'gauge', labels: [], help: 'Counts that limits keep' },
  weir_limits_store_up: {
    type: 'gauge',
    labels: [],
    help: 'Whether the Redis of limits_store answers (1) or its fallback applies (0); absent without one',
  },
  weir_limits_store_seconds: {
    type: 'histogram',
    labels: [],
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5],
    help: 'How long the Redis of limits_store took to answer',
  },
  weir_limits_store_fallbacks_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Asks that the fallback of limits_store answered: slow (over timeout_ms), away',
  },
  weir_events_written_total: { type: 'counter', labels: [], help: 'Events written to the spool' },
  weir_events_lost_total: { type: 'counter', labels: ['reason'], help: 'Events lost, by reason' },
  weir_http_requests_total: {
    type: 'counter',
    labels: ['kind', 'status'],
    help: 'HTTP requests that carried no call: streams, session ends, responses, refusals',
  },
  weir_tokens_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Access tokens looked at for the first time: accepted, refused, unavailable (no keys to verify them with)',
  },
  weir_issuer_fetches_total: {
    type: 'counter',
    labels: ['issuer', 'result'],
    help: 'Fetches of the public keys of an authorization server: done, failed',
  },
  weir_tls_failures_total: {
    type: 'counter',
    labels: ['listener'],
    help: 'TLS handshakes that failed, by number of the listener; a client without a valid certificate where one is required is one',
  },
  weir_streams_open: { type: 'gauge', labels: ['worker'], help: 'Open streams to clients' },
  weir_calls_open: { type: 'gauge', labels: ['worker'], help: 'Calls in flight' },
  weir_spool_bytes: { type: 'gauge', labels: [], help: 'Bytes in the spool' },
  weir_spool_segments: { type: 'gauge', labels: [], help: 'Sealed segments waiting for the collector' },
  weir_spool_age_seconds: {
    type: 'gauge',
    labels: [],
    help: 'Age of the oldest segment waiting for the collector',
  },
  weir_spool_shipped_total: { type: 'counter', labels: [], help: 'Segments the collector has confirmed' },
  weir_spool_ship_failures_total: {
    type: 'counter',
    labels: ['class'],
    help: 'Failed sends to the collector',
  },
  weir_process_restarts_total: { type: 'counter', labels: ['process'], help: 'Restarts by the supervisor' },
  weir_config_reloads_total: { type: 'counter', labels: ['result'], help: 'Config reloads' },
  weir_hosted_children: {
    type: 'gauge',
    labels: ['weir_server'],
    help: 'Processes of, and connections to, hosted servers',
  },
  weir_hosted_restarts_total: {
    type: 'counter',
    labels: ['weir_server'],
    help: 'Processes and connections of hosted servers that ended unasked',
  },
  weir_hosted_undeliverable_total: {
    type: 'counter',
    labels: ['weir_server'],
    help: 'Messages of hosted servers that no client could be found for',
  },
  process_cpu_seconds_total: { type: 'counter', labels: ['worker'], help: 'CPU time of the process' },
  process_resident_memory_bytes: {
    type: 'gauge',
    labels: ['worker'],
    help: 'Resident memory of the process',
  },
  nodejs_eventloop_lag_p99_seconds: {
    type: 'gauge',
    labels: ['worker'],
    help: 'Event loop delay, 99th percentile since the last scrape',
  },
} as const satisfies Record<string, MetricSpec>

export type MetricName = keyof typeof METRICS
