/** The load scripts that users get must run against a real installation. k6 from K6, PATH or Go's bin folder; skipped without. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stopAll, which } from '../../bench/support/children.ts'
import { ROOT } from '../../bench/support/machine.ts'
import { startStub } from '../../bench/support/stub.ts'
import { startWeir, type Weir } from '../../bench/support/weir.ts'

const GO_K6 = join(process.env.GOBIN ?? join(process.env.GOPATH ?? join(homedir(), 'go'), 'bin'), 'k6')
const k6 = process.env.K6 ?? which('k6') ?? (existsSync(GO_K6) ? GO_K6 : null)
const SERVER = join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js')
const SCRIPTS = ['tools-mix.js', 'sessions.js', 'progress.js']

if (!k6)
  process.stderr.write(
    'k6 is not here: its scripts are not tried (go install go.k6.io/k6@latest, or set K6 to the program)\n',
  )

describe.skipIf(!k6)('k6 scripts against a running installation', () => {
  let weir: Weir

  beforeAll(async () => {
    const stub = await startStub()
    weir = await startWeir({
      servers: `  everything: { command: ["${process.execPath}", "${SERVER}", "stdio"] }
  stub: { url: "${stub.url}/mcp" }`,
    })
  })
  afterAll(stopAll)

  const run = async (script: string, path: string, prefix?: string): Promise<void> => {
    const words = ['run', '--quiet', '--no-usage-report', '--no-thresholds', join(ROOT, 'bench/k6', script)]
    const { stdout } = await promisify(execFile)(k6!, words, {
      env: {
        ...process.env,
        WEIR_URL: `${weir.proxy}${path}`,
        WEIR_KEY: weir.key,
        WEIR_VUS: '2',
        WEIR_DURATION: '2s',
        WEIR_VERBOSE: '1',
        NO_COLOR: '1',
        ...(prefix === undefined ? {} : { WEIR_TOOL_PREFIX: prefix }),
      },
      maxBuffer: 1 << 22,
    })
    // Latency thresholds are for an idle machine; that everything was answered rightly is for any.
    expect(stdout).toMatch(/checks_succeeded\.*: 100\.00%/)
    expect(stdout).not.toMatch(/mcp_failures/)
  }

  test.each(SCRIPTS)("%s is answered rightly at the server's own endpoint", (script) =>
    run(script, '/servers/everything/mcp'),
  )
  test.each(SCRIPTS)('%s is answered rightly under the roof', (script) => run(script, '/mcp'))

  // server-everything speaks the handshake revisions only; the stub speaks both.
  test("modern.js is answered rightly at the server's own endpoint", () =>
    run('modern.js', '/servers/stub/mcp'))
  test('modern.js is answered rightly under the roof', () => run('modern.js', '/mcp', 'stub_'))

  test('what k6 sent is in the store', async () => {
    await weir.drained(10_000)
    const rows = await weir.sql<{ n: number }>(
      "SELECT toUInt32(count()) AS n FROM calls WHERE client_name = 'k6'",
    )
    expect(rows[0]!.n).toBeGreaterThan(20)
  })
})
