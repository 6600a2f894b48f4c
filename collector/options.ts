/**
 * What the collector is started with. Arrives over IPC from the supervisor (or from `weir collector`), never by argv or
 * environment: it holds secrets. Validated by config/schema.ts before it gets here.
 */

import type { AnomalyOptions } from '../config/anomalies.ts'
import type { ContextConfig } from '../config/context.ts'
import type { MoneyOptions } from '../config/price-book.ts'
import type { LogLevel } from '../event/log.ts'
import type { LoginOptions } from './login/entry.ts'
import type { AlertOptions } from './watch/alerts/options.ts'

/** How to fork the collector: what strips the types off the console's sources is still called experimental. */
export const collectorProcess: { execArgv: string[]; stdio: ('ignore' | 'inherit' | 'ipc')[] } = {
  execArgv: ['--disable-warning=ExperimentalWarning'],
  stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
}

/** Days rows live. */
export type Retention = { calls_days: number; payloads_days: number; rollups_days: number }

/** The ClickHouse the collector writes to: the embedded store process, or a server. */
export type StoreOptions = {
  url: string
  user: string
  password: string
  database: string
  /** How long one insert may take. */
  timeout_ms: number
  embedded: boolean
  /** Of the embedded store's reader, as whom the console asks; '' when it needs none. */
  reader_password: string
}

/** One OTLP/HTTP endpoint that gets Weir's spans. */
export type OtlpTarget = {
  url: string
  headers: Record<string, string>
  queue_max: number
  batch_max: number
  timeout_ms: number
}

export type CollectorOptions = {
  /** host:port; port 0 takes a free one. */
  listen: string
  instance: string
  env: string
  /** Shared secret of proxies and collectors. Empty: intake refuses everyone. */
  intake_token: string
  store: StoreOptions
  retention: Retention
  /** What a token in a model's context costs. */
  context: ContextConfig
  anomalies: AnomalyOptions
  export: { otlp: readonly OtlpTarget[] }
  /** SHA-256 (hex) of the API keys that may send OTLP and read /metrics from elsewhere. Empty: loopback peers only. */
  caller_keys: readonly string[]
  /** When those of them that do not hold for ever are refused, milliseconds since 1970, by SHA-256. */
  key_expiries?: Readonly<Record<string, number>>
  /** Whether there are callers, keys or not: then OTLP needs a key, also on this machine. Default: whether there are keys. */
  has_callers?: boolean
  /** Who may log in to the console by the word of an issuer; default: nobody. */
  login?: LoginOptions
  /** Host names in the Host header besides localhost and the address itself; empty on a non-loopback listener: any. */
  allowed_hosts: readonly string[]
  /** Origins of browser clients besides loopback ones on a loopback listener. */
  allowed_origins: readonly string[]
  log_level: LogLevel
  /** Prices and budgets of the config. */
  money: MoneyOptions
  alerts: AlertOptions
}
