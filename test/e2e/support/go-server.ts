/**
 * The Go SDK's everything-server and everything-client, the fixtures of the official suite. The server is legacy or modern
 * over HTTP, both eras over stdio. Built once from the Go module proxy into a cache folder; without Go the tests that need
 * them are skipped, loudly.
 */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '../../support/wait.ts'

const VERSION = 'v1.8.0'
const MODULES = 'github.com/modelcontextprotocol/go-sdk/conformance'

function isRightVersion(file: string): boolean {
  try {
    const text = execFileSync('go', ['version', '-m', file], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return text.includes(`github.com/modelcontextprotocol/go-sdk\t${VERSION}`)
  } catch {
    return false
  }
}

/** Path of the server; null when there is none and it cannot be built (no Go, no network). */
export const goServer = (): string | null => goFixture('everything-server')

/** The same of the client. */
export const goClient = (): string | null => goFixture('everything-client')

function goFixture(name: string): string | null {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'weir-test', VERSION)
  const file = join(cache, name)
  if (existsSync(file)) return file
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' })
  } catch {
    process.stderr.write(`SKIPPED: Go is not installed, so the fixture ${name} cannot be built\n`)
    return null
  }
  const gopath = execFileSync('go', ['env', 'GOPATH'], { encoding: 'utf8' }).trim()
  const installed = join(gopath, 'bin', name)
  if (existsSync(installed) && isRightVersion(installed)) return installed
  mkdirSync(cache, { recursive: true })
  try {
    execFileSync('go', ['install', `${MODULES}/${name}@${VERSION}`], {
      env: { ...process.env, GOBIN: cache },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    return file
  } catch (error) {
    process.stderr.write(`SKIPPED: ${name} ${VERSION} could not be built: ${(error as Error).message}\n`)
    return null
  }
}

/** A TCP port nobody listens on right now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

export type Peer = { url: string; port: number; pid: number; stop(): Promise<void> }

/** Starts a program that serves HTTP on `port`; resolves when it answers. */
export async function startPeer(
  command: string,
  args: string[],
  port: number,
  path: string,
  env: Record<string, string> = {},
): Promise<Peer> {
  const child = spawn(command, args, { stdio: 'ignore', env: { ...process.env, ...env } })
  const url = `http://localhost:${port}${path}`
  await waitFor(`${command} on ${port}`, async () => {
    await (await fetch(url, { method: 'OPTIONS' })).arrayBuffer()
    return true
  })
  return {
    url,
    port,
    pid: child.pid!,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 3000)
      await gone
      clearTimeout(timer)
    },
  }
}

/** The Go server over HTTP: modern and stateless legacy, or legacy with sessions. */
export async function startGoServer(binary: string, era: 'modern' | 'legacy'): Promise<Peer> {
  const port = await freePort()
  return startPeer(
    binary,
    [`-http=localhost:${port}`, ...(era === 'legacy' ? ['-stateless=false'] : [])],
    port,
    '/',
  )
}
