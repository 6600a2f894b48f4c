/** Other shapes than small JSON: an answer as server-sent events, 100 KB of JSON, and streams that say nothing. */
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { scratch, sleep, startServer } from '../support/children.ts'
import { ROOT } from '../support/machine.ts'
import { startNginx } from '../support/nginx.ts'
import { cpuUs, rssBytes } from '../support/proc.ts'
import { httpRequest, openSession, proveCall, writeRequests } from '../support/requests.ts'
import type { Findings, RunOptions, Scenario, Table } from '../support/scenario.ts'
import { openStreams, sessionStream } from '../support/streams.ts'
import { startStub } from '../support/stub.ts'
import { startWeir, type Weir } from '../support/weir.ts'
import { alternate, type Measured, type Variant } from '../support/windows.ts'

const SHAPES = [
  { tool: 'events', title: 'Server-sent events: 3 in one burst, 1.2 KB, 64 connections' },
  { tool: 'big', title: '100 KB of JSON, 16 connections' },
] as const
const STREAMS = 1_000
const IDLE_MS = 4_000

async function idleStreams(
  weir: Weir,
): Promise<{ streams: number; kb_each: number; idle_cpu_us_per_s: number; rss_mb: number }> {
  const [worker] = weir.pids.workers as [number]
  const url = new URL(`${weir.proxy}/servers/stub/mcp`)
  const session = await openSession(url.href, weir.key)
  const before = rssBytes(worker)
  const sockets: Socket[] = []
  try {
    await openStreams(sockets, STREAMS, url, weir.key, sessionStream(session))
    await sleep(1000)
    const cpu = cpuUs([worker])
    await sleep(IDLE_MS)
    const rss = rssBytes(worker)
    return {
      streams: sockets.length,
      kb_each: Math.round((rss - before) / 1024 / sockets.length),
      idle_cpu_us_per_s: Math.round((cpuUs([worker]) - cpu) / (IDLE_MS / 1000)),
      rss_mb: Math.round(rss / 2 ** 20),
    }
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

async function run({ quick, say }: RunOptions): Promise<Findings> {
  const folder = scratch('sse')
  const stub = await startStub()
  const upstream = `${stub.url}/mcp`
  const [nginx, dispatch, weir] = await Promise.all([
    startNginx(stub.url),
    startServer(process.execPath, [join(ROOT, 'bench/floor-dispatch.ts'), upstream]),
    startWeir({ servers: `  stub: { url: "${upstream}" }` }),
  ])
  // Before any load: a heap that has grown would hide what a stream takes.
  const idle = await idleStreams(weir)
  say(`  ${idle.streams} idle streams: ${idle.kb_each} KB each`)
  const ways: Omit<Variant, 'requests'>[] = [
    { name: 'direct', url: stub.url, pids: [] },
    ...(nginx ? [{ name: 'nginx', url: nginx.url, pids: nginx.pids }] : []),
    { name: 'dispatch', url: dispatch.url, pids: [dispatch.pid] },
    { name: 'weir', url: weir.proxy, pids: weir.pids.workers, settle: () => weir.drained(30_000) },
  ]
  const measured: Record<string, Record<string, Measured>> = {}
  const tables: Table[] = []
  for (const { tool, title } of SHAPES) {
    const variants: Variant[] = []
    for (const way of ways) {
      const url = `${way.url}${way.name === 'weir' ? '/servers/stub/mcp' : '/mcp'}`
      const session = await openSession(url, weir.key)
      const request = httpRequest({ url, key: weir.key, tool, era: 'legacy', session })
      await proveCall(request)
      const requests = join(folder, `${way.name}-${tool}`)
      writeRequests(requests, [request])
      variants.push({ ...way, requests })
    }
    const results = await alternate(variants, {
      connections: tool === 'big' ? 16 : 64,
      rounds: quick ? 3 : 10,
      say,
    })
    measured[tool] = Object.fromEntries(results)
    const floor = results.get('dispatch')!.cpu_us.p25
    tables.push({
      title,
      columns: ['way', 'CPU us a call: p25 (min-max)', 'to dispatch', 'best calls/s'],
      rows: [...results.values()].map((m) => [
        m.name,
        m.name === 'direct' ? '' : `${m.cpu_us.p25} (${m.cpu_us.min}-${m.cpu_us.max})`,
        m.name === 'direct' ? '' : (m.cpu_us.p25 / floor).toFixed(2),
        Math.round(m.calls_per_s.max),
      ]),
    })
  }
  tables.push({
    title: `${STREAMS} silent GET streams, proxied one to one`,
    columns: ['streams', 'KB each', 'worker MB', 'idle CPU us/s'],
    rows: [[idle.streams, idle.kb_each, idle.rss_mb, idle.idle_cpu_us_per_s]],
  })
  const ratio = (tool: string): number =>
    Number((measured[tool]!.weir!.cpu_us.p25 / measured[tool]!.dispatch!.cpu_us.p25).toFixed(3))
  return {
    figures: { shapes: measured, idle },
    tables,
    gates: [
      { name: 'events: weir / dispatch', value: ratio('events'), limit: 1.6, unit: 'x', kind: 'goal' },
      { name: '100 KB: weir / dispatch', value: ratio('big'), limit: 1.4, unit: 'x', kind: 'goal' },
      { name: 'memory of an idle stream', value: idle.kb_each, limit: 40, unit: 'KB', kind: 'goal' },
    ],
  }
}

export const sse: Scenario = { name: 'sse', about: 'streamed and large answers, idle streams', run }
