/** A series as its detector sees it: what was measured, the band in which that is usual, and how much of it is learned. */
import type { SeriesPoint, SeriesStateRow } from '../../../collector/queries/anomaly-series.ts'
import { useAnswer } from '../answer.ts'
import { type Mark, TimeSeries } from '../chart.ts'
import { inUnit } from '../format.ts'
import { html } from '../html.ts'
import { Panel } from '../panel.ts'
import { go, here, usePlace } from '../route.ts'
import { useScope } from '../scope.ts'
import { momentMs } from '../time.ts'

export const SERIES_SCOPES: readonly string[] = ['tool', 'server', 'team', 'caller', 'all']
const METRICS: Readonly<Record<string, { name: string; unit: string }>> = {
  p95: { name: 'p95 of the duration', unit: 'us' },
  mid: { name: 'typical duration', unit: 'us' },
  err: { name: 'share of faults', unit: 'share' },
  vol: { name: 'calls in 15 minutes', unit: 'calls' },
  cost: { name: 'cost per call', unit: 'nano_usd' },
  size: { name: 'bytes per call', unit: 'bytes' },
}
const OF_KIND: Readonly<Record<string, string>> = {
  latency: 'p95',
  errors: 'err',
  volume: 'vol',
  silence: 'vol',
  cost: 'cost',
  result_size: 'size',
}
/** The metric a kind of finding is about; undefined for findings about single calls. */
export const metricOf = (kind: string): string | undefined => OF_KIND[kind]

type BandProps = {
  title: string
  scope: string
  series: string
  metric: string
  from_ms: number
  to_ms: number
  marks?: readonly Mark[]
}

export function SeriesBand(props: BandProps) {
  const { scope, series, metric, from_ms, to_ms } = props
  const answer = useAnswer<SeriesPoint[]>(
    'anomaly-series',
    { scope, series, metric, from: from_ms, to: to_ms },
    JSON.stringify([scope, series, metric]),
  )
  const states = useAnswer<SeriesStateRow[]>('anomaly-states', { series }, `${scope}${series}`)
  const { name, unit } = METRICS[metric]!
  const rows = answer.rows ?? []
  const format = (value: number): string => inUnit(unit, value)
  const isEmpty = rows.every((p) => p.value === null)
  return html`<${Panel} title=${props.title} note=${`${scope === 'all' ? 'the whole installation' : `${scope} ${series}`}: ${name}, in steps of 5 minutes, each of the 15 minutes before`} answer=${answer}
    learning=${learning(states.rows, scope, metric)} isEmpty=${isEmpty} empty=${html`<span>In this time there was too little traffic or history to say what is usual. <${Learned} states=${states.rows} scope=${scope} metric=${metric} /></span>`}>
    <${TimeSeries} label=${`${name} and its usual band`} format=${format} marks=${props.marks ?? []} t=${rows.map((p) => p.t_ms)} from_ms=${rows[0]?.t_ms} to_ms=${rows.at(-1)?.t_ms} series=${[
      { name: 'measured', color: 'c1', values: rows.map((p) => p.value) },
      { name: 'usual', color: 'c8', values: rows.map((p) => p.expected), dash: true },
      { name: 'upper edge', color: 'c3', values: rows.map((p) => p.upper), dash: true },
      { name: 'lower edge', color: 'c3', values: rows.map((p) => p.lower), dash: true },
      { name: 'unusual', color: 'bad', values: rows.map((p) => (p.direction === 0 ? null : p.value)) },
    ]} />
  </${Panel}>`
}

function learning(states: SeriesStateRow[] | null, scope: string, metric: string): string | null {
  const own = states?.filter((s) => s.scope === scope) ?? []
  const state = own.find((s) => s.metric === metric) ?? own[0]
  if (state?.state !== 'learning') return null
  const since = new Date(momentMs(state.since)).toISOString().slice(0, 10)
  return state.days_missing > 0
    ? `Followed since ${since}. It is judged by its past weeks in ${state.days_missing} days; until then by its own last day, and only much counts.`
    : `Followed since ${since}. Its weekly baseline is made in the coming night.`
}

function Learned(props: { states: SeriesStateRow[] | null; scope: string; metric: string }) {
  return html`<span>${learning(props.states, props.scope, props.metric) ?? ''}</span>`
}

/** Any series that is followed, by choice. */
export function SeriesChoice() {
  const { params } = usePlace()
  const view = useScope()
  const states = useAnswer<SeriesStateRow[]>('anomaly-states', {}, 'all')
  const rows = states.rows ?? []
  const known = [...new Map(rows.map((r) => [`${r.scope} ${r.series}`, r])).values()]
  const chosen = known.find((r) => `${r.scope} ${r.series}` === params.series) ?? known[0]
  const metric = METRICS[params.metric ?? ''] ? params.metric! : 'vol'
  const weekly = new Set(rows.filter((r) => r.state === 'weekly').map((r) => `${r.scope} ${r.series}`)).size
  const choose = (name: string) => (event: Event) =>
    go(here({ [name]: (event.target as HTMLSelectElement).value }), { replace: true })
  return html`<${Panel} title="Series followed" note=${`${known.length} series, ${known.length - weekly} of them still learning`} answer=${states} isEmpty=${known.length === 0}
      empty="No series is followed yet: the first figures come five minutes after the first calls.">
      <div class="filters">
        <select aria-label="Series" value=${chosen ? `${chosen.scope} ${chosen.series}` : ''} onChange=${choose('series')}>${known.map((r) => html`<option key=${`${r.scope} ${r.series}`} value=${`${r.scope} ${r.series}`}>${r.scope === 'all' ? 'everything' : `${r.scope} ${r.series}`}${r.state === 'learning' ? ' (learning)' : ''}</option>`)}</select>
        <select aria-label="Metric" value=${metric} onChange=${choose('metric')}>${Object.entries(METRICS).map(([key, { name }]) => html`<option key=${key} value=${key}>${name}</option>`)}</select>
      </div>
    </${Panel}>
    ${chosen && html`<${SeriesBand} key=${`${chosen.scope} ${chosen.series} ${metric}`} title="Series chosen" scope=${chosen.scope} series=${chosen.series} metric=${metric} from_ms=${view.span.from_ms} to_ms=${view.span.to_ms} />`}`
}
