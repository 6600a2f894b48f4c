/** What became of alerts in the time looked at, and whether their receivers were told. */
import type { AlertEvent, DeliveryRow } from '../../../collector/queries/alerts.ts'
import { type Answer, useAnswer } from '../answer.ts'
import { plain } from '../format.ts'
import { html } from '../html.ts'
import { Panel } from '../panel.ts'
import { here } from '../route.ts'
import { useScope } from '../scope.ts'
import { Table } from '../table.ts'
import { clock } from '../time.ts'
import { labelText, Severity, StateTag } from './alert-details.ts'

const wider = html`<a href=${here({ range: '7d', from: null, to: null })}>Look at 7 days</a>`

export function History({ deliveries }: { deliveries: Answer<DeliveryRow[]> }) {
  const scope = useScope()
  const answer = useAnswer<AlertEvent[]>(
    'alert-history',
    { from: scope.params.from, to: scope.params.to },
    scope.key,
  )
  const rows = answer.rows ?? []
  return html`<${Deliveries} answer=${deliveries} />
    <${Panel} title="Changes" note="newest first" answer=${answer} isEmpty=${rows.length === 0} empty=${html`<span>No alert came or went in this time. ${wider}</span>`}>
      <${Table} id="changes" caption="Changes of alerts" rows=${rows} columns=${[
        {
          key: 'at',
          head: 'Time',
          isNumber: true,
          value: (r: AlertEvent) => r.at_ms,
          cell: (r: AlertEvent) => clock(r.at_ms),
        },
        { key: 'rule', head: 'Alert', value: (r: AlertEvent) => r.rule },
        {
          key: 'to',
          head: 'Became',
          value: (r: AlertEvent) => r.to_state,
          cell: (r: AlertEvent) => html`<${StateTag} state=${r.to_state} />`,
        },
        {
          key: 'severity',
          head: 'Severity',
          value: (r: AlertEvent) => r.severity,
          cell: (r: AlertEvent) => html`<${Severity} word=${r.severity} />`,
        },
        {
          key: 'summary',
          head: 'What',
          class: 'wrap',
          value: (r: AlertEvent) => r.annotations.summary ?? '',
        },
        { key: 'about', head: 'About', class: 'clip', value: labelText },
        {
          key: 'value',
          head: 'Value',
          isNumber: true,
          value: (r: AlertEvent) => r.value,
          cell: (r: AlertEvent) => plain(r.value),
        },
      ]} />
    </${Panel}>`
}

const TONES: Readonly<Record<string, string>> = { failed: 'bad', queued: 'warn', sent: 'good' }

/** What did not get out comes first. */
function Deliveries({ answer }: { answer: Answer<DeliveryRow[]> }) {
  const rank = (r: DeliveryRow): number => ['failed', 'queued', 'sent'].indexOf(r.status)
  const rows = [...(answer.rows ?? [])].sort((a, b) => rank(a) - rank(b) || b.at_ms - a.at_ms)
  const failed = rows.filter((r) => r.status === 'failed').length
  const note = rows.length === 0 ? '' : failed > 0 ? `${failed} of ${rows.length} failed` : 'none failed'
  return html`<${Panel} title="Messages to receivers" note=${note} answer=${answer} isEmpty=${rows.length === 0}
    empty=${html`<span>Nobody was told anything in this time. Receivers stand under <code>alerts.to</code> in weir.yaml. ${wider}</span>`}>
    <${Table} id="messages" caption="Messages to receivers" rows=${rows} page_size=${20} columns=${[
      {
        key: 'status',
        head: 'Status',
        value: (r: DeliveryRow) => r.status,
        cell: (r: DeliveryRow) => html`<span class=${`tag ${TONES[r.status]}`}>${r.status}</span>`,
      },
      { key: 'receiver', head: 'Receiver', value: (r: DeliveryRow) => r.receiver },
      { key: 'rule', head: 'Alert', value: (r: DeliveryRow) => r.rule },
      {
        key: 'queued',
        head: 'Queued',
        isNumber: true,
        value: (r: DeliveryRow) => r.queued_ms,
        cell: (r: DeliveryRow) => clock(r.queued_ms),
      },
      { key: 'attempts', head: 'Attempts', isNumber: true, value: (r: DeliveryRow) => r.attempts },
      { key: 'http', head: 'HTTP', isNumber: true, value: (r: DeliveryRow) => r.http_status || '' },
      { key: 'error', head: 'Error', class: 'wrap', value: (r: DeliveryRow) => r.error },
    ]} />
  </${Panel}>`
}
