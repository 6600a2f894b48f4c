/** Drives load for one window and tells what came back. wrk when it is installed, else load/client.ts. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { which } from './children.ts'
import { ROOT } from './machine.ts'

const run = promisify(execFile)

export type Load = {
  calls: number
  duration_us: number
  failed: number
  p50_us: number
  p90_us: number
  p99_us: number
  p999_us: number
  max_us: number
}

export type LoadOptions = { url: string; requests: string; connections: number; seconds: number }

export const generator = (): 'wrk' | 'node' => (which('wrk') ? 'wrk' : 'node')

/** One window. Rejects when calls failed: a proxy that refuses quickly must not look fast. */
export async function drive({ url, requests, connections, seconds }: LoadOptions): Promise<Load> {
  const wrk = which('wrk')
  const words = wrk
    ? [
        '-t1',
        `-c${connections}`,
        `-d${seconds}s`,
        '--timeout',
        '20s',
        '-s',
        join(ROOT, 'bench/load/mcp.lua'),
        url,
        '--',
        requests,
      ]
    : [join(ROOT, 'bench/load/client.ts'), url, String(connections), String(seconds), requests]
  const { stdout } = await run(wrk ?? process.execPath, words, { maxBuffer: 1 << 20 })
  const line = /^RESULT (.*)$/m.exec(stdout)?.[1]
  if (!line) throw new Error(`the load generator says: ${stdout.slice(0, 500)}`)
  const load = JSON.parse(line) as Load
  if (load.failed > 0) throw new Error(`${load.failed} of ${load.calls} calls to ${url} failed`)
  return load
}
