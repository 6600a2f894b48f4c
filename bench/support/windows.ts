/**
 * Alternating windows: every variant gets a second of load in turn, A to Z and then Z to A, so that what the machine does
 * meanwhile hits all of them alike. CPU is counted for the variant's own processes; others' separately.
 */
import { drive, type Load } from './load.ts'
import { cpuUs, rssBytes } from './proc.ts'
import { type Spread, spreadOf } from './spread.ts'

export type Variant = {
  name: string
  url: string
  /** File of requests (load/mcp.lua). */
  requests: string
  /** Processes whose CPU is the figure; empty for a way without a proxy. */
  pids: number[]
  /** Processes that work on a call's behalf elsewhere, by name. */
  helpers?: Record<string, number[]>
  /** Waits until the helpers are done with what a window left them. */
  settle?: () => Promise<unknown>
}

export type Measured = {
  name: string
  connections: number
  cpu_us: Spread
  calls_per_s: Spread
  p50_us: Spread
  p99_us: Spread
  p999_us: Spread
  /** Microseconds a call of each helper, its work after the window included. */
  helpers_us: Record<string, Spread>
  calls: number
  rss_mb: number
}

type Window = Load & { cpu_us: number; rss_bytes: number; helpers: Record<string, number> }

async function oneWindow(v: Variant, connections: number, seconds: number): Promise<Window> {
  const helpers = Object.entries(v.helpers ?? {})
  const before = helpers.map(([, pids]) => cpuUs(pids))
  const own = cpuUs(v.pids)
  const load = await drive({ url: v.url, requests: v.requests, connections, seconds })
  const spent = cpuUs(v.pids) - own
  const rss_bytes = v.pids.reduce((sum, pid) => sum + rssBytes(pid), 0)
  await v.settle?.()
  const after = helpers.map(([name, pids], i) => [name, (cpuUs(pids) - before[i]!) / load.calls] as const)
  return { ...load, cpu_us: spent / load.calls, rss_bytes, helpers: Object.fromEntries(after) }
}

export type WindowOptions = {
  connections: number
  rounds: number
  window_s?: number
  say(line: string): void
}

/** V8 compiles by calls, not by seconds, and on a busy machine its compiler threads come late: seen up to 60,000 calls. */
const WARM_CALLS = 60_000
const WARM_MAX_MS = 30_000

async function warmUp(v: Variant, connections: number): Promise<void> {
  let calls = 0
  for (const end = Date.now() + WARM_MAX_MS; calls < WARM_CALLS && Date.now() < end; )
    calls += (await drive({ url: v.url, requests: v.requests, connections, seconds: 1 })).calls
  await v.settle?.()
}

export async function alternate(
  variants: readonly Variant[],
  { connections, rounds, window_s = 1, say }: WindowOptions,
): Promise<Map<string, Measured>> {
  const windows = new Map<string, Window[]>(variants.map((v) => [v.name, []]))
  for (const v of variants) await warmUp(v, connections)
  for (let round = 0; round < rounds; round++) {
    for (const v of round % 2 === 0 ? variants : [...variants].reverse())
      windows.get(v.name)!.push(await oneWindow(v, connections, window_s))
    const now = variants.map((v) => `${v.name} ${windows.get(v.name)!.at(-1)!.cpu_us.toFixed(1)}`)
    say(`  ${connections} connections, round ${round + 1}/${rounds}: ${now.join(', ')}`)
  }
  return new Map(variants.map((v) => [v.name, summed(v, connections, windows.get(v.name)!)]))
}

function summed(v: Variant, connections: number, all: readonly Window[]): Measured {
  const of = (value: (w: Window) => number): Spread => spreadOf(all.map(value))
  return {
    name: v.name,
    connections,
    cpu_us: of((w) => w.cpu_us),
    calls_per_s: of((w) => (w.calls / w.duration_us) * 1e6),
    p50_us: of((w) => w.p50_us),
    p99_us: of((w) => w.p99_us),
    p999_us: of((w) => w.p999_us),
    helpers_us: Object.fromEntries(
      Object.keys(v.helpers ?? {}).map((name) => [name, of((w) => w.helpers[name]!)]),
    ),
    calls: all.reduce((sum, w) => sum + w.calls, 0),
    rss_mb: Math.round(Math.max(...all.map((w) => w.rss_bytes)) / 2 ** 20),
  }
}
