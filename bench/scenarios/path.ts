/**
 * What a call costs in the worker with everything on, beside the floors of the same run: nginx, a bare Node forwarder,
 * a TCP relay. Gates are ratios, because they hold on any machine.
 */
import { join } from 'node:path'
import { scratch, sleep, startServer } from '../support/children.ts'
import { generator } from '../support/load.ts'
import { ROOT } from '../support/machine.ts'
import { startNginx } from '../support/nginx.ts'
import { rssBytes } from '../support/proc.ts'
import {
  httpRequest,
  openSession,
  proveCall,
  type RequestOptions,
  writeRequests,
} from '../support/requests.ts'
import type { Findings, Gate, RunOptions, Scenario, Table } from '../support/scenario.ts'
import { startStub } from '../support/stub.ts'
import { startWeir, type Weir } from '../support/weir.ts'
import { alternate, type Measured, type Variant } from '../support/windows.ts'

/** The many first: they warm the code up in fewer seconds. */
const CONNECTIONS = [64, 1]
const SESSIONS = 64
const DRAIN_MS = 30_000
const MB = 2 ** 20

const weirParts = ({ pids }: Weir): Record<string, number[]> => ({
  collector: [pids.collector],
  store: [pids.store],
  supervisor: [pids.supervisor],
})

/** Requests of a variant in a file: one per session, or one alone. */
async function requestFile(
  folder: string,
  name: string,
  options: Omit<RequestOptions, 'session'>,
  sessions: number,
): Promise<string> {
  const ids: string[] = []
  for (let i = 0; i < sessions; i++) ids.push(await openSession(options.url, options.key))
  const requests =
    sessions > 0 ? ids.map((session) => httpRequest({ ...options, session })) : [httpRequest(options)]
  await proveCall(requests[0]!)
  const file = join(folder, name)
  writeRequests(file, requests)
  return file
}

const round = (n: number, digits = 1): number => Number(n.toFixed(digits))

async function run({ quick, say }: RunOptions): Promise<Findings> {
  const folder = scratch('path')
  const stub = await startStub()
  const upstream = `${stub.url}/mcp`
  const node = (file: string) => startServer(process.execPath, [join(ROOT, 'bench', file), upstream])
  const [nginx, dispatch, relay, weir] = await Promise.all([
    startNginx(stub.url),
    node('floor-dispatch.ts'),
    node('floor-relay.ts'),
    startWeir({ servers: `  stub: { url: "${upstream}" }` }),
  ])
  await sleep(2000)
  const [worker] = weir.pids.workers as [number]
  const rss_idle_mb = Math.round(rssBytes(worker) / MB)
  say(`  stub in ${stub.kind}, load by ${generator()}, worker ${worker} idle at ${rss_idle_mb} MB`)

  const key = weir.key
  const plain = async (name: string, base: string, pids: number[]): Promise<Variant> => ({
    name,
    url: base,
    pids,
    requests: await requestFile(
      folder,
      name,
      { url: `${base}/mcp`, key, tool: 'echo', era: 'legacy' },
      SESSIONS,
    ),
  })
  const ours = async (
    name: string,
    path: string,
    tool: string,
    era: 'legacy' | 'modern',
  ): Promise<Variant> => ({
    name,
    url: weir.proxy,
    pids: [worker],
    requests: await requestFile(
      folder,
      name,
      { url: `${weir.proxy}${path}`, key, tool, era },
      era === 'legacy' ? SESSIONS : 0,
    ),
    helpers: weirParts(weir),
    settle: () => weir.drained(DRAIN_MS),
  })
  const variants = [
    await plain('direct', stub.url, []),
    ...(nginx ? [await plain('nginx', nginx.url, nginx.pids)] : []),
    await plain('relay', relay.url, [relay.pid]),
    await plain('dispatch', dispatch.url, [dispatch.pid]),
    await ours('weir legacy', '/servers/stub/mcp', 'echo', 'legacy'),
    await ours('weir modern', '/servers/stub/mcp', 'echo', 'modern'),
    await ours('weir roof', '/mcp', 'stub_echo', 'legacy'),
  ]
  const by = new Map<number, Map<string, Measured>>()
  for (const connections of CONNECTIONS)
    by.set(connections, await alternate(variants, { connections, rounds: quick ? 4 : 12, say }))
  const rss_loaded_mb = Math.max(
    ...[...by.values()]
      .flatMap((m) => [...m.values()])
      .filter((m) => m.name.startsWith('weir'))
      .map((m) => m.rss_mb),
  )
  const [{ sent } = { sent: 0 }] = await weir.sql<{ sent: number }>(
    'SELECT toUInt32(count()) AS sent FROM calls',
  )
  const notes = [
    `stub upstream in ${stub.kind}, load by ${generator()}; ${sent} calls in the store at the end`,
    ...(nginx ? [] : ['nginx is not installed: its row and gate are missing']),
    'wrk corrects latencies for coordinated omission; p99 on a shared machine tells of the neighbours as much',
  ]
  return {
    figures: {
      upstream: stub.kind,
      generator: generator(),
      rss_idle_mb,
      rss_loaded_mb,
      stored: sent,
      connections: Object.fromEntries([...by].map(([n, m]) => [n, Object.fromEntries(m)])),
    },
    tables: [...by].map(([connections, measured]) => tableOf(connections, measured)),
    gates: gatesOf(by, rss_idle_mb, rss_loaded_mb),
    notes,
  }
}

