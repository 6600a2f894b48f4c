/**
 * How long each table keeps its rows. A table is made with the lifetime of its day; when the config changes, the next start
 * alters the table. Data is dropped by whole parts, in the background, by the store.
 */
import type { Retention } from '../options.ts'
import type { Store } from '../sink/store.ts'
import { retentionDays } from './template.ts'

/** Table → the time its rows age by, and the word of the schema files that says how many days. */
const LIFETIMES: Readonly<Record<string, readonly [time: string, days: string]>> = {
  calls: ['toDateTime(ts)', 'CALLS_DAYS'],
  call_payloads: ['toDateTime(ts)', 'PAYLOADS_DAYS'],
  call_intents: ['toDateTime(ts)', 'PAYLOADS_DAYS'],
  otel_spans: ['toDateTime(Timestamp)', 'CALLS_DAYS'],
  otel_traces_trace_id_ts: ['Start', 'TRACES_DAYS'],
  tool_5m: ['t', 'TOOL_5M_DAYS'],
  usage_1d: ['d', 'ROLLUPS_DAYS'],
  caller_1d: ['d', 'ROLLUPS_DAYS'],
  sessions: ['day', 'TRACES_DAYS'],
  runs: ['day', 'TRACES_DAYS'],
  ingest_batches: ['toDateTime(received_at)', 'CALLS_DAYS'],
  dead_letters: ['toDateTime(received_at)', 'CALLS_DAYS'],
  losses: ['toDateTime(first_reported)', 'ROLLUPS_DAYS'],
  tool_definitions: ['toDateTime(last_seen)', 'ROLLUPS_DAYS'],
  tool_listings: ['toDateTime(last_ts)', 'ROLLUPS_DAYS'],
  tool_lists: ['toDateTime(last_seen)', 'ROLLUPS_DAYS'],
  metric_5m: ['t', 'TOOL_5M_DAYS'],
  anomalies: ['started', 'ROLLUPS_DAYS'],
  caller_tools: ['last_seen', 'ROLLUPS_DAYS'],
  caller_habits_1d: ['d', 'ROLLUPS_DAYS'],
  alert_events: ['toDateTime(ts)', 'ROLLUPS_DAYS'],
  alert_deliveries: ['toDateTime(ts)', 'ROLLUPS_DAYS'],
  config_changes: ['toDateTime(ts)', 'ROLLUPS_DAYS'],
  cost_adjustments: ['toDateTime(ts)', 'CALLS_DAYS'],
  ratings: ['toDateTime(written_at)', 'ROLLUPS_DAYS'],
  cost_1d: ['d', 'ROLLUPS_DAYS'],
  slo_status: ['toDateTime(updated_at)', 'ROLLUPS_DAYS'],
  annotations: ['toDateTime(ts)', 'ROLLUPS_DAYS'],
}

/** Alters the tables whose lifetime differs from `retention`; names those it changed. */
export async function applyRetention(store: Store, retention: Retention): Promise<string[]> {
  const days = retentionDays(retention)
  const rows = await store.rows<{ name: string; engine_full: string }>(
    'SELECT name, engine_full FROM system.tables WHERE database = {database:String}',
    { database: store.database },
  )
  const changed: string[] = []
  for (const { name, engine_full } of rows) {
    const lifetime = LIFETIMES[name]
    if (!lifetime) continue
    const [time, word] = lifetime
    const wanted = `TTL ${time} + toIntervalDay(${days[word]})`
    if (engine_full.includes(wanted)) continue
    await store.command(`ALTER TABLE ${store.database}.${name} MODIFY ${wanted}`)
    changed.push(name)
  }
  return changed.sort()
}

/** Tables whose lifetime is their own: what the config says now, and baselines, which are made anew every night. */
export const UNAGED_TABLES: readonly string[] = [
  'alert_rules',
  'baselines',
  'budgets',
  'context_prices',
  'prices',
  'silences',
  'watch_lock',
]
export const RETAINED_TABLES: readonly string[] = Object.keys(LIFETIMES)
