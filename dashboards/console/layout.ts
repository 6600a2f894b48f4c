/** The frame around every view: navigation, time, pulse, theme, keys. Knows the views by name only. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { logout } from './api.ts'
import { type Children, html } from './html.ts'
import { refresh, setPaused, usePulse } from './live.ts'
import { chooseTheme, chosenTheme, type Theme } from './palette.ts'
import { go, here, to, usePlace } from './route.ts'
import { clock, DEFAULT_RANGE, RANGES, spanOf } from './time.ts'
import { VIEWS, type View } from './views.ts'

const KEYS: readonly (readonly [string, string])[] = [
  [
    'g then a letter',
    `go to a view: ${VIEWS.filter((v) => v.key)
      .map((v) => `${v.key} ${v.name}`)
      .join(', ')}`,
  ],
  ['/', 'filter'],
  ['p', 'pause or go on'],
  ['r', 'ask again now'],
  ['d', 'dark, light, as the system'],
  ['?', 'these keys'],
]
const THEMES: readonly Theme[] = ['auto', 'light', 'dark']

export function Layout({
  view,
  title,
  isLoggedIn,
  children,
}: {
  view: View | null
  title: string
  isLoggedIn: boolean
  children: Children
}) {
  const [isOpen, setOpen] = useState(false)
  const [theme, setTheme] = useState(chosenTheme())
  const help = useRef<HTMLDialogElement>(null)
  const place = usePlace()
  useEffect(() => setOpen(false), [place.path])
  useEffect(() => {
    document.title = `${title} · Weir`
  }, [title])
  const turnTheme = (): void => {
    const next = THEMES[(THEMES.indexOf(chosenTheme()) + 1) % THEMES.length]!
    chooseTheme(next)
    setTheme(next)
  }
  useKeys({ turnTheme, showHelp: () => help.current?.showModal() })
  return html`<a class="skip" href="#main" onClick=${skip}>Skip to content</a>
  <div class="frame">
    <nav class=${`side ${isOpen ? 'open' : ''}`} aria-label="Views">
      <a class="brand" href=${to('/')}><${Mark} /> Weir</a>
      <button type="button" class="menu small" aria-expanded=${isOpen ? 'true' : 'false'} aria-controls="views" onClick=${() => setOpen(!isOpen)}>Menu</button>
      <ul id="views">
        ${VIEWS.filter((v) => v.isListed).map(
          (v) =>
            html`<li key=${v.word}><a href=${to(`/${v.word}`)} aria-current=${view === v ? 'page' : undefined}>${v.name}</a></li>`,
        )}
      </ul>
      <div class="side-foot">
        <button type="button" class="quiet small" onClick=${turnTheme} aria-label=${`Theme: ${theme}. Change it`}>Theme: ${theme}</button>
        <button type="button" class="quiet small" onClick=${() => help.current?.showModal()}>Keys</button>
        ${isLoggedIn && html`<button type="button" class="quiet small" onClick=${() => logout().finally(() => location.reload())}>Log out</button>`}
      </div>
    </nav>
    <div class="content">
      <header class="top">
        <h1>${title}</h1>
        <${TimePicker} />
      </header>
      <main id="main" tabindex="-1">${children}</main>
    </div>
  </div>
  <dialog ref=${help} class="help" aria-label="Keys">
    <h2>Keys</h2>
    <dl>${KEYS.map(([key, what]) => html`<dt><kbd>${key}</kbd></dt><dd>${what}</dd>`)}</dl>
    <form method="dialog"><button>Close</button></form>
  </dialog>`
}

const skip = (event: Event): void => {
  event.preventDefault()
  document.getElementById('main')?.focus()
}

const Mark = () =>
  html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="7" /><path d="M6 11c3-3 6-3 10 0s7 3 10 0M6 17c3-3 6-3 10 0s7 3 10 0M9 23v4M16 23v4M23 23v4" /></svg>`

function TimePicker() {
  const place = usePlace()
  const { now_ms, isPaused } = usePulse()
  const { from_ms, to_ms, isLive } = spanOf(place, now_ms)
  const chosen = isLive ? place.params.range || DEFAULT_RANGE : 'custom'
  const length = to_ms - from_ms
  const move = (by: number) => () =>
    go(
      here({
        range: null,
        from: String(from_ms + by * length),
        to: String(to_ms + by * length),
        before: null,
      }),
    )
  const isKnown = RANGES.some((r) => r.key === chosen)
  return html`<div class="time" role="group" aria-label="Time range">
    <button type="button" class="small" aria-label="Earlier" onClick=${move(-0.5)}>‹</button>
    <select aria-label="Time range" value=${chosen} onChange=${(e: Event) => go(here({ range: (e.target as HTMLSelectElement).value, from: null, to: null, before: null }))}>
      ${!isKnown && html`<option value=${chosen}>${isLive ? `last ${chosen}` : `${clock(from_ms, { seconds: false })} – ${clock(to_ms, { seconds: false })}`}</option>`}
      ${RANGES.map((r) => html`<option key=${r.key} value=${r.key}>last ${r.name}</option>`)}
    </select>
    <button type="button" class="small" aria-label="Later" disabled=${isLive} onClick=${move(0.5)}>›</button>
    <button type="button" class="small" onClick=${refresh} title="Ask again now (r)">Refresh</button>
    <button type="button" class="small" aria-pressed=${isPaused ? 'true' : 'false'} title="Stop asking by itself (p)" onClick=${() => setPaused(!isPaused)}>
      <span class=${`dot ${isPaused || !isLive ? 'off' : ''}`} aria-hidden="true"></span>${isPaused ? 'Paused' : isLive ? 'Live' : 'Fixed'}
    </button>
  </div>`
}

function useKeys({ turnTheme, showHelp }: { turnTheme(): void; showHelp(): void }): void {
  const { isPaused } = usePulse()
  useEffect(() => {
    let isGoing = false
    const onKey = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement
      if (event.metaKey || event.ctrlKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName))
        return
      if (document.querySelector('dialog[open]')) return
      const { key } = event
      if (isGoing) {
        isGoing = false
        const view = VIEWS.find((v) => v.key === key)
        if (view) go(to(`/${view.word}`))
      } else if (key === 'g') isGoing = true
      else if (key === 'p') setPaused(!isPaused)
      else if (key === 'r') refresh()
      else if (key === 'd') turnTheme()
      else if (key === '?') showHelp()
      else if (key === '/') document.getElementById('filter-value')?.focus()
      else return
      event.preventDefault()
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [isPaused])
}