function tableOf(connections: number, measured: Map<string, Measured>): Table {
  const direct = measured.get('direct')!
  const rows = [...measured.values()].map((m) => {
    const isDirect = m === direct
    const helper = (name: string): string | number =>
      m.helpers_us[name] ? round(m.helpers_us[name].p25) : ''
    return [
      m.name,
      isDirect ? '' : `${round(m.cpu_us.p25)} (${round(m.cpu_us.min)}-${round(m.cpu_us.max)})`,
      isDirect ? '' : Math.round(1e6 / m.cpu_us.p25),
      Math.round(m.calls_per_s.max),
      isDirect ? round(m.p50_us.min) : `+${round(m.p50_us.min - direct.p50_us.min)}`,
      isDirect ? round(m.p99_us.min) : `+${round(m.p99_us.min - direct.p99_us.min)}`,
      helper('collector'),
      helper('store'),
      helper('supervisor'),
    ]
  })
  return {
    title: `${connections} connection${connections > 1 ? 's' : ''}`,
    columns: [
      'way',
      'CPU us a call: p25 (min-max)',
      'calls/s per core',
      'best calls/s',
      'p50 us',
      'p99 us',
      'collector us',
      'store us',
      'supervisor us',
    ],
    rows,
  }
}

function gatesOf(by: Map<number, Map<string, Measured>>, idle_mb: number, loaded_mb: number): Gate[] {
  const at = (connections: number, name: string): Measured | undefined => by.get(connections)?.get(name)
  const ratio = (name: string, floor: string): number =>
    round(at(64, name)!.cpu_us.p25 / at(64, floor)!.cpu_us.p25, 3)
  const added = (name: string, of: 'p50_us' | 'p99_us'): number =>
    round((at(1, name)![of].min - at(1, 'direct')![of].min) / 1000, 3)
  const gates: Gate[] = []
  // Where the bare forwarder is beyond nginx's limit itself, no proxy on Node can hold it.
  if (at(64, 'nginx'))
    gates.push({
      name: 'dispatch / nginx, 64 connections',
      value: ratio('dispatch', 'nginx'),
      limit: 2.4,
      unit: 'x',
      kind: 'info',
    })
  for (const era of ['weir legacy', 'weir modern']) {
    gates.push(
      {
        name: `${era} / dispatch, 64 connections`,
        value: ratio(era, 'dispatch'),
        limit: 1.4,
        unit: 'x',
        kind: 'must',
      },
      {
        name: `${era} / dispatch, 64 connections (goal)`,
        value: ratio(era, 'dispatch'),
        limit: 1.25,
        unit: 'x',
        kind: 'goal',
      },
    )
    if (at(64, 'nginx'))
      gates.push({
        name: `${era} / nginx, 64 connections`,
        value: ratio(era, 'nginx'),
        limit: 3,
        unit: 'x',
        kind: 'must',
      })
  }
  gates.push(
    {
      name: 'added p50, 1 connection, quietest window',
      value: added('weir legacy', 'p50_us'),
      limit: 0.15,
      unit: 'ms',
      kind: 'info',
    },
    {
      name: 'added p99, 1 connection, quietest window',
      value: added('weir legacy', 'p99_us'),
      limit: 1,
      unit: 'ms',
      kind: 'info',
    },
    { name: 'worker memory, idle', value: idle_mb, limit: 130, unit: 'MB', kind: 'must' },
    { name: 'worker memory, loaded', value: loaded_mb, limit: 220, unit: 'MB', kind: 'must' },
  )
  return gates
}

export const path: Scenario = { name: 'path', about: 'CPU a call of the worker beside its floors', run }
