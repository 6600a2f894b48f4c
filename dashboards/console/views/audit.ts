/** Every event by any field, newest first, page by page; one of them whole when chosen. */
import type { CallRow } from '../../../collector/queries/calls.ts'
import { useAnswer } from '../answer.ts'
import { address, type Params } from '../api.ts'
import { FilterBar, filtersOf } from '../filters.ts'
import { bytes, count, duration, money } from '../format.ts'
import { html } from '../html.ts'
import { Outcome, ToolLink, toolName, traceHref, When } from '../names.ts'
import { Panel } from '../panel.ts'
import { here, usePlace } from '../route.ts'
import { useScope } from '../scope.ts'
import { Table } from '../table.ts'

/** Fields a call can be asked for, the common ones first. The collector refuses any other by name. */
const FIELDS = [
  'text',
  'outcome',
  'server',
  'tool',
  'caller',
  'team',
  'project',
  'agent',
  'method',
  'labels',
  'tags',
  'min_ms',
  'decision',
  'decision_rule',
  'kind',
  'owner',
  'error_type',
  'error_code',
  'error_fingerprint',
  'run_id',
  'session_id',
  'trace_id',
  'event_id',
  'span_id',
  'request_id',
  'principal',
  'auth_method',
  'client_name',
  'client_version',
  'client_address',
  'instance',
  'worker',
  'env',
  'endpoint',
  'exposed_name',
  'target',
  'era',
  'protocol_version',
  'upstream_protocol_version',
  'transport',
  'upstream_transport',
  'upstream_endpoint',
  'http_status',
  'arguments_hash',
  'result_hash',
  'run_source',
  'trace_source',
  'parent_span_id',
  'attempts',
  'cost_source',
  'price_id',
  'list_id',
  'tokens_method',
  'result_read',
] as const
const CSV_ROWS = 50_000

export function Audit() {
  const { params } = usePlace()
  const scope = useScope()
  const filters = filtersOf(params, FIELDS)
  const order = params.order === 'slowest' ? 'slowest' : ''
  const asked: Params = { from: scope.params.from, to: scope.params.to, ...filters, order }
  const key = `${scope.key}${JSON.stringify(filters)}${order}${params.before ?? ''}`
  const answer = useAnswer<{ rows: CallRow[]; next: string }>(
    'calls',
    { ...asked, before: params.before ?? '', limit: 100 },
    key,
  )
  const rows = answer.rows?.rows ?? []
  const csv = address('calls', { ...asked, columns: 'all', limit: CSV_ROWS, format: 'csv' })
  const actions = html`<a class="quiet" href=${here({ order: order ? null : 'slowest', before: null })}>${order ? 'newest first' : 'slowest first'}</a>
    <a class="quiet" href=${csv} download aria-label=${`Events as CSV, every column, at most ${CSV_ROWS}`}>CSV</a>`
  return html`<${FilterBar} names=${FIELDS} hint="value; labels and tags as key=value" />
    ${params.event && html`<${OneEvent} id=${params.event} />`}
    <${Panel} title="Events" note=${order ? 'slowest first' : 'newest first'} answer=${{ ...answer, csv: '' }} actions=${actions} isEmpty=${rows.length === 0}
      empty=${html`<span>No event fits. <a href=${here({ range: '7d', from: null, to: null, before: null })}>Look at 7 days</a> or take a filter away.</span>`}>
      <${Table} id="events" caption="Events" rows=${rows} page_size=${100} isSelected=${(r: CallRow) => r.event_id === params.event} columns=${columns()} />
      <nav class="pages" aria-label="Pages of events">
        ${params.before && html`<a href=${here({ before: null })}>Newest</a>`}
        ${answer.rows?.next ? html`<a href=${here({ before: answer.rows.next })}>Older</a>` : html`<span>${params.before ? 'These are the oldest.' : `${rows.length} events`}</span>`}
      </nav>
    </${Panel}>`
}

