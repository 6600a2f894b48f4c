/**
 * Metrics of the collector. Names, help and labels come from event/names.ts; this room only counts.
 * Label values are from closed sets, so the number of series is bounded whatever comes in.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { COLLECTOR_METRICS } from '../event/names.ts'
import type { Store } from './sink/store.ts'
import { StoreError } from './sink/store.ts'
import type { Batch, Written } from './sink/write-batch.ts'

type Name = (typeof COLLECTOR_METRICS)[number]['name']
type Labels = Readonly<Record<string, string>>

export type Metrics = {
  count(name: Name, amount: number, labels?: Labels): void
  set(name: Name, value: number, labels?: Labels): void
  observe(name: Name, value: number, labels?: Labels): void
  /** A batch is in the store: its rows, dead letters, bytes, and how old its newest call is. */
  stored(batch: Batch, written: Written): void
  /** Prometheus text. */
  text(): Promise<string>
  readonly contentType: string
  close(): void
}

export function openMetrics(now_ms: () => number = Date.now): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const counters = new Map<string, Counter>()
  const gauges = new Map<string, Gauge>()
  const histograms = new Map<string, Histogram>()
  for (const metric of COLLECTOR_METRICS) {
    const shape = {
      name: metric.name,
      help: metric.help,
      labelNames: [...metric.labels],
      registers: [registry],
    }
    if (metric.type === 'counter') counters.set(metric.name, new Counter(shape))
    else if (metric.type === 'gauge') gauges.set(metric.name, new Gauge(shape))
    else histograms.set(metric.name, new Histogram({ ...shape, buckets: [...(metric.buckets ?? [])] }))
  }
  const count: Metrics['count'] = (name, amount, labels = {}) => counters.get(name)!.inc(labels, amount)
  const set: Metrics['set'] = (name, value, labels = {}) => gauges.get(name)!.set(labels, value)
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  let newest_us = 0
  return {
    count,
    set,
    observe: (name, value, labels = {}) => histograms.get(name)!.observe(labels, value),
    stored({ rows, bytes }, written) {
      count('weir_collector_rows_total', written.rows, { table: 'calls' })
      count('weir_collector_rows_total', rows.payloads.length, { table: 'call_payloads' })
      count('weir_collector_rows_total', rows.intents.length, { table: 'call_intents' })
      count('weir_collector_rows_total', rows.definitions.length, { table: 'tool_definitions' })
      count('weir_collector_rows_total', rows.listed.length, { table: 'tool_lists' })
      count('weir_collector_intake_bytes_total', bytes)
      count('weir_collector_unknown_fields_total', rows.unknownFields)
      for (const dead of rows.dead) count('weir_collector_dead_letters_total', 1, { reason: dead.reason })
      if (written.refused.length)
        count('weir_collector_dead_letters_total', written.refused.length, { reason: 'refused' })
      newest_us = Math.max(newest_us, rows.last_ts)
    },
    async text() {
      if (newest_us > 0) set('weir_collector_lag_seconds', Math.max(0, now_ms() / 1000 - newest_us / 1e6))
      for (const quantile of [0.5, 0.99, 1])
        set('weir_collector_event_loop_delay_seconds', delay.percentile(quantile * 100) / 1e9, {
          quantile: String(quantile),
        })
      delay.reset()
      return registry.metrics()
    },
    contentType: registry.contentType,
    close() {
      delay.disable()
      registry.clear()
    },
  }
}

/** The store with its inserts timed and its errors counted. */
export function measuredStore(store: Store, metrics: Metrics): Store {
  const watch = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      if (error instanceof StoreError)
        metrics.count('weir_collector_store_errors_total', 1, { class: error.kind })
      throw error
    }
  }
  return {
    ...store,
    rows: (sql, params) => watch(store.rows(sql, params)),
    command: (sql) => watch(store.command(sql)),
    async insert(table, columns, lines, token) {
      const started = performance.now()
      await watch(store.insert(table, columns, lines, token))
      // The schema's own bookkeeping is not intake.
      if (!table.startsWith('schema_'))
        metrics.observe('weir_collector_insert_duration_seconds', (performance.now() - started) / 1000, {
          table,
        })
    },
  }
}
