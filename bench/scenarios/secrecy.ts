/**
 * Whether the time of an answer tells what is forbidden from what is not there: both are asked for in turn, in an order drawn by
 * lot, over one connection of one worker alone; beside them something that is open, which the same measurement has to tell.
 */
import { writeFileSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { configOf } from '../support/alone.ts'
import { scratch, startServer } from '../support/children.ts'
import { ROOT } from '../support/machine.ts'
import type { Findings, RunOptions, Scenario } from '../support/scenario.ts'
import { quantile, seeded } from '../support/spread.ts'

const KEY = 'weir_bench'
const RULES = `rules:
  - { deny: hidden, tools: hidden, prompts: hidden, resources: "x://hidden/*" }
  - { allow: openly, tools: openly, prompts: openly, resources: "x://openly/*" }
`
const LISTS: Record<string, object> = {
  'tools/list': { tools: ['openly', 'hidden'].map((name) => ({ name, inputSchema: { type: 'object' } })) },
  'prompts/list': { prompts: ['openly', 'hidden'].map((name) => ({ name })) },
  'resources/list': { resources: ['openly', 'hidden'].map((name) => ({ uri: `x://${name}/a`, name })) },
  'resources/templates/list': { resourceTemplates: [] },
}

/** A server that lists what is above and answers everything else with next to nothing. */
async function startLister(): Promise<{ url: string; close(): void }> {
  const server = createServer((req, res) => {
    let text = ''
    req.on('data', (chunk) => (text += String(chunk)))
    req.on('end', () => {
      if (req.method !== 'POST') return void res.writeHead(405).end()
      const { id, method } = JSON.parse(text) as { id?: unknown; method: string }
      if (id === undefined) return void res.writeHead(202).end()
      const capabilities = { tools: {}, prompts: {}, resources: {} }
      const hello = { protocolVersion: '2025-11-25', capabilities, serverInfo: { name: 'l', version: '1' } }
      const result = method === 'initialize' ? hello : (LISTS[method] ?? {})
      res.writeHead(200, { 'content-type': 'application/json' })
      res.end(JSON.stringify({ jsonrpc: '2.0', id, result }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    close: () => server.close(),
  }
}

type Line = (method: string, params: object) => Promise<{ us: number; text: string; session: string }>
function lineTo(url: string): { ask: Line; session: { id: string }; close(): void } {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const session = { id: '' }
  const ask: Line = (method, params) =>
    new Promise((resolve, reject) => {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
      const headers = {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        authorization: `Bearer ${KEY}`,
        'content-length': Buffer.byteLength(body),
        ...(session.id && { 'mcp-session-id': session.id }),
      }
      const sent = performance.now()
      const req = request(url, { method: 'POST', agent, headers }, (res) => {
        let text = ''
        res.on('data', (chunk) => (text += String(chunk)))
        res.on('end', () =>
          resolve({
            us: (performance.now() - sent) * 1000,
            text,
            session: String(res.headers['mcp-session-id'] ?? ''),
          }),
        )
      })
      req.on('error', reject)
      req.end(body)
    })
  return { ask, session, close: () => agent.destroy() }
}

const median = (values: readonly number[]): number =>
  quantile(
    values.toSorted((a, b) => a - b),
    0.5,
  )

/** Difference of the medians with its 95 % interval, by drawing both again and again. */
function difference(
  a: readonly number[],
  b: readonly number[],
  random: () => number,
): [number, number, number] {
  const again = (from: readonly number[]): number =>
    median(from.map(() => from[Math.floor(random() * from.length)]!))
  const drawn = Array.from({ length: 400 }, () => again(a) - again(b)).sort((x, y) => x - y)
  return [median(a) - median(b), quantile(drawn, 0.025), quantile(drawn, 0.975)]
}

/** How often one answer's time tells which of two it was: 0.5 is tossing a coin. With the 95 % interval around a coin's. */
function told(a: readonly number[], b: readonly number[]): { share: number; coin: number } {
  const all = [...a.map((us) => ({ us, isA: true })), ...b.map((us) => ({ us, isA: false }))]
  all.sort((x, y) => x.us - y.us)
  let rank_sum = 0
  for (const [i, { isA }] of all.entries()) if (isA) rank_sum += i + 1
  const share = (rank_sum - (a.length * (a.length + 1)) / 2) / (a.length * b.length)
  return { share, coin: 1.96 * Math.sqrt((a.length + b.length + 1) / (12 * a.length * b.length)) }
}

const WHAT = [
  { what: 'tool', method: 'tools/call', params: (name: string, prefix: string) => ({ name: prefix + name }) },
  {
    what: 'prompt',
    method: 'prompts/get',
    params: (name: string, prefix: string) => ({ name: prefix + name }),
  },
  { what: 'resource', method: 'resources/read', params: (name: string) => ({ uri: `x://${name}/a` }) },
] as const
const NAMES = ['hidden', 'absent', 'openly'] as const

async function run({ quick, seed, say }: RunOptions): Promise<Findings> {
  const calls = quick ? 200 : 2_000
  const random = seeded(seed)
  const lister = await startLister()
  const folder = scratch('secrecy')
  const given = join(folder, 'alone.json')
  const yaml = configOf({ name: 'secrecy', patches: [], yaml: RULES }, lister.url, folder)
  writeFileSync(given, JSON.stringify({ yaml, folder, patches: [] }))
  const alone = await startServer(process.execPath, [join(ROOT, 'bench/worker-alone.ts'), given])
  const rows: (string | number)[][] = []
  const figures: Record<string, object> = {}
  for (const [path, prefix] of [
    ['/servers/stub/mcp', ''],
    ['/mcp', 'stub_'],
  ] as const) {
    const { ask, session, close } = lineTo(alone.url + path)
    const info = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'b', version: '1' } }
    session.id = (await ask('initialize', info)).session
    for (const { what, method, params } of WHAT) {
      const times: Record<(typeof NAMES)[number], number[]> = { hidden: [], absent: [], openly: [] }
      for (let i = -calls / 2; i < calls; i++)
        for (const name of NAMES.toSorted(() => random() - 0.5)) {
          const { us, text } = await ask(method, params(name, prefix))
          if ((name === 'openly') !== text.includes('"result"')) throw new Error(`${name}: ${text}`)
          if (i >= 0) times[name].push(us)
        }
      const [by, low, high] = difference(times.hidden, times.absent, random)
      const { share, coin } = told(times.hidden, times.absent)
      const control = told(times.openly, times.absent)
      const place = `${what}, ${path}`
      figures[place] = { calls, difference_us: { by, low, high }, told: share, coin, control: control.share }
      rows.push([
        place,
        median(times.absent).toFixed(0),
        `${by.toFixed(1)} (${low.toFixed(1)} to ${high.toFixed(1)})`,
        `${share.toFixed(3)} (a coin: 0.5 ± ${coin.toFixed(3)})`,
        control.share.toFixed(3),
      ])
      say(`  ${rows.at(-1)!.join(' | ')}`)
    }
    close()
  }
  await alone.stop()
  lister.close()
  return {
    figures,
    tables: [
      {
        title: `Forbidden and unknown, ${calls} answers of each in turn`,
        columns: [
          'what',
          'unknown, median us',
          'forbidden is later by, us (95 %)',
          'told by its time',
          'what is open, told by its time',
        ],
        rows,
      },
    ],
    gates: [],
    notes: ['Over loopback, from the same machine: whoever is further away sees less.'],
  }
}

export const secrecy: Scenario = {
  name: 'secrecy',
  about: 'whether the time of an answer tells what is forbidden from what is not there',
  run,
}
