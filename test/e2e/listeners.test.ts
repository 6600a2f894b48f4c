/**
 * Several listeners of one installation: the same workers and endpoints behind each, and each its own rule for trace context,
 * whichever way a client speaks, in whichever worker its session is, and after one of them has died.
 */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readNote } from '../../supervisor/data-folder.ts'
import { openLine } from '../bad-input/support/lines.ts'
import { run } from '../cli/support/weir.ts'
import { callTool, initialize, send, toolCall } from '../support/client.ts'
import { stablePort } from '../support/ports.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'
import { type Observed, type Row, startObserved } from './support/observed.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'
const CONTEXT = { traceparent: `00-${TRACE}-${SPAN}-01` }
const KEY = { authorization: 'Bearer key-of-the-agent' }
const PATH = '/servers/stub/mcp'
/** What the event of a call with the context above says, by the rule of the listener it came to. */
const SAYS = {
  parent: { trace_id: TRACE, parent_span_id: SPAN, link_trace_id: '', link_span_id: '' },
  link: {
    trace_id: expect.not.stringMatching(TRACE),
    parent_span_id: '',
    link_trace_id: TRACE,
    link_span_id: SPAN,
  },
  ignore: {
    trace_id: expect.not.stringMatching(TRACE),
    parent_span_id: '',
    link_trace_id: '',
    link_span_id: '',
  },
} as const
type Rule = keyof typeof SAYS
const RULES = Object.keys(SAYS) as Rule[]

const first = stablePort()
let upstream: UpstreamStub
let weir: Observed
let at: Record<Rule, string>

const config = (second: object = { address: '127.0.0.1:0', trace: { incoming: 'link' } }) => ({
  workers: 2,
  listen: [`127.0.0.1:${first}`, second, { address: '0.0.0.0:0', trace: { incoming: 'ignore' } }],
  callers: { agent: { keys: [{ sha256: createHash('sha256').update('key-of-the-agent').digest('hex') }] } },
  servers: { stub: { url: upstream.url, era: 'legacy' } },
})
const portOf = (rule: Rule): number => Number(new URL(at[rule]).port)

beforeAll(async () => {
  upstream = await startUpstream({ sessions: true })
  weir = await startObserved(config())
  const { listen, listeners } = readNote(weir.weir.data)!
  expect(listeners).toHaveLength(3)
  expect([listen, new URL(listeners[0]!).port]).toEqual([listeners[0], String(first)])
  const [parent, link, ignore] = listeners.map((url) => url.replace('0.0.0.0', '127.0.0.1'))
  at = { parent: parent!, link: link!, ignore: ignore! }
})
afterAll(async () => {
  await weir?.stop()
  await upstream?.end()
})

/** Calls a listener until both workers have had one. Each call is a connection of its own. */
async function callBoth(rule: Rule, prefix: string): Promise<Row[]> {
  let n = 0
  return waitFor('both workers have served', async () => {
    const answer = await callTool(
      `${at[rule]}${PATH}`,
      `${prefix}-${n++}`,
      'echo',
      {},
      { headers: { ...KEY, ...CONTEXT } },
    )
    expect(answer.status).toBe(200)
    const rows = await weir.events(`startsWith(request_id, '${prefix}-')`, n)
    return new Set(rows.map((row) => row.worker)).size === 2 && rows
  })
}

test('each is printed, checked and named', async () => {
  expect(weir.weir.output).toContain(`all servers   ${at.parent}/mcp\n  also at       ${at.link}/mcp\n`)
  const { out } = await run(weir.weir.folder.path, 'doctor', '--json')
  const { checks } = JSON.parse(out) as { checks: { name: string; state: string; detail: string }[] }
  const ports = checks.filter(({ name }) => name.startsWith('port listen'))
  expect(ports.map(({ name, state }) => [name, state])).toEqual([
    ['port listen[0]', 'ok'],
    ['port listen[1]', 'ok'],
    ['port listen[2]', 'ok'],
  ])
  expect(ports[1]!.detail).toContain(`:${portOf('link')} held by Weir`)
})

