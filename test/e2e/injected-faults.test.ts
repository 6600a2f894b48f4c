/**
 * A running installation, real servers and real agents: a server becomes slow, a tool fails, an agent runs away, a price rises,
 * a server falls silent, all at once. Receiver, Alertmanager and console show each within its delay (docs/alerts.md), and nothing
 * else; then all of it is over. At the end everybody finds his figures in the console, and they are those of the store.
 */
import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Alertmanager,
  HAS_ALERTMANAGER,
  startAlertmanager,
} from '../collector/watch/alerts/alertmanager.ts'
import { type Listener, listen } from '../collector/watch/alerts/listener.ts'
import { CHROMIUM } from '../console/support/chromium.ts'
import { type Looking, look } from '../console/support/looking.ts'
import { type Folder, makeFolder } from '../support/folder.ts'
import { waitFor } from '../support/wait.ts'
import { type Agent, startAgent, type Work } from './support/agents.ts'
import { type Observed, startObserved } from './support/observed.ts'
import { startTroubled, type TroubledServer } from './support/troubled-server.ts'

if (!CHROMIUM) process.stdout.write('SKIPPED: faults in a browser (no Chromium)\n')

/** How far back every rule looks. */
const WINDOW_S = 30
/** The window, then what calls need to the store, the next evaluation and the sending; and patience with a busy machine. */
const DELAY_MS = 4 * (WINDOW_S + 15) * 1000
/** A busy machine calls now and then: what fires goes on for a while. */
const rule = (more: object): object => ({
  window_s: WINDOW_S,
  keep_firing_for_s: 20,
  min_calls: 10,
  severity: 'critical',
  ...more,
})
const RULES = {
  // With 25 calls one that waited for a silent server does not make a server slow.
  SlowServer: rule({ figure: 'p95_ms', over: 'server', value: 4000, min_calls: 25 }),
  FailingTool: rule({ figure: 'error_share', over: 'tool', value: 0.3 }),
  RunawayAgent: rule({ figure: 'calls', over: 'caller', value: 250 }),
  CostlyServer: rule({ figure: 'cost_usd', over: 'server', value: 1 }),
  SilentServer: rule({ figure: 'calls', over: 'server', op: '<', value: 1 }),
}
/** All that may be told, each with what it is about and the view its link leads to. */
const EXPECTED: Readonly<Record<string, { labels: Record<string, string>; view: string }>> = {
  SlowServer: { labels: { server: 'bank' }, view: 'Tools' },
  FailingTool: { labels: { server: 'files', tool: 'read' }, view: 'Tools / files / read' },
  RunawayAgent: { labels: { caller: 'runaway' }, view: 'Tools' },
  CostlyServer: { labels: { server: 'search' }, view: 'Cost' },
  SilentServer: { labels: { server: 'mail' }, view: 'Tools' },
}
const NAMES = Object.keys(EXPECTED).sort()

const SERVERS = {
  bank: ['balance', 'transfer'],
  files: ['read', 'list', 'delete'],
  search: ['web'],
  mail: ['send'],
}
type ServerName = keyof typeof SERVERS
const USUAL_USD = 0.01
const RAISED_USD = 0.4

const keyOf = (name: string): string => `key-of-${name}-0123456789`
const caller = (name: string, team: string): object => ({
  team,
  keys: [{ sha256: createHash('sha256').update(keyOf(name)).digest('hex') }],
})

let servers: Record<ServerName, TroubledServer>
let hook: Listener
let managed: Listener
let manager: Alertmanager | null = null
let folder: Folder
let weir: Observed
let browser: Browser | null = null
let prices: object[] = [{ server: 'search', per_call_usd: USUAL_USD }]
const agents = new Map<string, Agent>()
const looks = new Set<Looking>()
/** When things happened, milliseconds since 1970. */
const at = { clean: 0, faulty: 0, raised: 0, lowered: 0 }

