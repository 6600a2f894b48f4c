/** The console of a real installation: a call made while somebody looks shows by itself; from elsewhere a key is asked for. */
import { createHash } from 'node:crypto'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Observed, startObserved } from '../e2e/support/observed.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { CHROMIUM } from './support/chromium.ts'
import { look } from './support/looking.ts'

const KEY = 'key-of-the-console-reader'

describe.skipIf(!CHROMIUM)('the console of an installation (needs Chromium)', () => {
  let upstream: UpstreamStub
  let weir: Observed
  let browser: Browser
  let console_: string

  beforeAll(async () => {
    upstream = await startUpstream({ sessions: false })
    weir = await startObserved({
      servers: { stub: { url: upstream.url } },
      callers: {
        reader: { team: 'ops', keys: [{ sha256: createHash('sha256').update(KEY).digest('hex') }] },
      },
      capture: { keep: [{ tools: '*', arguments: true, results: true }] },
    })
    await weir.weir.storing()
    console_ = weir.weir.addresses.collector
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox'] })
  })
  afterAll(async () => {
    await browser?.close()
    await weir?.stop()
    await upstream?.end()
  })

  const call = (id: string, text: string): Promise<Response> =>
    fetch(`${weir.url}/servers/stub/mcp`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${KEY}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id,
        method: 'tools/call',
        params: { name: 'echo', arguments: { text } },
      }),
    })

  test('prints its address', () => {
    expect(weir.weir.output).toContain(`${console_}/`)
  })

  test('an empty installation says what to do; a call shows without a reload, and leads to its trace', async () => {
    const looking = await look(browser)
    const { page, wrong } = looking
    await page.goto(`${console_}/tools`)
    await looking.settled()
    expect(await page.textContent('main')).toContain('point a client at Weir')
    const answer = await call('live-1', '<img src=x onerror=alert(1)>')
    expect(answer.status).toBe(200)
    await answer.text()
    await looking.until("document.querySelectorAll('tbody tr').length > 0")
    expect(await page.textContent('tbody')).toContain('echo')
    await page.click('tbody a')
    await looking.until("document.querySelector('h1').textContent.includes('echo')")
    await page.click('section[aria-label="Slowest calls"] tbody a')
    await looking.until("document.querySelectorAll('.payload').length > 0")
    expect(await page.textContent('.payload')).toContain('<img src=x onerror=alert(1)>')
    expect(await page.$$eval('main img', (found) => found.length)).toBe(0)
    expect(wrong).toEqual([])
    await looking.close()
  })

  test('paused, nothing is asked', async () => {
    const looking = await look(browser)
    const { page } = looking
    await page.goto(`${console_}/tools`)
    await looking.settled()
    await page.click('text=Live')
    await looking.until("document.querySelector('.time').textContent.includes('Paused')")
    await looking.settled()
    let asked = 0
    page.on('request', () => asked++)
    await call('paused-1', 'x').then((r) => r.text())
    await weir.events("request_id = 'paused-1'", 1)
    expect(asked).toBe(0)
    await page.keyboard.press('r')
    await looking.until(
      "[...document.querySelectorAll('tbody tr')].some((tr) => tr.cells[2].textContent === '2')",
    )
    expect(asked).toBeGreaterThan(0)
    await looking.close()
  })

  test('from elsewhere it asks for a key, lets its holder in, and out again', async () => {
    const looking = await look(browser, { extraHTTPHeaders: { 'x-forwarded-for': '203.0.113.9' } })
    const { page } = looking
    await page.goto(`${console_}/audit`)
    await page.waitForSelector('#key')
    expect(await looking.axe()).toEqual([])
    await page.fill('#key', 'wrong')
    await page.click('text=Log in')
    await page.waitForSelector('[role=alert]')
    expect(await page.textContent('[role=alert]')).toContain('no caller has this key')
    await page.fill('#key', KEY)
    await page.click('text=Log in')
    await looking.until("document.querySelector('h1')?.textContent === 'Audit'")
    await looking.settled()
    await looking.until("document.querySelectorAll('tbody tr').length > 0")
    expect(await page.evaluate('document.cookie')).toBe('')
    await page.click('text=Log out')
    await page.waitForSelector('#key')
    await looking.close()
  })
})