describe.each(RULES)('%s', (rule) => {
  test('over HTTP, from every worker', async () => {
    for (const row of await callBoth(rule, `http-${rule}`)) expect(row).toMatchObject(SAYS[rule])
  })

  test.each(['websocket', 'sse', 'connect'] as const)('over %s', async (way) => {
    const agent = `${way}-${rule}`
    const line = await openLine(way, { port: portOf(rule), path: PATH, agent, headers: KEY })
    await line.say(JSON.stringify(initialize(`${agent}-open`)))
    await waitFor('the session', () => line.heard.some((text) => text.includes(`"${agent}-open"`)))
    await line.say(JSON.stringify(toolCall(agent, 'echo', {}, CONTEXT)))
    await waitFor('the answer', () => line.heard.some((text) => text.includes(`"${agent}"`)))
    await line.close()
    expect(await weir.events(`request_id = '${agent}'`)).toMatchObject([SAYS[rule]])
  })

  test('in a batch', async () => {
    const ids = [`batch-${rule}-1`, `batch-${rule}-2`]
    const body = ids.map((id) => toolCall(id, 'echo', {}, CONTEXT))
    const answer = await send(`${at[rule]}${PATH}`, body, {
      headers: { ...KEY, 'mcp-protocol-version': '2025-03-26' },
    })
    expect(answer.status).toBe(200)
    expect(await weir.events(`startsWith(request_id, 'batch-${rule}-')`, 2)).toMatchObject([
      SAYS[rule],
      SAYS[rule],
    ])
  })

  test('in a session that another worker holds', async () => {
    const opened = await send(`${at[rule]}/mcp`, initialize(`roof-${rule}`), { headers: KEY })
    const headers = { ...KEY, ...CONTEXT, 'mcp-session-id': String(opened.headers['mcp-session-id']) }
    // One worker owns it, connections go to both in turn.
    const calls = await Promise.all(
      [0, 1, 2, 3].map((n) => callTool(`${at[rule]}/mcp`, `roof-${rule}-${n}`, 'stub_echo', {}, { headers })),
    )
    expect(calls.map((call) => call.status)).toEqual([200, 200, 200, 200])
    const rows = await weir.events(`startsWith(request_id, 'roof-${rule}-')`, 4)
    expect(new Set(rows.map((row) => row.worker)).size).toBe(1)
    for (const row of rows) expect(row).toMatchObject(SAYS[rule])
  })
})

test('each judges Host and Origin by where it listens', async () => {
  const status = async (rule: Rule, headers: Record<string, string>): Promise<number> =>
    (await callTool(`${at[rule]}${PATH}`, 'pages', 'echo', {}, { headers: { ...KEY, ...headers } })).status
  // On loopback only its own names count, on the network any, for no list of names is configured.
  expect(await status('link', { host: 'weir.example' })).toBe(403)
  expect(await status('ignore', { host: 'weir.example' })).toBe(200)
  // Pages of this machine may call what listens on this machine alone.
  expect(await status('link', { origin: 'http://localhost:3000' })).toBe(200)
  expect(await status('ignore', { origin: 'http://localhost:3000' })).toBe(403)
})

test('nobody can say to which listener he came', async () => {
  const headers = { ...KEY, ...CONTEXT, 'weir-hop-listener': '0' }
  await callTool(`${at.ignore}${PATH}`, 'spoof', 'echo', {}, { headers })
  expect(await weir.events("request_id = 'spoof'")).toMatchObject([SAYS.ignore])
  const arrived = (await upstream.seen()).arrived.find((a) => a.id === 'spoof')!
  expect(Object.keys(arrived.headers).filter((name) => name.startsWith('weir-'))).toEqual([])
})

test('all of them are there again after a worker has died', async () => {
  const [killed] = weir.weir.pids('worker')
  process.kill(killed!, 'SIGKILL')
  await waitFor('another worker is there', () => {
    const pids = weir.weir.pids('worker')
    return pids.length === 2 && !pids.includes(killed!)
  })
  for (const rule of RULES)
    for (const row of await callBoth(rule, `again-${rule}`)) expect(row).toMatchObject(SAYS[rule])
})

test('a rule may change while running, a place may not', async () => {
  const said = async (text: string, second: object): Promise<void> => {
    const before = weir.weir.output.length
    weir.weir.writeConfig(config(second))
    await waitFor(text, () => weir.weir.output.slice(before).includes(text))
  }
  await said('config reloaded', { address: '127.0.0.1:0', trace: { incoming: 'ignore' } })
  for (const row of await callBoth('link', 'changed')) expect(row).toMatchObject(SAYS.ignore)
  await said('listen cannot change while running', { address: `127.0.0.1:${stablePort()}` })
  for (const row of await callBoth('link', 'unchanged')) expect(row).toMatchObject(SAYS.ignore)
  await said('config reloaded', { address: '127.0.0.1:0' })
  for (const row of await callBoth('link', 'global')) expect(row).toMatchObject(SAYS.parent)
})
