/**
 * A store, the jobs of the watch as the collector puts them together, and a receiver of alerts, in simulated time. Calls go
 * through the intake's own functions. Time lies ahead of the machine's: rows then never look late, and messages never old.
 */

import { ANOMALY_QUESTIONS } from '../../../collector/api/questions-anomalies.ts'
import { readLines } from '../../../collector/intake/lines.ts'
import type { AnomalyRow } from '../../../collector/queries/anomalies.ts'
import { openReader, type Reader } from '../../../collector/queries/client.ts'
import { migrate } from '../../../collector/schema/migrate.ts'
import { openStore, StoreError } from '../../../collector/sink/store.ts'
import { writeBatch } from '../../../collector/sink/write-batch.ts'
import { watchJobs } from '../../../collector/watch/jobs.ts'
import { type Book, compileBook } from '../../../config/cost-book.ts'
import { moneyOptions } from '../../../config/price-book.ts'
import { configSchema } from '../../../config/schema.ts'
import type { CallEvent } from '../../../event/fields.ts'
import { newBatchId, segmentOf } from '../../collector/support/events.ts'
import { collectorOptions, scratchFolder, startStore } from '../../collector/support/processes.ts'
import { type Listener, listen } from '../../collector/watch/alerts/listener.ts'
import { type Change, type Random, traffic } from './traffic.ts'

const EPOCH = 1
const BATCH = 20_000
/** A bucket is closed a minute after its end; what is found then is told with the next evaluation. In between nothing can change. */
const STEPS_S = [60, 90]
const DAY_S = 86_400
const TRIES = 5
/** Days of history that go through the intake call by call. */
const FRESH_DAYS = 2

/** What a receiver was told of one alert. */
export type Told = {
  /** Simulated seconds. */
  at: number
  status: string
  labels: Record<string, string>
  annotations: Record<string, string>
}

export type Simulation = {
  reader: Reader
  told: Told[]
  /** Log lines of failed jobs and worse. */
  troubles: string[]
  /** Stores calls as if the proxy had shipped them. */
  put(events: readonly CallEvent[]): Promise<void>
  /** Usual traffic of so many days up to `to`, which nobody watches but at its end. */
  history(to: number, days: number): Promise<void>
  /** Five minutes by five minutes: their calls come in, then the jobs run twice. */
  run(
    from: number,
    to: number,
    options?: { change?: Change; more?: (from: number, to: number) => CallEvent[] },
  ): Promise<void>
  /** Jobs at one moment (seconds). */
  step(at: number): Promise<void>
  /** From now on this is the config (`prices`, `servers`, `budgets`); the collector takes it over as with a reload. */
  pay(config: object): void
  /** As the console asks. */
  findings(from: number, to: number): Promise<AnomalyRow[]>
  close(): Promise<void>
}

export async function openSimulation(random: Random, config: object): Promise<Simulation> {
  const folder = scratchFolder()
  const process_ = await startStore(folder.path)
  const hook: Listener = await listen()
  const parse = (more: object) =>
    configSchema.parse({ ...config, ...more, alerts: { to: [{ name: 'hook', webhook: { url: hook.url } }] } })
  const usual = collectorOptions(process_.address)
  // A machine under load takes its time: what counts here is simulated time.
  const base = { ...usual, store: { ...usual.store, timeout_ms: 120_000 } }
  const store = openStore(base.store)
  await migrate({ store, retention: base.retention, log: () => {} })
  const reader = openReader(base.store)
  const troubles: string[] = []
  const told: Told[] = []
  const { alerts, slos } = parse({})
  let options = base
  let book: Book = compileBook([])
  const pay = (more: object): void => {
    const money = moneyOptions(parse(more))
    options = { ...base, money, alerts: { ...base.alerts, alerts, slos } }
    book = compileBook(money.prices)
  }
  pay({})
  const jobs = watchJobs({
    store,
    reader,
    metrics: { count() {}, set() {} },
    log(level, message, fields) {
      if (level !== 'info' && level !== 'debug') troubles.push(`${message} ${JSON.stringify(fields)}`)
    },
    options: () => options,
    book: () => book,
  })
  const put: Simulation['put'] = async (events) => {
    for (let at = 0; at < events.length; at += BATCH) {
      const id = newBatchId()
      const bytes = segmentOf(events.slice(at, at + BATCH))
      const rows = await readLines(bytes.toString(), id, false, book.rate)
      if (rows.dead.length > 0) throw new Error(rows.dead[0]!.error)
      await writeBatch(store, { id, instance: 'test', attempt: 1, bytes: bytes.length, rows }, null)
    }
  }
  const next = new Map<string, number>()
  let heard = 0
  const step: Simulation['step'] = async (at) => {
    for (const job of jobs) {
      if (at * 1000 < (next.get(job.name) ?? 0)) continue
      next.set(job.name, at * 1000 + job.every_ms)
      // A store under load may not answer in time: the watch would run the job again.
      for (let tries = 1; ; tries++)
        try {
          await job.run(at * 1000, EPOCH)
          break
        } catch (error) {
          if (!(error instanceof StoreError) || tries === TRIES) throw error
        }
    }
    for (const { body } of hook.got.slice(heard)) {
      const { alerts: sent } = JSON.parse(body) as { alerts: Omit<Told, 'at'>[] }
      told.push(...sent.map(({ status, labels, annotations }) => ({ at, status, labels, annotations })))
    }
    heard = hook.got.length
  }
  return {
    reader,
    told,
    troubles,
    put,
    step,
    pay,
    async history(to, days) {
      await step(to - days * DAY_S)
      const fresh = to - FRESH_DAYS * DAY_S
      await put(traffic(random, fresh, to))
      // The days before, from the same calls, each moved by up to an hour of its own: other buckets, other mixes, the same season.
      for (let back = FRESH_DAYS; back < days; back++) {
        const day = to - (1 + (back % FRESH_DAYS)) * DAY_S
        await store.command(
          `INSERT INTO weir.calls SELECT * REPLACE (c.ts - toIntervalDay(${back - (back % FRESH_DAYS)}) + toIntervalMicrosecond(rand64() % 7200000000) - toIntervalHour(1) AS ts, generateUUIDv4() AS event_id)
           FROM weir.calls AS c WHERE c.ts >= toDateTime(${day}, 'UTC') AND c.ts < toDateTime(${day + DAY_S}, 'UTC')`,
        )
      }
    },
    async run(from, to, { change, more } = {}) {
      for (let t = from; t < to; t += 300) {
        await put([...traffic(random, t, t + 300, change), ...(more?.(t, t + 300) ?? [])])
        for (const at of STEPS_S) await step(t + 300 + at)
      }
    },
    findings: (from, to) =>
      ANOMALY_QUESTIONS.anomalies!.run(reader, {
        from: String(from * 1000),
        to: String(to * 1000),
        limit: '1000',
      }) as Promise<AnomalyRow[]>,
    async close() {
      await reader.close()
      await store.close()
      await process_.drain()
      await hook.close()
      folder.remove()
    },
  }
}
