/** One tool: how much, how well, how long, where the time goes, what fails, which calls were slowest. */
import type { CallRow } from '../../../collector/queries/calls.ts'
import type { FigureRow } from '../../../collector/queries/figures.ts'
import type { FingerprintRow } from '../../../collector/queries/fingerprints.ts'
import type { LatencyCell } from '../../../collector/queries/latency.ts'
import { useAnswer } from '../answer.ts'
import { CallChart } from '../call-chart.ts'
import { type Series, TimeSeries } from '../chart.ts'
import { FilterBar } from '../filters.ts'
import { bytes, count, duration, percent, perTime } from '../format.ts'
import { Heatmap } from '../heatmap.ts'
import { html } from '../html.ts'
import { Outcome, traceHref, When } from '../names.ts'
import { Panel, Stat } from '../panel.ts'
import { to } from '../route.ts'
import { useScope, type ViewScope } from '../scope.ts'
import { type SeriesAnswer, type Steps, stepsOf } from '../steps.ts'
import { Table } from '../table.ts'
import { Nothing } from './nothing.ts'

/** In the order a call goes through them. */
const PHASES = [
  ['receive_us_sum', 'receive', 'c8'],
  ['authorise_us_sum', 'authorise', 'c3'],
  ['queue_us_sum', 'queue', 'c5'],
  ['connect_us_sum', 'connect', 'c6'],
  ['wait_us_sum', 'wait', 'c1'],
  ['transfer_us_sum', 'transfer', 'c7'],
  ['answer_us_sum', 'answer', 'c4'],
] as const

export function ToolPage({ server, tool }: { server: string; tool: string }) {
  const scope = useScope({ server, tool })
  return html`<${FilterBar} names=${['method', 'caller', 'team', 'project', 'agent', 'env']} />
    <${ToolFigures} scope=${scope} />
    <${ToolCharts} scope=${scope} />
    <${Fingerprints} scope=${scope} />
    <${Slowest} scope=${scope} server=${server} tool=${tool} />`
}

function ToolFigures({ scope }: { scope: ViewScope }) {
  const figures = useAnswer<FigureRow[]>('figures', scope.params, scope.key)
  const f = figures.rows?.[0]
  const span_s = (scope.span.to_ms - scope.span.from_ms) / 1000
  const share = f && f.calls > 0 ? f.failed / f.calls : 0
  if (figures.error) return html`<${Panel} title="Figures" answer=${figures} />`
  return html`<div class="stats" role="group" aria-label="Figures">
    <${Stat} name="Calls" value=${f ? count(f.calls) : '–'} note=${f ? perTime(f.calls / span_s) : ''} />
    <${Stat} name="Failed" value=${f ? percent(share) : '–'} tone=${share > 0.05 ? 'bad' : share > 0.01 ? 'warn' : ''} note=${f ? `${count(f.failed)} calls, ${count(f.faults)} faults` : ''} />
    <${Stat} name="p50" value=${f?.calls ? duration(f.p50_us) : '–'} />
    <${Stat} name="p95" value=${f?.calls ? duration(f.p95_us) : '–'} note=${f?.calls ? `p99 ${duration(f.p99_us)}` : ''} />
    <${Stat} name="Slowest" value=${f?.calls ? duration(f.max_us) : '–'} />
    <${Stat} name="Weir's own share" value=${f?.calls ? duration(f.overhead_p50_us) : '–'} />
    <${Stat} name="A call's answer" value=${f?.calls ? bytes(Math.round(f.response_bytes / f.calls)) : '–'} note=${f?.calls ? `${count(Math.round(f.tokens_out / f.calls))} tokens` : ''} />
  </div>`
}

const phasesOf = (steps: Steps): Series[] =>
  PHASES.map(([column, name, color]) => ({
    name,
    color,
    values: steps.of((r) => (r.calls === 0 ? 0 : r[column] / r.calls), 0),
  }))

function ToolCharts({ scope }: { scope: ViewScope }) {
  const series = useAnswer<SeriesAnswer>('series', scope.params, scope.key)
  const latency = useAnswer<{ rows: LatencyCell[]; step_s: number; from_ms: number; to_ms: number }>(
    'latency',
    scope.params,
    scope.key,
  )
  const { rows } = series
  const steps = rows ? stepsOf(rows) : null
  const shared = rows ? { t: steps!.t, from_ms: rows.from_ms, to_ms: rows.to_ms, sync: 'tool' } : null
  const isEmpty = rows?.rows.length === 0
  const empty = html`<${Nothing} />`
  return html`<${Panel} title="Calls" class="half" answer=${series} isEmpty=${isEmpty} empty=${empty}>
      ${steps && html`<${CallChart} steps=${steps} from_ms=${rows!.from_ms} to_ms=${rows!.to_ms} sync="tool" />`}
    </${Panel}>
    <${Panel} title="Percentiles of duration" class="half" answer=${series} isEmpty=${isEmpty} empty=${empty}>
      ${
        steps &&
        html`<${TimeSeries} ...${shared} label="Percentiles of duration" format=${duration} series=${[
          { name: 'p50', color: 'c1', values: steps.of((r) => r.p50_us) },
          { name: 'p95', color: 'c2', values: steps.of((r) => r.p95_us) },
          { name: 'p99', color: 'c4', values: steps.of((r) => r.p99_us), dash: true },
        ]} />`
      }
    </${Panel}>
    <${Panel} title="Phases" note="mean of a call, stacked" class="half" answer=${series} isEmpty=${isEmpty} empty=${empty}>
      ${steps && html`<${TimeSeries} ...${shared} kind="stacked" label="Mean time of a call by phase" format=${duration} series=${phasesOf(steps)} />`}
    </${Panel}>
    <${Panel} title="Latency" note="stronger colour: more calls" class="half" answer=${latency} isEmpty=${latency.rows?.rows.length === 0} empty=${empty}>
      ${latency.rows && html`<${Heatmap} label="Latency over time" cells=${latency.rows.rows} from_ms=${latency.rows.from_ms} to_ms=${latency.rows.to_ms} step_ms=${latency.rows.step_s * 1000} />`}
    </${Panel}>`
}

