/** What `npm publish` would publish: installs into an empty folder, and `npx weir` runs there without this checkout. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'weir-package-'))
// As a user's shell has it: without this checkout's node_modules/.bin in front.
const env = {
  ...process.env,
  PATH: (process.env.PATH ?? '')
    .split(':')
    .filter((p) => !p.startsWith(root))
    .join(':'),
}
const npm = (args: string[], cwd: string): string =>
  execFileSync('npm', args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
let weir: ChildProcess | null = null

beforeAll(() => {
  const packed = npm(['pack', '--silent', '--pack-destination', folder], root).trim().split('\n').pop()!
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  npm(['install', '--no-audit', '--no-fund', '--prefer-offline', join(folder, packed)], folder)
}, 600_000)

afterAll(async () => {
  if (weir && weir.exitCode === null) {
    const ended = new Promise((resolve) => weir!.once('exit', resolve))
    weir.kill('SIGTERM')
    await ended
  }
  rmSync(folder, { recursive: true, force: true })
})

describe('the package', () => {
  it('brings the command with its version', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    expect(npm(['exec', '--', 'weir', '--version'], folder).trim()).toBe(version)
  })

  it('says what to do in an empty folder', () => {
    let message = ''
    try {
      npm(['exec', '--', 'weir', 'up'], folder)
    } catch (error) {
      message = String((error as { stderr?: string }).stderr)
    }
    expect(message).toContain('there is no weir.yaml')
    expect(message).toContain('weir init')
  })

  it('holds no TypeScript and no tests', () => {
    const files = execFileSync(
      'find',
      [
        join(folder, 'node_modules/mcp-weir'),
        '-name',
        'node_modules',
        '-prune',
        '-o',
        '-type',
        'f',
        '-print',
      ],
      {
        encoding: 'utf8',
      },
    )
    expect(files).not.toMatch(/\.ts$/m)
    expect(files).not.toMatch(/\/test\//)
  })

  it('runs a call through a hosted server into its own ClickHouse', async () => {
    const server = join(root, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js')
    writeFileSync(
      join(folder, 'weir.yaml'),
      `listen: 127.0.0.1:0\nconsole: { listen: "127.0.0.1:0" }\nstore: { listen: "127.0.0.1:0" }\nservers:\n  everything: { command: [node, "${server}", stdio] }\n`,
    )
    weir = spawn(
      join(folder, 'node_modules/.bin/node'),
      [join(folder, 'node_modules/mcp-weir/dist/weir.js'), 'up'],
      { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const out = await new Promise<string>((resolve, reject) => {
      let text = ''
      weir!.once('exit', (code) => reject(new Error(`weir ended with ${code}: ${text}`)))
      weir!.stdout!.on('data', (chunk: Buffer) => {
        text += chunk
        if (text.includes('See the calls')) resolve(text)
      })
    })
    const url = /all servers\s+(\S+)/.exec(out)![1]!
    const store = /ClickHouse\s+(\S+)/.exec(out)![1]!
    const console_ = /console\s+(\S+)/.exec(out)![1]!
    const page = await fetch(console_).then((r) => r.text())
    const files = [...page.matchAll(/(?:src|href)="(\/console\/[^"]+)"/g)].map((m) => m[1]!)
    expect(files.length).toBeGreaterThan(20)
    for (const file of files) expect((await fetch(new URL(file, console_))).status, file).toBe(200)
    const client = new Client({ name: 'package-test', version: '1' })
    await client.connect(new StreamableHTTPClientTransport(new URL(url)))
    const answer = await client.callTool({
      name: 'everything_echo',
      arguments: { message: 'from the package' },
    })
    expect(JSON.stringify(answer.content)).toContain('from the package')
    await client.close()
    let rows = ''
    for (let i = 0; i < 100 && rows.trim() !== '1'; i++) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      rows = await fetch(store, {
        method: 'POST',
        body: "SELECT count() FROM weir.calls WHERE tool = 'echo' AND outcome = 'ok'",
      }).then((r) => r.text())
    }
    expect(rows.trim()).toBe('1')
  }, 120_000)
})
