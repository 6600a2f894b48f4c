/** A line to an MCP server that is started for one look at it. Its whole process group ends with the line. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { ServerConfig } from '../config/schema.ts'
import { childSpec } from '../proxy/host/command.ts'
import { RPC } from '../proxy/mcp/versions.ts'
import type { RpcMessage, Speaker } from './probe.ts'

/** A legacy server may say nothing at all to a question before initialize. */
const DISCOVER_MAX_MS = 3_000
const EXIT_MAX_MS = 2_000
const STDERR_MAX = 4_000

/** Ends a process and all it started: npx starts the server as a child of its own. */
async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return
  child.stdin?.end()
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (child.exitCode !== null || child.signalCode !== null) break
    await Promise.race([
      once(child, 'exit'),
      new Promise((resolve) => setTimeout(resolve, EXIT_MAX_MS).unref()),
    ])
    try {
      process.kill(-child.pid, signal)
    } catch {
      return
    }
  }
}

export function openStdio(
  config: ServerConfig,
  env: Readonly<Record<string, string | undefined>>,
  deadline: AbortSignal,
): Speaker {
  const spec = childSpec({ ...config, command: config.command! }, env)
  const child = spawn(spec.file, spec.args, { env: spec.env, cwd: spec.cwd, stdio: 'pipe', detached: true })
  const waiting = new Map<
    number,
    { resolve: (message: RpcMessage) => void; reject: (error: Error) => void }
  >()
  let failure: Error | null = null
  let stderr = ''
  const fail = (error: Error): void => {
    failure ??= error
    for (const { reject } of waiting.values()) reject(failure)
    waiting.clear()
  }
  const write = (message: unknown): void => {
    child.stdin.write(`${JSON.stringify(message)}\n`)
  }
  child.on('error', (error: NodeJS.ErrnoException) =>
    fail(
      new Error(
        error.code === 'ENOENT' ? `${spec.file} was not found` : `it cannot be started: ${error.message}`,
      ),
    ),
  )
  child.stdin.on('error', () => {})
  child.stderr.on('data', (bytes: Buffer) => {
    stderr = (stderr + bytes.toString()).slice(-STDERR_MAX)
  })
  child.on('close', (code, signal) => {
    const lines = stderr.split('\n').filter((line) => line.trim())
    // A stack trace says the cause in the middle.
    const words =
      lines.find((line) => /\b\w*(?:error|exception|cannot|not found)\b/i.test(line)) ?? lines.at(-1)
    fail(
      new Error(`it ended ${signal ? `by ${signal}` : `with exit code ${code}`}${words ? `: ${words}` : ''}`),
    )
  })
  deadline.addEventListener('abort', () => fail(new Error('no answer in time')), { once: true })
  createInterface({ input: child.stdout }).on('line', (line) => {
    let message: RpcMessage
    try {
      message = JSON.parse(line) as RpcMessage
    } catch {
      return
    }
    if (message.method !== undefined) {
      if (message.id !== undefined)
        write({
          jsonrpc: '2.0',
          id: message.id,
          ...(message.method === 'ping'
            ? { result: {} }
            : { error: { code: RPC.methodNotFound, message: 'not here' } }),
        })
      return
    }
    waiting.get(message.id as number)?.resolve(message)
    waiting.delete(message.id as number)
  })
  let next = 1
  return {
    ask(method, params) {
      if (failure) return Promise.reject(failure)
      const id = next++
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject })
        write({ jsonrpc: '2.0', id, method, params })
        if (method === 'server/discover')
          setTimeout(() => reject(new Error('no answer to server/discover')), DISCOVER_MAX_MS).unref()
      })
    },
    notify: (method) => Promise.resolve(write({ jsonrpc: '2.0', method })),
    close: () => end(child),
  }
}
