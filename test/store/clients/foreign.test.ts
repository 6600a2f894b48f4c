/**
 * Clients of other languages against the store: clickhouse-connect (Python) and clickhouse-go (what Grafana's plugin uses).
 * Skipped with a line that says why where the language or the package cannot be had.
 */
import { execFile, execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { reader, type StoreChild, startStore, writer } from '../support/child.ts'

const run = promisify(execFile)
const here = import.meta.dirname
const workshop = mkdtempSync(join(tmpdir(), 'weir-clients-'))
let store: StoreChild

const has = (command: string, ...args: string[]): boolean => {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

beforeAll(async () => {
  store = await startStore()
}, 60_000)

afterAll(async () => {
  await store?.remove()
  // Go's module cache is read-only; it lies outside the workshop.
  rmSync(workshop, { recursive: true, force: true })
})

/** Both streams of a program that failed are its report. */
const output = (program: Promise<{ stdout: string }>): Promise<string> =>
  program.then(
    ({ stdout }) => stdout.trim(),
    (error: { stdout?: string; stderr?: string; message: string }) =>
      `${error.stdout}\n${error.stderr || error.message}`,
  )

describe.skipIf(!has('python3', '-m', 'venv', '--help'))('Python', () => {
  it('clickhouse-connect works', async ({ skip }) => {
    const venv = join(workshop, 'venv')
    try {
      await run('python3', ['-m', 'venv', venv])
      await run(join(venv, 'bin', 'pip'), [
        'install',
        '--quiet',
        '--disable-pip-version-check',
        'clickhouse-connect==1.12.0',
      ])
    } catch (error) {
      skip(`no clickhouse-connect to be had: ${String(error).slice(0, 200)}`)
    }
    const { hostname, port } = new URL(store.url)
    const args = [hostname, port, writer.user, writer.password, reader.user, reader.password]
    expect(await output(run(join(venv, 'bin', 'python'), [join(here, 'python.py'), ...args]))).toBe('ok')
  }, 180_000)
})

describe.skipIf(!has('go', 'version'))('Go', () => {
  it("clickhouse-go works, in the version that Grafana's plugin pins", async ({ skip }) => {
    const module = mkdtempSync(join(workshop, 'go-'))
    copyFileSync(join(here, 'go', 'main.go'), join(module, 'main.go'))
    const env = { ...process.env, GOFLAGS: '-mod=mod', GOMAXPROCS: '1' }
    await run('go', ['mod', 'init', 'client'], { cwd: module, env })
    try {
      await run('go', ['get', 'github.com/ClickHouse/clickhouse-go/v2@v2.47.0'], { cwd: module, env })
    } catch (error) {
      skip(`no clickhouse-go to be had: ${String(error).slice(0, 200)}`)
    }
    await run('go', ['build', '-o', 'client', '.'], { cwd: module, env })
    const args = [new URL(store.url).host, writer.user, writer.password, reader.user, reader.password]
    expect(await output(run(join(module, 'client'), args))).toBe('ok')
  }, 300_000)
})
