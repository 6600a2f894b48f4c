/** One finding: what was seen and what is usual, by what it differs, how that was judged, evidence and example traces. */
import type { AnomalyRow } from '../../../collector/queries/anomalies.ts'
import { useAnswer } from '../answer.ts'
import { Sql, Traces } from '../evidence.ts'
import { inUnit, percent, plain } from '../format.ts'
import { type Children, html } from '../html.ts'
import { toolHref } from '../names.ts'
import { Panel } from '../panel.ts'
import { here, to } from '../route.ts'
import { Table } from '../table.ts'
import { ago, clock, momentMs } from '../time.ts'
import { metricOf, SERIES_SCOPES, SeriesBand } from './series-band.ts'

const HOUR_MS = 3_600_000
const METHODS: Readonly<Record<string, string>> = {
  weekly: 'compared with the same time of its past weeks',
  learning:
    'still learning, for it is younger than three weeks: compared with its own last day, and only much counts',
  history: 'compared with everything known of it before',
  rule: 'by a fixed rule, whatever is usual',
}

export function FindingDetails({ id, known }: { id: string; known: AnomalyRow | undefined }) {
  const answer = useAnswer<AnomalyRow[]>('anomaly', known ? null : { id }, id)
  const finding = known ?? answer.rows?.[0]
  const close = html`<a class="quiet" href=${here({ finding: null })}>close</a>`
  if (!finding)
    return html`<${Panel} title="Finding" answer=${answer} actions=${close} isEmpty=${true} empty="There is no such finding: it may have been deleted by age." />`
  return html`<${Panel} title="Finding" class="half" actions=${close}>
      <p class=${`state ${finding.is_open ? 'learning' : ''}`}>${finding.summary}</p>
      <dl class="facts">${factsOf(finding).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
      <div class="filters"><${Links} finding=${finding} /></div>
    </${Panel}>
    <${Panel} title="Look into it" class="half">
      ${finding.differs.length > 0 && html`<${Differs} rows=${finding.differs} />`}
      <${Sql} text=${finding.evidence} />
      <${Traces} ids=${finding.traces} />
    </${Panel}>
    <${Band} finding=${finding} />`
}

function factsOf(f: AnomalyRow): [string, Children][] {
  const began = momentMs(f.started)
  return [
    ['Kind', f.kind.replaceAll('_', ' ')],
    ['Of', f.scope === 'all' ? 'the whole installation' : `${f.scope} ${f.series}`],
    ['Began', `${clock(began)}, ${ago(began)}`],
    ['Ended', f.is_open ? 'goes on' : clock(momentMs(f.ended))],
    ['Seen', html`<strong>${inUnit(f.unit, f.value)}</strong>, in ${f.n} calls`],
    [
      'Usual',
      f.lower === 0 && f.upper === 0
        ? inUnit(f.unit, f.expected)
        : `${inUnit(f.unit, f.lower)} to ${inUnit(f.unit, f.upper)}`,
    ],
    ['Score', plain(f.score)],
    ...(f.contributor
      ? [
          ['Mostly from', `${f.contributor.replace('=', ' ')} (${percent(f.contributor_share)} of it)`] as [
            string,
            Children,
          ],
        ]
      : []),
    ['Judged', METHODS[f.method] ?? f.method],
  ]
}

/** The calls of the subject around the finding. */
function Links({ finding }: { finding: AnomalyRow }) {
  const { server, tool, caller, team } = finding
  const from = String(momentMs(finding.started) - HOUR_MS)
  const until = String(momentMs(finding.last_seen) + HOUR_MS / 4)
  const time = new URLSearchParams({ from, to: until })
  const place =
    server && tool
      ? `${toolHref({ server, tool, method: '' }).split('?')[0]}?${time}`
      : to('/tools', { server, caller, team, from, to: until })
  return html`<a class="switch" href=${place}>Figures at that time</a>
    <a class="switch" href=${to('/audit', { server, tool, caller, team, from, to: until })}>Calls at that time</a>`
}

function Differs({ rows }: { rows: AnomalyRow['differs'] }) {
  type Row = AnomalyRow['differs'][number]
  return html`<h3>By what it differs</h3>
    <${Table} id="differs" caption="By what it differs" rows=${rows} page_size=${8} columns=${[
      {
        key: 'what',
        head: 'What',
        class: 'wrap',
        isSortable: false,
        value: (r: Row) => `${r.dimension.replaceAll('_', ' ')} ${r.value}`,
      },
      {
        key: 'share',
        head: 'Share of it',
        isNumber: true,
        isSortable: false,
        value: (r: Row) => percent(r.share),
      },
      {
        key: 'usual',
        head: 'Usually',
        isNumber: true,
        isSortable: false,
        value: (r: Row) => percent(r.usual),
      },
    ]} />`
}

/** Single calls have no band. */
function Band({ finding }: { finding: AnomalyRow }) {
  const metric = metricOf(finding.kind)
  if (!metric || !SERIES_SCOPES.includes(finding.scope)) return null
  const from_ms = momentMs(finding.started) - 6 * HOUR_MS
  const to_ms = momentMs(finding.last_seen) + HOUR_MS
  return html`<${SeriesBand} title="What is usual" scope=${finding.scope} series=${finding.series} metric=${metric} from_ms=${from_ms} to_ms=${to_ms}
    marks=${[{ t_ms: momentMs(finding.started), text: 'began', color: 'bad', href: '' }]} />`
}
