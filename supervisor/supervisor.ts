/**
 * Starts, watches, reloads and drains the processes of an installation: store, collector, host, workers.
 * Holds the listening socket for the workers (round robin) and ships their spool. Serves no call itself.
 */
import { fork, type ChildProcess } from 'node:child_process'
import cluster from 'node:cluster'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { restartChanges } from '../config/changes.ts'
import { hostOf, portOf } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import type { CollectorOptions } from '../collector/options.ts'
import { type Log, makeLog } from '../event/log.ts'
import { METRICS, type MetricName } from '../event/proxy-metrics.ts'
import type { HostOptions } from '../proxy/host/options.ts'
import type { WorkerOptions } from '../proxy/options.ts'
import type { Readiness } from '../proxy/pages.ts'
import { mergeSnapshots, Metrics, type Snapshot } from '../proxy/telemetry/metrics.ts'
import { ProcessFigures } from '../proxy/telemetry/process-figures.ts'
import { type StoreOptions, storeProcess } from '../store/options.ts'
import { loadSecrets, lockFolder, type Secrets, spoolFolder, unlockFolder, writeNote } from './data-folder.ts'
import { Managed } from './managed.ts'
import { Shipper } from './shipper.ts'

export type Part = 'store' | 'collector' | 'proxy'

const SHIP_FLUSH_MS = 10_000
const STOP_MS = 15_000
const SPOOL_AGE_MAX_S = 30
const STORE_STATEMENTS_MAX = 12

/** The source in a checkout, the build in a package. */
const program = (path: string): string => {
  const source = fileURLToPath(new URL(`../${path}.ts`, import.meta.url))
  return existsSync(source) ? source : fileURLToPath(new URL(`../${path}.js`, import.meta.url))
}

export class Supervisor {
  #config: Config
  readonly #parts: ReadonlySet<Part>
  readonly #secrets: Secrets
  readonly #log: Log
  readonly #metrics = new Metrics()
  readonly #figures = new ProcessFigures()
  readonly #run_folder: string
  readonly #workers = new Map<string, Managed>()
  /** Spool identities of the workers alive, by slot. */
  readonly #ids = new Map<string, string>()
  #store: Managed | null = null
  #collector: Managed | null = null
  #host: Managed | null = null
  #shipper: Shipper | null = null
  /** Addresses as they came out; a port 0 in the config keeps the port it got first. */
  readonly #at = { proxy: '', collector: '', store: '' }
  /** Last figures of each worker, and the counts of those that are gone: a counter must never fall. */
  readonly #seen = new Map<string, Snapshot>()
  #retired: Snapshot = {}
  #isStopping = false

  /** Takes the data folder. Throws FolderBusy when another installation uses it. */
  constructor(config: Config, parts: readonly Part[]) {
    this.#config = config
    this.#parts = new Set(parts)
    this.#log = makeLog('supervisor', config.log.level)
    lockFolder(config.data)
    this.#secrets = loadSecrets(config.data)
    this.#run_folder = mkdtempSync(join(tmpdir(), 'weir-'))
    cluster.schedulingPolicy = cluster.SCHED_RR
  }

  get addresses(): { proxy: string; collector: string; store: string } {
    return this.#at
  }

