/**
 * Builds the collector by hand, in the order data flows, and takes it apart again. No globals.
 * It listens at once; the schema is brought up in the background, and until then intake asks senders to come again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { hostOf, portOf } from '../config/address.ts'
import type { LimitNote, SpentRow } from '../limits/messages.ts'
import { type Guard, openGuard } from './api/guard.ts'
import { openReadiness, type SchemaState } from './api/health.ts'
import { buildApi } from './api/listen.ts'
import { readConsole } from './console/assets.ts'
import { openSpanExport } from './export/otlp.ts'
import { openBatchIntake } from './intake/batches.ts'
import { type Log, openLog, reasonOf } from './log.ts'
import { openIssuerLogins } from './login/issuer-logins.ts'
import { measuredStore, openMetrics } from './metrics.ts'
import { openMoney } from './money/money.ts'
import type { CollectorOptions, StoreOptions } from './options.ts'
import { openOtlpIntake } from './otlp/receive.ts'
import { openConsoleReader, openReader } from './queries/client.ts'
import { run as askKeyUse, type KeyUseRow } from './queries/key-use.ts'
import { run as askSpent } from './queries/spent.ts'
import { SchemaError } from './schema/columns.ts'
import { migrate } from './schema/migrate.ts'
import { openStore, type Store, StoreError } from './sink/store.ts'
import { writeLimitNote } from './watch/alerts/config-notes.ts'
import { watchJobs } from './watch/jobs.ts'
import { openWatch } from './watch/watch.ts'

export type Collector = {
  /** http://host:port */
  readonly address: string
  /** Prometheus text, for the supervisor. */
  metrics(): Promise<string>
  /** What calls have cost since a day. Rejects while the store is away. */
  spent(from_ms: number): Promise<SpentRow[]>
  /** When each API key was last used, among calls since a moment. Rejects while the store is away. */
  keyUse(from_ms: number): Promise<KeyUseRow[]>
  /** Puts a moment of a limit on the charts. Rejects while the store is away. */
  noteLimit(note: LimitNote): Promise<void>
  /** Takes over who may talk to it and what the watch does. Everything else needs a restart. */
  reload(options: CollectorOptions): void
  /** Finishes requests in flight, sends queued spans, closes. */
  drain(): Promise<void>
}

const RETRY_FIRST_MS = 200
const RETRY_MAX_MS = 5_000
/** A database of another version stays what it is until somebody acts. */
const RETRY_SCHEMA_MS = 30_000
const EXPORT_DRAIN_MS = 3_000

/** Starts listening. Throws when the address cannot be had; never because the store is away. */
export async function openCollector(
  options: CollectorOptions,
  log: Log = openLog(options.log_level),
): Promise<Collector> {
  const metrics = openMetrics()
  const consoleFiles = readConsole()
  const reader = openConsoleReader(readerOf(options.store))
  const store = measuredStore(openStore(options.store), metrics)
  const watchReader = openReader(options.store)
  const schema = bringUp(store, options, log)
  const isReady = (): boolean => schema.state().ok
  const spanExport = openSpanExport(options.export.otlp, metrics, log)
  const readiness = openReadiness(store, schema.state, options.store.embedded)
  const metricsText = async (): Promise<string> => {
    metrics.set('weir_collector_ready', (await readiness()).ready ? 1 : 0)
    return metrics.text()
  }
  let inForce = options
  const guard: Guard = openGuard(options)
  const issuerLogins = openIssuerLogins(options.login)
  const money = openMoney(options.money, metrics, log)
  const app = buildApi({
    guard,
    batches: openBatchIntake({
      store,
      isReady,
      metrics,
      log,
      rate: money.rate,
      ...(spanExport ? { onStored: (events) => spanExport.enqueue(events) } : {}),
    }),
    otlp: openOtlpIntake({ store, isReady, calls_days: options.retention.calls_days, metrics, log }),
    readiness,
    metricsText,
    isReady,
    book: () => money.book,
    store,
    metrics,
    log,
    console: consoleFiles,
    reader,
    silences: { reader: watchReader, alerts: () => inForce.alerts },
    issuerLogins,
  })
  let address: string
  try {
    address = await app.listen({ host: hostOf(options.listen), port: portOf(options.listen) })
  } catch (error) {
    schema.stop()
    await Promise.allSettled([spanExport?.close(0), store.close(), reader.close(), watchReader.close()])
    metrics.close()
    throw error
  }
  issuerLogins.listens(address)
  log('info', 'collector listens', { address })
  const watch = openWatch({
    store,
    isReady,
    jobs: watchJobs({
      store,
      reader: watchReader,
      metrics,
      log,
      options: () => inForce,
      book: () => money.book,
    }),
    log,
    onRun: (job, seconds, ok) => {
      metrics.count('weir_watch_runs_total', 1, { job, result: ok ? 'ok' : 'failed' })
      metrics.observe('weir_watch_run_duration_seconds', seconds, { job })
    },
  })
  return {
    address,
    metrics: metricsText,
    spent: async (from_ms) => {
      if (!isReady()) throw new Error('the schema is not ready')
      return askSpent(watchReader, from_ms)
    },
    keyUse: async (from_ms) => {
      if (!isReady()) throw new Error('the schema is not ready')
      return askKeyUse(watchReader, { from_ms })
    },
    noteLimit: (note) => writeLimitNote(store, options.instance, note),
    reload(next) {
      inForce = next
      money.reload(next.money)
      issuerLogins.reload(next.login)
      Object.assign(guard, openGuard({ ...next, listen: options.listen }))
    },
    async drain() {
      schema.stop()
      await watch.stop()
      await app.close()
      await spanExport?.close(EXPORT_DRAIN_MS)
      await reader.close()
      await watchReader.close()
      await store.close()
      metrics.close()
    },
  }
}

/** As whom the console asks: the embedded store's reader; of a server the collector knows one user only. */
const readerOf = ({ url, database, user, password, embedded, reader_password }: StoreOptions) =>
  embedded ? { url, database, user: 'reader', password: reader_password } : { url, database, user, password }

/** Migrates, and tries again until it worked. */
function bringUp(
  store: Store,
  options: CollectorOptions,
  log: Log,
): { state: () => SchemaState; stop(): void } {
  let state: SchemaState = { ok: false, detail: 'not there yet' }
  const abort = new AbortController()
  const loop = async (): Promise<void> => {
    for (let wait_ms = RETRY_FIRST_MS; !abort.signal.aborted; wait_ms = Math.min(wait_ms * 2, RETRY_MAX_MS)) {
      try {
        await migrate({ store, retention: options.retention, log })
        state = { ok: true, detail: 'in place' }
        log('info', 'schema in place', { database: options.store.database })
        return
      } catch (error) {
        if (abort.signal.aborted) return
        const isForeign = error instanceof SchemaError
        // Until an operator acts there is no other place to say it: /readyz shows a sentence of ours, never the store's.
        state = { ok: false, detail: isForeign ? reasonOf(error) : 'waiting for the store' }
        const known = isForeign || error instanceof StoreError
        log(known ? 'warn' : 'error', 'schema not in place, trying again', { reason: reasonOf(error) })
        await sleep(isForeign ? RETRY_SCHEMA_MS : wait_ms * (0.75 + Math.random() / 2), undefined, {
          signal: abort.signal,
        }).catch(() => {})
      }
    }
  }
  void loop()
  return { state: () => state, stop: () => abort.abort() }
}
