/** `weir anomalies backtest`: how well the detectors find faults of known kind, in a store of its own that is thrown away. */
import { fork } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openStore, type Store } from '../collector/sink/store.ts'
import { DAYS_MIN, ownHistory, spanOf } from '../collector/watch/anomaly-backtest/own.ts'
import { openRandom } from '../collector/watch/anomaly-backtest/random.ts'
import { markdown, type Report, tableOf } from '../collector/watch/anomaly-backtest/report.ts'
import {
  backtestEvents,
  backtestSeries,
  type Parts,
  SIZES,
  syntheticHistory,
} from '../collector/watch/anomaly-backtest/run.ts'
import { type AnomalyOptions, anomalies as anomalySchema } from '../config/anomalies.ts'
import { type StoreOptions, storeProcess } from '../store/options.ts'
import type { FromChild } from '../supervisor/link.ts'
import { findInstallation, STORE_OPTIONS, STORE_USAGE } from './installation.ts'
import { openStore as openReader } from './store-client.ts'
import { jsonLine, print } from './terminal.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

export const USAGE = `usage: weir anomalies backtest [--from DAY --to DAY] [--seed n] [--small] [--json] [--out FOLDER]

Injects faults of known kind into history, runs the detectors over it and prints how many they found, how many findings were
false and how long it took. Works on a copy, in a store of its own in a temporary folder: no row of yours is touched.
Without --from it makes up the history: tools of every traffic level, with days, weekends and heavy tails.

  --synthetic         made-up history (the default)
  --from, --to DAY    history of your own installation, at least ${DAYS_MIN} days; faults go into the days after the first three weeks
  --seed n            another seed, other faults (default 1)
  --small             a twentieth of the work: to see that it works, not to quote
  --out FOLDER        also writes backtest.json and backtest.md there
  --json              one JSON object
${STORE_USAGE}`

const PASSWORD = 'backtest'
const FAULTS_PER_DAY = 4

/** The source in a checkout, the build in a package. */
function storeProgram(): string {
  const source = fileURLToPath(new URL('../store/main.ts', import.meta.url))
  return existsSync(source) ? source : source.replace(/\.ts$/, '.js')
}

type Scratch = { open(database: string): Store; close(): Promise<void> }

