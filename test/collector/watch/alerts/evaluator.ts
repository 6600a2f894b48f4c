/** The evaluator on a real store, driven by hand: a test says what time it is. */

import { readLines } from '../../../../collector/intake/lines.ts'
import type { Reader } from '../../../../collector/queries/client.ts'
import { openReader } from '../../../../collector/queries/client.ts'
import { migrate } from '../../../../collector/schema/migrate.ts'
import { openStore, type Store } from '../../../../collector/sink/store.ts'
import { writeBatch } from '../../../../collector/sink/write-batch.ts'
import { type Engine, openEngine } from '../../../../collector/watch/alerts/engine.ts'
import { openOutbox } from '../../../../collector/watch/alerts/outbox.ts'
import type { HttpRequest, Outcome } from '../../../../collector/watch/alerts/receivers/request.ts'
import { type Book, compileBook } from '../../../../config/cost-book.ts'
import { configSchema } from '../../../../config/schema.ts'
import type { CallEvent } from '../../../../event/fields.ts'
import { makeEvent, newBatchId, segmentOf } from '../../support/events.ts'
import { collectorOptions, type Running, scratchFolder, startStore } from '../../support/processes.ts'

export type Bench = {
  process: Running
  store: Store
  reader: Reader
  /** Stores calls, each with its own differences. */
  calls(events: readonly Partial<CallEvent>[], book?: Book): Promise<void>
  /** Empties the tables of alerts and calls. */
  clear(): Promise<void>
  close(): Promise<void>
}

export async function openBench(): Promise<Bench> {
  const folder = scratchFolder()
  const process = await startStore(folder.path)
  const options = collectorOptions(process.address)
  const store = openStore(options.store)
  await migrate({ store, retention: options.retention, log: () => {} })
  const reader = openReader(options.store)
  const tables = [
    'calls',
    'tool_5m',
    'alert_events',
    'alert_deliveries',
    'alert_rules',
    'slo_status',
    'silences',
    'anomalies',
    'cost_adjustments',
    'cost_1d',
    'budgets',
    'losses',
    'dead_letters',
  ]
  return {
    process,
    store,
    reader,
    async calls(events, book = compileBook([])) {
      const id = newBatchId()
      const bytes = segmentOf(events.map((event) => makeEvent(event)))
      const rows = await readLines(bytes.toString(), id, false, book.rate)
      if (rows.dead.length > 0) throw new Error(rows.dead[0]!.error)
      await writeBatch(store, { id, instance: 'test', attempt: 1, bytes: bytes.length, rows }, null)
    },
    async clear() {
      for (const table of tables) await store.command(`TRUNCATE TABLE weir.${table}`)
    },
    async close() {
      await reader.close()
      await store.close()
      await process.drain()
      folder.remove()
    },
  }
}

export type Told = { request: HttpRequest; at_ms: number }
export type Evaluator = {
  engine: Engine
  /** Requests that were sent, in order. */
  sent: Told[]
  log: string[]
  /** Answers of the next requests; after them everything is taken. */
  answers: Outcome[]
  /** One evaluation and one delivery at this moment. */
  tick(now_ms: number, epoch?: number): Promise<void>
  /** Only the evaluation. */
  look(now_ms: number, epoch?: number): Promise<void>
  deliver(now_ms: number): Promise<void>
}

const taken: Outcome = { result: 'sent', http_status: 200, error: '', retry_after_ms: 0 }

/** `config` is `alerts` and `slos` as in weir.yaml. Delays are off unless it says otherwise. */
export function openEvaluator(
  { store, reader }: Pick<Bench, 'store' | 'reader'>,
  config: { alerts?: Record<string, unknown>; slos?: Record<string, unknown> },
  name = 'one',
): Evaluator {
  const { alerts, slos } = configSchema.parse({
    alerts: {
      group_wait_s: 0,
      group_interval_s: 0,
      lag_s: 0,
      console_url: 'https://console.example',
      ...config.alerts,
    },
    slos: config.slos ?? {},
  })
  const options = { alerts, slos, config: { taken_ms: 1, changed: [] } }
  const sent: Told[] = []
  const answers: Outcome[] = []
  const log: string[] = []
  let epoch = 1
  let clock = 0
  const outbox = openOutbox({
    store,
    log: (level, message, fields) => void log.push(`${level} ${message} ${JSON.stringify(fields)}`),
    sender: () => `${epoch}:${name}`,
    onAttempt: () => {},
    random: () => 0,
    async send(request) {
      sent.push({ request, at_ms: clock })
      return answers.shift() ?? taken
    },
  })
  const engine = openEngine({
    store,
    reader,
    outbox,
    log: (level, message, fields) => void log.push(`${level} ${message} ${JSON.stringify(fields)}`),
    options: () => options,
    instance: 'test',
    console_url: 'http://127.0.0.1:7333',
    onState: () => {},
  })
  const look = async (now_ms: number, of = epoch): Promise<void> => {
    epoch = of
    clock = now_ms
    await engine.run(now_ms, of)
  }
  const deliver = async (now_ms: number): Promise<void> => {
    clock = now_ms
    await outbox.run(engine.targets(), now_ms, () => clock)
  }
  return {
    engine,
    sent,
    log,
    answers,
    look,
    deliver,
    async tick(now_ms, of = epoch) {
      await look(now_ms, of)
      await deliver(now_ms)
    },
  }
}
