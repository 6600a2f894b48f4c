/**
 * What the installation looks like from above: the figures of all its processes in one snapshot, and whether it can do
 * its work. Asks the processes; changes nothing.
 */
import { METRICS, type MetricName } from '../event/proxy-metrics.ts'
import type { HostMetrics } from '../proxy/host/host.ts'
import type { Readiness } from '../proxy/pages.ts'
import { type Metrics, mergeSnapshots, type Snapshot } from '../proxy/telemetry/metrics.ts'
import { ProcessFigures } from '../proxy/telemetry/process-figures.ts'
import type { Managed } from './managed.ts'
import type { Shipper } from './shipper.ts'

const SPOOL_AGE_MAX_S = 30
const ASK_COLLECTOR_MS = 2_000

/** The processes as they are now; parts that do not run here are null. */
export type Seen = {
  readonly workers: ReadonlyMap<string, Managed>
  /** Spool identity of the worker in a slot, undefined while none is alive. */
  workerId(slot: string): string | undefined
  host(): Managed | null
  store(): Managed | null
  shipper(): Shipper | null
  /** Where the collector is, '' when there is none. */
  collector(): string
}

type Part = { ok: boolean; detail: string }
const part = (process: Managed): Part => ({
  ok: process.isReady,
  detail: process.isReady ? 'running' : 'not running',
})

export class Overview {
  readonly #seen: Seen
  readonly #metrics: Metrics
  readonly #figures = new ProcessFigures()
  /** Last figures of each worker, and the counts of those that are gone: a counter must never fall. */
  readonly #last = new Map<string, Snapshot>()
  #retired: Snapshot = {}

  constructor(seen: Seen, metrics: Metrics) {
    this.#seen = seen
    this.#metrics = metrics
  }

  /** The figures of all processes, added up. */
  async snapshot(): Promise<Snapshot> {
    const shipper = this.#seen.shipper()
    if (shipper) {
      const spool = shipper.state()
      this.#metrics.set('weir_spool_bytes', spool.bytes)
      this.#metrics.set('weir_spool_segments', spool.segments)
      this.#metrics.set('weir_spool_age_seconds', spool.age_s)
      for (const [reason, events] of Object.entries(shipper.losses()))
        this.#metrics.set('weir_events_lost_total', events, [reason])
    }
    this.#figures.into(this.#metrics, 'supervisor')
    await this.#countHosted()
    await Promise.allSettled(
      [...this.#seen.workers].map(async ([slot, worker]) => {
        const id = this.#seen.workerId(slot)
        const snapshot = (await worker.ask('metrics')) as Snapshot
        if (id !== undefined && this.#seen.workerId(slot) === id) this.#last.set(slot, snapshot)
      }),
    )
    return mergeSnapshots([...this.#last.values(), this.#retired, this.#metrics.snapshot()])
  }

  /** A worker is gone: what it counted stays counted. */
  retire(slot: string): void {
    const last = this.#last.get(slot)
    if (!last) return
    this.#last.delete(slot)
    // Losses of a dead worker are read from its ledger, so they are not kept here a second time.
    const counts = Object.entries(last).filter(
      ([name]) =>
        METRICS[name as MetricName]?.type !== 'gauge' &&
        name !== 'weir_events_lost_total' &&
        name !== 'process_cpu_seconds_total',
    )
    this.#retired = mergeSnapshots([this.#retired, Object.fromEntries(counts)])
  }

  async readiness(): Promise<Readiness> {
    const parts: Readiness['parts'] = {}
    const { workers } = this.#seen
    const running = [...workers.values()].filter((w) => w.isReady).length
    parts.workers = { ok: running === workers.size, detail: `${running} of ${workers.size} running` }
    const [host, store, shipper] = [this.#seen.host(), this.#seen.store(), this.#seen.shipper()]
    if (host) parts.host = part(host)
    if (shipper) {
      const { segments, bytes, age_s } = shipper.state()
      const trouble = shipper.lastError ? `; collector: ${shipper.lastError}` : ''
      const detail = `${segments} segments, ${bytes} bytes, oldest ${age_s.toFixed(1)} s${trouble}`
      parts.spool = { ok: age_s <= SPOOL_AGE_MAX_S, detail }
    }
    if (store) parts.store = part(store)
    const collector = this.#seen.collector()
    const [servers, collectorPart] = await Promise.all([
      this.#hosted(),
      collector ? askCollector(collector) : null,
    ])
    if (collectorPart) parts.collector = collectorPart
    return { parts, servers, isReady: running > 0 }
  }

  async #hostMetrics(): Promise<HostMetrics | null> {
    const host = this.#seen.host()
    return host?.isReady ? ((await host.ask('metrics').catch(() => null)) as HostMetrics | null) : null
  }

  /** State of each stdio server, as its host knows it. */
  async #hosted(): Promise<Readiness['servers']> {
    const hosted = (await this.#hostMetrics())?.servers ?? {}
    return Object.fromEntries(
      Object.entries(hosted).flatMap(([name, { isBridgeOnly, failing, processes }]) => {
        if (isBridgeOnly) return []
        const running = processes.busy + processes.idle
        const fine = running > 0 ? `${running} running` : 'starts with the first call'
        return [[name, { ok: failing === '', detail: failing || fine }]]
      }),
    )
  }

  async #countHosted(): Promise<void> {
    for (const [name, server] of Object.entries((await this.#hostMetrics())?.servers ?? {})) {
      const { busy, idle, starting } = server.processes
      const lost = Object.values(server.undeliverable).reduce((sum, n) => sum + n, 0)
      this.#metrics.set('weir_hosted_children', busy + idle + starting, [name])
      this.#metrics.set('weir_hosted_restarts_total', server.crashes + server.spawn_failures, [name])
      this.#metrics.set('weir_hosted_undeliverable_total', lost, [name])
    }
  }
}

async function askCollector(url: string): Promise<Part> {
  try {
    const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(ASK_COLLECTOR_MS) })
    const body = (await answer.json().catch(() => ({}))) as { parts?: Record<string, Partial<Part>> }
    if (answer.ok) return { ok: true, detail: 'ready' }
    const bad = Object.entries(body.parts ?? {}).filter(([, p]) => p.ok === false)
    return {
      ok: false,
      detail: bad.map(([n, p]) => `${n}: ${p.detail}`).join('; ') || `HTTP ${answer.status}`,
    }
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as { code?: string }
    return { ok: false, detail: code ?? (error as Error).message }
  }
}
