/**
 * How exact limits are: `node bench/limits.ts` offers real Weirs more than they allow, counts what passes, and writes
 * bench/results/limits.md. One machine with one and four workers; four proxies with a real redis-server that is killed,
 * frozen and started again. Then what a limit costs, in CPU of worker, supervisor and Redis.
 */
import { writeFileSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { firstMatch, type Started, scratch, sleep, start, stopAll } from './support/children.ts'
import { commitOf, loadNow, machineOf, ROOT } from './support/machine.ts'
import { cpuUs, descendants } from './support/proc.ts'
import { type Redis, startRedis } from './support/redis.ts'

const BODY = (id: number): string =>
  JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo', arguments: {} } })
const ANSWER = '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"ok"}]}}'
const RATE = { calls: 200, burst: 20 }
const SECONDS = 3
const CLIENTS = 32
/** A refused client comes again after this, so that refusals do not take the machine. */
const AGAIN_MS = 20

/** A server whose tool takes `work_ms`, and how many calls it had at a time. */
async function startTool(work_ms: number) {
  let open = 0
  const seen = { most: 0 }
  const server = createServer((req, res) => {
    seen.most = Math.max(seen.most, ++open)
    req.resume().on('end', () =>
      setTimeout(() => {
        open--
        res.writeHead(200, { 'content-type': 'application/json' }).end(ANSWER)
      }, work_ms),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    seen,
    close: () => server.close(),
  }
}

type Proxy = Started & { url: string }

async function startProxies(count: number, workers: number, url: string, more: string): Promise<Proxy[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const folder = scratch('limits')
      const file = join(folder, 'weir.yaml')
      writeFileSync(
        file,
        `listen: 127.0.0.1:0
data: ${folder}/data
instance: proxy-${i}
workers: ${workers}
collector: { url: "http://127.0.0.1:9", token: "token-of-a-collector-that-is-away" }
spool: { full: drop_newest, max_bytes: 33554432 }
servers: { tool: { url: "${url}", era: legacy } }
log: { level: error }
${more}`,
      )
      const started = start(process.execPath, [join(ROOT, 'weir.ts'), 'proxy', '--config', file])
      const [, at] = await firstMatch(started, /(http:\/\/127\.0\.0\.1:\d+)/, 120_000)
      return { ...started, url: `${at}/servers/tool/mcp` }
    }),
  )
}

type Offered = { passed: number; refused: number; unavailable: number; s: number; slowest_ms: number }

/** Clients that call as often as they may, round the proxies, until the time or the calls are up. */
async function offer(
  proxies: readonly Proxy[],
  seconds: number,
  { clients = CLIENTS, calls_max = Number.POSITIVE_INFINITY } = {},
): Promise<Offered> {
  const found: Offered = { passed: 0, refused: 0, unavailable: 0, s: 0, slowest_ms: 0 }
  const begun = performance.now()
  let first = 0
  let calls = 0
  let last = begun
  const call = (url: string, agent: Agent, id: number): Promise<number> =>
    new Promise((resolve) => {
      const text = BODY(id)
      const req = request(
        url,
        {
          method: 'POST',
          agent,
          headers: {
            'content-type': 'application/json',
            accept: 'application/json, text/event-stream',
            'content-length': text.length,
          },
        },
        (res) => res.resume().on('end', () => resolve(res.statusCode ?? 0)),
      )
      req.on('error', () => resolve(0))
      req.end(text)
    })
  await Promise.all(
    Array.from({ length: clients }, async (_, n) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      const { url } = proxies[n % proxies.length]!
      for (let i = 0; performance.now() - begun < seconds * 1000 && calls++ < calls_max; i++) {
        const from = performance.now()
        const status = await call(url, agent, n * 1_000_000 + i)
        found.slowest_ms = Math.max(found.slowest_ms, performance.now() - from)
        if (status === 200) {
          found.passed++
          last = performance.now()
          first ||= last
        } else {
          if (status === 429) found.refused++
          else found.unavailable++
          await sleep(AGAIN_MS)
        }
      }
      agent.destroy()
    }),
  )
  found.s = (last - first) / 1000
  return found
}

const rows: string[] = []
const row = (...cells: (string | number)[]): void => {
  rows.push(`| ${cells.join(' | ')} |`)
  process.stdout.write(`${rows.at(-1)}\n`)
}
const percent = (is: number, ideal: number): string => `${(((is - ideal) / ideal) * 100).toFixed(1)} %`
const rateYaml = (store = ''): string =>
  `limits: [ { name: r, rate: ${RATE.calls}/s, burst: ${RATE.burst} } ]\n${store}`
