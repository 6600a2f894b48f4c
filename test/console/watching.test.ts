/** Runs, alerts, findings and silences in a real browser: figures as the store has them, sentences, links, and what is written. */
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CHROMIUM } from './support/chromium.ts'
import { type Looking, look } from './support/looking.ts'
import { EVIL, FINDINGS, RUN_ID, startWorld, type World } from './support/seeded.ts'

if (!CHROMIUM) process.stdout.write('SKIPPED: runs and alerts in a browser (no Chromium)\n')

describe.skipIf(!CHROMIUM)('runs and alerts (needs Chromium)', () => {
  let world: World
  let browser: Browser
  const open = new Set<Looking>()

  beforeAll(async () => {
    world = await startWorld()
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox'] })
  }, 240_000)
  afterAll(async () => {
    for (const looking of open) await looking.close()
    await browser?.close()
    await world?.stop()
  }, 240_000)

  async function at(path: string, options: Parameters<typeof look>[1] = {}): Promise<Looking> {
    const looking = await look(browser, options)
    open.add(looking)
    await looking.page.goto(world.address + path)
    await looking.settled()
    return looking
  }
  const rows = <T>(sql: string): Promise<T[]> => world.reader.rows<T>(sql)
  const cells = (looking: Looking, table: string): Promise<string[][]> =>
    looking.page.$$eval(`table:has(caption:text-is("${table}")) tbody tr`, (trs) =>
      trs.map((tr) => [...tr.querySelectorAll('td')].map((td) => (td.textContent ?? '').trim())),
    )
  const stat = (looking: Looking, name: string): Promise<string | null> =>
    looking.page.textContent(`.stat:has(.stat-name:text-is("${name}"))`)

  test('the runs of a time are those of the store, narrowed by filters', { timeout: 120_000 }, async () => {
    const [from, to] = [world.now_ms - 3_600_000, world.now_ms]
    const looking = await at(`/runs?from=${from}&to=${to}&failing=true&agent=planner&sort_runs=-calls`)
    const known = await rows<{ run_id: string; calls: number; failed: number }>(
      `SELECT run_id, calls, failed FROM v_runs WHERE started >= fromUnixTimestamp64Milli(${from}) AND started <= fromUnixTimestamp64Milli(${to})
         AND failed > 0 AND agent = 'planner' ORDER BY calls DESC, run_id LIMIT 200`,
    )
    expect(known.length).toBeGreaterThan(1)
    const shown = new Map((await cells(looking, 'Runs')).map((c) => [c[0], [c[5], c[6]]]))
    expect(shown.size).toBe(Math.min(50, known.length))
    for (const { run_id, calls, failed } of known)
      if (shown.has(run_id)) expect(shown.get(run_id)).toEqual([String(calls), String(failed)])
    await looking.page.click('a:text("with loops")')
    await looking.until("document.querySelectorAll('tbody tr').length === 1")
    expect((await cells(looking, 'Runs'))[0]!.slice(0, 1)).toEqual([RUN_ID])
    expect((await cells(looking, 'Runs'))[0]![7]).toBe('3×')
    await looking.page.click(`a:text-is("${RUN_ID}")`)
    await looking.until("document.querySelector('h1').textContent.startsWith('Runs / ')")
    expect(looking.wrong).toEqual([])
    await looking.close()
  })

  test('a run says what went wrong, with links, and where its time went', { timeout: 120_000 }, async () => {
    const looking = await at(`/runs/${RUN_ID}`)
    const { page } = looking
    expect(await stat(looking, 'Calls')).toContain('7')
    expect(await stat(looking, 'Failed')).toContain('2 tool_error')
    expect(await stat(looking, 'At once')).toContain('up to 2')
    expect(await page.textContent('.facts')).toContain('label, 100 % sure; least certain call 100 %')
    const sentences = await page.$$eval('.sentences li', (found) =>
      found.map((e) => (e.textContent ?? '').replaceAll(/\s+/g, ' ')),
    )
    expect(sentences[0]).toContain(
      'bank/get_balance was called 3 times with the same arguments, and every answer was the same.',
    )
    expect(sentences[1]).toContain('bank/transfer failed twice with the same arguments: <script>')
    expect(sentences[2]).toContain(
      'bank/transfer failed and was tried again 400 ms later with the same arguments: it failed again.',
    )
    expect(await page.$$eval('main script, main img, main b', (found) => found.length)).toBe(0)
    expect(JSON.parse((await page.textContent('.payload'))!)).toEqual({ amount: 5, note: EVIL })
    const names = await page.$$eval('a.span-name', (found) => found.map((e) => e.textContent))
    expect(names).toHaveLength(9)
    expect(names.slice(0, 2)).toEqual(['answer the question', 'bank/get_balance'])
    expect(names).toContain('chat large-1')
    // The short one of the two that ran at once decided nothing.
    expect(await page.$$eval('.critical', (found) => found.length)).toBe(6)
    await page.click('a:text("critical path only")')
    await looking.until("document.querySelectorAll('a.span-name').length === 6")
    const [step] = await rows<{ trace_id: string; span_id: string }>(
      `SELECT trace_id, span_id FROM calls WHERE run_id = '${RUN_ID}' ORDER BY ts`,
    )
    expect(await page.getAttribute('.sentences a', 'href')).toBe(
      `/trace/${step!.trace_id}?span=${step!.span_id}`,
    )
    await looking.close()
    const part = await at(`/runs/${RUN_ID.slice(0, 8)}`)
    await part.page.waitForSelector('text=No run has this id')
    await part.page.click(`a:text-is("${RUN_ID}")`)
    await part.until("document.querySelectorAll('a.span-name').length === 9")
    await part.close()
  })

  test('alerts stand as in the store, and lead to figures of their time', { timeout: 120_000 }, async () => {
    const looking = await at('/alerts')
    const { page } = looking
    const known = await rows<{ rule: string; fingerprint: string }>(
      "SELECT rule, fingerprint FROM v_alerts WHERE state = 'firing'",
    )
    expect(known.map((k) => k.rule)).toContain('ServerBusy')
    const shown = await cells(looking, 'Alerts')
    expect(
      shown
        .filter((c) => c[1]!.startsWith('firing'))
        .map((c) => c[0])
        .sort(),
    ).toEqual(known.map((k) => k.rule).sort())
    expect(shown.find((c) => c[0] === 'ToolSlow')?.[1]).toBe('pending')
    await page.click('a:text-is("ToolSlow")')
    await page.waitForSelector('text=Evidence, as SQL')
    expect(await page.textContent('.sql')).toMatch(/^SELECT /)
    await page.click('a:text("Figures at that time")')
    await looking.until("document.querySelector('h1').textContent === 'Tools / news / get_headlines'")
    expect(new URL(page.url()).searchParams.get('from')).toMatch(/^\d+$/)
    expect(looking.wrong).toEqual([])
    await looking.close()
    const slos = await at('/alerts?show=objectives')
    const promised = await rows<{ server: string; left: number }>(
      "SELECT server, budget_left AS left FROM v_slos WHERE slo = 'answers' ORDER BY server",
    )
    const objectives = (await cells(slos, 'Objectives')).filter((c) => c[0] === 'answers')
    expect(objectives.map((c) => c[1]).sort()).toEqual(promised.map((p) => p.server))
    await slos.close()
    const rules = await at('/alerts?show=rules')
    const inForce = await rows<{ rule: string; state: string }>(
      'SELECT rule, state FROM v_alert_rules ORDER BY rule',
    )
    expect((await cells(rules, 'Rules in force')).map((c) => ({ rule: c[0], state: c[1] }))).toEqual(inForce)
    await rules.close()
  })

  test('a finding is a sentence with its band, what differs, evidence and traces', {
    timeout: 120_000,
  }, async () => {
    const looking = await at(`/alerts?show=findings&finding=${FINDINGS.ended}`)
    const text = (await looking.page.textContent('main'))!
    expect(text).toContain('bank/get_balance: p95 412 ms')
    expect(text).toContain('80.0 ms to 130 ms')
    expect(text).toContain('still learning')
    expect(text).toContain('caller desk-bot (93 % of it)')
    expect(text).toContain('SELECT count() FROM v_calls')
    expect(await looking.page.$$eval('main script, main img, main b', (found) => found.length)).toBe(0)
    expect(text).toContain(EVIL.slice(0, 30))
    expect(looking.wrong).toEqual([])
    await looking.close()
    const first = await at('/?range=1h')
    const panel = first.page.locator('.panel[aria-label="Open findings and alerts"]')
    const [standing] = await rows<{ n: number }>(
      "SELECT count() AS n FROM v_alerts WHERE state IN ('firing', 'pending', 'nodata')",
    )
    expect(await panel.locator('.note').textContent()).toBe(`${standing!.n} alerts, 1 finding`)
    expect(await panel.textContent()).toContain(`rm-agent called ${EVIL} 41 times`)
    await first.page.click('summary:text("mark")')
    expect(await first.page.textContent('main')).toContain('configuration taken over: servers.news.url')
    await first.close()
  })

  test('a silence is added and ended by keyboard, after it was asked twice', {
    timeout: 120_000,
  }, async () => {
    const looking = await at('/alerts')
    const { page } = looking
    await page.click('a:text-is("ServerBusy")')
    await page.click('a:text("Silence …")')
    await page.waitForSelector('.silence-form')
    expect(
      await page.$$eval('.matcher input[aria-label=Value]', (found) =>
        found.map((e) => (e as unknown as { value: string }).value),
      ),
    ).toEqual(['ServerBusy', 'bank'])
    await page.fill('[aria-label=Label] >> nth=1', 'srever')
    await page.fill('[name=created_by]', 'a tester')
    await page.fill('[name=comment]', EVIL)
    await page.press('[name=comment]', 'Enter')
    await page.waitForSelector('dialog[open]')
    await page.keyboard.press('Escape')
    await looking.until("!document.querySelector('dialog.ask')")
    expect(await rows('SELECT id FROM v_silences')).toEqual([])
    await page.press('[name=comment]', 'Enter')
    await page.click('dialog[open] button:text("Keep quiet")')
    await page.waitForSelector('dialog[open] [role=alert]')
    expect(await page.textContent('dialog[open] [role=alert]')).toContain(
      'no alert here has the label srever',
    )
    expect(looking.wrong.filter((w) => !/400/.test(w))).toEqual([])
    await page.keyboard.press('Escape')
    await page.fill('[aria-label=Label] >> nth=1', 'server')
    await page.press('[name=comment]', 'Enter')
    await page.waitForSelector('dialog[open]')
    expect(await page.textContent('dialog[open]')).toContain('1 alert that stands now falls silent.')
    await page.focus('dialog[open] button.primary')
    await page.keyboard.press('Enter')
    await looking.until("document.querySelectorAll('table tbody tr').length === 1")
    const [silence] = await rows<{ created_by: string; comment: string; active: number }>(
      'SELECT created_by, comment, active FROM v_silences',
    )
    expect(silence).toEqual({ created_by: 'a tester', comment: EVIL, active: 1 })
    expect(await page.textContent('tbody')).toContain('alertname="ServerBusy", server="bank"')
    expect(await looking.axe()).toEqual([])
    await page.focus('tbody button')
    await page.keyboard.press('Enter')
    await page.waitForSelector('dialog[open]')
    await page.focus('dialog[open] button.primary')
    await page.keyboard.press('Enter')
    await looking.until("document.body.textContent.includes('Nothing is kept quiet.')")
    expect(await rows('SELECT id FROM v_silences WHERE active = 1')).toEqual([])
    await looking.close()
  })
})
