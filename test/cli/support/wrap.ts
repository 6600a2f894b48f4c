/** `weir wrap` as a client starts it: a process with pipes. What a test starts here it ends here, by process id. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CallEvent } from '../../../event/fields.ts'
import { BESIDE_EVENTS } from '../../../event/segment.ts'
import { waitFor } from '../../support/wait.ts'
import { PROGRAM } from './weir.ts'

export type End = { code: number | null; signal: NodeJS.Signals | null }
export type Wrapped = {
  readonly child: ChildProcess
  readonly pid: number
  /** Everything it wrote, when `collects`. */
  out(): Buffer
  err(): string
  readonly ended: Promise<End>
}

const running = new Set<ChildProcess>()

/** Ends what a test left. To be called after each. */
export async function endAll(): Promise<void> {
  for (const child of running) {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
}

/** Words before and after `--`. `collects` false: nobody reads its output yet. */
export function wrap(
  options: readonly string[],
  command: readonly string[],
  more: { collects?: boolean; env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Wrapped {
  const child = spawn(process.execPath, [PROGRAM, 'wrap', ...options, '--', ...command], {
    stdio: 'pipe',
    cwd: more.cwd,
    env: { ...process.env, ...more.env },
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  // A test may end the reader or the writer.
  child.stdin.on('error', () => {})
  const out: Buffer[] = []
  let err = ''
  if (more.collects !== false) child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal }) as End)
  return { child, pid: child.pid!, out: () => Buffer.concat(out), err: () => err, ended }
}

/** The same command without Weir. */
export async function bare(command: readonly string[], input: Buffer): Promise<{ out: Buffer } & End> {
  const child = spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'ignore'] })
  const out: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stdin.on('error', () => {}).end(input)
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { out: Buffer.concat(out), code, signal }
}

/** Events in the spool of a data folder, oldest first. Also those of segments that nobody has sealed. */
export function eventsIn(data: string): CallEvent[] {
  const spool = join(data, 'spool')
  return readdirSync(spool)
    .filter((file) => /\.(open|ndjson)$/.test(file))
    .sort()
    .flatMap((file) => readFileSync(join(spool, file), 'utf8').split('\n').filter(Boolean))
    .filter((line) => !BESIDE_EVENTS.some((head) => line.startsWith(head)))
    .map((line) => JSON.parse(line) as CallEvent)
}

/** A client that speaks in lines. */
export class LineClient {
  readonly #wrapped: Wrapped
  constructor(wrapped: Wrapped) {
    this.#wrapped = wrapped
  }

  say(message: object): void {
    this.#wrapped.child.stdin!.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
  }

  /** Whole lines that came, parsed where they are JSON. */
  heard(): Record<string, unknown>[] {
    const lines = this.#wrapped.out().toString().split('\n').slice(0, -1)
    return lines.flatMap((line) => {
      try {
        return [JSON.parse(line) as Record<string, unknown>]
      } catch {
        return []
      }
    })
  }

  answer(id: unknown): Promise<Record<string, unknown>> {
    return waitFor(`an answer to ${JSON.stringify(id)}`, () =>
      this.heard().find((m) => m.id === id && m.method === undefined),
    )
  }

  async tool(id: unknown, name: string, args: object = {}): Promise<Record<string, unknown>> {
    this.say({ id, method: 'tools/call', params: { name, arguments: args } })
    return this.answer(id)
  }
}
