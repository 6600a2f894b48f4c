/** The rules in force, and how their last evaluation went. */
import type { RuleRow } from '../../../collector/queries/alerts.ts'
import { useAnswer } from '../answer.ts'
import { html } from '../html.ts'
import { Panel } from '../panel.ts'
import { Table } from '../table.ts'
import { Severity, Since } from './alert-details.ts'

const TONES = { ok: 'good', failed: 'bad', skipped: 'warn' } as const

export function Rules() {
  const answer = useAnswer<RuleRow[]>('alert-rules', {})
  const rows = answer.rows ?? []
  const bad = rows.filter((r) => r.state !== 'ok').length
  return html`<${Panel} title="Rules in force" note=${bad > 0 ? `${bad} of ${rows.length} could not be looked at` : `${rows.length} rules`} answer=${answer} isEmpty=${rows.length === 0}
    empty="No rule has been looked at yet: the first look comes within a minute of the start.">
    <${Table} id="rules" caption="Rules in force" rows=${rows} page_size=${100} columns=${[
      { key: 'rule', head: 'Rule', value: (r: RuleRow) => r.rule },
      {
        key: 'state',
        head: 'State',
        value: (r: RuleRow) => r.state,
        cell: (r: RuleRow) => html`<span class=${`tag ${TONES[r.state]}`}>${r.state}</span>`,
      },
      {
        key: 'severity',
        head: 'Severity',
        value: (r: RuleRow) => r.severity,
        cell: (r: RuleRow) => html`<${Severity} word=${r.severity} />`,
      },
      { key: 'kind', head: 'Looks at', value: (r: RuleRow) => r.kind },
      { key: 'about', head: 'When', class: 'wrap', value: (r: RuleRow) => r.about },
      { key: 'detail', head: 'Remark', class: 'wrap', value: (r: RuleRow) => r.detail },
      {
        key: 'at',
        head: 'Looked at',
        isNumber: true,
        value: (r: RuleRow) => r.evaluated_ms,
        cell: (r: RuleRow) => html`<${Since} ms=${r.evaluated_ms} />`,
      },
    ]} />
  </${Panel}>`
}
