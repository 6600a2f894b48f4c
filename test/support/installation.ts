/**
 * A real installation: `node weir.ts <verb>` on a folder of its own, every listener on a port of its own.
 * What a test starts here it ends here, by process id.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type RunNote, readNote } from '../../supervisor/data-folder.ts'
import { type Folder, makeFolder } from './folder.ts'
import { stablePort } from './ports.ts'
import { usePreparedStore } from './prepared-store.ts'
import { childrenOf, isAlive, type Role, signal } from './processes.ts'
import { waitFor } from './wait.ts'

const PROGRAM = fileURLToPath(new URL('../../weir.ts', import.meta.url))
const START_MAX_MS = 90_000
const END_MAX_MS = 60_000

export type Exit = { code: number | null; signal: NodeJS.Signals | null }
export type WeirOptions = {
  /** weir.yaml as an object; listeners and data folder are filled in. */
  config: Record<string, unknown>
  verb?: 'up' | 'proxy' | 'collector' | 'store'
  /** Use this folder (of an earlier run) and leave it there at the end. */
  folder?: Folder
  /** Soft and hard limit of open files. */
  files_max?: number
  env?: Record<string, string>
  /** Begins with no store at all, so that the schema is made step by step. */
  isFresh?: boolean
}

/** Starts and waits until it says that it runs. Rejects with its output when it ends before. */
export async function startWeir(options: WeirOptions): Promise<Weir> {
  const weir = new Weir(options)
  try {
    await weir.ready()
  } catch (error) {
    await weir.remove()
    throw error
  }
  return weir
}

/** A test that is cut short must not leave installations behind. */
const running = new Set<Weir>()
process.once('exit', () => {
  for (const weir of running) for (const pid of weir.allPids()) signal(pid, 'SIGKILL')
})

export class Weir {
  readonly folder: Folder
  readonly data: string
  readonly spool: string
  readonly configFile: string
  readonly #ownsFolder: boolean
  readonly #ports = { listen: stablePort(), console: stablePort(), store: stablePort() }
  readonly #child: ChildProcess
  readonly #exit: Promise<Exit>
  #output = ''
  #note: RunNote | null = null
  exit: Exit | null = null

