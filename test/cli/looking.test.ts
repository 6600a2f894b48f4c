import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Probe } from '../../cli/probe.ts'
import { stablePort } from '../support/ports.ts'
import { CONFIG, run, scratch, start, startWeir, type Weir } from './support/weir.ts'

type Check = { name: string; state: string; detail: string; fix: string }
type Doctor = { ok: boolean; running: boolean; checks: Check[] }

let weir: Weir

/** A modern server with three tools on two pages; the second page comes as a stream. */
async function modernServer(): Promise<{ url: string; close(): void }> {
  const server = createHttpServer(async (req, res) => {
    if (req.headers.authorization !== 'Bearer right') return void res.writeHead(401).end()
    let text = ''
    for await (const chunk of req) text += String(chunk)
    const { id, method, params } = JSON.parse(text) as {
      id: number
      method: string
      params: { cursor?: string }
    }
    const answer = (result: object): string => JSON.stringify({ jsonrpc: '2.0', id, result })
    if (method === 'server/discover') {
      const result = {
        supportedVersions: ['2026-07-28'],
        capabilities: { tools: {} },
        serverInfo: { name: 'tiny', version: '1.2.3' },
      }
      res.writeHead(200, { 'content-type': 'application/json' }).end(answer(result))
    } else if (params.cursor === undefined)
      res
        .writeHead(200, { 'content-type': 'application/json' })
        .end(answer({ tools: [{ name: 'a' }, { name: 'b' }], nextCursor: 'next' }))
    else
      res
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .end(
          `: hello\n\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\n\ndata: ${answer({ tools: [{ name: 'c' }] })}\n\n`,
        )
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}/mcp`,
    close: () => void server.close(),
  }
}

beforeAll(async () => {
  weir = await startWeir(`${CONFIG}  broken: { command: [node, /nowhere/server.js] }\n`)
})
afterAll(() => weir?.stop())

describe('check', () => {
  it('names every problem by file, line, column, reason and fix', async () => {
    const { folder, remove } = scratch('listn: 127.0.0.1:1\nservers:\n  a: { url: nothing }\n')
    const { code, out } = await run(folder, 'check')
    expect(code).toBe(1)
    expect(out).toContain('weir.yaml:1:1 listn: there is no such setting\n    fix: did you mean `listen`?')
    expect(out).toMatch(/weir\.yaml:3:\d+ servers\.a\.url: expected an http/)
    expect(out).toContain('2 problems')
    const json = JSON.parse((await run(folder, 'check', '--json')).out) as {
      ok: boolean
      problems: { line: number; path: string }[]
    }
    expect(json.ok).toBe(false)
    expect(json.problems.map((p) => [p.line, p.path])).toEqual([
      [1, 'listn'],
      [3, 'servers.a.url'],
    ])
    remove()
  })

  it('warns of taken ports, missing commands, open secrets and unset variables, and exits 0', async () => {
    const blocker = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => blocker.once('listening', resolve))
    const { port } = blocker.address() as { port: number }
    const { folder, remove } = scratch(
      `listen: 127.0.0.1:${port}\nconsole: { listen: 127.0.0.1:0 }\nstore: { listen: 127.0.0.1:0 }\nservers:\n  a: { command: no-such-command-here }\n  b: { url: "http://127.0.0.1:9/mcp", credentials: { bearer: literal-secret } }\n  c: { url: "\${WEIR_TEST_URL:-http://127.0.0.1:9/c}", credentials: { bearer: "file:token" } }\n`,
    )
    writeFileSync(join(folder, 'token'), 'secret-in-file')
    chmodSync(join(folder, 'token'), 0o644)
    chmodSync(join(folder, 'weir.yaml'), 0o644)
    const { code, out } = await run(folder, 'check')
    expect(code).toBe(0)
    expect(out).toContain('weir.yaml has no problems')
    expect(out).toContain(`listen: 127.0.0.1:${port}: already in use by`)
    expect(out).toContain(`(process ${process.pid})`)
    expect(out).toContain('weir.yaml:5 servers.a: there is no no-such-command-here on PATH')
    expect(out).toContain('this file holds a secret and others on this machine may read it (mode 0644)')
    expect(out).toContain(`others on this machine may read the secret in ${join(folder, 'token')}`)
    expect(out).toContain('WEIR_TEST_URL (default used)')
    expect(out).not.toMatch(/literal-secret|secret-in-file/)
    blocker.close()
    remove()
  })

  it('contacts every server when asked', async () => {
    const { code, out } = await run(weir.folder, 'check', '--servers')
    expect(code).toBe(1)
    expect(out).toMatch(/everything\s+answers\s+\S+ m?s\s+legacy\s+2025-11-25\s+13\s+mcp-servers\/everything/)
    expect(out).toMatch(/memory\s+answers\s.*\s9\s+memory-server/)
    expect(out).toMatch(/broken\s+FAILS/)
    expect(out).toContain("Cannot find module '/nowhere/server.js'")
    expect(out).toMatch(/used by this Weir \(process \d+\)|takes any free port/)
  })

  it('contacts servers by HTTP in either era, and calls a refusal by its name', async () => {
    const modern = await modernServer()
    const { folder, remove } = scratch(
      `servers:\n  roof: { url: "${weir.note.listen}/mcp" }\n  modern: { url: "${modern.url}", credentials: { bearer: right } }\n  refused: { url: "${modern.url}", credentials: { bearer: wrong } }\n  gone: { url: "http://127.0.0.1:9/mcp" }\n`,
    )
    const { out } = await run(folder, 'check', '--servers', '--json')
    const { probes } = JSON.parse(out) as { probes: Probe[] }
    expect(probes.map((p) => [p.server, p.ok, p.era, p.tools])).toEqual([
      ['roof', true, 'modern', 22],
      ['modern', true, 'modern', 3],
      ['refused', false, 'unknown', null],
      ['gone', false, 'unknown', null],
    ])
    expect(probes[1]).toMatchObject({ version: '2026-07-28', name: 'tiny 1.2.3' })
    expect(probes[2]!.error).toContain('refused the credentials (HTTP 401)')
    expect(probes[3]!.error).toContain('it cannot be reached')
    modern.close()
    remove()
  })
})

describe('doctor', () => {
  it('finds a running installation well', async () => {
    const { out } = await run(weir.folder, 'doctor', '--json')
    const { checks, running } = JSON.parse(out) as Doctor
    expect(running).toBe(true)
    const names = new Set(checks.map((check) => check.name))
    for (const name of [
      'weir',
      'node',
      'disk',
      'descriptors',
      'permissions',
      'spool',
      'running',
      'engine',
      'clock',
      'store',
      'dead letters',
      'ingest gaps',
      'lost events',
      'collector',
      'proxy',
      'server',
    ])
      expect(names).toContain(name)
    expect(
      checks.filter((check) => check.name === 'server').map((check) => check.detail.split(':')[0]),
    ).toEqual(['everything', 'memory', 'broken'])
    const ours = checks.filter((check) => !['disk', 'descriptors', 'server', 'proxy'].includes(check.name))
    expect(ours.filter((check) => check.state === 'problem')).toEqual([])
  })

  it('sees open secrets, refused segments and waiting events', async () => {
    const secrets = join(weir.folder, 'weir-data/secrets.json')
    chmodSync(secrets, 0o644)
    const rejected = join(weir.folder, 'weir-data/spool/rejected')
    mkdirSync(rejected, { recursive: true })
    writeFileSync(join(rejected, `${'a'.repeat(16)}-00000001.ndjson`), '{}\n')
    const { code, out } = await run(weir.folder, 'doctor')
    chmodSync(secrets, 0o600)
    expect(code).toBe(1)
    expect(out).toMatch(/✗ permissions\s+others on this machine can read the secrets/)
    expect(out).toContain(`fix: chmod 600 ${secrets}`)
    expect(out).toMatch(/✗ rejected\s+1 segments were refused/)
    expect(out).not.toContain('\u001b')
  })

  it('works when Weir is not running, and names who holds its ports', async () => {
    const blocker = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => blocker.once('listening', resolve))
    const { port } = blocker.address() as { port: number }
    const { folder, remove } = scratch(
      `listen: 127.0.0.1:${port}\nconsole: { listen: 127.0.0.1:0 }\nstore: { listen: 127.0.0.1:0 }\nservers: { a: { url: "http://127.0.0.1:9/mcp", credentials: { bearer: "\${WEIR_TEST_NOT_SET}" } } }\n`,
    )
    const { code, out } = await run(folder, 'doctor')
    expect(code).toBe(1)
    expect(out).toContain('Weir is not running on')
    expect(out).toContain(`127.0.0.1:${port} already in use by`)
    expect(out).toContain('not set in this shell: WEIR_TEST_NOT_SET')
    blocker.close()
    const free = await run(folder, 'doctor', '--json')
    expect((JSON.parse(free.out) as Doctor).checks.find((check) => check.name === 'port listen')!.state).toBe(
      'ok',
    )
    remove()
  })

  it('the asking commands say that Weir is not running, and how to start it', async () => {
    const { folder, remove } = scratch(
      `listen: 127.0.0.1:${stablePort()}\nstore: { listen: 127.0.0.1:${stablePort()} }\n`,
    )
    const { code, err } = await start(folder, ['top', '--once']).done
    expect(code).toBe(1)
    expect(err).toContain('Weir is not running on')
    expect(err).toContain('weir up --config')
    remove()
  })
})
