/**
 * Alert rules that Grafana evaluates itself, for who does not want Weir's own: built to provisioning/alerting/rules.yaml.
 * Fixed SQL on the same views, no variables (rules have none). Each names the board that shows it and a heading of the runbook.
 */
import { flat, PLUGIN, PLUGIN_VERSION, query } from './query.ts'

type Rule = {
  uid: string
  title: string
  /** Texts are labels of the alert, the one number is its value. */
  sql: string
  /** Fires while the number is above. */
  above: number
  /** How far back the query looks, seconds. */
  window_s: number
  for: string
  severity: 'page' | 'ticket'
  summary: string
  board: string
  panel: string
}

const TOOLS = "$__timeFilter(t) AND server != ''"

export const RULES: readonly Rule[] = [
  {
    uid: 'weir-faults',
    title: 'WeirToolFaults',
    sql: `
      SELECT server, tool, sum(v.faults) / sum(v.calls) AS value FROM v_tool_5m AS v WHERE ${TOOLS}
      GROUP BY server, tool HAVING sum(v.calls) >= 20 ORDER BY server, tool`,
    above: 0.05,
    window_s: 900,
    for: '5m',
    severity: 'page',
    summary:
      '{{ $labels.server }} {{ $labels.tool }}: {{ humanizePercentage $values.A.Value }} of calls fail, not by fault of the client',
    board: 'weir-tools',
    panel: 'Fault share',
  },
  {
    uid: 'weir-slow',
    title: 'WeirToolSlow',
    sql: `
      SELECT server, tool, quantileExactWeighted(0.95)(us, v.calls) / 1e6 AS value FROM v_latency_5m AS v WHERE part = 'duration' AND ${TOOLS}
      GROUP BY server, tool HAVING sum(v.calls) >= 20 ORDER BY server, tool`,
    above: 10,
    window_s: 900,
    for: '10m',
    severity: 'ticket',
    summary: '{{ $labels.server }} {{ $labels.tool }}: p95 is {{ humanizeDuration $values.A.Value }}',
    board: 'weir-tools',
    panel: 'p95 duration',
  },
  {
    uid: 'weir-overhead',
    title: 'WeirOverhead',
    sql: `
      SELECT if(sum(v.calls) = 0, 0, quantileExactWeighted(0.99)(us, v.calls) / 1e6) AS value FROM v_latency_5m AS v
      WHERE part = 'overhead' AND $__timeFilter(t)`,
    above: 0.05,
    window_s: 900,
    for: '10m',
    severity: 'ticket',
    summary: 'Weir itself adds {{ humanizeDuration $values.A.Value }} to one call in a hundred',
    board: 'weir-health',
    panel: "Weir's own share of a call",
  },
  {
    uid: 'weir-lost',
    title: 'WeirLostEvents',
    sql: `
      SELECT instance, reason, sum(lost_events) AS value FROM v_losses WHERE $__timeFilter_ms(last_reported)
      GROUP BY instance, reason ORDER BY instance, reason`,
    above: 0,
    window_s: 3600,
    for: '0s',
    severity: 'page',
    summary: '{{ $labels.instance }} gave up events ({{ $labels.reason }}): the record has a gap',
    board: 'weir-health',
    panel: 'Losses',
  },
  {
    uid: 'weir-gaps',
    title: 'WeirBatchesMissing',
    sql: 'SELECT instance, sum(missing) AS value FROM v_ingest_gaps GROUP BY instance ORDER BY instance',
    above: 0,
    window_s: 3600,
    for: '30m',
    severity: 'ticket',
    summary: '{{ $labels.instance }}: {{ $values.A.Value }} batches have not come',
    board: 'weir-health',
    panel: 'Workers',
  },
  {
    uid: 'weir-dead-letters',
    title: 'WeirDeadLetters',
    sql: `
      SELECT reason, count() AS value FROM v_dead_letters WHERE $__timeFilter_ms(received_at) GROUP BY reason ORDER BY reason`,
    above: 0,
    window_s: 3600,
    for: '0s',
    severity: 'ticket',
    summary: '{{ $values.A.Value }} lines could not be stored ({{ $labels.reason }})',
    board: 'weir-health',
    panel: 'Dead letters by reason',
  },
  {
    uid: 'weir-denied',
    title: 'WeirRefusals',
    sql: `
      SELECT server, tool, sum(v.denied) AS value FROM v_tool_5m AS v WHERE $__timeFilter(t) GROUP BY server, tool
      HAVING value > 0 ORDER BY server, tool`,
    above: 50,
    window_s: 900,
    for: '0s',
    severity: 'ticket',
    summary:
      '{{ $values.A.Value }} calls of {{ $labels.server }} {{ $labels.tool }} were refused in a quarter of an hour',
    board: 'weir-security',
    panel: 'Why (last day of the range)',
  },
  {
    uid: 'weir-tool-changed',
    title: 'WeirToolDefinitionChanged',
    sql: `
      SELECT server, tool, count() AS value FROM v_tool_changes WHERE $__timeFilter_ms(ts) GROUP BY server, tool ORDER BY server, tool`,
    above: 0,
    window_s: 3600,
    for: '0s',
    severity: 'ticket',
    summary: '{{ $labels.server }} {{ $labels.tool }}: the definition that models read is another one',
    board: 'weir-security',
    panel: 'Tool definitions that changed',
  },
  {
    uid: 'weir-budget',
    title: 'WeirBudget',
    sql: 'SELECT budget_id AS budget, scope, b.value AS name, spent_share AS value FROM v_budgets AS b ORDER BY budget',
    above: 0.8,
    window_s: 3600,
    for: '0s',
    severity: 'ticket',
    summary:
      'budget {{ $labels.budget }} of {{ $labels.scope }} {{ $labels.name }}: {{ humanizePercentage $values.A.Value }} is spent',
    board: 'weir-cost',
    panel: 'Budgets',
  },
]

/** The file Grafana provisions rules from, as a plain object. `panelOf` finds the number of a panel on a board. */
export function ruleFile(panelOf: (board: string, title: string) => number): object {
  const source = { type: PLUGIN, uid: 'weir' }
  return {
    apiVersion: 1,
    groups: [
      {
        orgId: 1,
        name: 'weir',
        folder: 'Weir',
        interval: '1m',
        rules: RULES.map((rule) => ({
          uid: rule.uid,
          title: rule.title,
          condition: 'C',
          dashboardUid: rule.board,
          panelId: panelOf(rule.board, rule.panel),
          for: rule.for,
          noDataState: 'OK',
          execErrState: 'Error',
          labels: { severity: rule.severity },
          annotations: {
            summary: rule.summary,
            runbook: `dashboards/runbook.md#${rule.title.toLowerCase()}`,
            __dashboardUid__: rule.board,
            __panelId__: String(panelOf(rule.board, rule.panel)),
          },
          data: [
            {
              refId: 'A',
              datasourceUid: 'weir',
              // A minute back, so that what is on its way has come.
              relativeTimeRange: { from: rule.window_s + 60, to: 60 },
              model: {
                ...query('A', flat(rule.sql), 'table').build(),
                datasource: source,
                pluginVersion: PLUGIN_VERSION,
              },
            },
            {
              refId: 'C',
              datasourceUid: '__expr__',
              relativeTimeRange: { from: 0, to: 0 },
              model: {
                refId: 'C',
                type: 'threshold',
                datasource: { type: '__expr__', uid: '__expr__' },
                expression: 'A',
                conditions: [{ evaluator: { type: 'gt', params: [rule.above] } }],
              },
            },
          ],
        })),
      },
    ],
  }
}
