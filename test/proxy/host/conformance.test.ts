/** The official suites against the Go reference server, once over its own HTTP and once as a stdio child of the host. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { goServer } from './go-server.ts'
import { type Harness, server, startHost, until } from './harness.ts'
import { type Relay, startRelay } from './relay.ts'

const modules = join(import.meta.dirname, '../../../node_modules')
const DATED = join(modules, 'conformance-dated/dist/index.js')
const LEGACY = join(modules, 'conformance-legacy/dist/index.js')

/**
 * Checks the host cannot have, by scenario. May only shrink.
 * server-sse-multiple-streams: one of its two checks looks into event streams; the host answers plain JSON where it can.
 * server-sse-polling (not scored): a stdio server cannot close an HTTP stream for the client to resume.
 */
const FEWER_CHECKS: Record<string, number> = { 'server-sse-multiple-streams': 1, 'server-sse-polling': 1 }

type Score = { exit_code: number; scenarios: Record<string, { passed: number; failed: number }> }

function run(suite: string, url: string, ...args: string[]): Promise<Score> {
  const out = mkdtempSync(join(tmpdir(), 'weir-conformance-'))
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [suite, 'server', '--url', url, '-o', out, ...args],
      { maxBuffer: 1e8 },
      (error, stdout) => {
        rmSync(out, { recursive: true, force: true })
        const scenarios: Score['scenarios'] = {}
        for (const [, name, passed, failed] of stdout.matchAll(/^[✓✗] (\S+): (\d+) passed, (\d+) failed/gm))
          scenarios[name!] = { passed: Number(passed), failed: Number(failed) }
        resolve({ exit_code: typeof error?.code === 'number' ? error.code : 0, scenarios })
      },
    )
  })
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const probe = createServer()
    probe.listen(0, 'localhost', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })

describe.skipIf(!existsSync(goServer))(`conformance (needs ${goServer})`, () => {
  let harness: Harness
  let relay: Relay
  const direct: ChildProcess[] = []
  const startGo = async (...flags: string[]): Promise<string> => {
    const url = `http://localhost:${await freePort()}`
    direct.push(spawn(goServer, [`-http=${url.slice('http://'.length)}`, ...flags], { stdio: 'ignore' }))
    await until(() =>
      fetch(url).then(
        () => true,
        () => false,
      ),
    )
    return url
  }
  beforeAll(async () => {
    harness = await startHost({ go: server([goServer]) })
    relay = await startRelay(harness.socket)
  })
  afterAll(async () => {
    for (const child of direct) child.kill()
    await relay.close()
    await harness.close()
  })

  test.each([
    ['2026-07-28', DATED, ['--requirements', '2026-07-28'], []],
    ['2025-11-25', DATED, ['--requirements', '2025-11-25'], ['-stateless=false']],
    ['the legacy suite', LEGACY, [], ['-stateless=false']],
  ])('%s: through the host as directly', { timeout: 120_000 }, async (_name, suite, args, flags) => {
    const expected = await run(suite, await startGo(...flags), ...args)
    const through = await run(suite, relay.url('go'), ...args)
    expect(Object.keys(expected.scenarios).length).toBeGreaterThan(25)
    for (const [name, score] of Object.entries(expected.scenarios))
      score.passed -= score.failed === 0 ? Math.min(score.passed, FEWER_CHECKS[name] ?? 0) : 0
    expect(through).toEqual(expected)
    expect(through.exit_code).toBe(0)
  })
})
