/** What needs a look, on the first page: alerts that stand and findings that are open, the newest of each. */
import type { AlertRow } from '../../../collector/queries/alerts.ts'
import type { AnomalyRow } from '../../../collector/queries/anomalies.ts'
import { useAnswer } from '../answer.ts'
import { count } from '../format.ts'
import { html } from '../html.ts'
import { Panel } from '../panel.ts'
import { to } from '../route.ts'
import { ago, momentMs } from '../time.ts'
import { AlertState, isStanding, Severity } from './alert-details.ts'

const SHOWN = 4
const counted = (n: number, what: string): string => `${count(n)} ${what}${n === 1 ? '' : 's'}`

export function Concerns() {
  const alerts = useAnswer<AlertRow[]>('alerts', { limit: 200 })
  const findings = useAnswer<AnomalyRow[]>('anomalies', { state: 'open', limit: 200 })
  const standing = (alerts.rows ?? []).filter(isStanding)
  const open = findings.rows ?? []
  const newest = standing.toSorted((a, b) => b.starts_ms - a.starts_ms).slice(0, SHOWN)
  const answer = alerts.error ? alerts : findings.error ? findings : alerts.rows === null ? alerts : findings
  const all = html`<a href=${to('/alerts')}>${counted(standing.length, 'alert')}</a>, <a href=${to('/alerts', { show: 'findings' })}>${counted(open.length, 'finding')}</a>`
  return html`<${Panel} title="Open findings and alerts" note=${all} answer=${{ ...answer, csv: '' }} isEmpty=${standing.length + open.length === 0}
    empty=${html`<span>Nothing is wrong by the <a href=${to('/alerts', { show: 'rules' })}>rules in force</a>, and nothing is unusual.</span>`}>
    <ul class="sentences">
      ${newest.map((a) => html`<li key=${a.fingerprint}><${AlertState} alert=${a} /> <${Severity} word=${a.severity} /> <a href=${to('/alerts', { alert: a.fingerprint })}>${a.annotations.summary || a.rule}</a> <span class="muted">${ago(a.starts_ms)}</span></li>`)}
      ${open.slice(0, SHOWN).map((f) => html`<li key=${f.id}><span class="tag warn">finding</span> <a href=${to('/alerts', { show: 'findings', finding: f.id })}>${f.summary || `${f.kind} of ${f.series}`}</a> <span class="muted">${ago(momentMs(f.started))}</span></li>`)}
    </ul>
  </${Panel}>`
}
