/** How Weir itself is: what it adds, how far behind the store is, what was lost, how store and collector are. */
import type { FigureRow } from '../../../collector/queries/figures.ts'
import type { Freshness } from '../../../collector/queries/freshness.ts'
import type { DeadLetterRow, GapRow } from '../../../collector/queries/gaps.ts'
import type { LossRow } from '../../../collector/queries/losses.ts'
import type { StoreHealth } from '../../../collector/queries/store-health.ts'
import type { TableRow } from '../../../collector/queries/store-tables.ts'
import type { UnfinishedRow } from '../../../collector/queries/unfinished.ts'
import { useAnswer } from '../answer.ts'
import { TimeSeries } from '../chart.ts'
import { bytes, count, duration, seconds } from '../format.ts'
import { html } from '../html.ts'
import { When } from '../names.ts'
import { Panel, Stat } from '../panel.ts'
import { to } from '../route.ts'
import { useScope } from '../scope.ts'
import { type SeriesAnswer, stepsOf } from '../steps.ts'
import { Table } from '../table.ts'
import { Nothing } from './nothing.ts'

export function Health() {
  return html`<${Figures} /><${Overhead} /><${StoreTables} /><${Missing} /><${Collector} />`
}

function Figures() {
  const scope = useScope()
  const fresh = useAnswer<Freshness[]>('freshness', {})
  const store = useAnswer<StoreHealth[]>('store', {})
  const figures = useAnswer<FigureRow[]>('figures', scope.params, scope.key)
  const f = fresh.rows?.[0]
  const s = store.rows?.[0]
  const o = figures.rows?.[0]
  const failed = [fresh, store, figures].find((answer) => answer.error)
  if (failed) return html`<${Panel} title="Figures" answer=${failed} />`
  const warn = (n: number | undefined): 'warn' | '' => (n ? 'warn' : '')
  return html`<div class="stats" role="group" aria-label="Weir's health">
    <${Stat} name="Own share of a call" value=${o?.calls ? duration(o.overhead_p50_us) : '–'} note=${o?.calls ? `p99 ${duration(o.overhead_p99_us)}` : ''} />
    <${Stat} name="Call to store" value=${f ? seconds(f.delay_p99_s) : '–'} note="slowest in a hundred, last hour" />
    <${Stat} name="Newest call" value=${f ? (f.newest_age_s === null ? 'none' : seconds(Math.max(0, Math.floor(f.newest_age_s)))) : '–'} note=${f?.newest_age_s === null ? 'in the last day' : 'old'} />
    <${Stat} name="Events lost" value=${f ? count(f.lost_events) : '–'} tone=${f && f.lost_events > 0 ? 'bad' : ''} note="ever" />
    <${Stat} name="Batches missing" value=${f ? count(f.missing_batches) : '–'} tone=${warn(f?.missing_batches)} />
    <${Stat} name="Dead letters" value=${f ? count(f.dead_letters_1d) : '–'} tone=${warn(f?.dead_letters_1d)} note="last day" />
    <${Stat} name="Store" value=${s ? bytes(s.bytes) : '–'} note=${s ? `${count(s.rows)} calls, ${s.parts} parts, ${s.version}` : ''} />
  </div>`
}

function Overhead() {
  const scope = useScope()
  const series = useAnswer<SeriesAnswer>('series', scope.params, scope.key)
  const { rows } = series
  const steps = rows ? stepsOf(rows) : null
  return html`<${Panel} title="What Weir adds to a call" class="half" answer=${series} isEmpty=${rows?.rows.length === 0} empty=${html`<${Nothing} />`}>
    ${
      steps &&
      html`<${TimeSeries} t=${steps.t} from_ms=${rows!.from_ms} to_ms=${rows!.to_ms} label="Weir's own share of a call" format=${duration} series=${[
        { name: 'p50', color: 'c1', values: steps.of((r) => r.overhead_p50_us) },
        { name: 'p99', color: 'c4', values: steps.of((r) => r.overhead_p99_us) },
      ]} />`
    }
  </${Panel}>`
}

function StoreTables() {
  const tables = useAnswer<TableRow[]>('store-tables', {})
  const rows = tables.rows ?? []
  return html`<${Panel} title="What the store holds" class="half" answer=${tables} isEmpty=${rows.length === 0} empty="The store holds nothing yet.">
    <${Table} id="tables" caption="What the store holds" rows=${rows} page_size=${8} columns=${[
      { key: 'table', head: 'Table', value: (r: TableRow) => r.table },
      {
        key: 'rows',
        head: 'Rows',
        isNumber: true,
        value: (r: TableRow) => r.rows,
        cell: (r: TableRow) => count(r.rows),
      },
      {
        key: 'bytes',
        head: 'On disk',
        isNumber: true,
        value: (r: TableRow) => r.bytes,
        cell: (r: TableRow) => bytes(r.bytes),
      },
      { key: 'parts', head: 'Parts', isNumber: true, value: (r: TableRow) => r.parts },
      { key: 'oldest', head: 'Oldest', value: (r: TableRow) => r.oldest },
    ]} />
  </${Panel}>`
}

