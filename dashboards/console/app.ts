/** The console: finds out whether it may ask, and shows the view that the address names. */
import { render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { whenLoginIsNeeded } from './answer.ts'
import { type Session, session } from './api.ts'
import { html } from './html.ts'
import { Layout } from './layout.ts'
import { LOGIN_PATH, Login } from './login.ts'
import { Panel } from './panel.ts'
import { followLinks, to, usePlace } from './route.ts'
import { VIEWS } from './views.ts'

const CLOSED: Session = { open: false, logged_in: false, questions: [], offers: [] }

function App() {
  const [state, setState] = useState<Session | null>(null)
  const place = usePlace()
  const look = (): void => {
    session().then(setState, () => setState({ ...CLOSED, open: true }))
  }
  useEffect(() => {
    // Before the first answer there is nothing to close: it says itself whether the console is open.
    whenLoginIsNeeded(() => setState((before) => before && { ...CLOSED, offers: before.offers }))
    look()
  }, [])
  if (state && (!state.open || place.path === LOGIN_PATH))
    return html`<${Login} isOpen=${state.open} offers=${state.offers} onDone=${look} />`
  const [word = '', ...rest] = place.path.split('/').slice(1).map(decoded)
  const view = VIEWS.find((v) => v.word === word) ?? null
  const title = view ? [view.name, ...rest.map(shorten)].join(' / ') : 'Not found'
  return html`<${Layout} view=${view} title=${title} isLoggedIn=${state?.logged_in ?? false}>
    ${view ? html`<${view.component} key=${view.word} rest=${rest} />` : html`<${Panel} title="Nothing here" isEmpty=${true} empty=${html`There is no view at this address. <a href=${to('/')}>Overview</a>`} />`}
  </${Layout}>`
}

/** A segment of the path. One that is not encoded as it should be is taken as it stands. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/** Ids are told apart by their beginning. */
const shorten = (text: string): string => (/^[0-9a-f]{32}$/.test(text) ? `${text.slice(0, 12)}…` : text)

followLinks()
const root = document.getElementById('app')!
root.replaceChildren()
render(html`<${App} />`, root)
