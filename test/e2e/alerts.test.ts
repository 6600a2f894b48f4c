/** An installation, a tool that begins to fail, a receiver that hears of it, a silence by the command, and a collector that is killed. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from '../cli/support/weir.ts'
import { type Listener, listen } from '../collector/watch/alerts/listener.ts'
import { ACCEPT } from '../support/client.ts'
import { startWeir, type Weir } from '../support/installation.ts'
import { readStore, type StoreReader } from '../support/store-reader.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'

let upstream: UpstreamStub
let weir: Weir
let hook: Listener
let store: StoreReader

const config = (value: number) => ({
  servers: { bank: { url: upstream.url } },
  alerts: {
    to: [{ webhook: { url: `${hook.url}/hook` } }],
    rules: {
      Failing: {
        figure: 'error_share',
        over: 'tool',
        value,
        window_s: 3600,
        min_calls: 3,
        severity: 'critical',
      },
    },
    evaluation_interval_s: 0.5,
    lag_s: 0,
    group_wait_s: 0,
    group_interval_s: 0,
  },
})

beforeAll(async () => {
  upstream = await startUpstream()
  hook = await listen()
  weir = await startWeir({ config: config(0.4) })
  await weir.storing()
  store = readStore(weir.addresses.store)
}, 120_000)
afterAll(async () => {
  await store?.close()
  await weir?.remove()
  await hook?.close()
  await upstream?.end()
}, 120_000)

let id = 0
async function call(tool: string): Promise<void> {
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: `alert-${id++}`,
    method: 'tools/call',
    params: { name: tool, arguments: {} },
  })
  const response = await fetch(`${weir.addresses.proxy}/servers/bank/mcp`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: ACCEPT, 'mcp-protocol-version': '2025-11-25' },
    body,
  })
  await response.text()
}
type Sent = {
  status: string
  alerts: { status: string; labels: Record<string, string>; annotations: Record<string, string> }[]
}
/** Messages by their key: one that comes twice, because a collector was killed before it noted the answer, is one. */
const heard = (status: string): Sent[] => {
  const byKey = new Map(
    hook.got.map(({ headers, body }) => [headers['idempotency-key'], JSON.parse(body) as Sent]),
  )
  return [...byKey.values()].filter((m) =>
    m.alerts.some((a) => a.status === status && a.labels.alertname === 'Failing'),
  )
}

test('clean traffic: nothing fires', async () => {
  for (let i = 0; i < 6; i++) await call('echo')
  const evaluated = "SELECT count() FROM v_alert_rules WHERE rule = 'Failing' AND state = 'ok'"
  await waitFor('calls are stored', async () => (await store.number('SELECT count() FROM v_calls')) >= 6)
  await waitFor('rules were looked at', async () => (await store.number(evaluated)) === 1)
  expect(await store.rows("SELECT rule, state FROM v_alerts WHERE state IN ('firing', 'nodata')")).toEqual([])
  expect(hook.got).toEqual([])
}, 90_000)

test('a failing tool is told once, with its links, survives a killed collector, and is told as over', async () => {
  for (let i = 0; i < 6; i++) await call('no-such-tool')
  const [first] = await waitFor(
    'the receiver hears of it',
    () => heard('firing').length > 0 && heard('firing'),
    60_000,
  )
  const alert = first!.alerts.find((a) => a.labels.alertname === 'Failing')!
  expect(alert.labels).toMatchObject({ server: 'bank', tool: 'no-such-tool', severity: 'critical' })
  expect(alert.annotations.panel).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/tools\/bank\/no-such-tool\?/)
  expect(alert.annotations.runbook).toBe('dashboards/runbook.md#figure-error_share')
  expect(alert.annotations.trace).toBeTruthy()

  weir.signal('collector', 'SIGKILL')
  await weir.storing()
  const terms = 'SELECT max(epoch) FROM watch_lock WHERE freed = 0'
  const before = await store.number(terms)
  await waitFor(
    'another term has begun',
    async () =>
      (await store.number(terms)) > before ||
      (await store.number('SELECT uniqExact(owner) FROM watch_lock')) > 1,
    90_000,
  )
  expect(await store.rows("SELECT state, times_fired FROM v_alerts WHERE rule = 'Failing'")).toEqual([
    { state: 'firing', times_fired: 1 },
  ])

  // A limit nothing can be beyond: the same alert, and it is over.
  weir.writeConfig(config(1))
  await waitFor('it is told as over', () => heard('resolved').length > 0, 90_000)
  expect(heard('firing').length).toBe(1)
  expect(heard('resolved').length).toBe(1)
  const notes = await store.rows<{ detail: string }>(
    "SELECT detail FROM annotations FINAL WHERE kind = 'config' ORDER BY ts",
  )
  expect(notes.map((note) => note.detail)).toEqual(['Weir started', 'alerts.rules.Failing.value'])
}, 240_000)

test('weir silence: add, list, remove; what it refuses it explains', async () => {
  const { path } = weir.folder
  const made = await run(
    path,
    'silence',
    'add',
    '--for',
    '2h',
    '--comment',
    'moving',
    'server=bank',
    'alertname=~"Fail.*"',
    '--json',
  )
  expect(made.err).toBe('')
  const { id: silence } = JSON.parse(made.out) as { id: string }
  const listed = await run(path, 'silence', 'list')
  expect(listed.out).toContain(silence)
  expect(listed.out).toContain('server="bank" alertname=~"Fail.*"')
  for (const [words, why] of [
    [['add', 'server=bank'], /how long/],
    [['add', '--for', '2h'], /what shall be quiet/],
    [['add', '--for', '2h', 'srever=bank'], /no alert here has the label srever/],
    [['add', '--for', '2h', 'server=~"(a+)+"'], /repeats a group/],
    [['remove', 'nothing'], /no such silence/],
  ] as const) {
    const refused = await run(path, 'silence', ...words)
    expect(refused.code).not.toBe(0)
    expect(refused.err).toMatch(why)
  }
  expect((await run(path, 'silence', 'remove', silence)).code).toBe(0)
  expect((await run(path, 'silence', 'list')).out).toBe('nothing is silenced\n')
}, 120_000)
