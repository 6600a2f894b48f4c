/** Money through a real installation: tags of the config, meters of arguments, costs that a server reports, a changed price. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callTool } from '../support/client.ts'
import { startWeir, type Weir } from '../support/installation.ts'
import { readStore, type StoreReader } from '../support/store-reader.ts'
import { waitFor } from '../support/wait.ts'

const PROGRAM = fileURLToPath(new URL('../../weir.ts', import.meta.url))
const KEY = 'key-of-the-agent'
const headers = { authorization: `Bearer ${KEY}` }
let server: Server
let weir: Weir
let store: StoreReader

/** Answers every call, and says what its arguments ask it to say about its cost. */
function openServer(): Promise<Server> {
  const made = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => {
      body += chunk
    })
    request.on('end', () => {
      const { id, params } = JSON.parse(body || '{}') as {
        id?: unknown
        params?: { arguments?: { cost?: unknown } }
      }
      const cost = params?.arguments?.cost
      const result = {
        content: [{ type: 'text', text: 'done' }],
        ...(cost ? { _meta: { 'weir/cost': cost } } : {}),
      }
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ jsonrpc: '2.0', id, result }))
    })
  })
  return new Promise((resolve) => made.listen(0, '127.0.0.1', () => resolve(made)))
}

const config = (per_call_usd: number) => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
  return {
    servers: {
      trusted: { url, era: 'legacy', price: { reported: true, per_call_usd: 0.5 } },
      other: { url, era: 'legacy', price: { per_call_usd } },
      free: { url, era: 'legacy' },
    },
    prices: [{ server: 'other', tool: 'scan', formula: '0.001 * args.pages + 0.01 * size(args.text)' }],
    teams: { research: { budget_usd_per_month: 1, tags: { cost_center: '4711', owner: 'team' } } },
    callers: {
      agent: {
        team: 'research',
        tags: { owner: 'agent' },
        keys: [{ sha256: createHash('sha256').update(KEY).digest('hex') }],
      },
    },
  }
}

beforeAll(async () => {
  server = await openServer()
  weir = await startWeir({ config: config(0.002) })
  await weir.storing()
  store = readStore(weir.addresses.store)
}, 120_000)
afterAll(async () => {
  await store?.close()
  await weir?.remove()
  server?.closeAllConnections()
  server?.close()
}, 60_000)

const call = async (to: string, tool: string, args: Record<string, unknown>, id: string): Promise<void> => {
  const answer = await callTool(`${weir.addresses.proxy}/servers/${to}/mcp`, id, tool, args, {
    headers,
  })
  expect(answer.status).toBe(200)
}
async function run(argv: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [PROGRAM, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] })
  const texts = { out: '', err: '' }
  for (const [name, stream] of [
    ['out', child.stdout],
    ['err', child.stderr],
  ] as const)
    stream.on('data', (chunk: Buffer) => {
      texts[name] += chunk
    })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, ...texts }
}

type Row = { request_id: string; cost_nano: number; cost_source: string; tags: object; meters: object }
const rows = async (prefix: string, count: number): Promise<Record<string, Row>> => {
  const found = await waitFor(
    `${count} calls ${prefix}`,
    async () => {
      const all = await store.rows<Row>(
        `SELECT request_id, cost_nano, toString(cost_source) AS cost_source, tags, meters FROM v_calls WHERE startsWith(request_id, '${prefix}')`,
      )
      return all.length === count && all
    },
    60_000,
  )
  return Object.fromEntries(found.map((row) => [row.request_id, row]))
}

