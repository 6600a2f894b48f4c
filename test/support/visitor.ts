/** A person's browser without a screen: keeps cookies by origin and path, follows redirects as far as it is told to. */

const HOPS_MAX = 20
type Cookie = { origin: string; path: string; name: string; value: string; line: string }
export type Page = { readonly url: URL; readonly response: Response; readonly text: string }

/** Whoever comes over a proxy is not at this machine. */
export const FAR = { 'x-forwarded-for': '203.0.113.7' }

export class VisitorBrowser {
  #cookies: Cookie[] = []

  /** Lines of Set-Cookie by which this browser keeps cookies of Weir now. */
  get kept(): readonly string[] {
    return this.#cookies.filter(({ name }) => name.startsWith('weir_')).map(({ line }) => line)
  }

  /** The Cookie header for an address. */
  cookiesFor(url: URL): string {
    return this.#cookies
      .filter(
        ({ origin, path }) =>
          origin === url.origin && `${url.pathname}/`.startsWith(path.replace(/\/?$/, '/')),
      )
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ')
  }

  /** One request, no redirect followed. */
  async get(address: string | URL): Promise<Page> {
    const url = new URL(address)
    const cookie = this.cookiesFor(url)
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { ...FAR, accept: 'text/html', ...(cookie ? { cookie } : {}) },
    })
    for (const line of response.headers.getSetCookie()) this.#keep(url, line)
    return { url, response, text: await response.text() }
  }

  /** Follows redirects until `isEnd` says of the next address that it is far enough, or there is no next. */
  async walk(address: string | URL, isEnd: (next: URL) => boolean = () => false): Promise<URL> {
    let at = new URL(address)
    for (let hop = 0; hop < HOPS_MAX; hop++) {
      const { response, url } = await this.get(at)
      const location = response.headers.get('location')
      if (location === null) return at
      at = new URL(location, url)
      if (isEnd(at)) return at
    }
    throw new Error(`still on the way after ${HOPS_MAX} redirects: ${at.origin}${at.pathname}`)
  }

  #keep(url: URL, line: string): void {
    const [pair = '', ...rest] = line.split(';').map((part) => part.trim())
    const name = pair.slice(0, pair.indexOf('='))
    const value = pair.slice(pair.indexOf('=') + 1)
    const path = rest.find((part) => part.startsWith('Path='))?.slice('Path='.length) ?? '/'
    const isOld = (one: Cookie): boolean =>
      one.origin === url.origin && one.name === name && one.path === path
    this.#cookies = this.#cookies.filter((one) => !isOld(one))
    if (value !== '' && !rest.includes('Max-Age=0'))
      this.#cookies.push({ origin: url.origin, path, name, value, line })
  }
}