const config = (): Record<string, unknown> => ({
  servers: Object.fromEntries(
    Object.entries(servers).map(([name, { url }]) => [
      name,
      { url, timeout_ms: 600_000, ...(name === 'bank' ? { price: { per_call_usd: 0.002 } } : {}) },
    ]),
  ),
  prices,
  callers: {
    planner: caller('planner', 'research'),
    searcher: caller('searcher', 'research'),
    clerk: caller('clerk', 'ops'),
    postman: caller('postman', 'ops'),
    runaway: caller('runaway', 'ops'),
  },
  rules: [
    { allow: 'everybody works', teams: ['research', 'ops'] },
    { deny: 'nothing is deleted', servers: 'files', tools: 'delete' },
  ],
  teams: { research: { budget_usd_per_month: 1_000_000 } },
  alerts: {
    to: [
      { webhook: { url: hook.url } },
      ...(manager ? [{ alertmanager: { url: manager.url, resend_s: 1 } }] : []),
    ],
    rules: RULES,
    evaluation_interval_s: 1,
    group_wait_s: 0,
    group_interval_s: 1,
  },
})

const WORK: Readonly<Record<string, Omit<Work, 'url' | 'name' | 'key'>>> = {
  planner: {
    kind: 'sdk v1',
    tools: [...Array(6).fill('bank_balance'), ...Array(6).fill('bank_transfer'), 'files_list'],
    pause_ms: 2500,
  },
  clerk: { kind: 'sdk v2', tools: ['files_read'], pause_ms: 1000 },
  searcher: { kind: 'sdk v2 auto', tools: ['search_web'], pause_ms: 1000 },
  postman: { kind: 'sdk v1', tools: ['mail_send'], pause_ms: 500 },
  runaway: { kind: 'sdk v2 auto', tools: Array(10).fill('files_list'), pause_ms: 60, isLooping: true },
}
async function begin(name: string): Promise<void> {
  const url = `${weir.url}/mcp`
  agents.set(name, await startAgent({ ...WORK[name]!, url, name, key: keyOf(name) }))
}

beforeAll(async () => {
  folder = makeFolder('faults')
  ;[hook, managed] = await Promise.all([listen(), listen()])
  if (HAS_ALERTMANAGER) manager = await startAlertmanager(folder.path, managed.url)
  const started = await Promise.all(
    Object.entries(SERVERS).map(async ([name, tools]) => [name, await startTroubled(name, tools)] as const),
  )
  servers = Object.fromEntries(started) as typeof servers
  weir = await startObserved(config())
  await weir.weir.storing()
  if (CHROMIUM) browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
}, 180_000)
afterAll(async () => {
  for (const looking of looks) await looking.close()
  await browser?.close()
  for (const server of Object.values(servers ?? {})) server.be({})
  await Promise.all([...agents.values()].map((agent) => agent.stop()))
  await weir?.stop()
  await manager?.close()
  await Promise.all([hook?.close(), managed?.close(), ...Object.values(servers ?? {}).map((s) => s.close())])
  folder?.remove()
}, 180_000)

type Told = { status: string; labels: Record<string, string>; annotations: Record<string, string> }
const toldIn = (receiver: Listener): Told[] =>
  receiver.got.flatMap(({ body }) => (JSON.parse(body) as { alerts: Told[] }).alerts)
/** Names of alerts that a receiver heard of, without findings: whether their five minutes end during the test is chance. */
const namesIn = (receiver: Listener, status: string): string[] =>
  [...new Set(toldIn(receiver).flatMap((t) => (t.status === status ? [t.labels.alertname!] : [])))]
    .filter((name) => name !== 'Anomaly')
    .sort()
const receivers = (): Listener[] => (manager ? [hook, managed] : [hook])

/** How often the rules were looked at so far. */
async function evaluations(): Promise<number> {
  const text = await (await fetch(`${weir.weir.addresses.collector}/metrics`)).text()
  return Number(/^weir_watch_runs_total\{job="alerts",result="ok"\} (\d+)/m.exec(text)?.[1] ?? 0)
}

/** Opens a view and waits for all of its panels, or for what is asked about: a live view of many panels may always be asking. */
async function open(path: string, awaited = ''): Promise<Looking> {
  const looking = await look(browser!)
  looks.add(looking)
  looking.page.setDefaultTimeout(DELAY_MS)
  await looking.page.goto(weir.weir.addresses.collector + path)
  if (awaited) await looking.page.waitForSelector(awaited)
  else await looking.settled(DELAY_MS)
  return looking
}
const cells = (looking: Looking, caption: string): Promise<string[][]> =>
  looking.page.$$eval(`table:has(caption:text-is("${caption}")) tbody tr`, (trs) =>
    trs.map((tr) => [...tr.querySelectorAll('td')].map((td) => (td.textContent ?? '').trim())),
  )
