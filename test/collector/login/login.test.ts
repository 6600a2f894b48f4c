/**
 * Logging in to the console by way of an issuer: a real collector (without a store), a real oidc-provider, and an issuer that lies
 * as each test wants it to. Whoever asks comes over a proxy, so that nobody is at this machine.
 */
import { generateKeyPair } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { openLog } from '../../../collector/log.ts'
import { type Collector, openCollector } from '../../../collector/wire.ts'
import { parseConfig } from '../../../config/load.ts'
import { collectorOptions as fromConfig } from '../../../supervisor/collector-options.ts'
import {
  type AuthorizationServer,
  CONSOLE,
  ID_TOKEN_S,
  startAuthorizationServer,
} from '../../support/authorization-server.ts'
import { type LyingIssuer, startLyingIssuer } from '../../support/lying-issuer.ts'
import { FAR, type Page, VisitorBrowser } from '../../support/visitor.ts'
import { collectorOptions } from '../support/processes.ts'

/** Nothing listens there. */
const NOWHERE = 'http://127.0.0.1:9'
const SHA = '2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae'

let idp: AuthorizationServer
let liar: LyingIssuer
let collector: Collector
let lines: string[] = []
/** Nonce of the login that was begun last. */
let nonce = ''

type Login = Record<string, unknown>
/** Options as `weir up` would give them for a weir.yaml with these logins. */
function options(real: Login = {}, lying: Login = {}, more: Record<string, unknown> = {}) {
  const yaml = JSON.stringify({
    callers: {
      'ada@example.com': { keys: [{ sha256: SHA }], roles: ['viewer'] },
      desk: { keys: [{ sha256: SHA.replace('2', '3'), scope: ['crm/*'] }] },
    },
    auth: {
      public_url: 'https://weir.example.com',
      oauth: [
        {
          issuer: idp.issuer,
          claims: { roles: 'groups' },
          console: { ...CONSOLE, id: 'sso', name: 'the company', ...real },
        },
        { issuer: liar.issuer, console: { id: 'liar', client_id: 'weir-console', callers: ['*'], ...lying } },
      ],
    },
    ...more,
  })
  const { config } = parseConfig(yaml, 'weir.yaml', {})
  const base = collectorOptions(NOWHERE, { log_level: 'info' })
  const made = fromConfig(config, {
    listen: base.listen,
    intake_token: base.intake_token,
    store: NOWHERE,
    store_password: '',
    alerts: base.alerts,
  })
  return { ...base, login: made.login!, caller_keys: made.caller_keys, has_callers: true }
}

beforeAll(async () => {
  idp = await startAuthorizationServer()
  liar = await startLyingIssuer(() => nonce)
  collector = await openCollector(
    options(),
    openLog('info', (line) => lines.push(line)),
  )
  idp.admitConsole(`${collector.address}/login/sso/callback`)
})
afterEach(() => {
  collector.reload(options())
  idp.visitor = { sub: 'ada@example.com' }
  idp.away(false)
  liar.metadata = {}
  lines = []
})
afterAll(async () => {
  await collector?.drain()
  await idp?.end()
  await liar?.end()
})

const at = (path: string): string => collector.address + path
const isBack = (url: URL): boolean => url.href.startsWith(at('/'))
const isCallback = (url: URL): boolean => isBack(url) && url.pathname.endsWith('/callback')
/** Whether the console is open to a browser. */
async function isIn(browser: VisitorBrowser): Promise<boolean> {
  return (await browser.get(at('/api/session'))).text.includes('"open":true')
}
/** Where a page sends the browser, below the console. */
const sentTo = ({ response }: Page): string => String(response.headers.get('location'))
const errorOf = (page: Page): string | null =>
  new URL(sentTo(page), collector.address).searchParams.get('error')

/** Up to the moment in which the issuer sends the browser back. */
async function returning(
  browser = new VisitorBrowser(),
  path = '/login/sso',
): Promise<{ browser: VisitorBrowser; back: URL }> {
  return { browser, back: await browser.walk(at(path), isCallback) }
}