function Missing() {
  const losses = useAnswer<LossRow[]>('losses', {})
  const dead = useAnswer<DeadLetterRow[]>('dead-letters', {})
  const gaps = useAnswer<GapRow[]>('gaps', {})
  const open = useAnswer<UnfinishedRow[]>('unfinished', {})
  const missing = (gaps.rows ?? []).filter((r) => r.missing > 0)
  return html`<${Panel} title="Events lost" class="half" answer=${losses} isEmpty=${losses.rows?.length === 0} empty="No event was ever lost.">
      <${Table} id="losses" caption="Events lost" rows=${losses.rows ?? []} page_size=${10} columns=${[
        { key: 'reason', head: 'Reason', value: (r: LossRow) => r.reason },
        {
          key: 'events',
          head: 'Events',
          isNumber: true,
          value: (r: LossRow) => r.lost_events,
          cell: (r: LossRow) => count(r.lost_events),
        },
        { key: 'instance', head: 'Instance', value: (r: LossRow) => r.instance },
        {
          key: 'worker',
          head: 'Worker',
          value: (r: LossRow) => r.worker_id,
          cell: (r: LossRow) => html`<span class="mono">${r.worker_id}</span>`,
        },
        {
          key: 'last',
          head: 'Last reported',
          value: (r: LossRow) => r.last_reported,
          cell: (r: LossRow) => html`<${When} ts=${r.last_reported} />`,
        },
      ]} />
    </${Panel}>
    <${Panel} title="Batches that have not come" class="half" answer=${gaps} isEmpty=${missing.length === 0} empty=${`Nothing is missing from ${gaps.rows?.length ?? 0} workers.`}>
      <${Table} id="gaps" caption="Batches that have not come" rows=${missing} page_size=${10} columns=${[
        {
          key: 'worker',
          head: 'Worker',
          value: (r: GapRow) => r.worker_id,
          cell: (r: GapRow) => html`<span class="mono">${r.worker_id}</span>`,
        },
        { key: 'missing', head: 'Missing', isNumber: true, value: (r: GapRow) => r.missing },
        { key: 'batches', head: 'Came', isNumber: true, value: (r: GapRow) => r.batches },
        {
          key: 'last',
          head: 'Last came',
          value: (r: GapRow) => r.last_received,
          cell: (r: GapRow) => html`<${When} ts=${r.last_received} relative />`,
        },
      ]} />
    </${Panel}>
    <${Panel} title="Dead letters" class="half" note="lines that could not become rows" answer=${dead} isEmpty=${dead.rows?.length === 0} empty="Every line became a row.">
      <${Table} id="dead" caption="Dead letters" rows=${dead.rows ?? []} page_size=${8} columns=${[
        {
          key: 'at',
          head: 'Received',
          value: (r: DeadLetterRow) => r.received_at,
          cell: (r: DeadLetterRow) => html`<${When} ts=${r.received_at} />`,
        },
        { key: 'reason', head: 'Reason', value: (r: DeadLetterRow) => r.reason },
        { key: 'error', head: 'Error', class: 'wrap', value: (r: DeadLetterRow) => r.error },
        {
          key: 'line',
          head: 'Line',
          class: 'clip',
          value: (r: DeadLetterRow) => r.line,
          cell: (r: DeadLetterRow) => html`<span class="mono">${r.line}</span>`,
        },
      ]} />
    </${Panel}>
    <${Panel} title="Calls without an end" class="half" note="with durability: strict" answer=${open} isEmpty=${open.rows?.length === 0} empty="Every call whose intent was recorded has its end.">
      <${Table} id="open" caption="Calls without an end" rows=${open.rows ?? []} page_size=${8} columns=${[
        {
          key: 'ts',
          head: 'Began',
          value: (r: UnfinishedRow) => r.ts,
          cell: (r: UnfinishedRow) => html`<${When} ts=${r.ts} />`,
        },
        {
          key: 'tool',
          head: 'Tool',
          value: (r: UnfinishedRow) => `${r.server} / ${r.tool}`,
          cell: (r: UnfinishedRow) => html`<a href=${to(`/trace/${r.trace_id}`)}>${r.server} / ${r.tool}</a>`,
        },
        { key: 'caller', head: 'Caller', value: (r: UnfinishedRow) => r.caller },
        { key: 'worker', head: 'Worker', value: (r: UnfinishedRow) => r.worker },
      ]} />
    </${Panel}>`
}

type MetricRow = { metric: string; labels: string; value: number }

function Collector() {
  const metrics = useAnswer<MetricRow[]>('collector', {})
  const rows = (metrics.rows ?? []).filter((r) =>
    /^(weir_|process_resident|process_cpu_seconds|nodejs_eventloop_lag_p99)/.test(r.metric),
  )
  const shown = (r: MetricRow): string =>
    /_bytes(_total)?$/.test(r.metric)
      ? bytes(r.value)
      : /_seconds$/.test(r.metric)
        ? seconds(r.value)
        : count(r.value)
  return html`<${Panel} title="This collector" note=${html`as at <code>/metrics</code>`} answer=${metrics} isEmpty=${rows.length === 0} empty="No metrics.">
    <${Table} id="metrics" caption="Metrics of this collector" rows=${rows} page_size=${15} columns=${[
      {
        key: 'metric',
        head: 'Metric',
        value: (r: MetricRow) => r.metric,
        cell: (r: MetricRow) => html`<span class="mono">${r.metric}</span>`,
      },
      {
        key: 'labels',
        head: 'Labels',
        value: (r: MetricRow) => r.labels,
        cell: (r: MetricRow) => html`<span class="mono muted">${r.labels}</span>`,
      },
      { key: 'value', head: 'Value', isNumber: true, value: (r: MetricRow) => r.value, cell: shown },
    ]} />
  </${Panel}>`
}
