/** What is unusual: findings of the detectors, one of them whole when chosen, and any series with its band. */
import type { AnomalyRow } from '../../../collector/queries/anomalies.ts'
import { useAnswer } from '../answer.ts'
import { FilterBar, filtersOf } from '../filters.ts'
import { plain } from '../format.ts'
import { html } from '../html.ts'
import { When } from '../names.ts'
import { Panel } from '../panel.ts'
import { here, usePlace } from '../route.ts'
import { useScope } from '../scope.ts'
import { Table } from '../table.ts'
import { FindingDetails } from './finding-details.ts'
import { SeriesChoice } from './series-band.ts'

const FILTERS = ['server', 'tool', 'caller', 'team'] as const

export function Findings() {
  const { params } = usePlace()
  const scope = useScope()
  const filters = filtersOf(params, FILTERS)
  // Without a time in the address: a week, for findings are rare.
  const hasTime = Boolean(params.range || params.from)
  const time = hasTime ? { from: scope.params.from, to: scope.params.to } : {}
  const answer = useAnswer<AnomalyRow[]>(
    'anomalies',
    { ...time, ...filters },
    `${hasTime ? scope.key : 'week'}${JSON.stringify(filters)}`,
  )
  const rows = answer.rows ?? []
  const chosen = rows.find((r) => r.id === params.finding)
  const open = rows.filter((r) => r.is_open).length
  return html`<${FilterBar} names=${FILTERS} />
    ${params.finding && html`<${FindingDetails} key=${params.finding} id=${params.finding} known=${chosen} />`}
    <${Panel} title="Findings" note=${`${open} open, ${rows.length - open} ended${hasTime ? '' : ', of 7 days'}`} answer=${answer} isEmpty=${rows.length === 0}
      empty="Nothing unusual was found. Which series are followed, and which are still learning, stands below.">
      <${Table} id="findings" caption="Findings" rows=${rows} isSelected=${(r: AnomalyRow) => r.id === params.finding} columns=${columns} />
    </${Panel}>
    <${SeriesChoice} />`
}

const columns = [
  {
    key: 'state',
    head: 'State',
    value: (r: AnomalyRow) => (r.is_open ? 'open' : 'ended'),
    cell: (r: AnomalyRow) =>
      html`<span class=${`tag ${r.is_open ? 'bad' : ''}`}>${r.is_open ? 'open' : 'ended'}</span>`,
  },
  { key: 'kind', head: 'Kind', value: (r: AnomalyRow) => r.kind.replaceAll('_', ' ') },
  {
    key: 'summary',
    head: 'What',
    class: 'wrap',
    value: (r: AnomalyRow) => r.summary,
    cell: (r: AnomalyRow) =>
      html`<a href=${here({ finding: r.id })}>${r.summary || `${r.kind} of ${r.series}`}</a>`,
  },
  {
    key: 'differs',
    head: 'Mostly from',
    class: 'clip',
    value: (r: AnomalyRow) => r.contributor.replace('=', ' '),
  },
  {
    key: 'score',
    head: 'Score',
    about: 'how far from usual',
    isNumber: true,
    value: (r: AnomalyRow) => r.score,
    cell: (r: AnomalyRow) => plain(r.score),
  },
  {
    key: 'started',
    head: 'Began',
    isNumber: true,
    value: (r: AnomalyRow) => r.started,
    cell: (r: AnomalyRow) => html`<${When} ts=${r.started} relative />`,
  },
]
