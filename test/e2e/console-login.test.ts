/**
 * Login to the console at a real issuer, in a real installation: started while the issuer is away, over HTTP from end to end, and in
 * a real browser. Whoever asks comes over a proxy, so that nobody is at this machine.
 */
import { createHash } from 'node:crypto'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { CHROMIUM } from '../console/support/chromium.ts'
import { type Looking, look } from '../console/support/looking.ts'
import {
  type AuthorizationServer,
  CONSOLE,
  startAuthorizationServer,
} from '../support/authorization-server.ts'
import { startWeir, type Weir } from '../support/installation.ts'
import { FAR, VisitorBrowser } from '../support/visitor.ts'
import { waitFor } from '../support/wait.ts'

const KEY = 'key-of-the-desk'
let idp: AuthorizationServer
let weir: Weir
let base: string

const config = (login: object | null = { ...CONSOLE, name: 'the company', callers: ['*@example.com'] }) => ({
  callers: { desk: { keys: [{ sha256: createHash('sha256').update(KEY).digest('hex') }] } },
  auth: { oauth: [{ issuer: idp.issuer, callers: [], ...(login ? { console: login } : { audience: 'x' }) }] },
})

beforeAll(async () => {
  idp = await startAuthorizationServer()
  idp.away(true)
  weir = await startWeir({ config: config() })
  base = weir.addresses.collector
  await weir.storing()
  idp.away(false)
  idp.admitConsole(`${base}/login/sso/callback`)
})
afterEach(() => {
  idp.visitor = { sub: 'ada@example.com' }
})
afterAll(async () => {
  await weir?.remove()
  await idp?.end()
})

const isBack = (url: URL): boolean => url.origin === base && !url.pathname.endsWith('/callback')
const status = async (browser: VisitorBrowser, path: string): Promise<number> =>
  (await browser.get(base + path)).response.status

test('a person the config lets in asks the store; an edit of the config that shuts them out counts at once', async () => {
  const browser = new VisitorBrowser()
  expect(await status(browser, '/api/tools')).toBe(401)
  expect((await browser.walk(`${base}/login/sso?to=/cost`, isBack)).href).toBe(`${base}/cost`)
  expect(await status(browser, '/api/tools')).toBe(200)
  for (const next of [config({ ...CONSOLE, callers: ['grace@*'] }), config(null)]) {
    weir.writeConfig(next)
    await waitFor('the person is out', async () => (await status(browser, '/api/tools')) === 401)
    weir.writeConfig(config())
    await waitFor('the person is in again', async () => (await status(browser, '/api/tools')) === 200)
  }
})

test('an issuer that is there for logins alone is named to no client, and its tokens open no call', async () => {
  const metadata = await fetch(`${weir.addresses.proxy}/.well-known/oauth-protected-resource`)
  expect(metadata.status).toBe(404)
  const answer = await fetch(`${weir.addresses.proxy}/mcp`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await idp.token(weir.addresses.proxy)}` },
  })
  expect(answer.status).toBe(401)
})

if (!CHROMIUM) process.stdout.write('SKIPPED: login to the console in a browser (no Chromium)\n')
describe.skipIf(!CHROMIUM)('in a browser (needs Chromium)', () => {
  let browser: Browser
  let looking: Looking

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox'] })
  })
  afterEach(() => looking?.close())
  afterAll(() => browser?.close())

  /** The page, and what went wrong in it besides refusals, which are looked for here. */
  async function at(path: string): Promise<Looking['page']> {
    looking = await look(browser, { extraHTTPHeaders: FAR })
    await looking.page.goto(base + path)
    await looking.page.waitForSelector('main.login')
    return looking.page
  }
  const wrong = (): string[] => looking.wrong.filter((line) => !/\b401\b/.test(line))
  const text = async (selector: string): Promise<string> =>
    (await looking.page.locator(selector).first().textContent()) ?? ''

  test('a person signs in, is where they wanted to be, and signs out', async () => {
    const page = await at('/tools?range=6h')
    expect(await looking.axe()).toEqual([])
    await page.getByRole('link', { name: 'Sign in with the company' }).click()
    await page.waitForSelector('main .panel')
    await looking.settled()
    expect(new URL(page.url()).pathname + new URL(page.url()).search).toBe('/tools?range=6h')
    const cookies = await page.context().cookies(base)
    expect(cookies.find(({ name }) => name === 'weir_console')).toMatchObject({
      httpOnly: true,
      sameSite: 'Strict',
    })
    expect(cookies.map(({ name }) => name)).not.toContain('weir_login')
    await page.reload()
    await page.waitForSelector('main .panel')
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.waitForSelector('main.login')
    expect(wrong()).toEqual([])
  })

  test('a person who is not let in reads why, and comes in by key', async () => {
    idp.visitor = { sub: 'mallory' }
    const page = await at('/cost')
    await page.getByRole('link', { name: 'Sign in with the company' }).click()
    await page.waitForSelector('[role=alert]')
    expect(await text('[role=alert]')).toContain('You may not see this console')
    expect(await looking.axe()).toEqual([])
    await page.fill('#key', KEY)
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.waitForSelector('main .panel')
    expect(wrong()).toEqual([])
  })

  test('an address made by others shows none of their words, and leads nowhere else', async () => {
    const page = await at('/login?error=<b>call+me</b>&with=evil.example&to=/%5Cevil.example')
    expect(await page.locator('[role=alert]').count()).toBe(0)
    expect(await text('main')).not.toContain('evil')
    const href = await page.getByRole('link', { name: 'Sign in with the company' }).getAttribute('href')
    expect(href).toBe(`${base}/login/sso?to=%2F`)
    await page.goto(`${base}/login?error=issuer_unavailable&with=sso`)
    await page.waitForSelector('[role=alert]')
    expect(await text('[role=alert]')).toContain('the company does not answer')
    expect(wrong()).toEqual([])
  })
})
