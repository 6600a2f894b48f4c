/** A box of a view, in each of its states: asking (with time and cancel), refused (with what to do), empty, learning, shown. */
import { useEffect, useState } from 'preact/hooks'
import type { Answer } from './answer.ts'
import { type Children, html } from './html.ts'

type PanelProps = {
  title: string
  /** One line of explanation beside the title. */
  note?: Children
  answer?: Answer<unknown>
  /** Shown in place of the content when there is nothing to show. */
  empty?: Children
  isEmpty?: boolean
  /** Set when there is not enough of it yet: what is missing. */
  learning?: Children
  actions?: Children
  class?: string
  /** 2 unless the panel is inside another. */
  level?: 2 | 3
  children?: Children
}

export function Panel(props: PanelProps) {
  const { title, note, answer, actions, level = 2 } = props
  const isFirst = answer?.isAsking && answer.rows === null && !answer.error
  return html`<section class=${`panel ${props.class ?? ''} ${answer?.isAsking ? 'asking' : ''}`} aria-busy=${answer?.isAsking ? 'true' : 'false'} aria-label=${title}>
    <header class="panel-head">
      ${level === 2 ? html`<h2>${title}</h2>` : html`<h3>${title}</h3>`}
      ${note && html`<span class="note">${note}</span>`}
      <span class="actions">
        ${answer?.csv && answer.rows !== null && html`<a class="quiet" href=${answer.csv} download aria-label=${`${title} as CSV`}>CSV</a>`}
        ${actions}
      </span>
    </header>
    ${answer?.isAsking && html`<${Asking} answer=${answer} isFirst=${isFirst} />`}
    ${answer?.error && html`<${ErrorState} answer=${answer} />`}
    ${content(props)}
  </section>`
}

function content({ answer, isEmpty, empty, learning, children }: PanelProps) {
  if (answer && answer.rows === null) return null
  if (isEmpty) return html`<div class="state">${empty ?? 'Nothing in this time range.'}</div>`
  if (learning)
    return html`<div class="state learning"><strong>Learning.</strong> ${learning}</div>${children}`
  return children
}

/** Quick answers pass without a word; slow ones show how long they take, and can be ended. */
function Asking({ answer, isFirst }: { answer: Answer<unknown>; isFirst: boolean }) {
  const [elapsed_s, setElapsed] = useState(0)
  useEffect(() => {
    setElapsed(0)
    const timer = setInterval(() => setElapsed((performance.now() - answer.asked_at) / 1000), 500)
    return () => clearInterval(timer)
  }, [answer.asked_at])
  // Beside what is shown already it waits a little longer, and moves nothing.
  if (elapsed_s < (isFirst ? 1 : 3))
    return isFirst ? html`<div class="state skeleton" role="status">Asking …</div>` : null
  return html`<div class=${`state working ${isFirst ? '' : 'over'}`} role="status">
    <span class="spinner" aria-hidden="true"></span> Still asking, ${Math.floor(elapsed_s)} s
    <button type="button" class="small" onClick=${answer.cancel}>Cancel</button>
  </div>`
}

function ErrorState({ answer }: { answer: Answer<unknown> }) {
  const { message, fix } = answer.error!
  return html`<div class="state error" role="alert">
    <strong>${message}</strong><span>${fix}</span>
    <button type="button" class="small" onClick=${answer.retry}>Ask again</button>
  </div>`
}

/** One figure with its name and, if given, how it compares. */
export function Stat(props: {
  name: string
  value: Children
  note?: Children
  tone?: 'good' | 'bad' | 'warn' | ''
  href?: string
}) {
  const inside = html`<span class="stat-name">${props.name}</span>
    <span class=${`stat-value ${props.tone ?? ''}`}>${props.value}</span>
    ${props.note && html`<span class="stat-note">${props.note}</span>`}`
  return props.href
    ? html`<a class="stat" href=${props.href}>${inside}</a>`
    : html`<div class="stat">${inside}</div>`
}