/** Pictures of what is seen, in WEIR_PICTURES, for whoever works on the console. */
async function picture(looking: Looking, name: string): Promise<void> {
  if (!process.env.WEIR_PICTURES) return
  mkdirSync(process.env.WEIR_PICTURES, { recursive: true })
  await looking.page.screenshot({ path: join(process.env.WEIR_PICTURES, `${name}.png`), fullPage: true })
}

test('clean traffic: every rule is looked at, nothing fires, nobody is told', async () => {
  for (const name of ['planner', 'clerk', 'searcher', 'postman']) await begin(name)
  at.clean = Date.now()
  await waitFor(
    'every server is called for a while',
    async () =>
      (await weir.store.number(
        "SELECT count() FROM (SELECT server FROM v_calls WHERE tool != '' GROUP BY server HAVING count() >= 10)",
      )) === 4,
    DELAY_MS,
  )
  const before = await evaluations()
  await waitFor('rules are looked at', async () => (await evaluations()) >= before + 3, DELAY_MS)
  const names = NAMES.map((name) => `'${name}'`).join()
  expect(
    await weir.store.number(`SELECT count() FROM v_alert_rules WHERE state = 'ok' AND rule IN (${names})`),
  ).toBe(NAMES.length)
  expect(await weir.store.rows('SELECT rule, state FROM v_alerts')).toEqual([])
  expect(await weir.store.rows('SELECT kind, series FROM v_anomalies')).toEqual([])
  expect(receivers().flatMap(toldIn)).toEqual([])
}, 480_000)

