/**
 * A real `weir up` in a folder of its own, on free ports: started from a config, ended by its own handle.
 * Events are read back from the store, the way a user would.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { waitFor } from './wait.ts'

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const WEIR = join(ROOT, 'weir.ts')

/** A row of `calls`. Figures as the store gives them. */
export type Row = Record<string, unknown> & {
  method: string
  outcome: string
  owner: string
  server: string
  tool: string
  kind: string
  http_status: number
  duration_us: number
}

export type Installation = {
  /** Address of the proxy with the name `localhost`, without a path. */
  readonly url: string
  readonly port: number
  readonly collector: string
  readonly store: string
  readonly folder: string
  readonly pid: number
  /** Everything written to standard error so far. */
  log(): string
  /** Whether the process still runs. */
  isAlive(): boolean
  sql<T>(query: string): Promise<T[]>
  /** Rows of `calls` that match, once there are at least `count` of them and everything written so far is stored. */
  events(where: string, count?: number): Promise<Row[]>
  /** Resolves when every event written so far is in the store. */
  settled(): Promise<void>
  /** Process ids of the parts, by how their program is called. */
  children(): { pid: number; command: string }[]
  reload(config: object): Promise<void>
  stop(): Promise<number>
}

export type Config = Record<string, unknown>

const exited = (child: ChildProcess): Promise<number> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve(child.exitCode ?? 1)
    : new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)))

/** Starts an installation; the config gets free ports and a data folder of its own. */
export async function startWeir(config: Config): Promise<Installation> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-e2e-'))
  const file = join(folder, 'weir.yaml')
  const whole = (more: object): string =>
    JSON.stringify({
      listen: '127.0.0.1:0',
      console: { listen: '127.0.0.1:0' },
      store: { listen: '127.0.0.1:0' },
      data: './data',
      ...more,
    })
  writeFileSync(file, whole(config))
  const child = spawn(process.execPath, [WEIR, 'up', '--config', file], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
    if (process.env.WEIR_TEST_LOG) process.stderr.write(text)
  })
  await waitFor(
    'weir up',
    () => {
      if (child.exitCode !== null) throw new Error(`weir up ended with code ${child.exitCode}\n${err}`)
      return out.includes('See the calls')
    },
    60_000,
  )
  const port = Number(/:(\d+)\/mcp/.exec(out)![1])
  const note = JSON.parse(readFileSync(join(folder, 'data', 'run.json'), 'utf8')) as { console: string; store: string }
  const store = note.store
  const sql = async <T>(query: string): Promise<T[]> => {
    const answer = await fetch(`${store}/?user=reader&database=weir`, { method: 'POST', body: `${query} FORMAT JSONEachRow` })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`store: HTTP ${answer.status} ${text}`)
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as T)
  }
  const spool = join(folder, 'data', 'spool')
  const settled = (): Promise<void> =>
    waitFor('an empty spool', () => !readdirSync(spool).some((name) => /\.(open|ndjson)$/.test(name)), 20_000, () => readdirSync(spool).join(' '))
  const rowsOf = (where: string): Promise<Row[]> =>
    sql<Row>(`SELECT * FROM calls WHERE ${where} ORDER BY ts SETTINGS output_format_json_quote_64bit_integers = 0`)
  const install: Installation = {
    url: `http://localhost:${port}`,
    port,
    collector: note.console,
    store,
    folder,
    pid: child.pid!,
    log: () => err,
    isAlive: () => child.exitCode === null && child.signalCode === null,
    sql,
    async events(where, count = 1) {
      let rows: Row[] = []
      await waitFor(
        `${count} events where ${where}`,
        async () => {
          try {
            rows = await rowsOf(where)
          } catch (error) {
            // The schema comes into place in the first second.
            if (!/UNKNOWN_TABLE|Unknown table|does not exist|Code: (60|81)\b/.test(String(error))) throw error
          }
          return rows.length >= count
        },
        20_000,
        () => `found ${rows.length}: ${JSON.stringify(rows.map((r) => [r.method, r.tool, r.outcome]))}`,
      )
      await settled()
      return rowsOf(where)
    },
    settled,
    children: () => childrenOf(child.pid!),
    async reload(next) {
      const before = err.length
      writeFileSync(file, whole(next))
      await waitFor('the reload', () => /config (not )?reloaded/.test(err.slice(before)), 20_000)
    },
    async stop() {
      child.kill('SIGTERM')
      const code = await exited(child)
      rmSync(folder, { recursive: true, force: true })
      return code
    },
  }
  return install
}

/** Direct children of a process, from /proc. */
function childrenOf(pid: number): { pid: number; command: string }[] {
  const ids = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number)
  return ids.map((id) => ({ pid: id, command: readFileSync(`/proc/${id}/cmdline`, 'latin1').replaceAll('\0', ' ').trim() }))
}
