/** A line to an MCP server that is started for one look at it. Its whole process group ends with the line. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { ServerConfig } from '../config/schema.ts'
import { childSpec } from '../proxy/host/command.ts'
import { LineSpeaker } from './line-speaker.ts'
import type { Speaker } from './probe.ts'

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
  const line = new LineSpeaker((text) => void child.stdin.write(`${text}\n`), deadline)
  let stderr = ''
  child.on('error', (error: NodeJS.ErrnoException) =>
    line.fail(
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
    const lines = stderr.split('\n').filter((text) => text.trim())
    // A stack trace says the cause in the middle.
    const words =
      lines.find((text) => /\b\w*(?:error|exception|cannot|not found)\b/i.test(text)) ?? lines.at(-1)
    line.fail(
      new Error(`it ended ${signal ? `by ${signal}` : `with exit code ${code}`}${words ? `: ${words}` : ''}`),
    )
  })
  createInterface({ input: child.stdout }).on('line', (text) => line.line(text))
  return line.speaker(() => end(child))
}
