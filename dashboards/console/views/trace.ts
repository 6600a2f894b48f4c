/** One trace as a waterfall, with the details of the chosen span. What tools were told and said is shown as text only. */
import { useMemo } from 'preact/hooks'
import type { FoundTrace } from '../../../collector/queries/find-trace.ts'
import type { PayloadRow } from '../../../collector/queries/payloads.ts'
import type { TraceSpan } from '../../../collector/queries/trace.ts'
import type { TraceCall } from '../../../collector/queries/trace-calls.ts'
import { useAnswer } from '../answer.ts'
import { duration } from '../format.ts'
import { html } from '../html.ts'
import { Outcome, traceHref, When } from '../names.ts'
import { Panel, Stat } from '../panel.ts'
import { go, here, to, usePlace } from '../route.ts'
import { Table } from '../table.ts'
import { clock } from '../time.ts'
import { type Node, treeOf } from '../tree.ts'
import type { ViewProps } from '../views.ts'
import { type Lane, Lanes } from '../waterfall.ts'
import { SpanDetails } from './span-details.ts'

type TraceAnswer = { spans: TraceSpan[]; calls: TraceCall[]; payloads: PayloadRow[] }
const PHASE_COLORS: Readonly<Record<string, string>> = {
  receive_us: 'c8',
  authorise_us: 'c3',
  queue_us: 'c5',
  connect_us: 'c6',
  wait_us: 'c1',
  transfer_us: 'c7',
  answer_us: 'c4',
}

export function Trace({ rest }: ViewProps) {
  const id = (rest[0] ?? '').trim().toLowerCase()
  if (/^[0-9a-f]{32}$/.test(id)) return html`<${Waterfall} key=${id} id=${id} />`
  return html`<${FindForm} id=${rest[0] ?? ''} />${rest[0] && html`<${Found} id=${rest[0]} />`}`
}

function FindForm({ id }: { id: string }) {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault()
    const entered = String(new FormData(event.target as HTMLFormElement).get('id')).trim()
    if (entered) go(to(`/trace/${encodeURIComponent(entered)}`))
  }
  return html`<form class="filters" role="search" onSubmit=${submit}>
    <label for="filter-value">Trace, event, session or run</label>
    <input id="filter-value" class="mono wide" name="id" type="text" value=${id} spellcheck=${false} autocomplete="off" placeholder="whole id, or its first characters" />
    <button type="submit" class="small">Find</button>
  </form>`
}

function Found({ id }: { id: string }) {
  const found = useAnswer<FoundTrace[]>('find', { id }, id, true)
  const rows = found.rows ?? []
  return html`<${Panel} title="Traces found" answer=${found} isEmpty=${rows.length === 0} empty=${html`Nothing has this id. Every call is in <a href=${to('/audit')}>Audit</a>.`}>
    <${Table} id="found" caption="Traces found" rows=${rows} columns=${[
      {
        key: 'trace',
        head: 'Trace',
        value: (r: FoundTrace) => r.trace_id,
        cell: (r: FoundTrace) => html`<a class="mono" href=${traceHref(r.trace_id)}>${r.trace_id}</a>`,
      },
      { key: 'matched', head: 'Found by', value: (r: FoundTrace) => r.matched.join(', ') },
      { key: 'calls', head: 'Calls', isNumber: true, value: (r: FoundTrace) => r.calls },
      { key: 'failed', head: 'Failed', isNumber: true, value: (r: FoundTrace) => r.failed },
      { key: 'servers', head: 'Servers', value: (r: FoundTrace) => r.servers.join(', ') },
      { key: 'client', head: 'Client', value: (r: FoundTrace) => r.client_name },
      {
        key: 'last',
        head: 'Last call',
        value: (r: FoundTrace) => r.last_ts,
        cell: (r: FoundTrace) => html`<${When} ts=${r.last_ts} />`,
      },
    ]} />
  </${Panel}>`
}

