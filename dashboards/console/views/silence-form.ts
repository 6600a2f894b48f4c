/** A silence to be: which alerts, how long, who and why. Asked again before it holds, with what it would keep quiet now. */
import { useState } from 'preact/hooks'
import type { AlertRow } from '../../../collector/queries/alerts.ts'
import { addSilence } from '../api.ts'
import { Ask } from '../dialog.ts'
import { html } from '../html.ts'
import { refresh } from '../live.ts'
import { Panel } from '../panel.ts'
import { go, here } from '../route.ts'
import { clock } from '../time.ts'
import { isStanding } from './alert-details.ts'

type Matcher = { name: string; op: string; value: string }

const OPERATORS = [
  ['=', 'is'],
  ['!=', 'is not'],
  ['=~', 'matches'],
  ['!~', 'does not match'],
] as const
/** Offered; an alert may have others. */
const LABELS = [
  'alertname',
  'severity',
  'server',
  'tool',
  'team',
  'caller',
  'slo',
  'anomaly',
  'budget',
  'receiver',
]
/** What makes an alert this one, of its labels. */
const TELLING = ['alertname', 'server', 'tool', 'team', 'caller', 'slo', 'budget', 'receiver']
const HOUR_MS = 3_600_000
const LENGTHS = [
  ['1 hour', HOUR_MS],
  ['4 hours', 4 * HOUR_MS],
  ['12 hours', 12 * HOUR_MS],
  ['1 day', 24 * HOUR_MS],
  ['7 days', 7 * 24 * HOUR_MS],
  ['30 days', 30 * 24 * HOUR_MS],
] as const

const matchersFrom = (alert: AlertRow | undefined): Matcher[] =>
  alert
    ? TELLING.filter((name) => alert.labels[name]).map((name) => ({
        name,
        op: '=',
        value: alert.labels[name]!,
      }))
    : [{ name: 'alertname', op: '=', value: '' }]

/** Whether an alert would be quiet; null where a pattern decides, which the collector reads. */
function isMet(matchers: readonly Matcher[], { labels }: AlertRow): boolean | null {
  const met = matchers.map(({ name, op, value }) =>
    op === '=' ? (labels[name] ?? '') === value : op === '!=' ? (labels[name] ?? '') !== value : null,
  )
  return met.includes(false) ? false : met.includes(null) ? null : true
}

function consequence(matchers: readonly Matcher[], alerts: readonly AlertRow[]): string {
  const met = alerts.filter(isStanding).map((alert) => isMet(matchers, alert))
  if (met.includes(null)) return 'How many alerts that is now, the collector tells by the pattern.'
  const n = met.filter(Boolean).length
  return n === 0
    ? 'No alert that stands now has these labels: it is for those to come.'
    : `${n} ${n === 1 ? 'alert that stands now falls' : 'alerts that stand now fall'} silent.`
}

type Draft = { matchers: Matcher[]; ends_at: number; created_by: string; comment: string }
type FormProps = { from: AlertRow | undefined; alerts: readonly AlertRow[] }

export function SilenceForm({ from, alerts }: FormProps) {
  const [matchers, setMatchers] = useState<readonly Matcher[]>(matchersFrom(from))
  const [draft, setDraft] = useState<Draft | null>(null)
  const [said, setSaid] = useState('')
  const names = [...new Set([...LABELS, ...alerts.flatMap((a) => Object.keys(a.labels))])]
  const submit = (event: SubmitEvent): void => {
    event.preventDefault()
    const entered = new FormData(event.target as HTMLFormElement)
    const text = (name: string): string => String(entered.get(name) ?? '').trim()
    setSaid('')
    setDraft({
      matchers: matchers.map((m) => ({ ...m, name: m.name.trim() })),
      ends_at: Date.now() + Number(entered.get('length')),
      created_by: text('created_by'),
      comment: text('comment'),
    })
  }
  const done = (): void => {
    setMatchers(matchersFrom(undefined))
    setSaid('The silence holds.')
    refresh()
    go(here({ silence: null }), { replace: true })
  }
  return html`<${Panel} title="Keep alerts quiet" note="they go on, but nobody is told">
    <form class="silence-form" onSubmit=${submit}>
      <${Matchers} matchers=${matchers} names=${names} onChange=${setMatchers} />
      <div class="line">
        <label>For<select name="length">${LENGTHS.map(([name, ms]) => html`<option key=${ms} value=${ms}>${name}</option>`)}</select></label>
        <label>Who you are<input name="created_by" type="text" maxlength="100" required /></label>
        <label>Why<input name="comment" type="text" maxlength="500" required /></label>
      </div>
      <div class="filters"><button type="submit" class="primary">Silence …</button><span class="note" role="status">${said}</span></div>
    </form>
    ${
      draft &&
      html`<${Ask} title="Keep these alerts quiet?" action="Keep quiet" onClose=${() => setDraft(null)} onYes=${() => addSilence(draft).then(done)}>
        <p><code>${draft.matchers.map(({ name, op, value }) => `${name}${op}"${value}"`).join(', ')}</code></p>
        <p>Until ${clock(draft.ends_at, { seconds: false })}. ${consequence(draft.matchers, alerts)}</p>
      </${Ask}>`
    }
  </${Panel}>`
}

type MatchersProps = {
  matchers: readonly Matcher[]
  names: readonly string[]
  onChange(matchers: readonly Matcher[]): void
}

function Matchers({ matchers, names, onChange }: MatchersProps) {
  const change = (at: number, more: Partial<Matcher>): void =>
    onChange(matchers.map((m, i) => (i === at ? { ...m, ...more } : m)))
  const entered = (event: Event): string => (event.target as HTMLInputElement).value
  return html`${matchers.map(
    (m, i) => html`<div class="matcher" role="group" aria-label=${`Condition ${i + 1}`} key=${i}>
      <input type="text" list="labels-known" aria-label="Label" required value=${m.name} spellcheck=${false} autocomplete="off" onInput=${(e: Event) => change(i, { name: entered(e) })} />
      <select aria-label="Comparison" value=${m.op} onChange=${(e: Event) => change(i, { op: entered(e) })}>${OPERATORS.map(([op, word]) => html`<option key=${op} value=${op}>${word}</option>`)}</select>
      <input type="text" aria-label="Value" required value=${m.value} spellcheck=${false} autocomplete="off" onInput=${(e: Event) => change(i, { value: entered(e) })} />
      ${matchers.length > 1 && html`<button type="button" class="small quiet" aria-label=${`Take condition ${i + 1} away`} onClick=${() => onChange(matchers.filter((_, at) => at !== i))}>×</button>`}
    </div>`,
  )}
  <datalist id="labels-known">${names.map((name) => html`<option key=${name} value=${name}></option>`)}</datalist>
  <div><button type="button" class="small" onClick=${() => onChange([...matchers, { name: '', op: '=', value: '' }])}>Add a condition</button></div>`
}