describe('five faults at once', () => {
  let live: Looking | null = null

  test('the receivers hear of each and of nothing else', async () => {
    if (browser) {
      live = await open('/alerts')
      expect(await live.page.textContent('main')).toContain('Nothing is wrong by the rules in force')
    }
    at.faulty = Date.now()
    servers.bank.be({ slow_ms: 6_000 })
    servers.files.be({ failing: 'read' })
    servers.mail.be({ isSilent: true })
    await begin('runaway')
    at.raised = Date.now()
    const raised = new Date(at.raised).toISOString()
    prices = [
      { server: 'search', per_call_usd: USUAL_USD, valid_to: raised },
      { server: 'search', per_call_usd: RAISED_USD, valid_from: raised },
    ]
    weir.weir.writeConfig(config())
    for (const receiver of receivers())
      await waitFor('each is told', () => namesIn(receiver, 'firing').length >= NAMES.length, DELAY_MS).catch(
        (error: Error) => {
          throw new Error(`${error.message}; told: ${namesIn(receiver, 'firing').join()}`, { cause: error })
        },
      )
    for (const receiver of receivers()) expect(namesIn(receiver, 'firing')).toEqual(NAMES)
    for (const { labels } of toldIn(hook).filter((t) => t.labels.alertname !== 'Anomaly')) {
      const { alertname, severity, figure, kind, ...about } = labels
      expect(about, alertname).toEqual(EXPECTED[alertname!]!.labels)
    }
  }, 480_000)

  test('evidence is SQL that shows it, and links lead to it', async () => {
    for (const name of NAMES) {
      const { annotations } = toldIn(hook).find((t) => t.labels.alertname === name && t.status === 'firing')!
      const [row] = await weir.store.rows<Record<string, number>>(annotations.evidence!)
      const { figure, value, op } = RULES[name as keyof typeof RULES] as Record<string, unknown>
      const seen = Number(row![String(figure)])
      expect(
        op === '<' ? seen < Number(value) : seen > Number(value),
        `${name}: ${annotations.evidence}`,
      ).toBe(true)
      expect(annotations.runbook).toBe(`dashboards/runbook.md#figure-${String(figure)}`)
      expect(annotations.summary).toContain(Object.values(EXPECTED[name]!.labels).join('/'))
    }
  }, 120_000)

  test.skipIf(!CHROMIUM)(
    'the console shows each where somebody would look (needs Chromium)',
    async () => {
      await live!.until(
        `${NAMES.length} === [...document.querySelectorAll('tbody tr')].filter((tr) => tr.cells[1].textContent.startsWith('firing') && tr.cells[0].textContent !== 'Anomaly').length`,
        DELAY_MS,
      )
      const shown = (await cells(live!, 'Alerts')).map((row) => row[0]!)
      expect(shown.filter((name) => name !== 'Anomaly').sort()).toEqual(NAMES)
      await picture(live!, 'alerts')
      expect(live!.wrong).toEqual([])
      const looking = await open('/?range=15m')
      const { page } = looking
      /** Rows of a view's table by their first cell. */
      const view = async (name: string, caption: string): Promise<string[][]> => {
        await page.click(`nav a:text-is("${name}")`)
        await page.waitForSelector(`table:has(caption:text-is("${caption}")) tbody tr`)
        await picture(looking, name.toLowerCase())
        return cells(looking, caption)
      }
      await looking.until(
        `/^[56] alerts/.test(document.querySelector('.panel[aria-label="Open findings and alerts"] .note').textContent)`,
        DELAY_MS,
      )
      await picture(looking, 'overview')
      const tools = await view('Tools', 'Tools')
      expect(tools.find((row) => row[0] === 'bank / balance')![7]).toMatch(/^\d+\.\d+ s$/)
      expect(Number.parseFloat(tools.find((row) => row[0] === 'files / read')![4]!)).toBeGreaterThan(5)
      const runs = await view('Runs', 'Runs')
      expect(runs.find((row) => row[1] === 'runaway')![7]).toMatch(/^[\d,]+×$/)
      const book = (await view('Cost', 'Prices')).map((row) => [row[0], row[1], row[5]].join(', '))
      expect(book).toContain(`search / *, $${RAISED_USD.toFixed(2)} a call, in force`)
      expect(book).toContain(`search / *, $${USUAL_USD} a call, past`)
      const health = await view('Servers', 'Servers')
      expect(health.find((row) => row[0] === 'mail')![9]).toMatch(/^([3-5]\d s|\d+ min) ago$/)
      expect(looking.wrong).toEqual([])
      await looking.close()
    },
    480_000,
  )

  test('all of it is over: each is told so, and nothing else was told', async () => {
    for (const server of Object.values(servers)) server.be({})
    await agents.get('runaway')!.stop()
    agents.delete('runaway')
    at.lowered = Date.now()
    const [raised, lowered] = [at.raised, at.lowered].map((ms) => new Date(ms).toISOString())
    prices = [
      { server: 'search', per_call_usd: USUAL_USD, valid_to: raised },
      { server: 'search', per_call_usd: RAISED_USD, valid_from: raised, valid_to: lowered },
      { server: 'search', per_call_usd: USUAL_USD, valid_from: lowered },
    ]
    weir.weir.writeConfig(config())
    for (const receiver of receivers())
      await waitFor(
        'each is told as over',
        () => namesIn(receiver, 'resolved').length >= NAMES.length,
        DELAY_MS,
      )
    for (const receiver of receivers()) {
      expect(namesIn(receiver, 'resolved')).toEqual(NAMES)
      expect(namesIn(receiver, 'firing')).toEqual(NAMES)
    }
    expect(
      await weir.store.rows(
        "SELECT rule, state FROM v_alerts WHERE state != 'resolved' AND rule != 'Anomaly'",
      ),
    ).toEqual([])
    // A runaway agent is a finding too, once its five minutes are over. Nothing else is.
    const findings = await weir.store.rows<{ kind: string; caller: string }>(
      'SELECT DISTINCT kind, caller FROM v_anomalies',
    )
    expect(findings.filter((f) => f.kind !== 'agent_loop' || f.caller !== 'runaway')).toEqual([])
    for (const { labels } of toldIn(hook).filter((t) => t.labels.alertname === 'Anomaly'))
      expect(labels).toMatchObject({ anomaly: 'agent_loop', caller: 'runaway' })
    if (!live) return
    await live.until(
      `${NAMES.length} === [...document.querySelectorAll('tbody tr')].filter((tr) => tr.cells[1].textContent === 'over' && tr.cells[0].textContent !== 'Anomaly').length`,
      DELAY_MS,
    )
    expect(live.wrong).toEqual([])
  }, 480_000)
})