  /** Starts every part. Resolves when all are ready; rejects, with everything stopped again, when one cannot start. */
  async start(): Promise<void> {
    const starting: Promise<unknown>[] = []
    try {
      if (this.#parts.has('store') && !this.#config.store.url) starting.push(this.#startStore())
      // The collector needs the store, the proxy needs neither: it takes calls meanwhile.
      const store = starting[0]
      if (this.#parts.has('proxy')) starting.push(this.#startProxy())
      await store
      if (this.#parts.has('collector')) starting.push(this.#startCollector())
      await Promise.all(starting)
    } catch (error) {
      await Promise.allSettled(starting)
      await this.stop()
      throw error
    }
    this.#note()
  }

  #note(): void {
    writeNote(this.#config.data, { pid: process.pid, listen: this.#at.proxy, console: this.#at.collector, store: this.#at.store })
  }

  #managed(name: string, hooks: Pick<ConstructorParameters<typeof Managed>[0], 'fork' | 'options'> & Partial<ConstructorParameters<typeof Managed>[0]>): Managed {
    return new Managed({ name, log: this.#log, answer: (question) => this.#answer(question), onRestart: () => this.#metrics.add('weir_process_restarts_total', 1, [name]), ...hooks })
  }

  /** The configured address with the port that was really taken. */
  #pinned(listen: string, at: string): string {
    return portOf(listen) === 0 && at ? `${hostOf(listen)}:${new URL(at).port}` : listen
  }

  #startStore(): Promise<string> {
    const { store, data } = this.#config
    const options = (): StoreOptions => {
      const listen = this.#pinned(store.listen, this.#at.store)
      return {
        listen: { host: hostOf(listen), port: portOf(listen) },
        data_path: join(data, 'clickhouse'),
        database: 'weir',
        memory_max_bytes: store.memory_max_bytes,
        statements_max: STORE_STATEMENTS_MAX,
        writer: { user: 'weir', password: this.#parts.has('collector') ? this.#secrets.store : store.password || this.#secrets.store },
        reader: { user: 'reader', password: store.reader_password },
      }
    }
    this.#store = this.#managed('store', {
      // No environment of ours: SQL must find no secret there.
      fork: () => fork(program('store/main'), [], { execArgv: storeProcess.execArgv, env: storeProcess.env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
      options,
      onReady: (address) => {
        this.#at.store = address
      },
    })
    return this.#store.start()
  }

  #startCollector(): Promise<string> {
    const options = (): CollectorOptions => {
      const { store, retention, export: exported, callers, http, instance, env, log } = this.#config
      const isEmbedded = store.url === undefined
      const url = store.url ?? (this.#at.store || `http://${store.listen}`)
      return {
        listen: this.#pinned(this.#config.console.listen, this.#at.collector),
        instance,
        env,
        intake_token: this.#token(),
        store: {
          url,
          user: isEmbedded ? 'weir' : store.user || 'default',
          password: isEmbedded ? this.#secrets.store : store.password,
          database: isEmbedded ? 'weir' : store.database,
          timeout_ms: store.timeout_ms,
          embedded: isEmbedded,
        },
        retention,
        export: exported,
        caller_keys: Object.values(callers).flatMap((c) => c.keys.map((k) => k.sha256)),
        allowed_hosts: http.allowed_hosts,
        allowed_origins: http.allowed_origins,
        log_level: log.level,
      }
    }
    this.#collector = this.#managed('collector', {
      fork: () => fork(program('collector/main'), [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
      options,
      onReady: (address) => {
        this.#at.collector = address
        this.#shipper?.nudge(true)
      },
    })
    return this.#collector.start()
  }

  async #startProxy(): Promise<void> {
    const spool = spoolFolder(this.#config.data)
    this.#shipper = new Shipper(
      {
        folder: spool,
        instance: this.#config.instance,
        max_bytes: this.#config.spool.max_bytes,
        full: this.#config.spool.full,
        token: this.#token(),
        collector: () => (this.#parts.has('collector') ? this.#at.collector : (this.#config.collector.url ?? '').replace(/\/$/, '')),
        living: () => new Set(this.#ids.values()),
        onFull: (isFull) => {
          for (const worker of this.#workers.values()) worker.ask('spool_full', isFull).catch(() => {})
        },
      },
      randomBytes(8).toString('hex'),
      this.#metrics,
      this.#log,
    )
    this.#startHost()
    await this.#host!.start()
    for (let i = 1; i <= this.#config.workers; i++) this.#workers.set(`w${i}`, this.#makeWorker(`w${i}`))
    await Promise.all([...this.#workers.values()].map((w) => w.start()))
  }

  #token(): string {
    return this.#config.collector.token ?? this.#secrets.intake
  }

  #hostOptions(): HostOptions {
    const servers = Object.entries(this.#config.servers).filter(([, s]) => s.command !== undefined)
    return {
      socket: join(this.#run_folder, 'host.sock'),
      servers: Object.fromEntries(servers) as HostOptions['servers'],
      log_level: this.#config.log.level,
      drain_timeout_ms: this.#config.http.drain_timeout_ms,
    }
  }

  #startHost(): void {
    this.#host = this.#managed('host', {
      fork: () => fork(program('proxy/host/main'), [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
      options: () => this.#hostOptions(),
    })
  }

  #makeWorker(slot: string): Managed {
    const options = (): WorkerOptions => {
      const worker_id = randomBytes(8).toString('hex')
      this.#ids.set(slot, worker_id)
      return {
        config: { ...this.#config, listen: this.#pinned(this.#config.listen, this.#at.proxy) },
        slot,
        worker_id,
        spool_folder: spoolFolder(this.#config.data),
        run_folder: this.#run_folder,
        host_socket: join(this.#run_folder, 'host.sock'),
        secrets: { session: this.#secrets.session, hash: this.#secrets.hash },
      }
    }
    return this.#managed(slot, {
      fork: (): ChildProcess => {
        cluster.setupPrimary({ exec: program('proxy/main'), args: [], silent: false })
        return cluster.fork().process
      },
      options,
      onReady: (address) => {
        this.#at.proxy = address
      },
      onGone: () => {
        this.#ids.delete(slot)
        this.#retire(slot)
        this.#shipper?.nudge()
      },
      onTell: (topic) => {
        if (topic === 'sealed') this.#shipper?.nudge()
      },
    })
  }

  // --- questions --------------------------------------------------------------------------------------------------

  async #answer(question: string): Promise<unknown> {
    if (question === 'metrics') return this.#snapshot()
    if (question === 'ready') return this.#readiness()
    throw new Error(`unknown question ${question}`)
  }

  async #snapshot(): Promise<Snapshot> {
    const spool = this.#shipper?.state()
    if (spool) {
      this.#metrics.set('weir_spool_bytes', spool.bytes)
      this.#metrics.set('weir_spool_segments', spool.segments)
      this.#metrics.set('weir_spool_age_seconds', spool.age_s)
      for (const [reason, events] of Object.entries(this.#shipper!.losses())) this.#metrics.set('weir_events_lost_total', events, [reason])
    }
    this.#figures.into(this.#metrics, 'supervisor')
    await Promise.allSettled(
      [...this.#workers].map(async ([slot, worker]) => {
        const id = this.#ids.get(slot)
        const snapshot = (await worker.ask('metrics')) as Snapshot
        if (id !== undefined && this.#ids.get(slot) === id) this.#seen.set(slot, snapshot)
      }),
    )
    return mergeSnapshots([...this.#seen.values(), this.#retired, this.#metrics.snapshot()])
  }

  #retire(slot: string): void {
    const last = this.#seen.get(slot)
    if (!last) return
    this.#seen.delete(slot)
    // Losses of a dead worker are read from its ledger, so they are not kept here a second time.
    const counts = Object.entries(last).filter(([name]) => METRICS[name as MetricName]?.type !== 'gauge' && name !== 'weir_events_lost_total' && name !== 'process_cpu_seconds_total')
    this.#retired = mergeSnapshots([this.#retired, Object.fromEntries(counts)])
  }

  async #readiness(): Promise<Readiness> {
    const spool = this.#shipper?.state()
    const parts: Readiness['parts'] = {}
    const workers = [...this.#workers.values()].filter((w) => w.isReady).length
    parts.workers = { ok: workers === this.#workers.size, detail: `${workers} of ${this.#workers.size} running` }
    if (this.#host) parts.host = { ok: this.#host.isReady, detail: this.#host.isReady ? 'running' : 'not running' }
    if (spool) {
      const isLate = spool.age_s > SPOOL_AGE_MAX_S
      parts.spool = { ok: !isLate, detail: `${spool.segments} segments, ${spool.bytes} bytes, oldest ${spool.age_s.toFixed(1)} s${this.#shipper!.lastError ? `; collector: ${this.#shipper!.lastError}` : ''}` }
    }
    if (this.#store) parts.store = { ok: this.#store.isReady, detail: this.#store.isReady ? 'running' : 'not running' }
    const collector = this.#parts.has('collector') ? this.#at.collector : (this.#config.collector.url ?? '')
    if (collector) parts.collector = await this.#askCollector(collector)
    return { parts, isReady: workers > 0 }
  }

  async #askCollector(url: string): Promise<{ ok: boolean; detail: string }> {
    try {
      const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) })
      const body = (await answer.json().catch(() => ({}))) as { parts?: Record<string, { ok?: boolean; detail?: string }> }
      const bad = Object.entries(body.parts ?? {}).filter(([, p]) => p.ok === false)
      return { ok: answer.ok, detail: answer.ok ? 'ready' : bad.map(([n, p]) => `${n}: ${p.detail}`).join('; ') || `HTTP ${answer.status}` }
    } catch (error) {
      return { ok: false, detail: ((error as Error).cause as { code?: string } | undefined)?.code ?? (error as Error).message }
    }
  }

  // --- reload and stop --------------------------------------------------------------------------------------------

  /** Takes over a new config everywhere, or nowhere: then it throws and says why. */
  async reload(config: Config): Promise<void> {
    const fixed = restartChanges(this.#config, config)
    if (fixed.length > 0) {
      this.#metrics.add('weir_config_reloads_total', 1, ['refused'])
      throw new Error(`${fixed.join(', ')} cannot change while running; restart Weir to take it over`)
    }
    const before = this.#config
    const apply = async (next: Config): Promise<void> => {
      this.#config = next
      if (this.#host?.isReady) await this.#host.reload(this.#hostOptions())
      for (const worker of this.#workers.values()) if (worker.isReady) await worker.reload({ config: { ...next, listen: this.#pinned(next.listen, this.#at.proxy) } })
    }
    try {
      await apply(config)
    } catch (error) {
      await apply(before).catch(() => {})
      this.#metrics.add('weir_config_reloads_total', 1, ['failed'])
      throw error
    }
    this.#metrics.add('weir_config_reloads_total', 1, ['done'])
  }

  /** Drains in order: calls first, then what they left behind, then the store. */
  async stop(): Promise<void> {
    if (this.#isStopping) return
    this.#isStopping = true
    const drain_ms = this.#config.http.drain_timeout_ms
    await Promise.all([...this.#workers.values()].map((w) => w.stop(drain_ms + 2_000)))
    await this.#host?.stop(STOP_MS)
    if (this.#shipper) {
      await this.#shipper.flush(SHIP_FLUSH_MS)
      this.#shipper.close()
    }
    await this.#collector?.stop(STOP_MS)
    await this.#store?.stop(STOP_MS)
    rmSync(this.#run_folder, { recursive: true, force: true })
    unlockFolder(this.#config.data)
  }
}