const ideal = (seconds: number): number => RATE.burst + RATE.calls * seconds

async function ends(proxies: readonly Proxy[]): Promise<void> {
  await Promise.all(proxies.map((one) => one.stop()))
}

async function accuracy(name: string, count: number, workers: number, store: string): Promise<void> {
  const quick = await startTool(1)
  const slow = await startTool(20)
  try {
    let proxies = await startProxies(count, workers, quick.url, rateYaml(store))
    await sleep(500)
    const rate = await offer(proxies, SECONDS)
    row(
      name,
      `rate ${RATE.calls}/s, burst ${RATE.burst}`,
      rate.passed,
      Math.round(ideal(rate.s)),
      percent(rate.passed, ideal(rate.s)),
      rate.refused,
    )
    await ends(proxies)
    proxies = await startProxies(
      count,
      workers,
      quick.url,
      `limits: [ { name: q, quota: 500/day } ]\n${store}`,
    )
    await sleep(500)
    const quota = await offer(proxies, SECONDS)
    row(name, 'quota 500/day', quota.passed, 500, percent(quota.passed, 500), quota.refused)
    await ends(proxies)
    proxies = await startProxies(
      count,
      workers,
      slow.url,
      `limits: [ { name: c, concurrency: 5 } ]\n${store}`,
    )
    await sleep(500)
    const busy = await offer(proxies, SECONDS)
    row(name, 'concurrency 5, most at a time', slow.seen.most, 5, percent(slow.seen.most, 5), busy.refused)
    await ends(proxies)
  } finally {
    quick.close()
    slow.close()
  }
}

const storeYaml = (redis: Redis, prefix: string, more: string): string =>
  `limits_store: { redis: { url: "redis://127.0.0.1:${redis.port}/0", prefix: ${prefix}${more} } }`

type Fault = {
  name: string
  more: string
  act(redis: Redis): Promise<void>
  undo(redis: Redis): Promise<void>
}
const FAULTS: Fault[] = [
  {
    name: 'killed 2 s, fallback local, share 0.25',
    more: ', share: 0.25',
    act: async (r) => r.kill(),
    undo: (r) => r.start(),
  },
  {
    name: 'killed 2 s, fallback local, share 1',
    more: '',
    act: async (r) => r.kill(),
    undo: (r) => r.start(),
  },
  {
    name: 'killed 2 s, fallback refuse',
    more: ', fallback: refuse',
    act: async (r) => r.kill(),
    undo: (r) => r.start(),
  },
  {
    name: 'frozen 2 s, fallback local, share 0.25',
    more: ', share: 0.25',
    act: async (r) => r.freeze(),
    undo: async (r) => r.thaw(),
  },
]

/** Two seconds well, two without Redis, two with it again. */
async function faults(redis: Redis): Promise<void> {
  const tool = await startTool(1)
  for (const [i, { name, more, act, undo }] of FAULTS.entries()) {
    const proxies = await startProxies(4, 1, tool.url, rateYaml(storeYaml(redis, `f${i}`, more)))
    await sleep(1_000)
    const phases: Offered[] = []
    phases.push(await offer(proxies, 2))
    await act(redis)
    phases.push(await offer(proxies, 2))
    await undo(redis)
    phases.push(await offer(proxies, 2))
    for (const [n, phase] of ['well', 'without', 'back'].entries()) {
      const is = phases[n]!
      row(
        `4 proxies, Redis ${name}`,
        `rate, ${phase}`,
        is.passed,
        Math.round(RATE.calls * 2 + (n === 0 ? RATE.burst : 0)),
        percent(is.passed, RATE.calls * 2 + (n === 0 ? RATE.burst : 0)),
        is.refused,
        is.unavailable,
        Math.round(is.slowest_ms),
      )
    }
    await ends(proxies)
    const spent = await startProxies(
      4,
      1,
      tool.url,
      `limits: [ { name: q, quota: 800/day } ]\n${storeYaml(redis, `q${i}`, more)}`,
    )
    await sleep(1_000)
    const before = await offer(spent, 0.3, { clients: 8 })
    await act(redis)
    const without = await offer(spent, 0.3, { clients: 8 })
    await undo(redis)
    await sleep(1_000)
    const after = await offer(spent, 2)
    const all = before.passed + without.passed + after.passed
    row(
      `4 proxies, Redis ${name}`,
      `quota 800/day (${before.passed} well, ${without.passed} without, ${after.passed} back)`,
      all,
      800,
      percent(all, 800),
      before.refused + without.refused + after.refused,
      before.unavailable + without.unavailable + after.unavailable,
      Math.round(Math.max(before.slowest_ms, without.slowest_ms, after.slowest_ms)),
    )
    await ends(spent)
  }
  tool.close()
}