describe.skipIf(!CHROMIUM)('afterwards everybody finds his figures in the console (needs Chromium)', () => {
  /** The time looked at, and the same in SQL. */
  let range = ''
  let within = ''
  const stat = (name: string): string => `.stat:has(.stat-name:text-is("${name}"))`
  const panel = (name: string): string => `section[aria-label="${name}"]`
  const text = async (looking: Looking, selector: string): Promise<string> =>
    (await looking.page.textContent(selector)) ?? ''
  const number = (sql: string): Promise<number> => weir.store.number(sql)
  const done = async (looking: Looking, name: string): Promise<void> => {
    await picture(looking, name)
    expect(await looking.axe(), name).toEqual([])
    expect(looking.wrong, name).toEqual([])
    await looking.close()
  }

  beforeAll(async () => {
    // Who may not delete is told that there is no such tool.
    await expect(agents.get('clerk')!.client.call('files_delete', { id: 'x' })).rejects.toThrow()
    await Promise.all([...agents.values()].map((agent) => agent.stop()))
    agents.clear()
    await weir.settled()
    const [from, to] = [at.clean - 60_000, Date.now()]
    range = `from=${from}&to=${to}`
    within = `ts >= fromUnixTimestamp64Milli(${from}) AND ts < fromUnixTimestamp64Milli(${to})`
  }, 180_000)

  test('each alert leads to its evidence and to the figures of its own time', async () => {
    const looking = await open('/alerts')
    const { page } = looking
    for (const name of NAMES) {
      // Meanwhile nobody calls any server: the rows are found by what they are about.
      const about = Object.entries(EXPECTED[name]!.labels).map((label) => label.join(' '))
      await page.click(`tr:has-text("${about.join(', ')}") a:text-is("${name}")`)
      await page.waitForSelector('text=Evidence, as SQL')
      await picture(looking, `alert-${name}`)
      await page.click('a:text("Figures at that time")')
      await looking.until(`document.querySelector('h1').textContent === '${EXPECTED[name]!.view}'`, DELAY_MS)
      const last = Object.values(EXPECTED[name]!.labels).at(-1)!
      await looking.until(`document.querySelector('.content').textContent.includes('${last}')`, DELAY_MS)
      expect(await text(looking, '.time')).toContain('Fixed')
      await picture(looking, `panel-${name}`)
      await page.goBack()
      await page.waitForSelector('text=Evidence, as SQL')
    }
    await done(looking, 'alerts-over')
  }, 480_000)

  test('an SRE: how much failed and how slow it was, the tool in question, and a trace of it', async () => {
    const overview = await open(`/?${range}`)
    const calls = await number(`SELECT count() FROM v_calls WHERE ${within}`)
    const failed = await number(`SELECT countIf(failed) FROM v_calls WHERE ${within}`)
    expect(await text(overview, stat('Calls'))).toContain(calls.toLocaleString('en-US'))
    expect(await text(overview, stat('Failed'))).toContain(`${failed.toLocaleString('en-US')} calls`)
    await done(overview, 'sre-overview')

    const tools = await open(`/tools?${range}&server=bank`)
    const known = await weir.store.rows<{ name: string; n: number }>(
      `SELECT concat(server, ' / ', if(tool = '', method, tool)) AS name, count() AS n FROM v_calls WHERE ${within} AND server = 'bank' GROUP BY name`,
    )
    const shown = new Map((await cells(tools, 'Tools')).map((row) => [row[0], row[2]]))
    for (const { name, n } of known) expect(shown.get(name), name).toBe(n.toLocaleString('en-US'))
    await tools.page.click('tbody a:text("balance")')
    await tools.until("document.querySelector('h1').textContent === 'Tools / bank / balance'")
    await tools.settled(DELAY_MS)
    const [most] = await weir.store.rows<{ span_id: string; ms: number }>(
      `SELECT span_id, duration_us / 1000 AS ms FROM v_calls WHERE ${within} AND server = 'bank' AND tool = 'balance' ORDER BY duration_us DESC LIMIT 1`,
    )
    expect(most!.ms).toBeGreaterThan(6_000)
    const slowest = `${panel('Slowest calls')} tbody tr:first-child a`
    expect(await tools.page.getAttribute(slowest, 'href')).toContain(`span=${most!.span_id}`)
    await picture(tools, 'sre-tool')
    await tools.page.click(slowest)
    await tools.until("document.querySelector('h1').textContent.startsWith('Trace')")
    await tools.settled(DELAY_MS)
    expect(await text(tools, 'main')).toContain('wait')
    await done(tools, 'sre-trace')
  }, 480_000)

  test('finance: what each server cost, to the nano-dollar, by which prices, and what has none', async () => {
    const looking = await open(
      `/cost?period=range&${range}&by=server`,
      `${panel('Costs by server')} tbody tr`,
    )
    await looking.page.waitForSelector('table:has(caption:text-is("Prices")) tbody tr')
    const rows = await looking.page.$$eval(`${panel('Costs by server')} tbody tr`, (trs) =>
      trs.map((tr) =>
        [...tr.querySelectorAll('td')].map(
          (td) => td.querySelector('data')?.getAttribute('value') ?? td.textContent!.trim(),
        ),
      ),
    )
    const known = await weir.store.rows<{ server: string; nano: number; calls: number; unpriced: number }>(
      'SELECT server, sum(cost_nano) AS nano, sum(v.calls) AS calls, sum(v.unpriced) AS unpriced FROM v_costs AS v GROUP BY server',
    )
    expect(known.map((k) => k.server).sort()).toEqual(Object.keys(SERVERS).sort())
    for (const { server, nano, calls, unpriced } of known) {
      const row = rows.find(([name]) => name === server)!
      // No price was set for these: that is not nothing.
      const isUnpriced = server === 'files' || server === 'mail'
      expect(isUnpriced ? [nano, unpriced] : [nano > 0, unpriced]).toEqual(
        isUnpriced ? [0, calls] : [true, 0],
      )
      expect(row.slice(2, 5), server).toEqual([
        isUnpriced ? 'unpriced' : String(nano),
        calls.toLocaleString('en-US'),
        unpriced.toLocaleString('en-US'),
      ])
    }
    const [search] = await weir.store.rows<{ nano: number }>(
      `SELECT toInt64(countIf(ts < fromUnixTimestamp64Milli(${at.raised}) OR ts >= fromUnixTimestamp64Milli(${at.lowered})) * ${USUAL_USD * 1e9}
         + countIf(ts >= fromUnixTimestamp64Milli(${at.raised}) AND ts < fromUnixTimestamp64Milli(${at.lowered})) * ${RAISED_USD * 1e9}) AS nano
       FROM v_calls WHERE server = 'search' AND tool = 'web'`,
    )
    expect(known.find((k) => k.server === 'search')!.nano).toBe(search!.nano)
    const book = (await cells(looking, 'Prices')).filter((row) => row[0] === 'search / *')
    expect(book.filter((row) => row[5] === 'in force').map((row) => row[1])).toEqual([`$${USUAL_USD} a call`])
    await done(looking, 'finance-cost')
  }, 480_000)

  test('a developer: the run that went in circles, and what it repeated', async () => {
    const [run] = await weir.store.rows<{ run_id: string; calls: number }>(
      "SELECT run_id, calls FROM v_runs WHERE agent = 'runaway' ORDER BY calls DESC LIMIT 1",
    )
    const looking = await open(`/runs?${range}&agent=runaway&looping=true`)
    const row = (await cells(looking, 'Runs')).find((r) => r[0] === run!.run_id)!
    expect(row[5]).toBe(run!.calls.toLocaleString('en-US'))
    expect(row[10]).toBe('unpriced')
    await looking.page.click(`a:text-is("${run!.run_id}")`)
    await looking.until("document.querySelector('h1').textContent.startsWith('Runs / ')")
    await looking.settled(DELAY_MS)
    expect(await text(looking, stat('Calls'))).toContain(run!.calls.toLocaleString('en-US'))
    expect(await text(looking, '.sentences')).toMatch(
      /files\/list was called [\d,]+ times with the same arguments/,
    )
    await done(looking, 'developer-run')
  }, 480_000)

  test('security: who was refused what, by which rule, and the event itself', async () => {
    const looking = await open(`/policy?${range}`)
    const [refused] = await weir.store.rows<{ event_id: string; caller: string }>(
      `SELECT toString(event_id) AS event_id, caller FROM v_decisions WHERE ${within} AND decision_rule = 'nothing is deleted'`,
    )
    expect(refused!.caller).toBe('clerk')
    const allowed = await number(
      `SELECT count() FROM v_decisions WHERE ${within} AND decision_rule = 'everybody works'`,
    )
    const by = (await cells(looking, 'Decisions')).map((row) => row.slice(0, 3))
    expect(by).toContainEqual(['deny', 'nothing is deleted', '1'])
    expect(by).toContainEqual(['allow', 'everybody works', allowed.toLocaleString('en-US')])
    await picture(looking, 'security-policy')
    expect(await looking.axe()).toEqual([])
    await looking.page.click(`${panel('Refused lately')} tbody tr:first-child a`)
    await looking.page.waitForSelector('.facts')
    await looking.settled(DELAY_MS)
    const event = await text(looking, '.facts')
    for (const word of [refused!.event_id, 'clerk', 'delete', 'nothing is deleted', 'denied'])
      expect(event).toContain(word)
    await done(looking, 'security-event')
  }, 480_000)
})
