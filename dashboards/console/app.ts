/** The console: finds out whether it may ask, and shows the view that the address names. */
import { render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { whenLoginIsNeeded } from './answer.ts'
import { login, type Session, session } from './api.ts'
import { html } from './html.ts'
import { Layout } from './layout.ts'
import { Panel } from './panel.ts'
import { followLinks, to, usePlace } from './route.ts'
import { VIEWS } from './views.ts'

function App() {
  const [state, setState] = useState<Session | null>(null)
  const place = usePlace()
  const look = (): void => {
    session().then(setState, () => setState({ open: true, logged_in: false, questions: [] }))
  }
  useEffect(() => {
    whenLoginIsNeeded(() => setState({ open: false, logged_in: false, questions: [] }))
    look()
  }, [])
  if (state && !state.open) return html`<${Login} onDone=${look} />`
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

function Login({ onDone }: { onDone(): void }) {
  const [error, setError] = useState('')
  const submit = (event: SubmitEvent): void => {
    event.preventDefault()
    const key = String(new FormData(event.target as HTMLFormElement).get('key'))
    login(key).then(onDone, (refused: Error & { fix?: string }) =>
      setError(`${refused.message}: ${refused.fix ?? ''}`),
    )
  }
  return html`<main class="login" id="main">
    <h1>Weir</h1>
    <form onSubmit=${submit}>
      <label for="key">API key of a caller</label>
      <input id="key" name="key" type="password" autocomplete="current-password" required autofocus />
      <button type="submit" class="primary">Log in</button>
      ${error && html`<p class="state error" role="alert">${error}</p>`}
      <p class="note">On the machine Weir runs on, the console opens without a key.</p>
    </form>
  </main>`
}

followLinks()
const root = document.getElementById('app')!
root.replaceChildren()
render(html`<${App} />`, root)
