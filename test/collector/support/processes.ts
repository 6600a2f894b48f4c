/** Starts Weir's processes for tests, by the supervisor's own protocol. Everything started is ended by its own handle. */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CollectorOptions } from '../../../collector/options.ts'
import { NO_MONEY } from '../../../config/price-book.ts'
import { configSchema } from '../../../config/schema.ts'
import { type StoreOptions, storeProcess } from '../../../store/options.ts'
import type { FromChild } from '../../../supervisor/link.ts'
import { usePreparedStore } from '../../support/prepared-store.ts'

const { NODE_COMPILE_CACHE = '' } = process.env
const CACHE = { NODE_COMPILE_CACHE }

export type Running = { address: string; child: ChildProcess; drain(): Promise<void>; kill(): Promise<void> }

const ended = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once('exit', () => resolve()))

async function start(
  file: string,
  options: unknown,
  more: { execArgv?: string[]; env?: Record<string, string> },
): Promise<Running> {
  const child = fork(new URL(`../../../${file}`, import.meta.url), [], {
    execArgv: more.execArgv ?? [],
    env: more.env ?? {},
    stdio: ['ignore', 'ignore', process.env.WEIR_TEST_LOG ? 'inherit' : 'ignore', 'ipc'],
  })
  const address = await new Promise<string>((resolve, reject) => {
    child.once('exit', () => reject(new Error(`${file} ended before it was ready`)))
    child.on('message', (message: FromChild) => {
      if (message.type === 'ready') resolve(message.address)
      if (message.type === 'failed') reject(new Error(message.error))
    })
    child.send({ type: 'start', options })
  })
  return {
    address,
    child,
    async drain() {
      if (child.connected) child.send({ type: 'drain' })
      await ended(child)
    },
    async kill() {
      child.kill('SIGKILL')
      await ended(child)
    },
  }
}

export const WRITER = { user: 'weir_writer', password: 'writer-password-of-tests' }

/** A folder for one test file; `remove` takes it away. */
export function scratchFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'weir-collector-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/**
 * The embedded store on `data_path`; `port` 0 takes a free one, another keeps the address over a restart. A new one has the
 * schema already, but for `isFresh`.
 */
export function startStore(
  data_path: string,
  { port = 0, isFresh = false }: { port?: number; isFresh?: boolean } = {},
): Promise<Running> {
  if (!isFresh) usePreparedStore(data_path)
  const options: StoreOptions = {
    listen: { host: '127.0.0.1', port },
    data_path,
    database: 'weir',
    memory_max_bytes: 1_000_000_000,
    statements_max: 8,
    writer: WRITER,
    reader: { user: 'reader', password: '' },
  }
  return start('store/main.ts', options, {
    execArgv: [...storeProcess.execArgv],
    env: { ...storeProcess.env, ...CACHE },
  })
}

export const TOKEN = 'intake-token-of-tests'

export function collectorOptions(store_url: string, more: Partial<CollectorOptions> = {}): CollectorOptions {
  return {
    listen: '127.0.0.1:0',
    instance: 'test',
    env: 'test',
    intake_token: TOKEN,
    store: {
      url: store_url,
      ...WRITER,
      database: 'weir',
      timeout_ms: 20_000,
      embedded: true,
      reader_password: '',
    },
    retention: { calls_days: 30, payloads_days: 7, rollups_days: 800 },
    context: { teams: {} },
    anomalies: configSchema.parse({}).anomalies,
    export: { otlp: [] },
    caller_keys: [],
    allowed_hosts: [],
    allowed_origins: [],
    log_level: 'warn',
    money: NO_MONEY,
    alerts: {
      alerts: configSchema.parse({}).alerts,
      slos: {},
      config: { taken_ms: 1_700_000_000_000, changed: [] },
    },
    ...more,
  }
}

export const startCollector = (options: CollectorOptions): Promise<Running> =>
  start('collector/main.ts', options, { env: { TZ: 'UTC', ...CACHE } })

/** Repeats `check` until it holds. */
export async function until(
  check: () => Promise<boolean> | boolean,
  what: string,
  tries = 400,
): Promise<void> {
  for (let i = 0; i < tries; i++) {
    if (await check()) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`never happened: ${what}`)
}

export const isReady = async (address: string): Promise<boolean> => {
  try {
    return (await fetch(`${address}/readyz`)).status === 200
  } catch {
    return false
  }
}