const columns = () => [
  {
    key: 'ts',
    head: 'Time',
    isSortable: false,
    value: (r: CallRow) => r.ts,
    cell: (r: CallRow) =>
      html`<a href=${here({ event: r.event_id })} aria-label=${`Event of ${r.ts}`}><${When} ts=${r.ts} /></a>`,
  },
  {
    key: 'trace',
    head: 'Trace',
    isSortable: false,
    value: (r: CallRow) => r.trace_id,
    cell: (r: CallRow) =>
      html`<a class="mono" href=${traceHref(r.trace_id, r.span_id)}>${r.trace_id.slice(0, 8)}</a>`,
  },
  {
    key: 'outcome',
    head: 'Outcome',
    isSortable: false,
    value: (r: CallRow) => r.outcome,
    cell: (r: CallRow) => html`<${Outcome} outcome=${r.outcome} owner=${r.owner} />`,
  },
  { key: 'tool', head: 'Tool', isSortable: false, value: toolName, cell: ToolLink, class: 'clip' },
  {
    key: 'caller',
    head: 'Caller',
    isSortable: false,
    value: (r: CallRow) => r.caller,
    cell: (r: CallRow) => html`<a href=${here({ caller: r.caller, before: null })}>${r.caller}</a>`,
  },
  { key: 'agent', head: 'Agent', isSortable: false, value: (r: CallRow) => r.agent },
  {
    key: 'duration',
    head: 'Duration',
    isSortable: false,
    isNumber: true,
    value: (r: CallRow) => r.duration_us,
    cell: (r: CallRow) => duration(r.duration_us),
  },
  {
    key: 'overhead',
    head: 'Weir',
    isSortable: false,
    isNumber: true,
    value: (r: CallRow) => r.overhead_us,
    cell: (r: CallRow) => duration(r.overhead_us),
  },
  {
    key: 'bytes',
    head: 'Answer',
    isSortable: false,
    isNumber: true,
    value: (r: CallRow) => r.response_bytes,
    cell: (r: CallRow) => bytes(r.response_bytes),
  },
  {
    key: 'tokens',
    head: 'Tokens',
    isSortable: false,
    isNumber: true,
    value: (r: CallRow) => r.tokens_out,
    cell: (r: CallRow) => count(r.tokens_in + r.tokens_out),
  },
  {
    key: 'cost',
    head: 'Cost',
    isSortable: false,
    isNumber: true,
    value: (r: CallRow) => r.cost_nano,
    cell: (r: CallRow) =>
      r.cost_source === 'unpriced' ? html`<span class="muted">unpriced</span>` : money(r.cost_nano),
  },
  {
    key: 'message',
    head: 'Message',
    isSortable: false,
    class: 'clip',
    value: (r: CallRow) => r.error_message || r.target,
  },
]

/** All columns of one event, those that say something. */
function OneEvent({ id }: { id: string }) {
  // Ids begin with the moment they were made only by habit: all times are searched.
  const answer = useAnswer<{ rows: Record<string, unknown>[] }>(
    'calls',
    { event_id: id, columns: 'all', from: 1, limit: 1 },
    id,
    true,
  )
  const event = answer.rows?.rows[0]
  const pairs = Object.entries(event ?? {}).filter(
    ([, value]) =>
      value !== '' &&
      value !== 0 &&
      value !== false &&
      JSON.stringify(value) !== '[]' &&
      JSON.stringify(value) !== '{}',
  )
  return html`<${Panel} title="Event" note=${html`<span class="mono">${id}</span>`} answer=${{ ...answer, csv: '' }} isEmpty=${!event} empty="This event is not in the store: it may have been deleted by age."
    actions=${html`${event && html`<a class="quiet" href=${traceHref(String(event.trace_id), String(event.span_id))}>trace</a>`}<a class="quiet" href=${here({ event: null })}>close</a>`}>
    <dl class="facts columns">${pairs.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${typeof value === 'object' ? JSON.stringify(value) : String(value)}</dd></div>`)}</dl>
  </${Panel}>`
}
