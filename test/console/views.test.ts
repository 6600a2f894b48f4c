/**
 * Every view in a real browser, over known calls: drawn without an error, figures as the store has them, readable in light and
 * dark, on a laptop and a phone, by keyboard. Needs Chromium; WEIR_SCREENSHOTS=1 writes the pictures of docs/screenshots.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { NO_MONEY } from '../../config/price-book.ts'
import { CHROMIUM } from './support/chromium.ts'
import { type Looking, look } from './support/looking.ts'
import { EVIL, FINDINGS, RUN_ID, startWorld, type World } from './support/seeded.ts'

const PICTURES = join(import.meta.dirname, '../../docs/screenshots')
/** Views without figures yet. */
const UNDRAWN = new Set(['objectives', 'silences', 'rules', 'history'])
const isDrawing = Boolean(process.env.WEIR_SCREENSHOTS)
if (!CHROMIUM) process.stdout.write('SKIPPED: the console in a browser (no Chromium)\n')

describe.skipIf(!CHROMIUM)('the console (needs Chromium)', () => {
  let world: World
  let browser: Browser
  const open = new Set<Looking>()

  beforeAll(async () => {
    world = await startWorld()
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox'] })
    if (isDrawing) mkdirSync(PICTURES, { recursive: true })
  })
  afterAll(async () => {
    for (const looking of open) await looking.close()
    await browser?.close()
    await world?.stop()
  }, 240_000)

  async function at(path: string, options: Parameters<typeof look>[1] = {}): Promise<Looking> {
    const looking = await look(browser, options)
    open.add(looking)
    await looking.page.goto(world.address + path.replace('TRACE', world.trace_id))
    await looking.settled()
    return looking
  }
  const number = async (sql: string): Promise<number> => {
    const [row] = await world.reader.rows<Record<string, number>>(sql)
    return Number(Object.values(row!)[0])
  }

  const views = [
    ['overview', '/?range=6h', 'Overview'],
    ['tools', '/tools?range=6h', 'Tools'],
    ['tool', '/tools/news/get_headlines?range=6h', 'Tools / news / get_headlines'],
    ['trace', '/trace/TRACE?span=SPAN', 'Trace'],
    ['runs', '/runs?range=6h', 'Runs'],
    ['run', `/runs/${RUN_ID}`, `Runs / ${RUN_ID}`],
    ['cost', '/cost?period=range&range=7d', 'Cost'],
    ['callers', '/callers?range=6h', 'Callers'],
    ['servers', '/servers?range=6h', 'Servers'],
    ['server', '/servers/bank?range=7d&definition=get_balance', 'Servers / bank'],
    ['audit', '/audit?range=6h&outcome=failed', 'Audit'],
    ['policy', '/policy?range=6h', 'Policy'],
    ['alerts', '/alerts', 'Alerts'],
    ['findings', `/alerts?show=findings&finding=${FINDINGS.ended}`, 'Alerts'],
    ['objectives', '/alerts?show=objectives', 'Alerts'],
    ['silences', '/alerts?show=silences', 'Alerts'],
    ['rules', '/alerts?show=rules', 'Alerts'],
    ['history', '/alerts?show=history', 'Alerts'],
    ['health', '/health?range=6h', 'Weir health'],
  ] as const

  const screens = [
    ['light', { colorScheme: 'light' }],
    ['dark', { colorScheme: 'dark' }],
    ['phone', { colorScheme: 'light', viewport: { width: 390, height: 844 } }],
  ] as const
  // One test each, and minutes for it: axe looks at the colours of two thousand elements in a full table.
  test.each(
    views.flatMap(([name, path, title]) => screens.map((screen) => [name, path, title, ...screen] as const)),
  )('$0, $3: drawn without an error', { timeout: 180_000 }, async (name, path, title, kind, options) => {
    const [failed] = await world.reader.rows<{ span_id: string }>(
      `SELECT span_id FROM calls WHERE trace_id = '${world.trace_id}' AND outcome = 'tool_error'`,
    )
    const looking = await at(path.replace('SPAN', failed!.span_id), options)
    const { page } = looking
    expect(await page.textContent('h1')).toContain(title)
    expect(await page.title()).toContain('Weir')
    expect(await looking.axe()).toEqual([])
    expect(looking.wrong).toEqual([])
    // Nothing pushes the page wider than the screen: what is wide scrolls in its own box.
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0)
    // On a phone the bar with the name stands above, however little the view shows.
    if (kind === 'phone') expect(await page.$eval('.side', (bar) => bar.clientHeight)).toBeLessThan(80)
    if (isDrawing && !UNDRAWN.has(name))
      await page.screenshot({ path: join(PICTURES, `${name}-${kind}.png`) })
    await looking.close()
  })

  test('figures are what the store has', async () => {
    const to = Math.floor(world.now_ms / 1000) * 1000
    const from = to - 3_600_000
    const looking = await at(`/?from=${from}&to=${to}`)
    const within = `ts >= fromUnixTimestamp64Milli(${from}) AND ts < fromUnixTimestamp64Milli(${to})`
    const calls = await number(`SELECT count() FROM v_calls WHERE ${within}`)
    const failed = await number(`SELECT countIf(failed) FROM v_calls WHERE ${within}`)
    const stat = (name: string): Promise<string | null> =>
      looking.page.textContent(`.stat:has(.stat-name:text-is("${name}"))`)
    expect(calls).toBeGreaterThan(1000)
    expect(await stat('Calls')).toContain(calls.toLocaleString('en-US'))
    expect(await stat('Failed')).toContain(`${failed} calls`)
    const p95_ms =
      (await number(`SELECT quantileExact(0.95)(duration_us) FROM v_calls WHERE ${within}`)) / 1000
    expect(await stat('p95')).toContain(`${Math.round(p95_ms)} ms`)
    await looking.page.goto(`${world.address}/tools?from=${from}&to=${to}`)
    await looking.settled()
    const rows = await looking.page.$$eval('tbody tr', (trs) =>
      trs.map((tr) => [...tr.querySelectorAll('td')].map((td) => td.textContent ?? '')),
    )
    const known = await world.reader.rows<{ name: string; n: number }>(
      `SELECT concat(server, ' / ', tool) AS name, count() AS n FROM v_calls WHERE ${within} GROUP BY name ORDER BY n DESC, name`,
    )
    expect(rows.map((cells) => [cells[0]!.trim(), cells[2]])).toEqual(known.map((k) => [k.name, String(k.n)]))
    await looking.close()
  })

  /** Exact nano-dollars of a figure: what the page tells machines, and its text to the last place. */
  const nanoIn = (looking: Looking, selector: string): Promise<number[]> =>
    looking.page.$$eval(`${selector} data`, (found) =>
      found.map((e) => {
        const [nano, title] = [Number(e.getAttribute('value')), e.getAttribute('title')!]
        if (Math.round(Number(title.replace('$', '')) * 1e9) !== nano)
          throw new Error(`${title} is not ${nano}`)
        return nano
      }),
    )
  const stat = (name: string): string => `.stat:has(.stat-name:text-is("${name}"))`
  const panel = (name: string): string => `section[aria-label="${name}"]`
  const MONTH = "toStartOfMonth(toDate(now('UTC')))"

  test('the month and its budgets are what the store has, to the nano-dollar', {
    timeout: 180_000,
  }, async () => {
    const forecast = (): Promise<number> =>
      number("SELECT sum(forecast_nano) FROM v_month WHERE scope = 'all'")
    const before = await forecast()
    const looking = await at('/cost')
    const used = await number(`SELECT sum(cost_nano) FROM v_costs WHERE ts >= toDateTime(${MONTH}, 'UTC')`)
    const fixed = await number(`SELECT sum(cost_nano) FROM v_fixed_costs WHERE month = ${MONTH}`)
    const unpriced = await number(`SELECT sum(unpriced) FROM v_costs WHERE ts >= toDateTime(${MONTH}, 'UTC')`)
    expect(used).toBeGreaterThan(1e9)
    expect(fixed).toBe(100_000_000_007)
    expect(unpriced).toBeGreaterThan(100)
    expect(await nanoIn(looking, stat('Month to date'))).toEqual([used + fixed])
    const text = `$${((used + fixed) / 1e9).toFixed(9)}`
    expect(await looking.page.textContent(stat('Month to date'))).toContain(text)
    expect(await looking.page.textContent(`${stat('Month to date')} .stat-value`)).toContain('≥')
    expect(await nanoIn(looking, stat('Monthly prices'))).toEqual([fixed])
    expect(await looking.page.textContent(stat('Unpriced calls'))).toContain(unpriced.toLocaleString('en-US'))
    const [shown] = await nanoIn(looking, stat('Forecast to its end'))
    expect(shown).toBeLessThanOrEqual(before)
    expect(shown).toBeGreaterThanOrEqual(await forecast())
    const budgets = await world.reader.rows<{
      value: string
      state: string
      spent_nano: number
      amount_nano: number
    }>(
      'SELECT value, state, spent_nano, amount_nano FROM v_budgets ORDER BY spent_share DESC, scope, value, period',
    )
    const tiles = await looking.page.$$eval('.tile', (found) => found.map((e) => e.textContent ?? ''))
    expect(tiles).toHaveLength(4)
    const amounts = await nanoIn(looking, '.tile div:nth-child(3)')
    const crm = budgets.findIndex((b) => b.value === 'crm')
    budgets.forEach((b, i) => {
      expect(tiles[i]).toContain(b.value)
      // No call of crm has a price: what it spent is unknown, and neither a figure nor a state.
      expect(tiles[i]).toContain(i === crm ? 'unpriced of $50' : b.state.replace('_', ' '))
    })
    expect(amounts).toEqual(
      budgets.flatMap((b) => (b.value === 'crm' ? [b.amount_nano] : [b.spent_nano, b.amount_nano])),
    )
    await looking.close()
  })

  test('costs drill down from a team to its tools, and each level is what the store has', {
    timeout: 180_000,
  }, async () => {
    const looking = await at('/cost?period=range&range=7d')
    const { page } = looking
    const cells = (): Promise<string[][]> =>
      page.$$eval('section[aria-label^="Costs by"] tbody tr', (trs) =>
        trs.map((tr) =>
          [...tr.querySelectorAll('td')].map(
            (td) => td.querySelector('data')?.getAttribute('value') ?? td.textContent!.trim(),
          ),
        ),
      )
    const known = async (value: string, where: string): Promise<string[][]> =>
      (
        await world.reader.rows<{ value: string; nano: number; calls: number; unpriced: number }>(
          `SELECT ${value} AS value, sum(cost_nano) AS nano, sum(v.calls) AS calls, sum(v.unpriced) AS unpriced FROM v_costs AS v
           WHERE ${where} AND ts >= now() - 86400 * 7 GROUP BY value ORDER BY nano DESC, value`,
        )
      ).map((r) => [
        r.value,
        r.nano === 0 && r.unpriced > 0 ? 'unpriced' : String(r.nano),
        r.calls.toLocaleString('en-US'),
        r.unpriced.toLocaleString('en-US'),
      ])
    const steps = [
      ['team', 'toString(team)', '1', 'research'],
      ['project', 'toString(project)', "team = 'research'", 'advisory'],
      ['caller', 'toString(caller)', "team = 'research' AND project = 'advisory'", 'rm-agent'],
      [
        'agent',
        'toString(agent)',
        "team = 'research' AND caller = 'rm-agent' AND project = 'advisory'",
        'planner',
      ],
      [
        'server',
        'toString(server)',
        "team = 'research' AND agent = 'planner' AND project = 'advisory'",
        'bank',
      ],
      [
        'tool',
        "concat(server, '/', tool)",
        "team = 'research' AND agent = 'planner' AND server = 'bank' AND project = 'advisory'",
        '',
      ],
    ] as const
    for (const [by, value, where, next] of steps) {
      await page.waitForSelector(`${panel(`Costs by ${by}`)} tbody tr`)
      await looking.settled()
      const rows = await cells()
      expect(rows.map(([name, , nano, calls, unpriced]) => [name, nano, calls, unpriced])).toEqual(
        await known(value, where),
      )
      if (next) await page.click(`${panel(`Costs by ${by}`)} tbody a:text-is("${next}")`)
    }
    // The address holds all of it, and the same rows come as CSV.
    const again = await at(page.url().slice(world.address.length))
    expect(await again.page.$$eval('.chip', (found) => found.length)).toBe(5)
    const csv = await fetch(
      world.address + (await page.getAttribute(`${panel('Costs by tool')} a[download]`, 'href')),
    )
    expect((await csv.text()).split('\r\n')[1]).toContain('bank/get_balance')
    await again.close()
    await page.goto(`${world.address}/cost?period=range&range=7d&by=tag`)
    await looking.settled()
    await page.waitForSelector(`${panel('Costs by tag cost_center')} tbody tr`)
    expect((await cells()).map(([name, , nano]) => [name, nano])).toEqual(
      (await known("tags['cost_center']", '1')).map(([name, nano]) => [name || 'no cost_center', nano]),
    )
    expect(looking.wrong).toEqual([])
    await looking.close()
  })

  test('the context tax and versions of tools are what the store has', { timeout: 180_000 }, async () => {
    const looking = await at('/cost?period=range&range=7d')
    const unused = `${panel('Listed, never called')} tbody`
    const known = await world.reader.rows<{ name: string; read: number }>(
      "SELECT concat(server, ' / ', tool) AS name, context_tokens AS read FROM v_unused_tools(from = now() - 604800, to = now()) ORDER BY read DESC",
    )
    expect(known.map((k) => k.name)).toEqual(['files / delete_all', 'bank / close_account'])
    expect(
      await looking.page.$$eval(`${unused} tr`, (trs) =>
        trs.map((tr) => [...tr.querySelectorAll('td')].map((td) => td.textContent)),
      ),
    ).toEqual(
      known.map((k) => [k.name, expect.any(String), '12', k.read.toLocaleString('en-US'), 'unpriced']),
    )
    await looking.page.click(`${unused} a:text("close_account")`)
    await looking.until("document.querySelector('h1').textContent === 'Servers / bank'")
    await looking.page.click(`${panel('Tools as defined now')} a:text-is("get_balance")`)
    await looking.page.waitForSelector(`${panel('Versions of get_balance')} pre`)
    const texts = await looking.page.$$eval('.payload', (found) => found.map((e) => e.textContent ?? ''))
    expect(texts).toHaveLength(2)
    expect(JSON.parse(texts[0]!)).toMatchObject({ description: `${EVIL} get_balance` })
    expect(await looking.page.title()).not.toBe('owned')
    expect(looking.wrong).toEqual([])
    await looking.close()
  })

  test('without prices every cost is unknown, and the view says how to set one', {
    timeout: 240_000,
  }, async () => {
    const free = await startWorld({ money: NO_MONEY })
    try {
      const looking = await look(browser)
      open.add(looking)
      await looking.page.goto(`${free.address}/cost?period=range&range=7d`)
      await looking.settled()
      expect(await looking.page.textContent(`${stat('Month to date')} .stat-value`)).toBe('unpriced')
      expect(await looking.page.textContent(panel('Cost over time'))).toContain('per_call_usd: 0.002')
      expect(await looking.page.textContent(panel('Budgets'))).toContain('budget_usd_per_month')
      expect(await looking.page.textContent(panel('Costs by team'))).toContain('unpriced')
      expect(await looking.page.textContent('main')).not.toMatch(/cost[^.]*\$0(?![.\d])/i)
      expect(await looking.axe()).toEqual([])
      expect(looking.wrong).toEqual([])
      await looking.close()
    } finally {
      await free.stop()
    }
  })

  test('what policy said is counted by rule, and each refusal says by what and why', {
    timeout: 180_000,
  }, async () => {
    const looking = await at('/policy?range=6h')
    const { page } = looking
    const cells = (caption: string): Promise<string[][]> =>
      page.$$eval(`section[aria-label="${caption}"] tbody tr`, (trs) =>
        trs.map((tr) => [...tr.querySelectorAll('td')].map((td) => td.textContent!.trim())),
      )
    const by = new Map((await cells('Decisions')).map((row) => [`${row[0]} ${row[1]}`, Number(row[2])]))
    expect(Object.fromEntries(by)).toEqual({
      'allow research reads the bank': 6,
      'deny no large transfers': 6,
      'limit ten a second': 6,
      'invalid schema': 6,
      'shadow office hours': 4,
      'shadow small amounts': 3,
    })
    expect(await page.textContent('.stat:has(.stat-name:text-is("Refused"))')).toContain('18')
    expect(await page.textContent('.stat:has(.stat-name:text-is("Shadow"))')).toContain('7')
    expect(await cells('Refused lately')).toHaveLength(18)
    await page.click('section[aria-label="Refused lately"] a:text-is("no large transfers")')
    await looking.settled()
    const left = await cells('Refused lately')
    expect(left).toHaveLength(6)
    expect(left[0]!.join(' ')).toContain('args.amount is over what is allowed')
    expect(looking.wrong).toEqual([])
    await looking.close()
  })

  test('what tools say is shown as text, wherever it stands', { timeout: 180_000 }, async () => {
    const [failed] = await world.reader.rows<{ span_id: string }>(
      `SELECT span_id FROM calls WHERE trace_id = '${world.trace_id}' AND outcome = 'tool_error'`,
    )
    for (const path of [
      '/?range=6h',
      '/audit?text=script&range=6h',
      '/tools/bank/transfer?range=6h',
      `/trace/TRACE?span=${failed!.span_id}`,
    ]) {
      const looking = await at(path)
      const { page } = looking
      expect(await page.textContent('main')).toContain(EVIL.slice(0, 30))
      expect(await page.title()).not.toBe('owned')
      expect(
        await page.$$eval('main script, main img, main b', (found) => found.map((e) => e.outerHTML)),
      ).toEqual([])
      expect(looking.wrong).toEqual([])
      await looking.close()
    }
    const looking = await at(`/trace/TRACE?span=${failed!.span_id}`)
    const payloads = await looking.page.$$eval('.payload', (found) => found.map((e) => e.textContent ?? ''))
    expect(payloads).toHaveLength(2)
    expect(JSON.parse(payloads[0]!)).toEqual({ amount: 122, note: EVIL })
    await looking.close()
  })

  test('the waterfall holds the spans of the agent and of Weir, as a tree', async () => {
    const looking = await at('/trace/TRACE')
    const names = await looking.page.$$eval('.span-name', (found) => found.map((e) => e.textContent))
    expect(names.slice(0, 2)).toEqual(['answer the question', 'chat large-1'])
    expect(names).toHaveLength(8)
    await looking.page.click('.fold[aria-expanded=true]')
    expect(await looking.page.$$eval('.span-name', (found) => found.length)).toBe(1)
    await looking.close()
  })

  test('an address is a view: reopened, it shows the same; back and forward work', async () => {
    const looking = await at('/tools?range=6h')
    const { page } = looking
    await page.click('th button:text("p95")')
    await page.selectOption('.add-filter select', 'server')
    await page.fill('.add-filter input', 'bank')
    await page.press('.add-filter input', 'Enter')
    await looking.until("document.querySelectorAll('tbody tr').length === 2")
    await looking.settled()
    const cells = (p = page): Promise<string[]> =>
      p.$$eval('tbody td:first-child', (found) => found.map((e) => e.textContent!.trim()))
    const seen = await cells()
    expect(seen).toEqual(['bank / transfer', 'bank / get_balance'])
    const again = await at(page.url().slice(world.address.length))
    expect(await cells(again.page)).toEqual(seen)
    expect(await again.page.textContent('.chip')).toContain('bank')
    await again.close()
    await page.click('tbody a')
    await looking.until("document.querySelector('h1').textContent.includes('transfer')")
    await page.goBack()
    await looking.until("document.querySelector('h1').textContent === 'Tools'")
    await looking.until("document.querySelectorAll('tbody tr').length === 2")
    expect(await cells()).toEqual(seen)
    await page.click('.chip button')
    await looking.until("document.querySelectorAll('tbody tr').length === 6")
    expect(looking.wrong).toEqual([])
    await looking.close()
  })

  test('the keyboard reaches everything, and keys go to views', async () => {
    const looking = await at('/tools?range=6h')
    const { page } = looking
    const wanted = await page.evaluate<number>(
      '[...document.querySelectorAll(\'a[href], button:not([disabled]), select, input, summary, [tabindex="0"]\')].filter((e) => e.getClientRects().length > 0).length',
    )
    await page.press('body', 'p')
    const reached = new Set<string>()
    for (let i = 0; i < wanted + 5; i++) {
      await page.keyboard.press('Tab')
      const focused = await page.evaluate<string>(
        "document.activeElement === document.body ? '' : [...document.querySelectorAll('*')].indexOf(document.activeElement) + ' ' + (getComputedStyle(document.activeElement).outlineStyle !== 'none')",
      )
      if (focused) reached.add(focused)
    }
    expect(reached.size).toBeGreaterThanOrEqual(wanted)
    expect([...reached].filter((r) => r.endsWith('false'))).toEqual([])
    await page.evaluate('document.activeElement.blur()')
    await page.keyboard.press('g')
    await page.keyboard.press('a')
    await looking.until("document.querySelector('h1').textContent === 'Audit'")
    await page.keyboard.press('/')
    expect(await page.evaluate('document.activeElement.id')).toBe('filter-value')
    await page.evaluate('document.activeElement.blur()')
    await page.keyboard.press('?')
    expect(await page.isVisible('dialog[open]')).toBe(true)
    await page.keyboard.press('Escape')
    expect(await page.isVisible('dialog[open]')).toBe(false)
    await page.keyboard.press('d')
    expect(await page.getAttribute('html', 'data-theme')).toBe('light')
    await page.reload()
    expect(await page.getAttribute('html', 'data-theme')).toBe('light')
    await looking.close()
  })

  test('pages of audit hold every event once, and an event can be opened whole', async () => {
    const to = world.now_ms + 60_000
    const from = world.now_ms - 7 * 3_600_000
    const looking = await at(`/audit?from=${from}&to=${to}&outcome=failed`)
    const { page } = looking
    const found: string[] = []
    for (;;) {
      await looking.settled()
      found.push(
        ...(await page.$$eval('tbody td:first-child a', (links) =>
          links.map((a) => new URL(String(a.getAttribute('href')), 'http://x').searchParams.get('event')!),
        )),
      )
      const older = await page.$('nav a:text("Older")')
      if (!older) break
      const first = found.at(-1)
      await older.click()
      await looking.until(`!document.querySelector('tbody a[href*="event=${first}"]')`)
    }
    const known = await number(
      `SELECT count() FROM v_failures WHERE ts >= fromUnixTimestamp64Milli(${from}) AND ts < fromUnixTimestamp64Milli(${to})`,
    )
    expect(new Set(found).size).toBe(found.length)
    expect(found.length).toBe(known)
    await page.click('tbody td:first-child a')
    await page.waitForSelector('.facts')
    expect(await page.textContent('.facts')).toContain('cost_center')
    await looking.close()
  })

  test('nothing to show says what to do, and a refused question too', async () => {
    const looking = await at('/?from=1000&to=2000')
    expect(await looking.page.textContent('main')).toContain('Look at 7 days')
    await looking.close()
    const strange = await look(browser)
    open.add(strange)
    expect((await strange.page.goto(`${world.address}/no/such/view`))?.status()).toBe(404)
    await strange.until("document.body.textContent.includes('no view at this address')")
    await strange.close()
    const missing = await at('/trace/ffffffffffffffffffffffffffffffff')
    await missing.until("document.body.textContent.includes('Nothing has this id')")
    await missing.close()
    const broken = await look(browser)
    open.add(broken)
    await broken.page.route('**/api/tools*', (route) =>
      route.fulfill({
        status: 504,
        json: {
          error: {
            code: 'question_too_long',
            message: 'the store did not finish',
            fix: 'choose a shorter time range',
          },
        },
      }),
    )
    await broken.page.goto(`${world.address}/tools`)
    await broken.page.waitForSelector('[role=alert]')
    expect(await broken.page.textContent('[role=alert]')).toContain('choose a shorter time range')
    await broken.page.unroute('**/api/tools*')
    await broken.page.click('text=Ask again')
    await broken.page.waitForSelector('tbody tr')
    await broken.close()
  })

  test('a slow answer shows how long it takes, and can be cancelled', async () => {
    const looking = await look(browser)
    open.add(looking)
    const { page } = looking
    let release: () => void = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    await page.route('**/api/tools*', async (route) => {
      await held
      await route.abort().catch(() => {})
    })
    await page.goto(`${world.address}/tools`)
    await page.waitForSelector('text=/Still asking, \\d+ s/')
    await page.click('text=Cancel')
    await page.waitForSelector('[role=alert]')
    expect(await page.textContent('[role=alert]')).toContain('cancelled')
    release()
    await looking.close()
  })

  test('the first paint does not wait for answers', async () => {
    const looking = await look(browser)
    open.add(looking)
    await looking.page.route('**/api/**', () => {})
    await looking.page.goto(world.address, { waitUntil: 'load' })
    await looking.page.waitForSelector('nav a[aria-current=page]')
    expect(await looking.page.isVisible('h1')).toBe(true)
    await looking.close()
  })
})
