/**
 * Starts, watches, reloads and drains the processes of an installation: store, collector, host, workers.
 * Holds the listening socket for the workers (round robin) and ships their spool. Serves no call itself.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type AdminOptions, KEY_USE_MAX_MS, KEY_USE_QUESTION, RELOAD_QUESTION } from '../admin/options.ts'
import type { CollectorOptions } from '../collector/options.ts'
import { pinned } from '../config/address.ts'
import type { Config } from '../config/schema.ts'
import { type Log, makeLog } from '../event/log.ts'
import type { Ask, Settled } from '../limits/messages.ts'
import type { HostOptions } from '../proxy/host/options.ts'
import type { WorkerOptions } from '../proxy/options.ts'
import { Metrics } from '../proxy/telemetry/metrics.ts'
import type { StoreOptions } from '../store/options.ts'
import { collectorOptions } from './collector-options.ts'
import { ConfigAudit } from './config-audit.ts'
import { ConfigHistory } from './config-history.ts'
import {
  loadSecrets,
  lockFolder,
  makeRunFolder,
  removeRunFolder,
  type Secrets,
  spoolFolder,
  unlockFolder,
  writeNote,
} from './data-folder.ts'
import { forkAdmin, forkCollector, forkHost, forkStore, forkWorker } from './forks.ts'
import { withFreePorts } from './free-ports.ts'
import { hostOptions } from './host-options.ts'
import type { Keeper } from './limits/keeper.ts'
import { openKeeper } from './limits/open.ts'
import { anySays, Managed } from './managed.ts'
import { openShipper } from './open-shipper.ts'
import { Overview } from './overview.ts'
import type { Shipper } from './shipper.ts'
import { storeOptions } from './store-options.ts'
import { TakeOver } from './take-over.ts'

export type Part = 'store' | 'collector' | 'proxy'

const SHIP_FLUSH_MS = 10_000
const STOP_MS = 15_000
const DAY_MS = 86_400_000

export class Supervisor {
  #config: Config
  readonly #file: string
  readonly #history = new ConfigHistory()
  readonly #audit: ConfigAudit | null
  readonly takeOver: TakeOver
  readonly #parts: ReadonlySet<Part>
  readonly #secrets: Secrets
  readonly #log: Log
  readonly #metrics = new Metrics()
  readonly #run_folder: string
  readonly #workers = new Map<string, Managed>()
  /** Spool identities of the workers alive, by slot. */
  readonly #ids = new Map<string, string>()
  #store: Managed | null = null
  #collector: Managed | null = null
  #host: Managed | null = null
  #admin: Managed | null = null
  #shipper: Shipper | null = null
  #keeper: Keeper | null = null
  /** Addresses as they came out; a port 0 in the config keeps the port it got first. */
  readonly #at = { listeners: [] as readonly string[], collector: '', store: '', admin: '' }
  readonly #overview: Overview
  #isStopping = false

  /** Takes the data folder. Throws FolderBusy when another installation uses it. `file`: what was read, and its text's SHA-256. */
  constructor(config: Config, parts: readonly Part[], file: { path: string; sha256: string }) {
    this.#config = config
    this.#file = file.path
    this.takeOver = new TakeOver(file.sha256, {
      config: () => this.#config,
      apply: (next) => this.#apply(next),
      onTaken: (taken, sha256) => this.#audit?.taken(taken, sha256, false),
      onState: () => {
        if (!this.#isStopping) this.#note()
      },
      onResult: (result) => this.#metrics.add('weir_config_reloads_total', 1, [result]),
    })
    this.#parts = new Set(parts)
    this.#log = makeLog('supervisor', config.log.level)
    lockFolder(config.data)
    this.#secrets = loadSecrets(config.data)
    this.#run_folder = makeRunFolder(config.data)
    this.#audit =
      this.#parts.has('proxy') || this.#parts.has('collector')
        ? new ConfigAudit({
            folder: config.data,
            instance: config.instance,
            secret: this.#secrets.hash,
            token: this.#token(),
            collector: () => this.#collectorUrl(),
            log: this.#log,
          })
        : null
    this.#overview = new Overview(
      {
        workers: this.#workers,
        workerId: (slot) => this.#ids.get(slot),
        host: () => this.#host,
        store: () => this.#store,
        shipper: () => this.#shipper,
        collector: () => this.#collectorUrl(),
      },
      this.#metrics,
    )
  }

  /** Where it can be reached; `proxy` is the first of `listeners`. */
  get addresses(): { proxy: string } & { readonly [at in 'collector' | 'store' | 'admin']: string } & {
    listeners: readonly string[]
  } {
    return { proxy: this.#at.listeners[0] ?? '', ...this.#at }
  }

  /** Starts every part. Resolves when all are ready; rejects, with everything stopped again, when one cannot start. */
  async start(): Promise<void> {
    const starting: Promise<unknown>[] = []
    const begin = <T>(part: Promise<T>): Promise<T> => {
      // Looked at together below; until then a failure must not count as unhandled.
      part.catch(() => {})
      starting.push(part)
      return part
    }
    try {
      const store = this.#parts.has('store') && !this.#config.store.url ? begin(this.#startStore()) : null
      // The collector needs the store, the proxy needs neither: it takes calls meanwhile.
      if (this.#parts.has('proxy')) begin(this.#startProxy())
      await store
      if (this.#parts.has('collector')) begin(this.#startCollector())
      if (this.#audit && this.#config.admin.listen) begin(this.#startAdmin(this.#config.admin.listen))
      await Promise.all(starting)
    } catch (error) {
      await Promise.allSettled(starting)
      await this.stop()
      throw error
    }
    this.#note()
    this.#audit?.taken(this.#config, this.takeOver.state.sha256, true)
  }

  #note(): void {
    const { proxy: listen, collector: console, ...others } = this.addresses
    const note = { pid: process.pid, listen, console, ...others, config: this.takeOver.state }
    for (const folder of [this.#run_folder, this.#config.data]) writeNote(folder, note)
  }

  #managed(
    name: string,
    hooks: Pick<ConstructorParameters<typeof Managed>[0], 'fork' | 'options'> &
      Partial<ConstructorParameters<typeof Managed>[0]>,
  ): Managed {
    return new Managed({
      name,
      log: this.#log,
      answer: (question) => this.#answer(question),
      onRestart: () => this.#metrics.add('weir_process_restarts_total', 1, [name]),
      ...hooks,
    })
  }

  #startStore(): Promise<string> {
    const options = (): StoreOptions => {
      const { store } = this.#config
      const password = this.#parts.has('collector')
        ? this.#secrets.store
        : store.password || this.#secrets.store
      return storeOptions(this.#config, pinned(store.listen, this.#at.store), password)
    }
    this.#store = this.#managed('store', {
      fork: forkStore,
      options,
      onReady: (address) => {
        this.#at.store = address
      },
    })
    return this.#store.start()
  }

  #collectorOptions(): CollectorOptions {
    return collectorOptions(this.#config, {
      listen: pinned(this.#config.console.listen, this.#at.collector),
      store: this.#at.store,
      intake_token: this.#token(),
      store_password: this.#secrets.store,
      alerts: this.#history.alertOptions(this.#config),
    })
  }

  #startCollector(): Promise<string> {
    let given = this.#config
    this.#collector = this.#managed('collector', {
      fork: forkCollector,
      options: () => {
        given = this.#config
        return this.#collectorOptions()
      },
      onReady: (address) => {
        this.#at.collector = address
        this.#shipper?.nudge(true)
        if (given !== this.#config) this.#collector?.reload(this.#collectorOptions()).catch(() => {})
      },
    })
    return this.#collector.start()
  }

  async #startProxy(): Promise<void> {
    this.#shipper = openShipper(this.#config, {
      token: this.#token(),
      collector: () => this.#collectorUrl(),
      ids: this.#ids,
      workers: this.#workers,
      metrics: this.#metrics,
      log: this.#log,
    })
    this.#at.listeners = await withFreePorts(this.#config.listen.map(({ address }) => address))
    this.#startHost()
    await this.#host!.start()
    this.#keeper = openKeeper(this.#config, {
      log: this.#log,
      metrics: this.#metrics,
      secret: this.#secrets.hash,
      workers: this.#workers,
      ids: this.#ids,
      collector: this.#parts.has('collector') ? () => this.#collector : null,
    })
    for (let i = 1; i <= this.#config.workers; i++) this.#workers.set(`w${i}`, this.#makeWorker(`w${i}`))
    await Promise.all([...this.#workers.values()].map((w) => w.start()))
  }

  /** Where events go; '' while that is not known. */
  #collectorUrl(): string {
    return this.#parts.has('collector')
      ? this.#at.collector
      : (this.#config.collector.url ?? '').replace(/\/$/, '')
  }

  #token(): string {
    return this.#config.collector.token ?? this.#secrets.intake
  }

  #hostOptions(): HostOptions {
    return hostOptions(this.#config, join(this.#run_folder, 'host.sock'))
  }

  #adminOptions(listen: string): AdminOptions {
    const { admin, log } = this.#config
    return { listen: pinned(listen, this.#at.admin), file: this.#file, admin, log_level: log.level }
  }

  #startAdmin(listen: string): Promise<string> {
    this.#admin = this.#managed('admin', {
      fork: forkAdmin,
      options: () => this.#adminOptions(listen),
      onReady: (address) => {
        this.#at.admin = address
      },
    })
    return this.#admin.start()
  }

  #startHost(): void {
    let given = this.#config
    this.#host = this.#managed('host', {
      fork: forkHost,
      options: () => {
        given = this.#config
        return this.#hostOptions()
      },
      onReady: () => {
        if (given !== this.#config) this.#host?.reload(this.#hostOptions()).catch(() => {})
      },
    })
  }

  /** The config as workers see it: with the ports that were really taken. */
  #workerConfig(): Config {
    const listen = this.#config.listen.map((one, i) => ({
      ...one,
      address: pinned(one.address, this.#at.listeners[i]),
    }))
    return { ...this.#config, listen }
  }

  #makeWorker(slot: string): Managed {
    let given = this.#config
    const options = (): WorkerOptions => {
      const worker_id = randomBytes(8).toString('hex')
      given = this.#config
      this.#ids.set(slot, worker_id)
      return {
        config: this.#workerConfig(),
        slot,
        worker_id,
        spool_folder: spoolFolder(this.#config.data),
        run_folder: this.#run_folder,
        host_socket: join(this.#run_folder, 'host.sock'),
        secrets: { session: this.#secrets.session, hash: this.#secrets.hash },
      }
    }
    return this.#managed(slot, {
      fork: forkWorker,
      options,
      onReady: (addresses) => {
        this.#at.listeners = addresses.split(' ')
        const worker = this.#workers.get(slot)
        // What was told to the others while this one was starting.
        if (this.#shipper?.isFull) worker?.ask('spool_full', true).catch(() => {})
        if (given !== this.#config) worker?.reload({ config: this.#workerConfig() }).catch(() => {})
      },
      onGone: () => {
        this.#ids.delete(slot)
        this.#keeper?.gone(slot)
        this.#overview.retire(slot)
        this.#shipper?.nudge()
      },
      onTell: (topic, argument) => {
        if (topic === 'sealed') this.#shipper?.nudge()
        if (topic === 'limits') this.#keeper?.settle(slot, argument as Settled[])
        // The worker that got the cancel does not have the call, and a client's next call may reach another: they may know it.
        if (topic === 'cancelled' || topic === 'runs')
          for (const worker of this.#others(slot)) worker.ask(topic, argument).catch(() => {})
      },
      answer: async (question, argument) => {
        if (question === 'limits') return this.#keeper?.ask(slot, argument as Ask[])
        if (question !== 'question') return this.#answer(question)
        // What became of a server's question: the worker that has it says true.
        return anySays(this.#others(slot), question, argument)
      },
    })
  }

  #others(slot: string): Managed[] {
    return [...this.#workers].flatMap(([other, worker]) => (other === slot ? [] : [worker]))
  }

  // --- questions --------------------------------------------------------------------------------------------------

  async #answer(question: string): Promise<unknown> {
    if (question === 'metrics') return this.#overview.snapshot()
    if (question === 'ready') return this.#overview.readiness()
    if (question === RELOAD_QUESTION) return this.takeOver.ask()
    if (question === KEY_USE_QUESTION) return this.#keyUse()
    throw new Error(`unknown question ${question}`)
  }

  /** When keys were last used, among the calls that are kept. */
  async #keyUse(): Promise<unknown> {
    const from_ms = Date.now() - this.#config.retention.calls_days * DAY_MS
    const rows = await this.#collector?.ask(KEY_USE_QUESTION, from_ms, KEY_USE_MAX_MS)
    if (!rows) throw new Error('there is no collector to ask')
    return rows
  }

  // --- reload and stop --------------------------------------------------------------------------------------------

  /** Takes over a new config everywhere, or nowhere: then it throws and says why. `sha256`: of its text. */
  reload(config: Config, sha256: string, isForced = false): Promise<void> {
    return this.takeOver.reload(config, sha256, isForced)
  }

  /** The workers before the collector: who is let in changes first. */
  async #apply(next: Config): Promise<void> {
    this.#config = next
    this.#keeper?.reload(next)
    if (this.#host?.isReady) await this.#host.reload(this.#hostOptions())
    const workers = [...this.#workers.values()].filter((worker) => worker.isReady)
    await Promise.all(workers.map((worker) => worker.reload({ config: this.#workerConfig() })))
    if (this.#collector?.isReady) await this.#collector.reload(this.#collectorOptions())
    if (this.#admin?.isReady) await this.#admin.reload(this.#adminOptions(next.admin.listen ?? ''))
  }

  /** Drains in order: calls first, then what they left behind, then the store. */
  async stop(): Promise<void> {
    if (this.#isStopping) return
    this.#isStopping = true
    // A signal to the whole group reaches the children too: none of them is to come back.
    for (const child of [...this.#workers.values(), this.#admin, this.#host, this.#collector, this.#store])
      child?.expectEnd()
    const drain_ms = this.#config.http.drain_timeout_ms
    await Promise.all([...this.#workers.values()].map((w) => w.stop(drain_ms + 2_000)))
    await this.#admin?.stop(STOP_MS)
    this.#keeper?.close()
    await this.#host?.stop(STOP_MS)
    await this.#audit?.flush()
    if (this.#shipper) {
      await this.#shipper.flush(SHIP_FLUSH_MS)
      this.#shipper.close()
    }
    await this.#collector?.stop(STOP_MS)
    await this.#store?.stop(STOP_MS)
    removeRunFolder(this.#config.data)
    unlockFolder(this.#config.data)
  }
}
