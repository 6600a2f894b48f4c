/**
 * A worker that holds as many silent streams as the machine lets it, and what that costs the calls beside them: memory of
 * a stream, delay of the event loop, CPU of a call before, during and after.
 */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { scratch, sleep } from '../support/children.ts'
import { drive } from '../support/load.ts'
import { cpuUs, rssBytes } from '../support/proc.ts'
import { httpRequest, openSession, proveCall, writeRequests } from '../support/requests.ts'
import type { Findings, RunOptions, Scenario } from '../support/scenario.ts'
import { openStreams, SSE_STREAM, sessionStream } from '../support/streams.ts'
import { startStub } from '../support/stub.ts'
import { startWeir, type Weir } from '../support/weir.ts'

const WANTED = 10_000
const QUICK = 500
/** What a worker keeps for everything else (proxy/wire.ts), and a few for us. A proxied stream takes two descriptors. */
const RESERVE = 600
const CONNECTIONS = 16
const PROXIED = 'GET, proxied one to one'
const SETTLE_MS = 2_000

function descriptors(): number {
  const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
  return soft ? Number(soft) : WANTED * 4
}

type Phase = {
  name: string
  streams: number
  kb_each: number
  rss_mb: number
  /** Without calls. */
  idle_cpu_us_per_s: number
  idle_lag_p99_ms: number
  /** With calls: the median window. */
  lag_p99_ms: number
  cpu_us_a_call: number
  calls_per_s: number
  p99_us: number
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

/** The 99th percentile since it was asked for last, in milliseconds. */
async function lagMs(weir: Weir): Promise<number> {
  const text = await (await fetch(`${weir.proxy}/metrics`, { headers: { connection: 'close' } })).text()
  const value = /^nodejs_eventloop_lag_p99_seconds\{worker="w[^}]*\} (\S+)$/m.exec(text)?.[1]
  if (value === undefined) throw new Error('the worker tells no event loop delay')
  return Number((Number(value) * 1000).toFixed(2))
}

type Step = { name: string; streams: number; before: number; windows: number }

/** First without calls, then with. */
async function measure(weir: Weir, requests: string, step: Step): Promise<Phase> {
  const { name, streams, before, windows } = step
  const [worker] = weir.pids.workers as [number]
  await sleep(SETTLE_MS)
  await lagMs(weir)
  const cpu = cpuUs([worker])
  await sleep(SETTLE_MS)
  const idle = Math.round((cpuUs([worker]) - cpu) / (SETTLE_MS / 1000))
  const idle_lag_p99_ms = await lagMs(weir)
  const rss = rssBytes(worker)
  const url = `${weir.proxy}/servers/stub/mcp`
  const seen: { lag: number; us: number; rate: number; p99: number }[] = []
  for (let n = 0; n <= windows; n++) {
    await lagMs(weir)
    const from = cpuUs([worker])
    const load = await drive({ url, requests, connections: CONNECTIONS, seconds: 2 })
    const us = (cpuUs([worker]) - from) / load.calls
    const rate = load.calls / (load.duration_us / 1e6)
    // The first one warms.
    if (n > 0) seen.push({ lag: await lagMs(weir), us, rate, p99: load.p99_us })
    await weir.drained(30_000)
  }
  return {
    name,
    streams,
    kb_each: streams === 0 ? 0 : Math.round((rss - before) / 1024 / streams),
    rss_mb: Math.round(rss / 2 ** 20),
    idle_cpu_us_per_s: idle,
    idle_lag_p99_ms,
    lag_p99_ms: median(seen.map((s) => s.lag)),
    cpu_us_a_call: Number(median(seen.map((s) => s.us)).toFixed(1)),
    calls_per_s: Math.round(median(seen.map((s) => s.rate))),
    p99_us: Math.round(median(seen.map((s) => s.p99))),
  }
}

/** A Weir of its own: streams before any load, because a heap that has grown would hide what they take; then without. */
async function soakWith(stub: string, name: string, count: number, windows: number): Promise<Phase[]> {
  const weir = await startWeir({
    servers: `  stub: { url: "${stub}/mcp" }`,
    more: `http: { streams_max: ${WANTED} }\n`,
  })
  const [worker] = weir.pids.workers as [number]
  const url = new URL(`${weir.proxy}/servers/stub/mcp`)
  const session = await openSession(url.href, weir.key)
  const request = httpRequest({ url: url.href, key: weir.key, tool: 'echo', era: 'legacy', session })
  await proveCall(request)
  const requests = join(scratch('soak'), 'calls')
  writeRequests(requests, [request])
  const kind = name === PROXIED ? sessionStream(session) : SSE_STREAM
  const before = rssBytes(worker)
  const sockets: Socket[] = []
  const phases: Phase[] = []
  try {
    await openStreams(sockets, count, url, weir.key, kind)
    phases.push(await measure(weir, requests, { name, streams: count, before, windows }))
    const lost = sockets.filter((s) => s.destroyed).length
    if (lost > 0) throw new Error(`${lost} of ${count} streams were closed`)
  } finally {
    for (const socket of sockets) socket.destroy()
  }
  phases.push(await measure(weir, requests, { name: 'the same, closed', streams: 0, before, windows }))
  await weir.stop()
  return phases
}

async function run({ quick, say }: RunOptions): Promise<Findings> {
  const most = Math.floor((descriptors() - RESERVE) / 2)
  const count = quick ? QUICK : Math.min(WANTED, most)
  const windows = quick ? 2 : 7
  const stub = await startStub()
  const [proxied, none] = (await soakWith(stub.url, PROXIED, count, windows)) as [Phase, Phase]
  say(`  ${count} streams, ${PROXIED}: ${proxied.kb_each} KB each`)
  const [sse, noneAgain] = (await soakWith(stub.url, 'HTTP+SSE', count, windows)) as [Phase, Phase]
  say(`  ${count} streams, HTTP+SSE: ${sse.kb_each} KB each`)
  const phases = [proxied, none, sse, noneAgain]
  return {
    figures: { wanted: WANTED, descriptors: descriptors(), phases },
    tables: [
      {
        title: `Silent streams on one worker, and calls beside them, ${CONNECTIONS} connections`,
        columns: [
          'streams',
          'open',
          'KB each',
          'worker MB',
          'idle CPU us/s',
          'loop p99 ms, idle',
          'loop p99 ms, calls',
          'CPU us a call',
          'calls/s',
          'p99 us',
        ],
        rows: phases.map((p) => [
          p.name,
          p.streams,
          p.kb_each || '',
          p.rss_mb,
          p.idle_cpu_us_per_s,
          p.idle_lag_p99_ms,
          p.lag_p99_ms,
          p.cpu_us_a_call,
          p.calls_per_s,
          p.p99_us,
        ]),
      },
    ],
    gates: [
      { name: 'memory of a proxied stream', value: proxied.kb_each, limit: 60, unit: 'KB', kind: 'goal' },
      { name: 'memory of an HTTP+SSE stream', value: sse.kb_each, limit: 40, unit: 'KB', kind: 'goal' },
      {
        name: 'CPU a call, with proxied streams to without',
        value: Number((proxied.cpu_us_a_call / none.cpu_us_a_call).toFixed(2)),
        limit: 1.3,
        unit: 'x',
        kind: 'goal',
      },
      {
        name: 'event loop p99, streams and no calls',
        value: proxied.idle_lag_p99_ms,
        limit: 25,
        unit: 'ms',
        kind: 'goal',
      },
    ],
    notes: [
      ...(count < WANTED && !quick
        ? [
            `${WANTED} streams were wanted; the limit of ${descriptors()} open files allows ${most} proxied ones, two descriptors each`,
          ]
        : []),
      'each kind on a worker of its own, its streams opened before any load; CPU and delay beside them with calls of 16 connections as fast as they go',
      'the delay of the event loop is looked at every 20 ms: 20 ms is none',
      'stub upstream and the holder of the streams share the machine with the worker',
    ],
  }
}

export const soak: Scenario = { name: 'soak', about: '10,000 silent streams, and calls beside them', run }