test('a call costs what its server says where that is trusted, else by its price, else it is unpriced', async () => {
  const usd = { amount: '0.0042', currency: 'USD' }
  await call('trusted', 'a', { cost: usd }, 'a-reported')
  await call('trusted', 'a', {}, 'a-silent')
  await call('trusted', 'a', { cost: { amount: '1', currency: 'EUR' } }, 'a-euro')
  await call('other', 'a', { cost: usd }, 'a-untrusted')
  await call('other', 'scan', { pages: 7, text: 'twelve chars', secret: 'hunter2' }, 'a-formula')
  await call('other', 'scan', { pages: 'seven' }, 'a-broken')
  await call('free', 'a', { cost: usd }, 'a-unpriced')
  const found = await rows('a-', 7)
  const costs = Object.fromEntries(
    Object.entries(found).map(([id, r]) => [id, [Number(r.cost_nano), r.cost_source]]),
  )
  expect(costs).toEqual({
    'a-reported': [4_200_000, 'reported'],
    'a-silent': [500_000_000, 'server'],
    'a-euro': [500_000_000, 'server'],
    'a-untrusted': [2_000_000, 'server'],
    'a-formula': [127_000_000, 'formula'],
    'a-broken': [0, 'unpriced'],
    'a-unpriced': [0, 'unpriced'],
  })
  expect(found['a-formula']!.meters).toEqual({ pages: 7, 'size(text)': 12 })
  expect(found['a-broken']!.meters).toEqual({})
  for (const row of Object.values(found)) expect(row.tags).toEqual({ cost_center: '4711', owner: 'agent' })
  expect(await weir.metric('weir_cost_reports_total', 'result="taken"')).toBe(1)
  expect(await weir.metric('weir_cost_reports_total', 'result="currency"')).toBe(1)
  expect(weir.output.split('a reported cost is not taken').length - 1).toBe(1)
}, 120_000)

test('a price that changes while Weir runs re-rates the past, in a budget too', async () => {
  const spent = async () => {
    const [row] = await store.rows<{ spent_nano: number; state: string }>(
      'SELECT spent_nano, state FROM v_budgets',
    )
    return row && { spent: Number(row.spent_nano), state: row.state }
  }
  const others = 4_200_000 + 2 * 500_000_000 + 127_000_000
  await waitFor('the budget is there', async () => (await spent())?.spent === others + 2_000_000, 60_000)
  expect((await spent())!.state).toBe('exceeded')
  weir.writeConfig(config(0.25))
  await waitFor('the past is re-rated', async () => (await spent())?.spent === others + 250_000_000, 90_000)
  const [raw] = await store.rows<{ cost: number }>(
    "SELECT cost_nano AS cost FROM calls WHERE request_id = 'a-untrusted'",
  )
  expect(Number(raw!.cost)).toBe(2_000_000)
  const [now] = await store.rows<{ cost: number; prices: number }>(
    "SELECT cost_nano AS cost, (SELECT count() FROM v_prices WHERE server = 'other' AND tool = '*') AS prices FROM v_call_costs WHERE event_id = (SELECT event_id FROM calls WHERE request_id = 'a-untrusted')",
  )
  expect([Number(now!.cost), Number(now!.prices)]).toEqual([250_000_000, 2])
}, 180_000)

test('weir rerate finds nothing to change where the prices in force were applied', async () => {
  const { code, out, err } = await run([
    'rerate',
    '--config',
    weir.configFile,
    '--from',
    '2026-01-01',
    '--json',
  ])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(JSON.parse(out)).toMatchObject({ calls: 7, changed: 0, delta_nano: 0 })
  expect(await run(['rerate', '--config', weir.configFile, '--from', 'soon'])).toMatchObject({ code: 2 })
}, 120_000)

test('misuse of the export is told with what to write', async () => {
  for (const [argv, words] of [
    [['export'], /there is no export ""/],
    [['export', 'focus'], /there is no --month/],
    [['export', 'focus', '--month', '2026-13'], /is not a month/],
    [['export', 'focus', '--month', '2026-10', '--format', 'xls'], /csv or parquet/],
  ] as const)
    expect(await run(argv)).toMatchObject({ code: 2, out: '', err: expect.stringMatching(words) })
}, 60_000)