  constructor(options: WeirOptions) {
    this.#ownsFolder = options.folder === undefined
    this.folder = options.folder ?? makeFolder('up')
    this.data = join(this.folder.path, 'data')
    this.spool = join(this.data, 'spool')
    this.configFile = join(this.folder.path, 'weir.yaml')
    this.writeConfig(options.config)
    const verb = options.verb ?? 'up'
    const argv = [PROGRAM, verb, '--config', this.configFile]
    if (verb !== 'proxy' && !options.isFresh) usePreparedStore(join(this.data, 'clickhouse'))
    const { PATH = '', NODE_COMPILE_CACHE = '' } = process.env
    const env = { PATH, TZ: 'UTC', NODE_COMPILE_CACHE, ...options.env }
    const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe']
    this.#child =
      options.files_max === undefined
        ? spawn(process.execPath, argv, { env, stdio })
        : spawn('sh', ['-c', `ulimit -n ${options.files_max}; exec "$@"`, 'sh', process.execPath, ...argv], {
            env,
            stdio,
          })
    const take = (chunk: Buffer): void => {
      this.#output += chunk.toString()
      if (process.env.WEIR_TEST_LOG) process.stderr.write(chunk)
    }
    this.#child.stdout!.on('data', take)
    this.#child.stderr!.on('data', take)
    running.add(this)
    this.#exit = new Promise((resolve) => {
      this.#child.once('exit', (code, name) => {
        running.delete(this)
        this.exit = { code, signal: name }
        resolve(this.exit)
      })
    })
  }

  /** Writes weir.yaml (JSON is YAML) with what every test installation has. */
  writeConfig(config: Record<string, unknown>): void {
    const whole = {
      listen: `127.0.0.1:${this.#ports.listen}`,
      data: this.data,
      ...config,
      console: { listen: `127.0.0.1:${this.#ports.console}`, ...(config.console as object | undefined) },
      store: { listen: `127.0.0.1:${this.#ports.store}`, ...(config.store as object | undefined) },
    }
    writeFileSync(this.configFile, JSON.stringify(whole, null, 1))
  }

  async ready(): Promise<void> {
    const state = await waitFor(
      'weir is running',
      () => (this.exit ? 'ended' : / is running/.test(this.#output) && readNote(this.data)),
      START_MAX_MS,
    ).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.#output}`, { cause: error })
    })
    if (state === 'ended') throw new Error(`weir ended with ${JSON.stringify(this.exit)}:\n${this.#output}`)
    this.#note = state
  }

  /** Resolves when the collector takes events: its store is there and the schema in place. */
  async storing(): Promise<void> {
    await waitFor(
      'the collector takes events',
      async () => (await fetch(`${this.addresses.collector}/readyz`)).ok,
      START_MAX_MS,
    )
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** http://host:port of the proxy, the collector and the store; '' for a part that does not run here. */
  get addresses(): { proxy: string; collector: string; store: string } {
    return { proxy: this.#note!.listen, collector: this.#note!.console, store: this.#note!.store }
  }

  /** Everything written to standard output and standard error so far. */
  get output(): string {
    return this.#output
  }

  /** Process ids of a part now. */
  pids(role: Role): number[] {
    return childrenOf(this.pid)
      .filter((c) => c.role === role)
      .map((c) => c.pid)
  }

  allPids(): number[] {
    return [this.pid, ...childrenOf(this.pid).map((c) => c.pid)]
  }

  signal(role: Role, name: NodeJS.Signals): number[] {
    const pids = this.pids(role)
    for (const pid of pids) signal(pid, name)
    return pids
  }

  /** Text of every file in the spool that holds events, newest state, with its name. */
  spoolFiles(): { name: string; text: string }[] {
    return readdirSync(this.spool, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(open|ndjson)$/.test(name))
      .flatMap((name) => {
        try {
          return [{ name, text: readFileSync(join(this.spool, name), 'utf8') }]
        } catch {
          return []
        }
      })
  }

  get spoolText(): string {
    return this.spoolFiles()
      .map((f) => f.text)
      .join('')
  }

  async metrics(): Promise<string> {
    const answer = await fetch(`${this.addresses.proxy}/metrics`, { headers: { connection: 'close' } })
    if (answer.status !== 200) throw new Error(`/metrics: HTTP ${answer.status} ${await answer.text()}`)
    return answer.text()
  }

  /** Sum of a metric over all series whose labels contain `labels`. */
  async metric(name: string, labels = ''): Promise<number> {
    let sum = 0
    for (const line of (await this.metrics()).split('\n')) {
      if (!line.startsWith(name) || !/[ {]/.test(line.charAt(name.length)) || !line.includes(labels)) continue
      sum += Number(line.slice(line.lastIndexOf(' ') + 1))
    }
    return sum
  }

  /** Resolves with how the supervisor ended. */
  ended(deadline_ms = END_MAX_MS): Promise<Exit> {
    let timer: NodeJS.Timeout
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new Error(`weir did not end within ${deadline_ms} ms:\n${this.#output.slice(-4000)}`)),
        deadline_ms,
      )
    })
    return Promise.race([this.#exit, late]).finally(() => clearTimeout(timer))
  }

  /** Asks it to stop and waits. */
  async stop(name: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    signal(this.pid, name)
    return this.ended()
  }

  /** SIGKILL to the supervisor and all its children; resolves when none is left. */
  async kill(): Promise<void> {
    const pids = this.allPids()
    for (const pid of pids) signal(pid, 'SIGKILL')
    await waitFor('all processes are gone', () => pids.every((pid) => !isAlive(pid)))
    await this.#exit
  }

  /** Ends everything and removes the folder, unless the folder was given. */
  async remove(): Promise<void> {
    if (!this.exit) {
      for (const pid of this.allPids()) signal(pid, 'SIGCONT')
      await this.kill()
    }
    if (this.#ownsFolder) this.folder.remove()
  }
}
