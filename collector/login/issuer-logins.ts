/** The issuers at which people log in to the console, as the config in force has them, and the logins under way there. */
import { type AskIssuer, makeAskIssuer } from '../../net/issuer-fetch.ts'
import { type LoginOptions, NO_LOGIN, type Person, personOf, whyNot } from './entry.ts'
import { IssuerLogin, LoginFailed } from './issuer-login.ts'
import { openPendingLogins } from './pending.ts'

export type Offer = { readonly id: string; readonly name: string; readonly href: string }
export type Begun = { readonly sealed: string; readonly url: URL; readonly isSecure: boolean }
export type Finished = {
  readonly person: Person
  readonly expires_ms: number
  readonly to: string
  readonly isSecure: boolean
}

export type IssuerLogins = {
  /** What a page may offer. */
  offers(): Offer[]
  /** A login at the issuer of that id, to come back to a path of the console; null: there is none. Throws LoginFailed. */
  begin(id: string, to: string): Promise<Begun | null>
  /** `search`: what the browser brought from the issuer; `sealed`: what it kept. Null and throws as above, and TokenRefused. */
  finish(id: string, search: string, sealed: string | null): Promise<Finished | null>
  /** The address of the console's own listener. */
  listens(address: string): void
  reload(options: LoginOptions | undefined): void
}

export function openIssuerLogins(
  first: LoginOptions | undefined,
  ask: AskIssuer = makeAskIssuer(),
  now_ms: () => number = Date.now,
): IssuerLogins {
  const pending = openPendingLogins(now_ms)
  let own = ''
  let options = NO_LOGIN
  let issuers = new Map<string, IssuerLogin>()
  const base = (): string => options.public_url || own
  const isSecure = (): boolean => base().startsWith('https:')
  const callback = (id: string): string => `${base()}/login/${id}/callback`
  const reload: IssuerLogins['reload'] = (next = NO_LOGIN) => {
    const before = issuers
    options = next
    issuers = new Map(
      next.issuers.map((issuer) => {
        const known = before.get(issuer.console.id)
        const isSame = JSON.stringify(known?.issuer) === JSON.stringify(issuer)
        return [issuer.console.id, known && isSame ? known : new IssuerLogin(issuer, ask, now_ms)]
      }),
    )
  }
  reload(first)
  return {
    offers: () =>
      [...issuers.values()].map(({ issuer }) => ({
        id: issuer.console.id,
        name: issuer.console.name ?? new URL(issuer.issuer).host,
        // Whole: the cookie of a login is good at the name to which the issuer sends the browser back.
        href: `${base()}/login/${issuer.console.id}`,
      })),
    async begin(id, to) {
      const issuer = issuers.get(id)
      if (!issuer) return null
      const begun = await issuer.begin(callback(id), to)
      return { sealed: await pending.seal(begun.pending), url: begun.url, isSecure: isSecure() }
    },
    async finish(id, search, sealed) {
      const issuer = issuers.get(id)
      if (!issuer) return null
      const kept = sealed === null ? null : await pending.open(sealed)
      if (kept?.issuer !== issuer.issuer.issuer)
        throw new LoginFailed('login_expired', 'this browser brought no login that is under way')
      const url = new URL(callback(id) + search)
      // A stranger's link must not use up the login.
      if (url.searchParams.get('state') !== kept.state)
        throw new LoginFailed('login_invalid', 'the state is not that of this login')
      if (!pending.spend(kept)) throw new LoginFailed('login_expired', 'this login was used before')
      const { claims, expires_ms } = await issuer.finish(url, kept)
      const person = personOf(claims, issuer.issuer)
      const failure = person === null ? 'user_unknown' : whyNot(person, options)
      if (person === null || failure !== null)
        throw new LoginFailed(failure ?? 'user_unknown', `as ${person?.principal ?? 'nobody'}`)
      if (expires_ms <= now_ms()) throw new LoginFailed('login_invalid', 'the ID token has run out')
      return { person, expires_ms, to: kept.to, isSecure: isSecure() }
    },
    listens(address) {
      own = address
    },
    reload,
  }
}
