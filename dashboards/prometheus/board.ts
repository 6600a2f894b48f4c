/** The board for who has Prometheus and no ClickHouse: rate, errors, duration, and the health of Weir's processes, from /metrics. */
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus'
import type { Board } from '../grafana/board.ts'
import { series, stat } from '../grafana/panel.ts'

const source = { type: 'prometheus', uid: '${ds}' }
/** What is drawn is named by the labels that are left, `{{...}}` after the bar. */
const ask = (refId: string, question: string): prometheus.DataqueryBuilder => {
  const [expr, legend = ''] = question.split(' | ')
  return new prometheus.DataqueryBuilder()
    .refId(refId)
    .datasource(source)
    .expr(expr!.trim())
    .legendFormat(legend.trim())
    .range()
}
const lines = (asked: Parameters<typeof series>[0]): ReturnType<typeof series> =>
  series({ source, ask, step: '15s', none: 'not scraped', ...asked })
const one = (asked: Parameters<typeof stat>[0]): ReturnType<typeof stat> =>
  stat({ source, ask, none: 'not scraped', ...asked })

export const metrics: Board = {
  uid: 'weir-metrics',
  title: 'Weir: metrics',
  description:
    "Prometheus' view of Weir: calls by server and tool, Weir's own share, spool, collector and processes.",
  variables: [],
  plugin: 'prometheus',
  rows: [
    {
      title: 'Calls',
      panels: [
        lines({
          title: 'Calls per second by server',
          description: 'Operations as clients see them. An empty name is what Weir answered itself.',
          unit: 'reqps',
          stacked: true,
          sql: 'sum by (weir_server) (weir:calls:rate5m) | {{weir_server}}',
        }),
        lines({
          title: 'Failed share by server',
          description:
            'Outcome neither ok nor input_required. Whose fault it was is known to the store, not to the metrics.',
          unit: 'percentunit',
          bounds: { warn: 0.01, bad: 0.05 },
          sql: 'weir:failed:ratio_rate5m | {{weir_server}}',
        }),
        lines({
          title: 'p95 duration by server',
          description: 'From histograms with the bounds of the OpenTelemetry MCP conventions.',
          unit: 's',
          sql: 'weir:duration_seconds:p95_5m | {{weir_server}}',
        }),
        lines({
          title: 'p95 duration of servers themselves',
          description: 'Towards the upstream, without Weir.',
          unit: 's',
          sql: 'histogram_quantile(0.95, sum by (weir_server, le) (rate(mcp_client_operation_duration_seconds_bucket[5m]))) | {{weir_server}}',
        }),
        lines({
          title: 'Failures per second by outcome',
          description:
            'timeout, unavailable and upstream_error are of the server; denied, limited and invalid are refusals.',
          unit: 'reqps',
          stacked: true,
          sql: 'sum by (weir_outcome) (rate(mcp_server_operation_duration_seconds_count{weir_outcome!~"ok|input_required"}[5m])) | {{weir_outcome}}',
        }),
        lines({
          title: "Weir's own share",
          description: 'Total less upload and upstream.',
          unit: 's',
          bounds: { warn: 0.005, bad: 0.05 },
          sql: [
            'histogram_quantile(0.5, sum by (le) (rate(weir_overhead_seconds_bucket[5m]))) | p50',
            'histogram_quantile(0.99, sum by (le) (rate(weir_overhead_seconds_bucket[5m]))) | p99',
          ],
        }),
        lines({
          title: 'Open calls and streams',
          description: 'Calls in flight, streams to clients, questions of servers that wait for an answer.',
          unit: 'short',
          sql: [
            'sum(weir_calls_open) | calls',
            'sum(weir_streams_open) | streams',
            'sum(weir_server_requests_open) | questions',
          ],
        }),
        lines({
          title: 'Questions of servers, p95',
          description: 'Sampling, elicitation, roots: how long clients take to answer.',
          unit: 's',
          sql: 'histogram_quantile(0.95, sum by (mcp_method_name, le) (rate(weir_server_request_duration_seconds_bucket[5m]))) | {{mcp_method_name}}',
        }),
      ],
    },
    {
      title: 'The record',
      panels: [
        one({
          title: 'Events lost',
          description: 'Events given up since the processes started.',
          unit: 'short',
          bounds: { warn: 1, bad: 1000 },
          sql: 'sum(weir_events_lost_total) or vector(0)',
        }),
        one({
          title: 'Oldest segment',
          description: 'Age of the oldest batch that waits for the collector.',
          unit: 's',
          bounds: { warn: 60, bad: 600 },
          sql: 'max(weir_spool_age_seconds)',
        }),
        one({
          title: 'Collector ready',
          description: 'Whether store and schema answer: 1 or 0, the worst of all collectors.',
          unit: 'short',
          sql: 'min(weir_collector_ready)',
        }),
        one({
          title: 'Dead letters, 24 h',
          description: 'Lines that could not become rows.',
          unit: 'short',
          bounds: { warn: 1, bad: 100 },
          sql: 'sum(increase(weir_collector_dead_letters_total[24h])) or vector(0)',
        }),
        lines({
          title: 'Spool',
          description: 'Bytes on disk that wait for the collector.',
          unit: 'bytes',
          sql: 'sum by (job, instance) (weir_spool_bytes) | {{instance}}',
        }),
        lines({
          title: 'Events written, rows stored',
          description:
            'What proxies write to the spool, and what collectors store of calls. The lines should lie on each other.',
          unit: 'reqps',
          sql: [
            'sum(rate(weir_events_written_total[5m])) | written',
            'sum(rate(weir_collector_rows_total{table="calls"}[5m])) | stored',
          ],
        }),
        lines({
          title: 'Inserts, p95',
          description: 'How long the store takes for one insert, by table.',
          unit: 's',
          sql: 'histogram_quantile(0.95, sum by (table, le) (rate(weir_collector_insert_duration_seconds_bucket[5m]))) | {{table}}',
        }),
        lines({
          title: 'Trouble between proxy and store',
          description: 'Failed sends by class, and what the store did not serve.',
          unit: 'reqps',
          sql: [
            'sum by (class) (rate(weir_spool_ship_failures_total[5m])) | ship {{class}}',
            'sum by (class) (rate(weir_collector_store_errors_total[5m])) | store {{class}}',
          ],
        }),
      ],
    },
    {
      title: 'Processes',
      panels: [
        lines({
          title: 'Event loop delay, p99',
          description: 'Since the last scrape, by worker. A busy loop delays every call of the worker.',
          unit: 's',
          bounds: { warn: 0.1, bad: 0.5 },
          sql: 'nodejs_eventloop_lag_p99_seconds | {{instance}} {{worker}}',
        }),
        lines({
          title: 'CPU',
          description: 'Seconds of CPU per second, by worker.',
          unit: 'short',
          sql: 'rate(process_cpu_seconds_total[5m]) | {{instance}} {{worker}}',
        }),
        lines({
          title: 'Memory',
          description: 'Resident memory, by worker.',
          unit: 'bytes',
          sql: 'process_resident_memory_bytes | {{instance}} {{worker}}',
        }),
        lines({
          title: 'Restarts',
          description:
            'Processes that the supervisor started again, and children of hosted servers that ended unasked, per hour.',
          unit: 'short',
          sql: [
            'sum by (process) (increase(weir_process_restarts_total[1h])) | {{process}}',
            'sum by (weir_server) (increase(weir_hosted_restarts_total[1h])) | {{weir_server}}',
          ],
        }),
        lines({
          title: 'Hosted children',
          description: 'Processes of, and connections to, hosted servers.',
          unit: 'short',
          stacked: true,
          sql: 'sum by (weir_server) (weir_hosted_children) | {{weir_server}}',
        }),
        lines({
          title: 'Watch',
          description:
            'How long runs of detectors, alerts and budgets take, p95. (The label job of the metric becomes exported_job when scraped.)',
          unit: 's',
          sql: 'histogram_quantile(0.95, sum by (exported_job, le) (rate(weir_watch_run_duration_seconds_bucket[15m]))) | {{exported_job}}',
        }),
      ],
    },
  ],
}
