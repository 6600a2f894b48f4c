/** What an SDK client needs to log in by itself: it keeps its tokens in memory, and its person follows every link. */
import type { OAuthClientProvider } from '@modelcontextprotocol/sdk/client/auth.js'

type Saved = {
  client?: Awaited<ReturnType<OAuthClientProvider['clientInformation']>>
  tokens?: Awaited<ReturnType<OAuthClientProvider['tokens']>>
  verifier?: string
}

const REDIRECT = 'http://127.0.0.1:9/callback'

export type Person = OAuthClientProvider & {
  /** Where the client sent its person, and the code that came of it. */
  readonly sent: URL[]
  code: string
  /** Who says to have issued it. */
  iss: string
}

export function makePerson(): Person {
  const saved: Saved = {}
  const sent: URL[] = []
  const person = {
    sent,
    code: '',
    iss: '',
    redirectUrl: REDIRECT,
    clientMetadata: {
      client_name: 'an agent with a person',
      redirect_uris: [REDIRECT],
      grant_types: ['authorization_code'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    clientInformation: () => saved.client,
    saveClientInformation: (client: Saved['client']) => {
      saved.client = client
    },
    tokens: () => saved.tokens,
    saveTokens: (tokens: Saved['tokens']) => {
      saved.tokens = tokens
    },
    saveCodeVerifier: (verifier: string) => {
      saved.verifier = verifier
    },
    codeVerifier: () => saved.verifier!,
    async redirectToAuthorization(url: URL) {
      sent.push(url)
      Object.assign(person, await codeOf(url))
    },
  }
  return person as Person
}

/** Follows redirects, with cookies, until one leads back to the client. */
async function codeOf(from: URL): Promise<{ code: string; iss: string }> {
  const cookies = new Map<string, string>()
  let url = from
  for (let i = 0; i < 20; i++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await fetch(url, { redirect: 'manual', headers: { cookie } })
    for (const line of answer.headers.getSetCookie()) {
      const [name, value] = line.split(';', 1)[0]!.split('=') as [string, string]
      cookies.set(name, value)
    }
    const location = answer.headers.get('location')
    if (!location) throw new Error(`${url.href}: HTTP ${answer.status} ${await answer.text()}`)
    url = new URL(location, url)
    if (url.href.startsWith(REDIRECT)) {
      const code = url.searchParams.get('code')
      if (!code) throw new Error(url.search)
      return { code, iss: url.searchParams.get('iss') ?? '' }
    }
  }
  throw new Error('too many redirects')
}
