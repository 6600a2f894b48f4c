/**
 * The Python SDK on either side: its client, which asks for the era first, and servers built with it (mcp-server-time,
 * mcp-server-git) as hosted children. From PyPI into a virtual environment; skipped, with a reason, where there is none.
 */
import { execFile, execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Observed, ROOT, startObserved } from './support/observed.ts'
import { makePython, PYTHON_SDK, type Python } from './support/python.ts'

const run = promisify(execFile)
const PACKAGES = [PYTHON_SDK, 'mcp-server-time==2026.10.19', 'mcp-server-git==2026.10.19']
const script = join(import.meta.dirname, 'support/python_client.py')

let python: Python
let weir: Observed
beforeAll(async () => {
  python = await makePython(PACKAGES)
  if (python.missing) return
  const repository = join(python.folder, 'repository')
  execFileSync('git', ['init', '--quiet', repository])
  const everything = join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js')
  weir = await startObserved({
    servers: {
      time: { command: [python.bin('mcp-server-time')] },
      git: { command: [python.bin('mcp-server-git'), '--repository', repository] },
      old: { command: [process.execPath, everything, 'stdio'], era: 'legacy' },
      new: { command: [process.execPath, join(ROOT, 'test/e2e/support/modern-only-server.ts')] },
    },
  })
}, 240_000)
afterAll(async () => {
  await weir?.stop()
  python.remove()
})

type Seen = { version: string; tools: string[]; answers: { is_error: boolean; text: string }[] }
async function client(path: string, mode: string, ...calls: string[]): Promise<Seen> {
  const { stdout } = await run(python.bin('python'), [script, weir.url + path, mode, ...calls], {
    timeout: 60_000,
  })
  return JSON.parse(stdout) as Seen
}

describe('Python SDK', () => {
  test.for(['auto', 'legacy'])('%s: its own servers', async (mode, { skip }) => {
    if (python.missing) skip(python.missing)
    const time = await client('/servers/time/mcp', mode, 'get_current_time', '{"timezone":"Europe/Berlin"}')
    expect(time.answers[0]).toMatchObject({ is_error: false, text: expect.stringContaining('Europe/Berlin') })
    const git = await client(
      '/servers/git/mcp',
      mode,
      'git_status',
      `{"repo_path":"${python.folder}/repository"}`,
    )
    expect(git.answers[0]).toMatchObject({ is_error: false, text: expect.stringContaining('branch') })
  })

  test.for(['auto', 'legacy'])('%s: servers of either era, under one roof', async (mode, { skip }) => {
    if (python.missing) skip(python.missing)
    const seen = await client(
      '/mcp',
      mode,
      'new_ask_name',
      '{}',
      'old_echo',
      '{"message":"x"}',
      'time_convert_time',
      '{}',
    )
    expect(seen.version).toBe(mode === 'legacy' ? '2025-11-25' : '2026-07-28')
    expect(seen.tools).toEqual(expect.arrayContaining(['new_plain', 'old_echo', 'time_get_current_time']))
    expect(seen.answers[0]!.text).toContain('Ada')
    expect(seen.answers[1]).toEqual({ is_error: false, text: 'Echo: x' })
    expect(seen.answers[2]!.is_error).toBe(true)
    const rows = await weir.events("tool = 'echo' AND client_name = 'mcp'", 1)
    expect(rows.at(-1)).toMatchObject({
      outcome: 'ok',
      server: 'old',
      upstream_protocol_version: '2025-11-25',
    })
  })
})
