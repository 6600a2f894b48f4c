/** What is wrong, what is unusual, what is promised and kept quiet: alerts, findings, objectives, silences, rules, history. */
import type { AlertRow, DeliveryRow } from '../../../collector/queries/alerts.ts'
import type { AnomalyRow } from '../../../collector/queries/anomalies.ts'
import type { SilenceRow } from '../../../collector/queries/silences.ts'
import { type Answer, useAnswer } from '../answer.ts'
import { count } from '../format.ts'
import { html } from '../html.ts'
import { Panel, Stat } from '../panel.ts'
import { here, to, usePlace } from '../route.ts'
import { useScope } from '../scope.ts'
import { Table } from '../table.ts'
import { AlertDetails, AlertState, isStanding, labelText, Severity, Since } from './alert-details.ts'
import { History } from './alert-history.ts'
import { Rules } from './alert-rules.ts'
import { Findings } from './findings.ts'
import { Objectives } from './objectives.ts'
import { Silences } from './silences.ts'

const TABS = [
  ['', 'Alerts'],
  ['findings', 'Findings'],
  ['objectives', 'Objectives'],
  ['silences', 'Silences'],
  ['rules', 'Rules'],
  ['history', 'History'],
] as const

export function Alerts() {
  const { params } = usePlace()
  const scope = useScope()
  const show = TABS.find(([word]) => word === params.show)?.[0] ?? ''
  const alerts = useAnswer<AlertRow[]>('alerts', {})
  const silences = useAnswer<SilenceRow[]>('silences', { only: 'running' })
  const deliveries = useAnswer<DeliveryRow[]>(
    'alert-deliveries',
    { from: scope.params.from, to: scope.params.to },
    scope.key,
  )
  return html`<nav class="tabs" aria-label="Parts of this view">${TABS.map(
    ([word, name]) =>
      html`<a key=${word} class=${`switch ${show === word ? 'on' : ''}`} href=${to('/alerts', { show: word })} aria-current=${show === word ? 'page' : undefined}>${name}</a>`,
  )}</nav>
    <${Figures} alerts=${alerts} silences=${silences} deliveries=${deliveries} />
    ${show === '' && html`<${Standing} alerts=${alerts} />`}
    ${show === 'findings' && html`<${Findings} />`}
    ${show === 'objectives' && html`<${Objectives} />`}
    ${show === 'silences' && html`<${Silences} silences=${silences} alerts=${alerts.rows ?? []} />`}
    ${show === 'rules' && html`<${Rules} />`}
    ${show === 'history' && html`<${History} deliveries=${deliveries} />`}`
}

function Figures(props: {
  alerts: Answer<AlertRow[]>
  silences: Answer<SilenceRow[]>
  deliveries: Answer<DeliveryRow[]>
}) {
  const { rows } = props.alerts
  const findings = useAnswer<AnomalyRow[]>('anomalies', { state: 'open' })
  const of = (state: string): number => rows?.filter((r) => r.state === state).length ?? 0
  const quiet = rows?.filter((r) => r.silenced && isStanding(r)).length ?? 0
  const failed = props.deliveries.rows?.filter((d) => d.status === 'failed').length
  const open = findings.rows?.length
  return html`<div class="stats" role="group" aria-label="Alerts now">
    <${Stat} name="Firing" value=${rows ? count(of('firing')) : '–'} tone=${of('firing') > 0 ? 'bad' : ''} note=${quiet > 0 ? `${quiet} kept quiet` : ''} href=${to('/alerts')} />
    <${Stat} name="Pending" value=${rows ? count(of('pending')) : '–'} note="not yet for long enough" href=${to('/alerts')} />
    <${Stat} name="No data" value=${rows ? count(of('nodata')) : '–'} tone=${of('nodata') > 0 ? 'warn' : ''} href=${to('/alerts')} />
    <${Stat} name="Open findings" value=${open === undefined ? '–' : count(open)} tone=${open ? 'warn' : ''} note="unusual, going on" href=${to('/alerts', { show: 'findings' })} />
    <${Stat} name="Silences" value=${props.silences.rows ? count(props.silences.rows.filter((s) => s.active).length) : '–'} note="in force" href=${to('/alerts', { show: 'silences' })} />
    <${Stat} name="Messages that failed" value=${failed === undefined ? '–' : count(failed)} tone=${failed ? 'bad' : ''} note="in this time" href=${to('/alerts', { show: 'history' })} />
  </div>`
}

function Standing({ alerts }: { alerts: Answer<AlertRow[]> }) {
  const { params } = usePlace()
  const rows = alerts.rows ?? []
  const chosen = rows.find((r) => r.fingerprint === params.alert)
  return html`${chosen && html`<${AlertDetails} key=${chosen.fingerprint} alert=${chosen} />`}
    <${Panel} title="Alerts" note="as they stand, and those over since a day" answer=${alerts} isEmpty=${rows.length === 0}
      empty=${html`<span>Nothing is wrong by the <a href=${to('/alerts', { show: 'rules' })}>rules in force</a>.</span>`}>
      <${Table} id="alerts" caption="Alerts" rows=${rows} isSelected=${(r: AlertRow) => r === chosen} columns=${[
        {
          key: 'rule',
          head: 'Alert',
          value: (r: AlertRow) => r.rule,
          cell: (r: AlertRow) => html`<a href=${here({ alert: r.fingerprint })}>${r.rule}</a>`,
        },
        {
          key: 'state',
          head: 'State',
          value: (r: AlertRow) => r.state,
          cell: (r: AlertRow) => html`<${AlertState} alert=${r} />`,
        },
        {
          key: 'severity',
          head: 'Severity',
          value: (r: AlertRow) => r.severity,
          cell: (r: AlertRow) => html`<${Severity} word=${r.severity} />`,
        },
        { key: 'summary', head: 'What', class: 'wrap', value: (r: AlertRow) => r.annotations.summary ?? '' },
        { key: 'about', head: 'About', class: 'clip', value: labelText },
        {
          key: 'since',
          head: 'Since',
          isNumber: true,
          value: (r: AlertRow) => r.starts_ms,
          cell: (r: AlertRow) => html`<${Since} ms=${r.starts_ms} />`,
        },
        {
          key: 'fired',
          head: 'Fired',
          about: 'how often',
          isNumber: true,
          value: (r: AlertRow) => r.times_fired,
          cell: (r: AlertRow) => count(r.times_fired),
        },
      ]} />
    </${Panel}>`
}