/** An embedded store of our own in a temporary folder. */
async function startScratch(): Promise<Scratch> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-backtest-'))
  const child = fork(storeProgram(), [], {
    execArgv: storeProcess.execArgv,
    env: storeProcess.env,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  process.once('exit', () => {
    child.kill('SIGKILL')
    remove()
  })
  const options: StoreOptions = {
    listen: { host: '127.0.0.1', port: 0 },
    data_path: join(folder, 'clickhouse'),
    database: 'weir',
    memory_max_bytes: 1_610_612_736,
    statements_max: 8,
    writer: { user: 'weir', password: PASSWORD },
    reader: null,
  }
  const url = await new Promise<string>((resolve, reject) => {
    child.once('exit', () => reject(new CliError('the scratch store ended before it was ready')))
    child.on('message', (message: FromChild) => {
      if (message.type === 'ready') resolve(message.address)
      if (message.type === 'failed') reject(new CliError(message.error))
    })
    child.send({ type: 'start', options })
  })
  const stores: Store[] = []
  return {
    open(database) {
      const store = openStore({
        url,
        user: 'weir',
        password: PASSWORD,
        database,
        timeout_ms: 300_000,
        embedded: true,
        reader_password: '',
      })
      stores.push(store)
      return store
    },
    async close() {
      await Promise.all(stores.map((store) => store.close()))
      if (child.connected) child.send({ type: 'drain' })
      await gone
      remove()
    },
  }
}

function dayOf(word: string, name: string): number {
  const ms = /^\d{4}-\d\d-\d\d$/.test(word) ? Date.parse(`${word}T00:00:00Z`) : Number.NaN
  if (Number.isNaN(ms))
    throw new CliError(`--${name} ${word} is not a day`, `write for example --${name} 2026-11-01`, 2)
  return ms / 1000
}

type Given = {
  seed?: string
  small?: boolean
  json?: boolean
  from?: string
  to?: string
  out?: string
  synthetic?: boolean
} & Parameters<typeof findInstallation>[0]

async function onOwn(
  given: Given,
  scratch: Scratch,
  parts: Parts,
): Promise<Pick<Report, 'source' | 'series' | 'events'>> {
  const installation = findInstallation(given)
  const reader = openReader(installation, 120_000)
  try {
    const span = await spanOf(reader)
    if (!span) throw new CliError('this installation has no history yet', 'run the backtest without --from')
    const first = Math.ceil(span.from / 86_400) * 86_400
    const from = given.from ? Math.max(dayOf(given.from, 'from'), first) : first
    const to = given.to ? dayOf(given.to, 'to') + 86_400 : Math.floor(span.to / 86_400) * 86_400
    const days = Math.floor((to - from) / 86_400)
    if (days < DAYS_MIN)
      throw new CliError(
        `there are ${Math.max(0, days)} whole days of history in this range; the detectors compare with three weeks`,
        `name at least ${DAYS_MIN} days, or run it without --from on made-up history`,
      )
    const tested = days - DAYS_MIN + 1
    const history = ownHistory(reader, from, days)
    const { lines } = await backtestSeries(
      scratch.open('backtest_series'),
      history,
      { days: tested, each: FAULTS_PER_DAY * tested },
      parts,
    )
    return { source: `own history of ${days} days, faults in the last ${tested}`, series: lines, events: [] }
  } finally {
    await reader.close()
  }
}

async function onSynthetic(
  given: Given,
  scratch: Scratch,
  parts: Parts,
): Promise<Pick<Report, 'source' | 'series' | 'events'>> {
  const size = given.small ? SIZES.small : SIZES.full
  const history = syntheticHistory(openRandom(parts.seed), size)
  const series = await backtestSeries(scratch.open('backtest_series'), history, size, parts)
  const events = await backtestEvents(scratch.open('backtest_events'), size, parts)
  const source = `made-up history (${size.tools} tools, ${history.days} days, faults in the last ${size.days}; ${size.callers} callers)`
  return { source, series: series.lines, events: events.lines }
}

/** Detectors as configured; as they come when there is no config. */
function optionsOf(given: Given): AnomalyOptions {
  const isNamed = given.config !== undefined || given.from !== undefined
  return (isNamed ? findInstallation(given).config?.anomalies : undefined) ?? anomalySchema.parse({})
}

export const backtest: Verb = async (argv) => {
  const { values } = readArgs(USAGE, argv, {
    ...STORE_OPTIONS,
    synthetic: { type: 'boolean' },
    from: { type: 'string' },
    to: { type: 'string' },
    seed: { type: 'string', default: '1' },
    small: { type: 'boolean' },
    json: { type: 'boolean' },
    out: { type: 'string' },
  })
  const given = values as Given
  const seed = Number(given.seed)
  if (!Number.isInteger(seed) || seed < 0)
    throw new CliError(`--seed ${given.seed} is not a whole number`, 'write for example --seed 7', 2)
  const isOwn = given.from !== undefined || given.to !== undefined
  if (isOwn && given.synthetic)
    throw new CliError('--synthetic and --from exclude each other', 'leave one of them out', 2)
  const options = optionsOf(given)
  const started = performance.now()
  const scratch = await startScratch()
  try {
    const say = (line: string): void => void process.stderr.write(`${line}\n`)
    const found = await (isOwn ? onOwn : onSynthetic)(given, scratch, { options, seed, say })
    const took_s = Math.round((performance.now() - started) / 1000)
    const report: Report = { seed, sensitivity: options.sensitivity, took_s, ...found }
    if (given.out) {
      writeFileSync(join(given.out, 'backtest.json'), `${JSON.stringify(report, null, 1)}\n`)
      writeFileSync(join(given.out, 'backtest.md'), markdown(report))
    }
    if (given.json) await print(jsonLine(report))
    else
      await print(
        `${report.source}, seed ${seed}, ${took_s} s\n\n${[...tableOf(report.series), '', ...(report.events.length > 0 ? tableOf(report.events) : [])].join('\n')}\n`,
      )
    return 0
  } finally {
    await scratch.close()
  }
}
