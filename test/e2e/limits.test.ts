/**
 * Limits of a real Weir with four workers: exact, whatever way calls come. Nobody gets more by opening a session anew, by new
 * connections, at once, in batches, at another endpoint, or over another transport.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import WebSocket from 'ws'
import { type Answer, callTool, initialize, open, send, toolCall } from '../support/client.ts'
import { makeFolder } from '../support/folder.ts'
import { startWeir, type Weir } from '../support/installation.ts'
import { isAlive, signal } from '../support/processes.ts'
import { readStore } from '../support/store-reader.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'

const QUOTA = 7
const NAMES = [
  'again',
  'fresh',
  'burst',
  'batch',
  'endpoint',
  'websocket',
  'sse',
  'mixed',
  'agents',
  'data',
  'pace',
  'at-once',
  'gone',
  'killed',
  'timeout',
  'watched',
  'lists',
  'reload',
  'free',
] as const
type Name = (typeof NAMES)[number]
const keyOf = (name: string): string => `key-of-${name}`
const headersOf = (name: Name, more: Record<string, string> = {}): Record<string, string> => ({
  authorization: `Bearer ${keyOf(name)}`,
  ...more,
})

const LIMITS: object[] = [
  { name: 'seven', per: ['caller'], quota: `${QUOTA}/day`, callers: NAMES.slice(0, 10) },
  { name: 'pace', per: ['caller'], rate: '20/s', burst: 5, callers: ['pace'] },
  { name: 'three', per: ['caller'], concurrency: 3, callers: ['at-once', 'gone', 'killed', 'timeout'] },
  { name: 'watched', per: ['caller'], quota: '2/day', callers: ['watched'], mode: 'shadow' },
  { name: 'lists', per: ['caller'], quota: '2/day', callers: ['lists'], methods: ['*'] },
]

let upstream: UpstreamStub
let weir: Weir
const config = (limits: object[] = LIMITS): Record<string, unknown> => ({
  workers: 4,
  collector: { url: 'http://127.0.0.1:9', token: 'token-of-a-collector-that-is-away' },
  spool: { segment_age_ms: 600_000 },
  callers: Object.fromEntries(
    NAMES.map((name) => [
      name,
      { keys: [{ sha256: createHash('sha256').update(keyOf(name)).digest('hex') }] },
    ]),
  ),
  servers: {
    stub: { url: upstream.url, era: 'legacy', timeout_ms: 60_000 },
    brief: { url: upstream.url, era: 'legacy', timeout_ms: 300 },
  },
  limits,
})

beforeAll(async () => {
  upstream = await startUpstream({ sessions: true })
  weir = await startWeir({ verb: 'proxy', config: config() })
}, 120_000)
afterAll(async () => {
  await weir?.remove()
  await upstream?.end()
})

const at = (path: string): string => `${weir.addresses.proxy}${path}`
const STUB = '/servers/stub/mcp'
const passed = (answers: readonly Answer[]): number => answers.filter((a) => a.message?.result).length
const call = (
  name: Name,
  id: string,
  options: { path?: string; headers?: Record<string, string>; tool?: string } = {},
) =>
  callTool(
    at(options.path ?? STUB),
    id,
    options.tool ?? 'echo',
    {},
    { headers: headersOf(name, options.headers) },
  )
const session = async (name: Name, path = STUB): Promise<Record<string, string>> => {
  const opened = await send(at(path), initialize(`open-${Math.random()}`), { headers: headersOf(name) })
  return { 'mcp-session-id': String(opened.headers['mcp-session-id']) }
}
const repeat = <T>(n: number, act: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: n }, (_, i) => act(i)))

type Event = Record<string, unknown> & { decision_facts?: Record<string, string> }
const eventsOf = (name: Name): Event[] =>
  weir.spoolText
    .split('\n')
    .filter((line) => line.endsWith('}') && line.includes(`"caller":"${name}"`))
    .map((line) => JSON.parse(line) as Event)

describe('a quota of a caller cannot be got round', () => {
  test('by initializing again and again', async () => {
    const answers: Answer[] = []
    for (let i = 0; i < 3 * QUOTA; i++)
      answers.push(await call('again', `again-${i}`, { headers: await session('again') }))
    expect(passed(answers)).toBe(QUOTA)
  })

  test('by a new connection for every call, which go round the workers', async () => {
    const answers: Answer[] = []
    for (let i = 0; i < 3 * QUOTA; i++) answers.push(await call('fresh', `fresh-${i}`))
    expect(passed(answers)).toBe(QUOTA)
    expect(new Set(eventsOf('fresh').map((event) => event.worker)).size).toBeGreaterThan(1)
  })

  test('by sending everything at once', async () => {
    expect(passed(await repeat(60, (i) => call('burst', `burst-${i}`)))).toBe(QUOTA)
  })

  test('by batches', async () => {
    const own = await send(
      at(STUB),
      {
        jsonrpc: '2.0',
        id: 'open',
        method: 'initialize',
        params: { protocolVersion: '2025-03-26', capabilities: {}, clientInfo: { name: 'b', version: '1' } },
      },
      { headers: headersOf('batch') },
    )
    const headers = headersOf('batch', {
      'mcp-session-id': String(own.headers['mcp-session-id']),
      'mcp-protocol-version': '2025-03-26',
    })
    const answers = await repeat(3, (b) =>
      send(
        at(STUB),
        Array.from({ length: 10 }, (_, i) => toolCall(`b${b}-${i}`, 'echo')),
        { headers },
      ),
    )
    const all = answers.flatMap(({ text }) => JSON.parse(text) as { result?: unknown }[])
    expect(all.length).toBe(30)
    expect(all.filter((one) => one.result).length).toBe(QUOTA)
  })

  test('by calling at the endpoint of the server and under the roof', async () => {
    const roof = await session('endpoint', '/mcp')
    const answers = await repeat(30, (i) =>
      i % 2 === 0
        ? call('endpoint', `endpoint-${i}`)
        : call('endpoint', `endpoint-${i}`, { path: '/mcp', tool: 'stub_echo', headers: roof }),
    )
    expect(passed(answers)).toBe(QUOTA)
  })

  const overWebSocket = async (name: Name, calls: number): Promise<number> => {
    const socket = new WebSocket(at(STUB).replace('http', 'ws'), 'mcp', { headers: headersOf(name) })
    const heard: { id?: unknown; result?: unknown }[] = []
    socket.on('message', (data: Buffer) => heard.push(JSON.parse(data.toString()) as { id?: unknown }))
    await once(socket, 'open')
    for (let i = 0; i < calls; i++) socket.send(JSON.stringify(toolCall(`ws-${i}`, 'echo')))
    await waitFor(
      'all are answered',
      () => heard.filter((m) => String(m.id).startsWith('ws-')).length === calls,
    )
    socket.close()
    return heard.filter((m) => m.result).length
  }
  test('over WebSocket', async () => {
    const all = await repeat(4, () => overWebSocket('websocket', 8))
    expect(all.reduce((sum, n) => sum + n, 0)).toBe(QUOTA)
  })

  const overSse = async (name: Name, calls: number): Promise<number> => {
    const client = new Client({ name: 'old', version: '1' })
    const requestInit = { headers: headersOf(name, { connection: 'close' }) }
    const url = new URL(at('/servers/stub/sse'))
    const eventSourceInit = {
      fetch: (to: string | URL | Request, init?: RequestInit) =>
        fetch(to, { ...init, headers: { ...(init?.headers as object), ...headersOf(name) } }),
    }
    await client.connect(new SSEClientTransport(url, { requestInit, eventSourceInit } as never) as Transport)
    let results = 0
    for (let i = 0; i < calls; i++)
      await client.callTool({ name: 'echo', arguments: {} }).then(
        () => results++,
        () => {},
      )
    await client.close()
    return results
  }
  test('over HTTP+SSE', async () => {
    const all = await repeat(2, () => overSse('sse', 8))
    expect(all.reduce((sum, n) => sum + n, 0)).toBe(QUOTA)
  })

  test('by all of them together', async () => {
    const roof = await session('mixed', '/mcp')
    const [plain, under, socket, old] = await Promise.all([
      repeat(10, (i) => call('mixed', `m-${i}`)).then(passed),
      repeat(10, (i) => call('mixed', `r-${i}`, { path: '/mcp', tool: 'stub_echo', headers: roof })).then(
        passed,
      ),
      overWebSocket('mixed', 10),
      overSse('mixed', 5),
    ])
    expect(plain + under + socket + old).toBe(QUOTA)
  })

  test('by calling oneself another agent, or tracing another run', async () => {
    const answers = await repeat(30, (i) =>
      call('agents', `a-${i}`, { headers: { 'x-weir-agent': `agent-${i}`, 'x-weir-run': `run-${i}` } }),
    )
    expect(passed(answers)).toBe(QUOTA)
  })
})

test('a refusal says which limit, its state, and when it resets; the event has all of it', async () => {
  await repeat(QUOTA, (i) => call('data', `data-${i}`))
  const refused = await call('data', 'refused')
  expect(refused.status).toBe(429)
  const { code, data } = refused.message!.error!
  expect(code).toBe(10429)
  const end = new Date(new Date().setUTCHours(24, 0, 0, 0)).getTime()
  expect(data).toMatchObject({
    weir: 'quota_exhausted',
    limit: { name: 'seven', kind: 'quota', allowed: '7 calls a day', per: { caller: 'data' } },
    taken: '7',
  })
  expect(Math.abs(Date.parse(String(data!.resets_at)) - end)).toBeLessThan(60_000)
  expect(Number(refused.headers['retry-after'])).toBe(Math.ceil(Number(data!.retry_after_ms) / 1000))
  const events = await waitFor('events', () => {
    const found = eventsOf('data')
    return found.length === QUOTA + 1 && found
  })
  expect(events.filter((event) => event.decision === 'allow').length).toBe(QUOTA)
  expect(events.find((event) => event.request_id === 'refused')).toMatchObject({
    outcome: 'limited',
    error_type: 'quota_exhausted',
    decision: 'limit',
    decision_rule: 'seven',
    decision_reason: 'more than 7 calls a day',
    decision_facts: { limit: 'quota', taken: '7', of: '7' },
    attempts: 0,
  })
  expect(
    await weir.metric('weir_limit_refusals_total', 'limit="seven",kind="quota",mode="enforce"'),
  ).toBeGreaterThan(0)
})

test('a rate lets through no more than burst and pace, and a call that waits as told passes', async () => {
  const begun_ms = performance.now()
  const answers: Answer[] = []
  for (let i = 0; i < 6; i++) answers.push(...(await repeat(20, (n) => call('pace', `pace-${i}-${n}`))))
  const most = 5 + ((performance.now() - begun_ms) * 20) / 1000
  expect(passed(answers)).toBeLessThanOrEqual(most)
  expect(passed(answers)).toBeGreaterThanOrEqual(5)
  // Another worker may hold what is free for a moment: then the next wait is told, and it is as short.
  let last = answers.findLast((answer) => answer.status === 429)!
  for (let tries = 0; last.status === 429 && tries < 5; tries++) {
    const wait_ms = Number(last.message?.error?.data?.retry_after_ms)
    expect(wait_ms).toBeGreaterThan(0)
    expect(wait_ms).toBeLessThanOrEqual(50)
    const until = performance.now() + wait_ms
    await waitFor('the time is up', () => performance.now() >= until)
    last = await call('pace', `pace-after-${tries}`)
  }
  expect(last.status).toBe(200)
})

describe('concurrency', () => {
  const held = (name: Name, i: number, path = STUB, tool = 'held') =>
    open(at(path), { method: 'POST', body: toolCall(`${name}-${i}`, tool), headers: headersOf(name) })
  const arrived = async (name: Name): Promise<number> =>
    (await upstream.seen()).arrived.filter((a) => a.id.startsWith(`${name}-`)).length

  test('is exact over the workers, and a call that ends makes room for one', async () => {
    const waiting: Promise<unknown>[] = []
    for (let round = 1; round <= 6; round++) {
      for (let i = 0; i < 12; i++) waiting.push(held('at-once', 100 * round + i))
      await waitFor('three are with the server', async () => (await upstream.seen()).held === 3)
      const refused = await call('at-once', `refused-${round}`)
      expect(refused.message?.error?.data).toMatchObject({ weir: 'concurrency_limited', taken: '3' })
      expect(await arrived('at-once')).toBe(3 * round)
      await upstream.release()
      // An answer is recorded, and its place free, before the client has it.
      await Promise.all(waiting)
    }
  })

  const hasRoomForThree = async (name: Name): Promise<void> => {
    const before = await arrived(name)
    let n = 5000
    await waitFor('three more are with the server', async () => {
      const have = (await arrived(name)) - before
      if (have < 3) held(name, n++).catch(() => {})
      return have >= 3
    })
    await upstream.release()
  }

  test('comes back when clients go away', async () => {
    const waiting = [0, 1, 2].map((i) =>
      send(at(STUB), toolCall(`gone-${i}`, 'held'), { headers: headersOf('gone'), timeout_ms: 1_000 }),
    )
    await waitFor('three are with the server', async () => (await arrived('gone')) === 3)
    await Promise.all(waiting)
    await hasRoomForThree('gone')
  })

  test('comes back when calls run out of time', async () => {
    const answers = await repeat(3, (i) =>
      call('timeout', `timeout-${i}`, { path: '/servers/brief/mcp', tool: 'never' }),
    )
    expect(answers.map((a) => a.status)).toEqual([504, 504, 504])
    await hasRoomForThree('timeout')
  })

  test('of killed workers is free at once', async () => {
    const waiting = [0, 1, 2].map((i) =>
      send(at(STUB), toolCall(`killed-${i}`, 'held'), { headers: headersOf('killed') }),
    )
    await waitFor('three are with the server', async () => (await arrived('killed')) === 3)
    const pids = weir.pids('worker')
    for (const pid of pids) signal(pid, 'SIGKILL')
    await Promise.all(waiting)
    await waitFor(
      'the workers are new',
      () => weir.pids('worker').length === 4 && pids.every((pid) => !isAlive(pid)),
    )
    await hasRoomForThree('killed')
  })
})

test('mode shadow lets everything through and notes what it would have refused', async () => {
  expect(passed(await repeat(5, (i) => call('watched', `watched-${i}`)))).toBe(5)
  const events = await waitFor('events', () => {
    const found = eventsOf('watched')
    return found.length === 5 && found
  })
  expect(events.filter((event) => (event.shadow as string[] | undefined)?.includes('watched')).length).toBe(3)
  expect(events.every((event) => event.decision === 'allow')).toBe(true)
})

test('lists, initialize and pings count where the limit says so, under the roof too', async () => {
  const headers = await session('lists', '/mcp')
  const list = (): Promise<Answer> =>
    send(
      at('/mcp'),
      { jsonrpc: '2.0', id: 1, method: 'tools/list' },
      { headers: headersOf('lists', headers) },
    )
  expect((await list()).status).toBe(200)
  expect((await list()).status).toBe(429)
  expect(
    (
      await send(
        at('/mcp'),
        { jsonrpc: '2.0', id: 2, method: 'ping' },
        { headers: headersOf('lists', headers) },
      )
    ).status,
  ).toBe(429)
  expect((await send(at('/mcp'), initialize('more'), { headers: headersOf('lists') })).status).toBe(429)
  const notice = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }
  expect((await send(at('/mcp'), notice, { headers: headersOf('lists', headers) })).status).toBe(202)
  // Without an id nothing could be counted: a server might do it all the same.
  const { id: _, ...unnamed } = toolCall('none', 'echo') as { id: string }
  expect((await send(at('/mcp'), unnamed, { headers: headersOf('lists', headers) })).status).toBe(400)
})

test('a reload takes over limits at once, and counts go on', async () => {
  const quota = (n: number): object[] => [
    ...LIMITS,
    { name: 'hot', per: ['caller'], quota: `${n}/day`, callers: ['reload'] },
  ]
  const reload = async (limits: object[]): Promise<void> => {
    const before = await weir.metric('weir_config_reloads_total', 'result="done"')
    weir.writeConfig(config(limits))
    signal(weir.pid, 'SIGHUP')
    await waitFor(
      'it is taken over',
      async () => (await weir.metric('weir_config_reloads_total', 'result="done"')) > before,
    )
  }
  expect(passed(await repeat(5, (i) => call('reload', `reload-${i}`)))).toBe(5)
  await reload(quota(4))
  expect(passed(await repeat(20, (i) => call('reload', `reload-${i}`)))).toBe(4)
  await reload(quota(6))
  expect(passed(await repeat(20, (i) => call('reload', `reload-${i}`)))).toBe(2)
}, 60_000)

describe('quotas and money outlive', () => {
  const priced = (url: string): Record<string, unknown> => ({
    workers: 4,
    collector: { url: 'http://127.0.0.1:9', token: 'token-of-a-collector-that-is-away' },
    servers: { stub: { url, era: 'legacy', price: { per_call_usd: 1 } } },
    limits: [
      { name: 'purse', spend_usd: '6/month', per: ['caller'] },
      { name: 'some', quota: '1000/day' },
    ],
  })

  test('a stop and a kill of everything; failed calls cost nothing; shares are told', async () => {
    const folder = makeFolder('limits')
    let own = await startWeir({ verb: 'proxy', config: priced(upstream.url), folder })
    try {
      const spend = (n: number, tool = 'echo'): Promise<Answer[]> =>
        repeat(n, (i) => callTool(`${own.addresses.proxy}${STUB}`, `spend-${Math.random()}-${i}`, tool))
      const failed = await spend(6, 'http_error')
      expect(failed.map((a) => a.status)).not.toContain(429)
      await waitFor('what failed is given back', async () => {
        const [one] = await spend(1, 'http_error')
        return one!.status !== 429
      })
      expect(passed(await spend(2))).toBe(2)
      await waitFor(
        'it is on disk',
        async () => (await own.metric('weir_limit_used_ratio', 'limit="purse"')) > 0.3,
      )
      await own.stop()
      own = await startWeir({ verb: 'proxy', config: priced(upstream.url), folder })
      expect(passed(await spend(1))).toBe(1)
      await waitFor(
        'half is told',
        async () => (await own.metric('weir_limit_warnings_total', 'share="0.5"')) === 1,
      )
      const file = await waitFor('it is on disk', async () => {
        const text = readFileSync(`${own.data}/limits.json`, 'utf8')
        return text.includes('3000000000') && text
      })
      expect(file).toContain('purse')
      await own.kill()
      own = await startWeir({ verb: 'proxy', config: priced(upstream.url), folder })
      const rest = await spend(20)
      expect(passed(rest)).toBe(3)
      expect(rest.find((a) => a.status === 429)!.message!.error!.data).toMatchObject({
        weir: 'budget_exhausted',
        limit: { name: 'purse', kind: 'spend', allowed: '6 USD a month' },
      })
      await waitFor(
        'all is told',
        async () => (await own.metric('weir_limit_warnings_total', 'share="1"')) === 1,
      )
      expect(await own.metric('weir_limit_warnings_total', 'share="0.5"')).toBe(0)
    } finally {
      await own.remove()
      folder.remove()
    }
  }, 120_000)
})

test('a budget that is new in a running month knows what the store says was spent', async () => {
  const config = (more: object): Record<string, unknown> => ({
    servers: { stub: { url: upstream.url, era: 'legacy', price: { per_call_usd: 1 } } },
    budgets: [{ scope: 'server', name: 'stub', period: 'month', amount_usd: 6, ...more }],
  })
  const own = await startWeir({ config: config({}) })
  try {
    const spend = (n: number): Promise<Answer[]> =>
      repeat(n, (i) => callTool(`${own.addresses.proxy}${STUB}`, `store-${Math.random()}-${i}`, 'echo'))
    await own.storing()
    expect(passed(await spend(5))).toBe(5)
    own.writeConfig(config({ enforce: true }))
    signal(own.pid, 'SIGHUP')
    const ratio = (): Promise<number> =>
      own.metric('weir_limit_used_ratio', 'limit="budget:server:stub:month"')
    await waitFor('the store has told it', async () => (await ratio()) > 0.8, 60_000)
    const answers = await spend(5)
    expect(passed(answers)).toBe(1)
    expect(answers.find((a) => a.status === 429)!.message!.error!.data).toMatchObject({
      weir: 'budget_exhausted',
      limit: { name: 'budget:server:stub:month' },
    })
    const store = readStore(own.addresses.store)
    try {
      const notes = await waitFor('it is on the charts', async () => {
        const found = await store.rows<{ title: string; detail: string }>(
          "SELECT title, detail FROM annotations FINAL WHERE kind = 'limit' ORDER BY ts",
        )
        return found.length === 2 && found
      })
      expect(notes).toEqual([
        { title: 'limit budget:server:stub:month: 80 % reached', detail: '5 of 6 USD a month' },
        { title: 'limit budget:server:stub:month: 100 % reached', detail: '6 of 6 USD a month' },
      ])
      const decided = await waitFor('decisions are rows', async () => {
        const found = await store.rows<{ decision: string; n: number }>(
          "SELECT toString(decision) AS decision, toUInt32(count()) AS n FROM calls WHERE method = 'tools/call' GROUP BY decision ORDER BY decision",
        )
        return found.length === 3 && found
      })
      expect(decided).toEqual([
        { decision: 'allow', n: 1 },
        { decision: 'limit', n: 4 },
        { decision: 'none', n: 5 },
      ])
      // What a limit would have done to these calls: of six that cost a dollar each, two are within it.
      const rules = `${own.folder.path}/try.yaml`
      writeFileSync(
        rules,
        JSON.stringify({ limits: [{ name: 'two', per: ['server'], spend_usd: '2/month' }] }),
      )
      const argv = ['weir.ts', 'policy', 'test', '--config', own.configFile, '--rules', rules, '--json']
      const { stdout } = await promisify(execFile)(process.execPath, argv)
      expect(JSON.parse(stdout)).toMatchObject({
        calls: 10,
        refused_before: 4,
        refused: 4,
        saved_nano: 4_000_000_000,
        calls_refused: [{ rule: 'two', reason: 'more than 2 USD a month' }, {}, {}, {}],
      })
    } finally {
      await store.close()
    }
  } finally {
    await own.remove()
  }
}, 180_000)
