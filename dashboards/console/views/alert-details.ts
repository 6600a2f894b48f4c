/** One alert with what it says of itself: figures, links, evidence, example traces, and how it came and went. */
import type { AlertEvent, AlertRow } from '../../../collector/queries/alerts.ts'
import { useAnswer } from '../answer.ts'
import { Sql, Traces } from '../evidence.ts'
import { plain } from '../format.ts'
import { type Children, html } from '../html.ts'
import { usePulse } from '../live.ts'
import { Panel } from '../panel.ts'
import { here, to } from '../route.ts'
import { ago, clock, utc } from '../time.ts'

const DAYS_BACK = 30
const TONES: Readonly<Record<string, string>> = {
  firing: 'bad',
  nodata: 'warn',
  pending: 'warn',
  resolved: 'good',
  critical: 'bad',
  error: 'bad',
  warning: 'warn',
}
const STATE_WORDS: Readonly<Record<string, string>> = {
  nodata: 'no data',
  resolved: 'over',
  inactive: 'quiet',
}
/** Said elsewhere in the row. */
const KNOWN = new Set(['alertname', 'severity', 'kind'])

export const isStanding = ({ state }: AlertRow): boolean => ['firing', 'pending', 'nodata'].includes(state)
export const stateWord = (state: string): string => STATE_WORDS[state] ?? state
export const labelText = ({ labels }: { labels: Record<string, string> }): string =>
  Object.entries(labels)
    .filter(([name]) => !KNOWN.has(name))
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')

export const StateTag = ({ state }: { state: string }) =>
  html`<span class=${`tag ${TONES[state] ?? ''}`}>${stateWord(state)}</span>`
export const AlertState = ({ alert }: { alert: AlertRow }) =>
  html`<${StateTag} state=${alert.state} />${alert.silenced && isStanding(alert) ? html` <span class="tag" title=${`by ${alert.silenced_by}`}>silenced</span>` : ''}`
export const Severity = ({ word }: { word: string }) =>
  html`<span class=${`tag ${TONES[word] ?? ''}`}>${word}</span>`
export const Since = ({ ms }: { ms: number }) =>
  html`<time datetime=${utc(ms)} title=${`${utc(ms)} (UTC)`}>${ago(ms)}</time>`

/**
 * Path and query of a link to the console, wherever its base points: it opens in this page, with the login it has.
 * '' for what is no such link.
 */
function ownPath(url: string | undefined): string {
  const parsed = url ? URL.parse(url, location.origin) : null
  return parsed?.pathname.startsWith('/') ? parsed.pathname + parsed.search : ''
}

function Runbook({ url }: { url: string }) {
  if (/^https?:\/\//i.test(url)) return html`<a href=${url} target="_blank" rel="noreferrer">${url}</a>`
  return html`<code>${url}</code>`
}

export function AlertDetails({ alert }: { alert: AlertRow }) {
  const { annotations } = alert
  const panel = ownPath(annotations.panel)
  const facts: [string, Children][] = [
    ['State', html`<${AlertState} alert=${alert} /> <${Severity} word=${alert.severity} />`],
    ['Since', `${clock(alert.starts_ms)}, ${ago(alert.starts_ms)}`],
    ...(alert.ends_ms > 0 ? [['Over', clock(alert.ends_ms)] as [string, Children]] : []),
    ['Value', plain(alert.value)],
    ['Fired', alert.times_fired === 1 ? 'once' : `${alert.times_fired} times`],
    ...(alert.silenced ? [['Kept quiet by', alert.silenced_by] as [string, Children]] : []),
    ...Object.entries(alert.labels).filter(([name]) => !KNOWN.has(name)),
    ...(annotations.runbook
      ? [['Runbook', html`<${Runbook} url=${annotations.runbook} />`] as [string, Children]]
      : []),
  ]
  return html`<${Panel} title=${alert.rule} class="half" actions=${html`<a class="quiet" href=${here({ alert: null })}>close</a>`}>
      <p class="state ${isStanding(alert) ? 'learning' : ''}">${annotations.summary || 'No summary.'}</p>
      <dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
      <div class="filters">
        ${panel && html`<a class="switch" href=${panel}>Figures at that time</a>`}
        <a class="switch" href=${to('/alerts', { show: 'silences', silence: alert.fingerprint })}>Silence …</a>
      </div>
    </${Panel}>
    <${Panel} title="Look into it" class="half">
      <${Sql} text=${annotations.evidence ?? ''} />
      <${Traces} ids=${(annotations.traces ?? '').split(' ').filter(Boolean)} />
      <${OwnHistory} fingerprint=${alert.fingerprint} />
    </${Panel}>`
}

function OwnHistory({ fingerprint }: { fingerprint: string }) {
  const { now_ms } = usePulse()
  const answer = useAnswer<AlertEvent[]>(
    'alert-history',
    { fingerprint, from: now_ms - DAYS_BACK * 86_400_000, to: now_ms + 60_000, limit: 50 },
    fingerprint,
  )
  const rows = answer.rows ?? []
  return html`<${Panel} title="How it came and went" level=${3} note=${`of the last ${DAYS_BACK} days`} answer=${{ ...answer, csv: '' }} isEmpty=${rows.length === 0}>
    <ul class="sentences">${rows.map((e) => html`<li key=${`${e.at_ms}${e.to_state}`}><${StateTag} state=${e.to_state} /> ${clock(e.at_ms)} <span class="muted">before: ${stateWord(e.from_state)}; value ${plain(e.value)}</span></li>`)}</ul>
  </${Panel}>`
}
