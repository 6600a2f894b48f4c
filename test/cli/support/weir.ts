/** One real `weir up` for a test file, the commands as a user runs them, and clients that make traffic. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import type { RunNote } from '../../../supervisor/data-folder.ts'
import { stablePort } from '../../support/ports.ts'

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
export const PROGRAM = join(ROOT, 'weir.ts')
export const EVERYTHING = join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js')
export const MEMORY = join(ROOT, 'node_modules/@modelcontextprotocol/server-memory/dist/index.js')

const DEADLINE_MS = 40_000

/** Repeats `look` until it gives something; fails with `what` after a deadline. */
export async function until<T>(
  look: () => Promise<T | undefined | false> | T | undefined | false,
  what: string,
): Promise<T> {
  const end = Date.now() + DEADLINE_MS
  for (;;) {
    const seen = await look()
    if (seen) return seen
    if (Date.now() > end) throw new Error(`never happened: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

export type Result = { code: number | null; out: string; err: string }
export type Command = { child: ChildProcess; out: () => string; err: () => string; done: Promise<Result> }

// As in a user's shell: none of these is set there, and each decides about colours.
const env = {
  ...process.env,
  NO_COLOR: undefined,
  FORCE_COLOR: undefined,
  CI: undefined,
} as NodeJS.ProcessEnv

/** Starts a command in `cwd`; its output is collected. */
export function start(
  cwd: string,
  argv: readonly string[],
  more: { input?: string; env?: NodeJS.ProcessEnv; program?: readonly string[] } = {},
): Command {
  const [file, ...words] = more.program ?? [process.execPath, PROGRAM, ...argv]
  const child = spawn(file!, words, { cwd, env: { ...env, ...more.env }, stdio: 'pipe' })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  if (more.input !== undefined) child.stdin.end(more.input)
  const done = new Promise<Result>((resolve) => child.on('close', (code) => resolve({ code, out, err })))
  return { child, out: () => out, err: () => err, done }
}

export const run = (cwd: string, ...argv: string[]): Promise<Result> => start(cwd, argv, { input: '' }).done

/** As on a terminal: util-linux `script` lends one. */
export const onTerminal = (cwd: string, command: string, more: NodeJS.ProcessEnv = {}): Command =>
  start(cwd, [], {
    program: [
      'script',
      '-qec',
      `stty cols 120 rows 30; ${process.execPath} ${PROGRAM} ${command}`,
      '/dev/null',
    ],
    env: { TERM: 'xterm-256color', ...more },
  })

export type Weir = { folder: string; note: RunNote; pid: number; stop(): Promise<void> }

export const CONFIG = `listen: 127.0.0.1:${stablePort()}
console: { listen: 127.0.0.1:${stablePort()} }
store: { listen: 127.0.0.1:${stablePort()} }
workers: 2
servers:
  everything: { command: [node, ${EVERYTHING}, stdio], isolation: shared }
  memory: { command: [node, ${MEMORY}] }
`

export function scratch(config = CONFIG): { folder: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'weir-cli-'))
  writeFileSync(join(folder, 'weir.yaml'), config, { mode: 0o600 })
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

export async function startWeir(config = CONFIG): Promise<Weir> {
  const { folder, remove } = scratch(config)
  const up = start(folder, ['up'])
  const note = await until(() => {
    if (up.child.exitCode !== null) throw new Error(`weir up ended: ${up.err()}`)
    try {
      return JSON.parse(readFileSync(join(folder, 'weir-data/run.json'), 'utf8')) as RunNote
    } catch {
      return undefined
    }
  }, 'weir up notes where it listens')
  await until(
    () =>
      fetch(`${note.console}/readyz`).then(
        (answer) => answer.ok,
        () => false,
      ),
    'the collector is ready',
  )
  return {
    folder,
    note,
    pid: up.child.pid!,
    async stop() {
      up.child.kill('SIGTERM')
      await up.done
      remove()
    },
  }
}

export async function connect(url: string): Promise<Client> {
  const client = new Client({ name: 'cli-test', version: '1.0.0' })
  await client.connect(new StreamableHTTPClientTransport(new URL(url)) as Transport)
  return client
}

/** Rows of a SELECT, by the command itself. */
export async function rows<Row>({ folder }: Weir, sql: string): Promise<Row[]> {
  const { code, out, err } = await run(folder, 'query', sql, '--json')
  if (code !== 0) throw new Error(err)
  return out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Row)
}

export const jsonLines = <Row>(text: string): Row[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Row)
