/**
 * `npm run example:bank`: starts Weir with the bank's servers, lets the agents work, and prints what was allowed and what was
 * refused, with the reason: as the agents were told, and as the record has it. Ends after the work; `--stay` keeps it up.
 */
import { fork } from 'node:child_process'
import { hash, randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { styleText } from 'node:util'
import { openReader } from '../../collector/queries/client.ts'
import { readNote } from '../../supervisor/data-folder.ts'
import { operations, relationshipManager, type Step } from './agent.ts'
import { type Recorded, recordOf } from './record.ts'
import { zones } from './zones.ts'

const here = dirname(fileURLToPath(import.meta.url))
/** What was spent yesterday would count: each run of the example begins anew. */
const own = join(here, 'data')
const data = process.env.BANK_DATA ?? own
const START_MAX_MS = 90_000
const isStaying = process.argv.includes('--stay')

const print = (text: string): void => {
  process.stdout.write(`${text}\n`)
}
const newKey = (): string => `weir_${randomBytes(32).toString('base64url')}`

/** The port when it is free, else any free one. */
const freePort = (wanted: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', () => (wanted === 0 ? reject(new Error('no free port')) : resolve(freePort(0))))
    probe.listen(wanted, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })

async function main(): Promise<void> {
  rmSync(own, { recursive: true, force: true })
  const keys = { rm: newKey(), ops: newKey() }
  const { open, closed } = zones(new Date())
  const address = async (port: number): Promise<string> => `127.0.0.1:${await freePort(port)}`
  const env = {
    BANK_DATA: data,
    BANK_LISTEN: await address(7332),
    BANK_CONSOLE: await address(7333),
    BANK_STORE: await address(7334),
    BANK_RM_SHA256: hash('sha256', keys.rm),
    BANK_OPS_SHA256: hash('sha256', keys.ops),
    // Whenever this runs, the bank is where it is day and the exchange where it is night.
    BANK_ZONE: open,
    BANK_EXCHANGE_ZONE: closed,
  }
  print(
    `Starting Weir with the bank's two servers. Office hours are those of ${open}, the exchange's of ${closed}.`,
  )
  const weir = fork(join(here, '../../weir.ts'), ['up', '--config', join(here, 'weir.yaml')], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { ...process.env, ...env },
  })
  const gone = new Promise<never>((_, reject) =>
    weir.once('exit', (code) => reject(new Error(`Weir ended with code ${code}`))),
  )
  gone.catch(() => {})
  try {
    const url = `http://${env.BANK_LISTEN}`
    await Promise.race([ready(url, weir.pid!), gone])
    const since_ms = Date.now()
    const told = (step: Step): void => print(line(step))
    print('')
    await relationshipManager(`${url}/mcp`, keys.rm, told)
    print('')
    await operations(`${url}/mcp`, keys.ops, told)
    const { store, console: page } = readNote(data)!
    const reader = openReader({
      url: store,
      user: 'default',
      password: '',
      database: 'weir',
      timeout_ms: 10_000,
    })
    print('\nWhat the record says of it:\n')
    for (const row of await recordOf(reader, since_ms)) print(recorded(row))
    await reader.close()
    if (!isStaying) return
    print(`\nThe console is at ${page}/ (log in with the key ${keys.rm}). Ctrl-C stops all of it.`)
    await new Promise<void>((resolve) => {
      process.once('SIGINT', resolve)
      process.once('SIGTERM', resolve)
      weir.once('exit', () => resolve())
    })
  } finally {
    if (weir.exitCode === null) {
      const ended = new Promise((resolve) => weir.once('exit', resolve))
      weir.kill('SIGTERM')
      await ended
    }
  }
}

async function ready(url: string, pid: number): Promise<void> {
  const end = Date.now() + START_MAX_MS
  for (;;) {
    if (Date.now() > end) throw new Error(`Weir was not ready within ${START_MAX_MS / 1000} s`)
    const isReady = await fetch(`${url}/readyz`).then(
      async (r) => ((await r.json()) as { status: string }).status === 'ready',
      () => false,
    )
    if (isReady && readNote(data)?.pid === pid) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

const mark = (isDone: boolean): string => (isDone ? styleText('green', '✓') : styleText('red', '✗'))
const indented = (text: string): string => text.split('\n').join('\n      ')

const line = ({ agent, what, isDone, told }: Step): string =>
  `${mark(isDone)} ${agent} ${what}${isDone ? ` → ${told.slice(0, 100)}` : `\n      ${indented(told)}`}`

const recorded = (row: Recorded): string =>
  `${mark(row.outcome === 'ok')} ${row.caller.padEnd(9)} ${row.tool.padEnd(26)} ${row.outcome.padEnd(8)} ${row.decision.padEnd(7)} ${row.decision_rule}${row.decision_reason ? `: ${row.decision_reason}` : ''}${row.shadow.length > 0 ? ` [shadow: ${row.shadow.join(', ')}]` : ''}`

main().catch((error: Error) => {
  process.stderr.write(`bank: ${error.message}\n`)
  process.exitCode = 1
})
