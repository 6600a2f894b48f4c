/** The way in: by an issuer's word or by an API key, and why the last try failed. */
import { useState } from 'preact/hooks'
import type { LoginFailure } from '../../event/login-failure.ts'
import { login, type Offer } from './api.ts'
import { html } from './html.ts'
import { go, usePlace } from './route.ts'

export const LOGIN_PATH = '/login'

/** What went wrong, and what to do. Only these words are shown, whatever the address says. */
const FAILURES: Readonly<Record<LoginFailure, (issuer: string) => readonly [string, string]>> = {
  issuer_unavailable: (issuer) => [
    `${issuer} does not answer`,
    "Try again in a moment, or log in with an API key. The collector's log says what is wrong.",
  ],
  login_refused: (issuer) => [
    `${issuer} did not let you in`,
    'Begin again, or ask who runs it whether you may use Weir.',
  ],
  login_invalid: (issuer) => [
    `The answer of ${issuer} does not fit this login`,
    "Begin again. If it fails again, the collector's log says what does not fit.",
  ],
  login_expired: () => [
    'This login is over',
    'It took too long, was used already, or was begun in another window or browser. Begin again.',
  ],
  client_refused: (issuer) => [
    `${issuer} does not know Weir as it is configured`,
    'Whoever runs Weir has to compare client_id, client_secret and client_auth in weir.yaml with what is registered there.',
  ],
  user_unknown: () => [
    'Weir does not know you',
    'Ask whoever runs Weir to add you to callers in weir.yaml, under the name that the login gives you. The log has it.',
  ],
  user_not_allowed: () => [
    'You may not see this console',
    'Ask whoever runs Weir to let you in: the callers and roles of the login in weir.yaml say who may.',
  ],
}

/** Where to go on to: this address, or the one of the console that an address of a failed login names. */
function target(path: string, to = '/'): string {
  if (path !== LOGIN_PATH) return path + location.search
  const url = URL.parse(to, location.origin)
  const isOwn = url?.origin === location.origin && !url.pathname.startsWith('//')
  return isOwn ? url.pathname + url.search : '/'
}

export function Login({
  isOpen,
  offers,
  onDone,
}: {
  isOpen: boolean
  offers: readonly Offer[]
  onDone(): void
}) {
  const [error, setError] = useState('')
  const { path, params } = usePlace()
  const to = target(path, params.to)
  const finish = (): void => {
    if (path === LOGIN_PATH) go(to, { replace: true })
    onDone()
  }
  const submit = (event: SubmitEvent): void => {
    event.preventDefault()
    const key = String(new FormData(event.target as HTMLFormElement).get('key'))
    login(key).then(finish, (refused: Error & { fix?: string }) =>
      setError(`${refused.message}: ${refused.fix ?? ''}`),
    )
  }
  const isFailure = path === LOGIN_PATH && Object.hasOwn(FAILURES, params.error ?? '')
  const issuer = offers.find(({ id }) => id === params.with)?.name ?? 'The issuer'
  const [what, fix] = isFailure ? FAILURES[params.error as LoginFailure](issuer) : ['', '']
  return html`<main class="login" id="main">
    <h1>Weir</h1>
    ${what && html`<p class="state error" role="alert"><strong>${what}</strong><span>${fix}</span></p>`}
    ${isOpen && html`<p class="note">The console is open to you. <a href=${to}>Go on</a></p>`}
    ${offers.map(({ id, name, href }) => html`<a key=${id} class="button" href=${`${href}?${new URLSearchParams({ to })}`}>Sign in with ${name}</a>`)}
    <form onSubmit=${submit}>
      <label for="key">API key of a caller</label>
      <input id="key" name="key" type="password" autocomplete="current-password" required autofocus=${offers.length === 0} />
      <button type="submit" class="primary">Log in</button>
      ${error && html`<p class="state error" role="alert">${error}</p>`}
      <p class="note">On the machine Weir runs on, the console opens without a key.</p>
    </form>
  </main>`
}