const WARM_CALLS = 4_000
const MEASURED_CALLS = 6_000
const FAR = 'limits: [ { name: r, per: [caller], rate: 1000000/s, burst: 1000000 } ]\n'
const ALL =
  'limits: [ { name: r, per: [caller], rate: 1000000/s, burst: 1000000, quota: 1000000000/month, concurrency: 100000 } ]\n'

/** CPU a call of every process that has a part in it. */
async function costs(redis: Redis): Promise<void> {
  const tool = await startTool(0)
  const cases: [string, number, string][] = [
    ['no limit', 1, ''],
    ['a rate', 1, FAR],
    ['rate, quota, concurrency', 1, ALL],
    ['no limit', 4, ''],
    ['a rate', 4, FAR],
    ['rate, quota, concurrency', 4, ALL],
    ['a rate, Redis', 1, FAR + storeYaml(redis, 'c1', '')],
    ['rate, quota, concurrency, Redis', 1, ALL + storeYaml(redis, 'c2', '')],
    ['a rate at its edge: most are refused', 4, rateYaml()],
  ]
  for (const [name, workers, yaml] of cases) {
    const proxies = await startProxies(1, workers, tool.url, yaml)
    const [proxy] = proxies as [Proxy]
    const pids = descendants(proxy.pid)
      .filter((p) => p.command.includes('/proxy/main.'))
      .map((p) => p.pid)
    await offer(proxies, 30, { clients: 64, calls_max: WARM_CALLS })
    const at = (): number[] => [cpuUs(pids), cpuUs([proxy.pid]), cpuUs([redis.pid()])]
    const from = at()
    const load = await offer(proxies, 30, { clients: 64, calls_max: MEASURED_CALLS })
    const calls = load.passed + load.refused
    const [worker, supervisor, store] = at().map((us, i) => ((us - from[i]!) / calls).toFixed(1)) as [
      string,
      string,
      string,
    ]
    row(
      `${workers} worker${workers > 1 ? 's' : ''}`,
      name,
      worker,
      supervisor,
      yaml.includes('redis') ? store : '',
      calls,
    )
    await ends(proxies)
  }
  tool.close()
}

const redis = await startRedis()
const before = loadNow()
const parts: string[] = []
const table = async (title: string, head: string, run: () => Promise<void>): Promise<void> => {
  rows.length = 0
  await run()
  const columns = head.split('|').length
  parts.push(`## ${title}\n\n| ${head} |\n|${' --- |'.repeat(columns)}\n${rows.join('\n')}\n`)
}
try {
  const HEAD = 'where | limit | passed | ideal | error | refused'
  await table('How exact', HEAD, async () => {
    await accuracy('1 worker', 1, 1, '')
    await accuracy('4 workers', 1, 4, '')
    await accuracy('4 proxies, Redis', 4, 1, storeYaml(redis, 'well', ''))
  })
  await table('Redis killed, slow and back', `${HEAD} | 503 | slowest call, ms`, () => faults(redis))
  await table(
    'What it costs, microseconds of CPU a call',
    'processes | limit | workers | supervisor | Redis | calls',
    () => costs(redis),
  )
  const { cpu, cores } = machineOf()
  writeFileSync(
    join(ROOT, 'bench/results/limits.md'),
    `<!-- Made by bench/limits.ts. -->

# Accuracy and cost of limits

Commit ${commitOf()}, ${new Date().toISOString().slice(0, 16)}Z, ${cpu}, ${cores} cores, load average ${before.join(' ')} before and
${loadNow().join(' ')} after. ${CLIENTS} clients call as fast as they are answered; a refused one comes again after ${AGAIN_MS} ms. The ideal of a rate is its
burst and its pace from the first call that passed to the last. Phases of a Redis that is away begin where the one before ended, without a burst.

${parts.join('\n')}`,
  )
} finally {
  await stopAll()
}