function Waterfall({ id }: { id: string }) {
  const { params } = usePlace()
  const answer = useAnswer<TraceAnswer>('trace', { trace_id: id }, id, true)
  const { rows } = answer
  const spans = rows?.spans ?? []
  const nodes = useMemo(() => treeOf(spans), [rows])
  const calls = useMemo(() => new Map((rows?.calls ?? []).map((c) => [c.span_id, c])), [rows])
  if (rows && spans.length === 0) return html`<${FindForm} id=${id} /><${Found} id=${id} />`
  const begin = Math.min(...spans.map((s) => s.start_us))
  const end = Math.max(...spans.map((s) => s.start_us + s.duration_us))
  const selected = spans.find((s) => s.span_id === params.span)
  const failed = (rows?.calls ?? []).filter(
    (c) => c.kind === 'request' && !['ok', 'input_required'].includes(c.outcome),
  ).length
  const requests = (rows?.calls ?? []).filter((c) => c.kind === 'request').length
  return html`${
    rows &&
    html`<div class="stats" role="group" aria-label="Trace">
      <${Stat} name="Duration" value=${duration(end - begin)} note=${clock(begin / 1000, { millis: true })} />
      <${Stat} name="Spans" value=${String(spans.length)} note=${`${new Set(spans.map((s) => s.service)).size} services`} />
      <${Stat} name="Calls" value=${String(requests)} note=${rows.calls[0] ? `caller ${rows.calls[0].caller || '–'}` : ''} />
      <${Stat} name="Failed" value=${String(failed)} tone=${failed > 0 ? 'bad' : ''} />
      <${Stat} name="Run" value=${rows.calls[0]?.run_id.slice(0, 18) || '–'} note=${rows.calls[0]?.run_source ?? ''} href=${rows.calls[0]?.run_id ? to(`/runs/${encodeURIComponent(rows.calls[0].run_id)}`) : undefined} />
    </div>`
  }
    <${Panel} title="Waterfall" class=${selected ? 'two-thirds' : ''} note=${html`<span class="mono">${id}</span>`} answer=${{ ...answer, csv: '' }}>
      <${PhaseKey} />
      <${Rows} nodes=${nodes} calls=${calls} begin=${begin} total=${Math.max(1, end - begin)} chosen=${params.span ?? ''} />
    </${Panel}>
    ${selected && html`<${SpanDetails} span=${selected} call=${calls.get(selected.span_id) ?? calls.get(selected.parent_span_id)} payloads=${(rows?.payloads ?? []).filter((p) => p.span_id === selected.span_id || p.span_id === selected.parent_span_id)} />`}`
}

const PhaseKey = () => html`<div class="legend">
  ${Object.entries(PHASE_COLORS).map(([name, color]) => html`<span class="key" key=${name}><i class=${`swatch ${color}`}></i>${name.replace('_us', '')}</span>`)}
  <span class="key"><i class="swatch foreign"></i>others' spans</span>
</div>`

type RowsProps = {
  nodes: readonly Node[]
  calls: ReadonlyMap<string, TraceCall>
  begin: number
  total: number
  chosen: string
}

function Rows({ nodes, calls, begin, total, chosen }: RowsProps) {
  const lanes = nodes.map(({ span, depth, children }): Lane => {
    const call = calls.get(span.span_id)
    const isBad =
      span.status === 'Error' || (call !== undefined && !['ok', 'input_required'].includes(call.outcome))
    const isChosen = span.span_id === chosen
    return {
      id: span.span_id,
      depth,
      below: children,
      name: span.name,
      href: here({ span: isChosen ? null : span.span_id }),
      isChosen,
      note: html`<span class="muted">${span.service === 'weir' ? span.kind.toLowerCase() : span.service}</span>
        ${isBad && html`<${Outcome} outcome=${call?.outcome ?? 'error'} owner=${call?.owner ?? 'upstream'} />`}`,
      start_us: span.start_us,
      duration_us: span.duration_us,
      isForeign: !span.is_weir,
      isBad,
      parts: Object.entries(span.phases ?? {})
        .filter(([, us]) => us > 0)
        .map(([name, us]) => ({ color: PHASE_COLORS[name] ?? 'c8', us })),
    }
  })
  return html`<${Lanes} label="Spans" lanes=${lanes} begin=${begin} total=${total} />`
}
