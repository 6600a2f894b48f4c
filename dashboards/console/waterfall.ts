/** Rows of a tree over one time axis, foldable, walked through by arrow keys: how a trace and a run are drawn. */
import { useState } from 'preact/hooks'
import { duration } from './format.ts'
import { type Children, html } from './html.ts'
import { unfolded } from './tree.ts'

const DRAWN_MAX = 400
const MORE = 1_000
const INDENT_PX = 14
const INDENTS_MAX = 14

export type Lane = {
  /** Unique among the lanes. */
  readonly id: string
  readonly depth: number
  /** How many lie below it. */
  readonly below: number
  readonly name: string
  readonly href: string
  readonly isChosen?: boolean
  /** Beside the name. */
  readonly note?: Children
  readonly start_us: number
  readonly duration_us: number
  readonly isForeign: boolean
  readonly isBad: boolean
  /** Whether it decided when all was over. */
  readonly isCritical?: boolean
  /** What its time was spent on, in order. */
  readonly parts: readonly { color: string; us: number }[]
}

/** `begin` and `total`: the time axis, microseconds. */
type LanesProps = { label: string; lanes: readonly Lane[]; begin: number; total: number }

export function Lanes({ label, lanes, begin, total }: LanesProps) {
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set())
  const [max, setMax] = useState(DRAWN_MAX)
  const shown = unfolded(lanes, (lane) => folded.has(lane.id))
  const toggle = (id: string) => (): void => {
    const next = new Set(folded)
    if (!next.delete(id)) next.add(id)
    setFolded(next)
  }
  const onKey = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (!step) return
    const links = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('a.span-name')]
    links[links.indexOf(document.activeElement as HTMLElement) + step]?.focus()
    event.preventDefault()
  }
  return html`<div class="waterfall" onKeyDown=${onKey}><div class="waterfall-inner">
    <div class="ruler" aria-hidden="true">${[0, 0.25, 0.5, 0.75].map((at) => html`<span key=${at} style=${{ left: `${at * 100}%` }}>${duration(total * at)}</span>`)}</div>
    <ul aria-label=${label}>
    ${shown.slice(0, max).map(
      (lane) => html`<li key=${lane.id} class=${`span ${lane.isChosen ? 'selected' : ''}`}>
        <div class="span-label" style=${{ paddingLeft: `${Math.min(lane.depth, INDENTS_MAX) * INDENT_PX}px` }}>
          ${
            lane.below > 0
              ? html`<button type="button" class="fold" aria-expanded=${folded.has(lane.id) ? 'false' : 'true'} aria-label=${`${lane.below} below ${lane.name}`} onClick=${toggle(lane.id)}>${folded.has(lane.id) ? '▸' : '▾'}</button>`
              : html`<span class="fold"></span>`
          }
          <a class="span-name" href=${lane.href} aria-current=${lane.isChosen ? 'true' : undefined}>${lane.name}</a>
          ${lane.note}
        </div>
        <div class="lane"><${Bar} lane=${lane} begin=${begin} total=${total} /></div>
      </li>`,
    )}
    </ul></div>
    ${shown.length > max && html`<button type="button" class="small" onClick=${() => setMax(max + MORE)}>Show ${Math.min(MORE, shown.length - max)} of ${shown.length - max} more</button>`}
  </div>`
}

function Bar({ lane, begin, total }: { lane: Lane; begin: number; total: number }) {
  const left = ((lane.start_us - begin) / total) * 100
  const width = (lane.duration_us / total) * 100
  const label = {
    left: left + width > 82 ? 'auto' : `calc(${left + width}% + 6px)`,
    right: left + width > 82 ? `calc(${100 - left}% + 6px)` : 'auto',
  }
  return html`<div class=${`piece ${lane.isForeign ? 'foreign' : 'own'} ${lane.isBad ? 'failed' : ''}`} style=${{ left: `${left}%`, width: `${Math.max(width, 0.15)}%` }}>
      ${lane.parts.map(({ color, us }, i) => html`<i key=${i} class=${color} style=${{ width: `${(us / Math.max(1, lane.duration_us)) * 100}%` }}></i>`)}
    </div>
    ${lane.isCritical && html`<div class="critical" style=${{ left: `${left}%`, width: `${Math.max(width, 0.4)}%` }}></div>`}
    <span class="piece-label" style=${label}>${duration(lane.duration_us)}</span>`
}
