/** Every tool with its rate, errors and duration; one tool's page when the address names it. */
import type { ToolRow } from '../../../collector/queries/figures.ts'
import { useAnswer } from '../answer.ts'
import { Spark } from '../chart.ts'
import { FilterBar } from '../filters.ts'
import { bytes, count, duration, percent, perTime } from '../format.ts'
import { html } from '../html.ts'
import { ToolLink, toolName, When } from '../names.ts'
import { Panel } from '../panel.ts'
import { SCOPE_FILTERS, useScope } from '../scope.ts'
import { Table } from '../table.ts'
import type { ViewProps } from '../views.ts'
import { Nothing } from './nothing.ts'
import { ToolPage } from './tool-page.ts'

export function Tools({ rest }: ViewProps) {
  const [server, tool] = rest
  if (server && tool) return html`<${ToolPage} server=${server === '-' ? '' : server} tool=${tool} />`
  return html`<${ToolTable} />`
}

function ToolTable() {
  const scope = useScope()
  const tools = useAnswer<ToolRow[]>('tools', scope.params, scope.key)
  const rows = tools.rows ?? []
  const span_s = (scope.span.to_ms - scope.span.from_ms) / 1000
  const share = (r: ToolRow): number => (r.calls === 0 ? 0 : r.failed / r.calls)
  return html`<${FilterBar} names=${SCOPE_FILTERS} />
    <${Panel} title="Tools" note=${`${rows.length} tools and methods`} answer=${tools} isEmpty=${rows.length === 0} empty=${html`<${Nothing} />`}>
      <${Table} id="tools" caption="Tools" sort="-calls" rows=${rows} columns=${[
        { key: 'tool', head: 'Tool', value: toolName, cell: ToolLink, class: 'clip' },
        {
          key: 'trend',
          head: 'Calls over time',
          isSortable: false,
          value: () => '',
          cell: (r: ToolRow) =>
            html`<${Spark} values=${r.trend} label=${`Calls of ${toolName(r)} over time: at most ${Math.max(...r.trend)} in a part`} />`,
        },
        {
          key: 'calls',
          head: 'Calls',
          isNumber: true,
          value: (r: ToolRow) => r.calls,
          cell: (r: ToolRow) => count(r.calls),
        },
        {
          key: 'rate',
          head: 'Rate',
          isNumber: true,
          value: (r: ToolRow) => r.calls / span_s,
          cell: (r: ToolRow) => perTime(r.calls / span_s),
        },
        {
          key: 'failed',
          head: 'Failed',
          isNumber: true,
          value: share,
          cell: (r: ToolRow) =>
            html`<span class=${share(r) > 0.05 ? 'bad' : share(r) > 0.01 ? 'warn' : ''}>${percent(share(r))}</span>`,
        },
        {
          key: 'faults',
          head: 'Faults',
          about: "failures that are not the client's",
          isNumber: true,
          value: (r: ToolRow) => r.faults,
          cell: (r: ToolRow) => count(r.faults),
        },
        {
          key: 'p50',
          head: 'p50',
          isNumber: true,
          value: (r: ToolRow) => r.p50_us,
          cell: (r: ToolRow) => duration(r.p50_us),
        },
        {
          key: 'p95',
          head: 'p95',
          isNumber: true,
          value: (r: ToolRow) => r.p95_us,
          cell: (r: ToolRow) => duration(r.p95_us),
        },
        {
          key: 'p99',
          head: 'p99',
          isNumber: true,
          value: (r: ToolRow) => r.p99_us,
          cell: (r: ToolRow) => duration(r.p99_us),
        },
        {
          key: 'overhead',
          head: 'Weir',
          about: "Weir's own share, median",
          isNumber: true,
          value: (r: ToolRow) => r.overhead_p50_us,
          cell: (r: ToolRow) => duration(r.overhead_p50_us),
        },
        {
          key: 'tokens',
          head: 'Tokens out',
          isNumber: true,
          value: (r: ToolRow) => r.tokens_out,
          cell: (r: ToolRow) => count(r.tokens_out),
        },
        {
          key: 'bytes',
          head: 'Answers',
          isNumber: true,
          value: (r: ToolRow) => r.response_bytes,
          cell: (r: ToolRow) => bytes(r.response_bytes),
        },
        {
          key: 'last',
          head: 'Last call',
          value: (r: ToolRow) => r.last_ts,
          cell: (r: ToolRow) => html`<${When} ts=${r.last_ts} relative />`,
        },
      ]} />
    </${Panel}>`
}
