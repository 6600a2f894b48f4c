/** Programs a scenario starts: each ended by its own handle, whatever happens. Knows nothing of what they do. */
import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Started = { pid: number; child: ChildProcess; stop(): Promise<void> }

const STOP_MS = 20_000
const stops = new Set<() => Promise<void>>()
const folders = new Set<string>()

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Where a command is, or null. */
export function which(command: string): string | null {
  try {
    return execFileSync('sh', ['-c', `command -v ${command}`], { encoding: 'utf8' }).trim() || null
  } catch {
    return null
  }
}

/** A folder that goes when the bench ends. */
export function scratch(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `weir-bench-${name}-`))
  mkdirSync(folder, { recursive: true })
  folders.add(folder)
  return folder
}

/** Starts a program; `stop` asks it to end and waits, then kills. */
export function start(command: string, args: readonly string[], options: SpawnOptions = {}): Started {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  const stop = async (): Promise<void> => {
    stops.delete(stop)
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await ended
    clearTimeout(late)
  }
  stops.add(stop)
  return { pid: child.pid ?? 0, child, stop }
}

/** Resolves with the first match on the program's standard output; rejects when it ends or is silent for `timeout_ms`. */
export function firstMatch(started: Started, pattern: RegExp, timeout_ms = 60_000): Promise<RegExpExecArray> {
  const { child } = started
  return new Promise((resolve, reject) => {
    let text = ''
    let errors = ''
    const timer = setTimeout(
      () => reject(new Error(`no ${pattern} within ${timeout_ms} ms; ${errors.slice(-2000)}`)),
      timeout_ms,
    )
    child.stdout?.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString()).slice(-65_536)
      const found = pattern.exec(text)
      if (!found) return
      clearTimeout(timer)
      resolve(found)
    })
    child.stderr?.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-4000)
    })
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      reject(new Error(`ended with ${signal ?? code} before ${pattern}: ${errors.slice(-2000)}`))
    })
  })
}

/** A server program that prints `listening <port>`. */
export async function startServer(
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<Started & { url: string }> {
  const started = start(command, args, options)
  const [, port] = await firstMatch(started, /listening (\d+)/)
  return { ...started, url: `http://127.0.0.1:${port}` }
}

let stopping: Promise<void> | null = null

/** Ends everything that was started and removes every folder. Called twice at a time, both wait for the same end. */
export function stopAll(): Promise<void> {
  stopping ??= stopOnce().finally(() => {
    stopping = null
  })
  return stopping
}

async function stopOnce(): Promise<void> {
  await Promise.allSettled([...stops].reverse().map((stop) => stop()))
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
  folders.clear()
}