function Fingerprints({ scope }: { scope: ViewScope }) {
  const failures = useAnswer<FingerprintRow[]>('fingerprints', scope.params, scope.key)
  const rows = failures.rows ?? []
  return html`<${Panel} title="Error fingerprints" answer=${failures} isEmpty=${rows.length === 0} empty="Nothing failed in this time range.">
    <${Table} id="causes" caption="Error fingerprints" rows=${rows} page_size=${10} columns=${[
      {
        key: 'failures',
        head: 'Times',
        isNumber: true,
        value: (r: FingerprintRow) => r.failures,
        cell: (r: FingerprintRow) => count(r.failures),
      },
      {
        key: 'outcome',
        head: 'Outcome',
        value: (r: FingerprintRow) => r.outcome,
        cell: (r: FingerprintRow) => html`<${Outcome} outcome=${r.outcome} owner=${r.owner} />`,
      },
      {
        key: 'message',
        head: 'Message',
        class: 'wrap',
        value: (r: FingerprintRow) => r.error_message,
        cell: (r: FingerprintRow) => r.error_message || r.error_type,
      },
      { key: 'owner', head: 'Owner', value: (r: FingerprintRow) => r.owner },
      { key: 'callers', head: 'Callers', isNumber: true, value: (r: FingerprintRow) => r.callers },
      {
        key: 'first',
        head: 'First seen',
        value: (r: FingerprintRow) => r.first_seen,
        cell: (r: FingerprintRow) => html`<${When} ts=${r.first_seen} />`,
      },
      {
        key: 'last',
        head: 'Last seen',
        value: (r: FingerprintRow) => r.last_seen,
        cell: (r: FingerprintRow) => html`<${When} ts=${r.last_seen} />`,
      },
      {
        key: 'examples',
        head: 'Examples',
        isSortable: false,
        value: () => '',
        cell: (r: FingerprintRow) =>
          r.examples.map(
            (id) => html`<a key=${id} class="mono" href=${traceHref(id)}>${id.slice(0, 8)}</a> `,
          ),
      },
      {
        key: 'fingerprint',
        head: 'Fingerprint',
        value: (r: FingerprintRow) => r.error_fingerprint,
        cell: (r: FingerprintRow) =>
          html`<a class="mono" href=${to('/audit', { error_fingerprint: r.error_fingerprint })}>${r.error_fingerprint.slice(0, 12)}</a>`,
      },
    ]} />
  </${Panel}>`
}

function Slowest({ scope, server, tool }: { scope: ViewScope; server: string; tool: string }) {
  const slowest = useAnswer<{ rows: CallRow[] }>(
    'calls',
    { ...scope.params, kind: 'request', order: 'slowest', limit: 20 },
    scope.key,
  )
  const rows = slowest.rows?.rows ?? []
  return html`<${Panel} title="Slowest calls" answer=${slowest} isEmpty=${rows.length === 0} empty=${html`<${Nothing} />`} actions=${html`<a class="quiet" href=${to('/audit', { server, tool })}>all calls</a>`}>
    <${Table} id="slowest" caption="Slowest calls" rows=${rows} columns=${[
      {
        key: 'ts',
        head: 'Time',
        value: (r: CallRow) => r.ts,
        cell: (r: CallRow) => html`<a href=${traceHref(r.trace_id, r.span_id)}><${When} ts=${r.ts} /></a>`,
      },
      {
        key: 'duration',
        head: 'Duration',
        isNumber: true,
        value: (r: CallRow) => r.duration_us,
        cell: (r: CallRow) => duration(r.duration_us),
      },
      {
        key: 'upstream',
        head: 'Server',
        isNumber: true,
        value: (r: CallRow) => r.upstream_us,
        cell: (r: CallRow) => duration(r.upstream_us),
      },
      {
        key: 'overhead',
        head: 'Weir',
        isNumber: true,
        value: (r: CallRow) => r.overhead_us,
        cell: (r: CallRow) => duration(r.overhead_us),
      },
      {
        key: 'outcome',
        head: 'Outcome',
        value: (r: CallRow) => r.outcome,
        cell: (r: CallRow) => html`<${Outcome} outcome=${r.outcome} owner=${r.owner} />`,
      },
      { key: 'caller', head: 'Caller', value: (r: CallRow) => r.caller },
      {
        key: 'bytes',
        head: 'Answer',
        isNumber: true,
        value: (r: CallRow) => r.response_bytes,
        cell: (r: CallRow) => bytes(r.response_bytes),
      },
      { key: 'message', head: 'Message', class: 'clip', value: (r: CallRow) => r.error_message },
    ]} />
  </${Panel}>`
}