/** A login at the issuer that lies, up to the way back. */
async function lied(token: LyingIssuer['token'], browser = new VisitorBrowser()): Promise<Page> {
  liar.token = token
  const begun = new URL(sentTo(await browser.get(at('/login/liar'))))
  nonce = begun.searchParams.get('nonce')!
  return browser.get(at(`/login/liar/callback?code=any&state=${begun.searchParams.get('state')}`))
}
const soon = (): number => Math.floor(Date.now() / 1000) + 600
const honest =
  (more: Record<string, unknown> = {}) =>
  (of: string) => ({
    claims: {
      iss: liar.issuer,
      sub: 'eve',
      aud: 'weir-console',
      exp: soon(),
      iat: soon() - 600,
      nonce: of,
      ...more,
    },
  })

describe('a person whom weir.yaml knows', () => {
  test('logs in at the issuer, comes back to where they were, and is in until they log out', async () => {
    const browser = new VisitorBrowser()
    expect(await isIn(browser)).toBe(false)
    const end = await browser.walk(
      at('/login/sso?to=%2Ftools%3Frange%3D6h'),
      (url) => isBack(url) && !isCallback(url),
    )
    expect(end.href).toBe(at('/tools?range=6h'))
    expect(await isIn(browser)).toBe(true)
    const response = await fetch(at('/api/logout'), {
      method: 'POST',
      headers: { ...FAR, cookie: browser.cookiesFor(new URL(at('/'))) },
    })
    expect(response.headers.get('set-cookie')).toContain('Max-Age=0')
    expect(await isIn(browser)).toBe(false)
  })

  test('brings PKCE, state and nonce, in a cookie that only this login gets to see', async () => {
    const browser = new VisitorBrowser()
    const page = await browser.get(at('/login/sso'))
    const { searchParams: asked, origin } = new URL(sentTo(page))
    expect(origin).toBe(idp.issuer)
    expect(Object.fromEntries(asked)).toMatchObject({
      response_type: 'code',
      client_id: CONSOLE.client_id,
      redirect_uri: at('/login/sso/callback'),
      scope: 'openid',
      code_challenge_method: 'S256',
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
    })
    const [cookie] = browser.kept
    expect(cookie).toMatch(/^weir_login=[^;]+; Path=\/login\/sso; HttpOnly; SameSite=Lax; Max-Age=600$/)
    for (const name of ['state', 'nonce']) expect(cookie).not.toContain(asked.get(name))
    expect(page.response.headers.get('cache-control')).toBe('no-store')
    expect(page.response.headers.get('referrer-policy')).toBe('no-referrer')
  })

  test('gets the same session as by key, and no longer than the login says', async () => {
    const { browser, back } = await returning()
    await browser.get(back)
    expect(browser.kept).toHaveLength(1)
    expect(browser.kept[0]).toMatch(
      /^weir_console=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=\d+$/,
    )
    const age_s = Number(/Max-Age=(\d+)/.exec(browser.kept[0]!)![1])
    expect(age_s).toBeLessThanOrEqual(ID_TOKEN_S)
    expect(age_s).toBeGreaterThan(ID_TOKEN_S / 2)
  })

  test('is named in the log and counted, and nothing of the login is in either', async () => {
    const { browser, back } = await returning()
    await browser.get(back)
    const told = lines.find((line) => line.includes('somebody logged in to the console'))!
    expect(JSON.parse(told)).toMatchObject({
      way: 'issuer',
      issuer: idp.issuer,
      principal: expect.stringMatching(/^ada@example\.com#[0-9a-f]{12}$/),
    })
    const metrics = await collector.metrics()
    expect(metrics).toMatch(/weir_console_logins_total\{way="issuer",result="ok"\} [1-9]/)
    for (const secret of [
      back.searchParams.get('code')!,
      back.searchParams.get('state')!,
      CONSOLE.client_secret,
    ])
      expect(lines.join('') + metrics).not.toContain(secret)
  })

  test('is out with the next request when weir.yaml does not let them in any more', async () => {
    const { browser, back } = await returning()
    await browser.get(back)
    expect(await isIn(browser)).toBe(true)
    collector.reload(options({ callers: ['grace@*'] }))
    expect(await isIn(browser)).toBe(false)
    collector.reload(options())
    expect(await isIn(browser)).toBe(true)
    collector.reload({ ...options(), login: { ...options().login, issuers: [] } })
    expect(await isIn(browser)).toBe(false)
  })

  test('may be named by a verified address that the issuer tells at its userinfo endpoint alone', async () => {
    collector.reload(options({ scopes: ['email'], caller: ['email'] }))
    idp.visitor = { sub: 'u-4711', email: 'ada@example.com', email_verified: true }
    const verified = await returning()
    await verified.browser.get(verified.back)
    expect(await isIn(verified.browser)).toBe(true)
    idp.visitor = { sub: 'u-4712', email: 'ada@example.com', email_verified: false }
    const other = await returning()
    expect(errorOf(await other.browser.get(other.back))).toBe('user_unknown')
    expect(await isIn(other.browser)).toBe(false)
  })
})

describe('who may enter', () => {
  const outcome = async (visitor: AuthorizationServer['visitor'], login: Login): Promise<string | null> => {
    collector.reload(options(login))
    idp.visitor = visitor
    const { browser, back } = await returning()
    const page = await browser.get(back)
    expect(await isIn(browser)).toBe(errorOf(page) === null)
    return errorOf(page)
  }

  test('unknown user: nobody whom weir.yaml does not name, unless it says so', async () => {
    expect(await outcome({ sub: 'mallory' }, {})).toBe('user_unknown')
    expect(await outcome({ sub: 'mallory' }, { callers: ['ada@*'] })).toBe('user_not_allowed')
    expect(await outcome({ sub: 'grace' }, { callers: ['gr*'] })).toBeNull()
  })

  test('nobody sees more than by an API key: a caller whose keys are all for some tools stays outside', async () => {
    expect(await outcome({ sub: 'desk' }, {})).toBe('user_not_allowed')
    expect(await outcome({ sub: 'desk' }, { callers: ['*'] })).toBe('user_not_allowed')
  })

  test('a role is asked for besides: of the issuer, or of the caller in weir.yaml', async () => {
    const roles = { scopes: ['groups'], callers: ['*'], roles: ['weir-viewer'] }
    expect(await outcome({ sub: 'grace', groups: ['other'] }, roles)).toBe('user_not_allowed')
    expect(await outcome({ sub: 'grace', groups: ['other', 'weir-viewer'] }, roles)).toBeNull()
    expect(await outcome({ sub: 'ada@example.com' }, { roles: ['viewer'] })).toBeNull()
  })

  test('the client is not the person: azp names nobody', async () => {
    const yaml = { callers: { 'weir-console': {} } }
    collector.reload(options({}, { callers: undefined }, yaml))
    expect(errorOf(await lied(honest({ azp: 'weir-console' })))).toBe('user_unknown')
  })
})

describe('a login that is not what it should be opens nothing', () => {
  const staysOut = async (browser: VisitorBrowser, page: Page, error: string): Promise<void> => {
    expect(page.response.status).toBe(303)
    expect(sentTo(page)).toMatch(/^\/login\?error=[a-z_]+&with=(?:sso|liar)$/)
    expect(errorOf(page)).toBe(error)
    expect(browser.kept.filter((line) => line.startsWith('weir_console='))).toEqual([])
    expect(await isIn(browser)).toBe(false)
  }

  test('wrong state: an answer to another login is not taken, and does not use up this one', async () => {
    const { browser, back } = await returning()
    const forged = new URL(back)
    const asked = idp.asked.length
    for (const state of ['A'.repeat(43), '']) {
      forged.searchParams.set('state', state)
      await staysOut(browser, await browser.get(forged), 'login_invalid')
    }
    forged.searchParams.delete('state')
    await staysOut(browser, await browser.get(forged), 'login_invalid')
    expect(idp.asked.slice(asked)).toEqual([])
    expect(sentTo(await browser.get(back))).toBe('/')
  })

  test('replayed code: a second visit of the callback is refused, also with the cookie kept back', async () => {
    const { browser, back } = await returning()
    const cookie = browser.cookiesFor(back)
    await browser.get(back)
    expect(await isIn(browser)).toBe(true)
    const visit = async (): Promise<Page> => {
      const response = await fetch(back, { redirect: 'manual', headers: { ...FAR, cookie } })
      return { url: back, response, text: '' }
    }
    await staysOut(new VisitorBrowser(), await visit(), 'login_expired')
    await staysOut(new VisitorBrowser(), await new VisitorBrowser().get(back), 'login_expired')
  })

  test('stolen code: with a login of their own, somebody else gets nothing for it', async () => {
    const victim = await returning()
    const thief = await returning()
    const url = new URL(thief.back)
    url.searchParams.set('code', victim.back.searchParams.get('code')!)
    await staysOut(thief.browser, await thief.browser.get(url), 'login_invalid')
  })

  test('cookie of another browser: without it, or with the one of another login, the way back leads nowhere', async () => {
    const { back } = await returning()
    const stranger = new VisitorBrowser()
    await staysOut(stranger, await stranger.get(back), 'login_expired')
    await stranger.get(at('/login/sso'))
    await staysOut(stranger, await stranger.get(back), 'login_invalid')
  })

  test('tampered cookie: one that we did not seal is none', async () => {
    const { browser, back } = await returning()
    const cookie = browser.cookiesFor(back).replace(/.{6}$/, 'AAAAAA')
    const response = await fetch(back, { redirect: 'manual', headers: { ...FAR, cookie } })
    await staysOut(new VisitorBrowser(), { url: back, response, text: '' }, 'login_expired')
  })

  test('wrong nonce: a token of another login is refused', async () => {
    const browser = new VisitorBrowser()
    await staysOut(browser, await lied((of) => honest()(`${of}x`), browser), 'login_invalid')
    await staysOut(browser, await lied(() => honest({ nonce: undefined })(''), browser), 'login_invalid')
  })

  test('wrong audience: a token for somebody else is refused', async () => {
    const browser = new VisitorBrowser()
    await staysOut(browser, await lied(honest({ aud: 'other-client' }), browser), 'login_invalid')
    await staysOut(browser, await lied(honest({ aud: ['weir-console', 'other'] }), browser), 'login_invalid')
  })

  test('expired login: a token that has run out, or never does, is refused', async () => {
    const browser = new VisitorBrowser()
    await staysOut(browser, await lied(honest({ exp: soon() - 700 }), browser), 'login_invalid')
    await staysOut(browser, await lied(honest({ exp: undefined }), browser), 'login_invalid')
  })

  test('forged signature: another key, a shared secret or an algorithm that is not listed is refused', async () => {
    const browser = new VisitorBrowser()
    const { privateKey } = await generateKeyPair('RS256')
    const secret = new TextEncoder().encode('s'.repeat(32))
    const with_ = (key: CryptoKey | Uint8Array, header: object) => (of: string) => ({
      ...honest()(of),
      key,
      header: { ...header },
    })
    await staysOut(browser, await lied(with_(privateKey, {}), browser), 'login_invalid')
    await staysOut(browser, await lied(with_(secret, { alg: 'HS256' }), browser), 'login_invalid')
    // Not even when the issuer says that it signs so.
    liar.metadata = { id_token_signing_alg_values_supported: ['RS256', 'RS512', 'HS256'] }
    collector.reload(options({}, { name: 'fresh' }))
    const strong = with_(await liar.keyFor('RS512'), { alg: 'RS512' })
    await staysOut(browser, await lied(strong, browser), 'login_invalid')
    await staysOut(browser, await lied(with_(secret, { alg: 'HS256' }), browser), 'login_invalid')
  })

  test('issuer swap: neither a token of another issuer, nor its answer, nor the callback of its login counts', async () => {
    const browser = new VisitorBrowser()
    await staysOut(browser, await lied(honest({ iss: idp.issuer }), browser), 'login_invalid')
    const { browser: other, back } = await returning()
    const named = new URL(back)
    named.searchParams.set('iss', liar.issuer)
    await staysOut(other, await other.get(named), 'login_invalid')
    const { browser: third, back: own } = await returning()
    const elsewhere = new URL(own.href.replace('/sso/', '/liar/'))
    const cookie = third.cookiesFor(own)
    const asked = liar.asked.length
    const response = await fetch(elsewhere, { redirect: 'manual', headers: { ...FAR, cookie } })
    await staysOut(new VisitorBrowser(), { url: elsewhere, response, text: '' }, 'login_expired')
    expect(liar.asked).toHaveLength(asked)
    // Nor one that has taken the place of the issuer meanwhile.
    const { browser: fourth, back: late } = await returning()
    const lying = options().login.issuers[1]!
    const taken = { ...lying, console: { ...lying.console, id: 'sso' } }
    collector.reload({ ...options(), login: { ...options().login, issuers: [taken] } })
    await staysOut(fourth, await fourth.get(late), 'login_expired')
    expect(liar.asked).toHaveLength(asked)
  })

  test('an issuer whose metadata name another one is not gone to', async () => {
    liar.metadata = { issuer: idp.issuer }
    collector.reload(options({}, { name: 'fresh' }))
    const browser = new VisitorBrowser()
    await staysOut(browser, await browser.get(at('/login/liar')), 'issuer_unavailable')
  })

  test('SSRF: metadata that lead to a neighbour are not followed', async () => {
    liar.metadata = { token_endpoint: 'http://169.254.169.254/latest/meta-data' }
    collector.reload(options({}, { name: 'fresh' }))
    const browser = new VisitorBrowser()
    await staysOut(browser, await lied(honest(), browser), 'issuer_unavailable')
    expect(lines.join('')).toContain('its URL is not https')
  })

  test('the honest answer of the same issuer is taken: what is refused above is refused for its flaw', async () => {
    const browser = new VisitorBrowser()
    expect(sentTo(await lied(honest(), browser))).toBe('/')
    expect(await isIn(browser)).toBe(true)
  })
})

describe('what can go wrong is told in words', () => {
  test('issuer down: the login says so, and the API key still opens the console', async () => {
    collector.reload(options({ name: 'fresh' }))
    idp.away(true)
    const browser = new VisitorBrowser()
    const page = await browser.get(at('/login/sso?to=/tools'))
    expect(sentTo(page)).toBe('/login?error=issuer_unavailable&with=sso&to=%2Ftools')
    const asked = idp.asked.length
    expect(errorOf(await browser.get(at('/login/sso')))).toBe('issuer_unavailable')
    expect(idp.asked).toHaveLength(asked)
    const response = await fetch(at('/api/login'), {
      method: 'POST',
      headers: { ...FAR, 'content-type': 'application/json' },
      body: '{"key":"foo"}',
    })
    expect(response.status).toBe(200)
    expect(lines.join('')).toMatch(/"way":"key"/)
    expect(lines.join('')).not.toContain('"foo"')
  })

  test('issuer down in the middle: the login ends with the same words', async () => {
    const { browser, back } = await returning()
    idp.away(true)
    expect(errorOf(await browser.get(back))).toBe('issuer_unavailable')
  })

  test('a person who turns away, and a client that the issuer does not know', async () => {
    idp.visitor = null
    const { browser, back } = await returning()
    expect(errorOf(await browser.get(back))).toBe('login_refused')
    idp.visitor = { sub: 'ada@example.com' }
    collector.reload(options({ client_secret: 'wrong-secret-of-the-console' }))
    const other = await returning()
    expect(errorOf(await other.browser.get(other.back))).toBe('client_refused')
    expect(lines.join('')).not.toContain('wrong-secret')
  })

  test('the page may offer each login, by its whole address', async () => {
    const { text } = await new VisitorBrowser().get(at('/api/session'))
    expect(JSON.parse(text)).toMatchObject({
      open: false,
      offers: [
        { id: 'sso', name: 'the company', href: at('/login/sso') },
        { id: 'liar', name: new URL(liar.issuer).host, href: at('/login/liar') },
      ],
    })
  })

  test.each([
    '/login/none',
    '/login/none/callback?code=x',
    '/login/%0d%0aset-cookie:x',
    '/login/sso;x=y/callback',
  ])('there is no login at %s', async (path) => {
    const { response } = await new VisitorBrowser().get(at(path))
    expect(response.status).toBe(404)
    expect(response.headers.get('set-cookie')).toBeNull()
  })
})

test('a console with a public name speaks of that name, and keeps its cookies to https', async () => {
  collector.reload(options({}, {}, { console: { public_url: 'https://weir.example.com' } }))
  const begun = new URL(sentTo(await new VisitorBrowser().get(at('/login/sso'))))
  expect(begun.searchParams.get('redirect_uri')).toBe('https://weir.example.com/login/sso/callback')
  const browser = new VisitorBrowser()
  await browser.get(at('/login/liar'))
  expect(browser.kept[0]).toMatch(/; Secure$/)
})
