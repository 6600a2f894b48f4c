/** A whole installation of its own (`weir up`) in a temporary folder, with one caller and an API key. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { firstMatch, type Started, scratch, sleep, start } from './children.ts'
import { ROOT } from './machine.ts'
import { descendants } from './proc.ts'

export type Weir = Started & {
  /** Where clients connect. */
  proxy: string
  collector: string
  store: string
  key: string
  folder: string
  spool: string
  pids: { supervisor: number; workers: number[]; collector: number; store: number; host: number }
  secrets: { intake: string; store: string }
  /** Rows of a question to the store, as its writer. */
  sql<Row>(query: string): Promise<Row[]>
  /** Waits until no segment waits for the collector; false when `timeout_ms` was not enough. */
  drained(timeout_ms: number): Promise<boolean>
}

export type WeirOptions = {
  /** YAML of the servers section, indented by two. */
  servers: string
  workers?: number
  /** YAML put at the end of the config. */
  more?: string
  /** Where it lives, and stays afterwards; else in a temporary folder. */
  home?: string | undefined
}

const READY_MS = 120_000

export async function startWeir({ servers, workers = 1, more = '', home }: WeirOptions): Promise<Weir> {
  const folder = home ?? scratch('weir')
  mkdirSync(folder, { recursive: true })
  const key = `weir_${randomBytes(24).toString('hex')}`
  const file = join(folder, 'weir.yaml')
  writeFileSync(
    file,
    `listen: 127.0.0.1:0
data: ${folder}/data
workers: ${workers}
console: { listen: 127.0.0.1:0 }
store: { listen: 127.0.0.1:0 }
servers:
${servers}
callers:
  bench: { team: bench, project: bench, keys: [ { sha256: ${createHash('sha256').update(key).digest('hex')} } ] }
log: { level: warn }
${more}`,
  )
  const started = start(process.execPath, [join(ROOT, 'weir.ts'), 'up', '--config', file])
  started.child.stderr?.pipe(process.stderr)
  await firstMatch(started, /Weir is running/, READY_MS)
  const data = join(folder, 'data')
  const note = JSON.parse(readFileSync(join(data, 'run.json'), 'utf8')) as {
    listen: string
    console: string
    store: string
  }
  const secrets = JSON.parse(readFileSync(join(data, 'secrets.json'), 'utf8')) as Weir['secrets']
  const below = descendants(started.pid)
  const named = (part: string): number[] => below.filter((p) => p.command.includes(part)).map((p) => p.pid)
  const spool = join(data, 'spool')
  const weir: Weir = {
    ...started,
    proxy: note.listen,
    collector: note.console,
    store: note.store,
    key,
    folder,
    spool,
    secrets,
    pids: {
      supervisor: started.pid,
      workers: named('/proxy/main.'),
      collector: named('/collector/main.')[0] ?? 0,
      store: named('/store/main.')[0] ?? 0,
      host: named('/proxy/host/main.')[0] ?? 0,
    },
    async sql<Row>(query: string) {
      const answer = await fetch(`${note.store}/?database=weir&default_format=JSONEachRow`, {
        method: 'POST',
        headers: { 'x-clickhouse-user': 'weir', 'x-clickhouse-key': secrets.store },
        body: query,
      })
      const text = await answer.text()
      if (!answer.ok) throw new Error(`the store answers ${answer.status}: ${text.slice(0, 500)}`)
      return text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Row)
    },
    async drained(timeout_ms) {
      for (const end = Date.now() + timeout_ms; Date.now() < end; await sleep(100))
        if (!readdirSync(spool).some((f) => f.endsWith('.ndjson') || f.endsWith('.open'))) return true
      return false
    },
  }
  await ready(weir)
  return weir
}

async function ready(weir: Weir): Promise<void> {
  for (const end = Date.now() + READY_MS; Date.now() < end; await sleep(200)) {
    const answer = await fetch(`${weir.collector}/readyz`).catch(() => null)
    if (answer?.ok) return
  }
  throw new Error('the collector did not become ready')
}
