/** The Inspector's command line, as a stranger would point it at Weir; and the modern SDK client at modern servers. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Folder, makeFolder } from '../support/folder.ts'
import { connect } from './support/clients.ts'
import { goServer, type Peer, startGoServer } from './support/go-server.ts'
import { type Observed, ROOT, startObserved } from './support/observed.ts'

const INSPECTOR = join(ROOT, 'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js')
const EVERYTHING = join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js')
const binary = goServer()

let folder: Folder
let weir: Observed
let modern: Peer | null = null

beforeAll(async () => {
  folder = makeFolder('inspector')
  modern = binary === null ? null : await startGoServer(binary, 'modern')
  weir = await startObserved({
    servers: {
      every: { command: [process.execPath, EVERYTHING, 'stdio'] },
      ...(modern ? { go: { url: modern.url }, 'go-io': { command: [binary!] } } : {}),
    },
  })
})
afterAll(async () => {
  await weir?.stop()
  await modern?.stop()
  folder?.remove()
})

describe.skipIf(!existsSync(INSPECTOR))('Inspector', () => {
  function inspect(
    path: string,
    ...argv: string[]
  ): Promise<{ code: number | null; out: string; err: string }> {
    return new Promise((resolve) => {
      // Its own settings stay out of the home folder of whoever runs the tests.
      const child = spawn(
        process.execPath,
        [INSPECTOR, '--cli', weir.url + path, '--transport', 'http', ...argv],
        { env: { PATH: process.env.PATH ?? '', HOME: folder.path }, stdio: ['ignore', 'pipe', 'pipe'] },
      )
      let out = ''
      let err = ''
      child.stdout.on('data', (chunk) => {
        out += chunk
      })
      child.stderr.on('data', (chunk) => {
        err += chunk
      })
      child.once('close', (code) => resolve({ code, out, err }))
    })
  }

  for (const { path, prefix } of [
    { path: '/servers/every/mcp', prefix: '' },
    { path: '/mcp', prefix: 'every_' },
  ])
    test(`lists and calls at ${path}`, async () => {
      const list = await inspect(path, '--method', 'tools/list')
      expect(list.code, list.err).toBe(0)
      expect(list.out).toContain(`"${prefix}echo"`)
      const call = await inspect(
        path,
        '--method',
        'tools/call',
        '--tool-name',
        `${prefix}echo`,
        '--tool-arg',
        'message=from the inspector',
      )
      expect(call.code, call.err).toBe(0)
      expect(call.out).toContain('Echo: from the inspector')
      const rows = await weir.events(
        `endpoint = '${path}' AND client_name LIKE '%inspector%' AND method = 'tools/call'`,
      )
      expect(rows[0]).toMatchObject({
        outcome: 'ok',
        tool: 'echo',
        server: 'every',
        caller: 'local',
        content_text: 1,
      })
    })
})

describe.skipIf(binary === null)('SDK v2 that negotiates', () => {
  for (const name of ['go', 'go-io'])
    test(`speaks the modern era to a server that does, ${name}`, async () => {
      const tag = `modern-${name}`
      const client = await connect('sdk v2 auto', { url: `${weir.url}/servers/${name}/mcp`, tag })
      try {
        expect((await client.tools()).map((t) => t.name)).toContain('test_simple_text')
        expect((await client.call('test_simple_text')).content).toMatchObject([{ type: 'text' }])
        expect((await client.call('test_error_handling')).isError).toBe(true)
        const steps: unknown[] = []
        await client.call('test_tool_with_progress', {}, { onprogress: (p) => steps.push(p) })
        expect(steps.length).toBeGreaterThan(0)
        // The server asks for input; the client answers by asking again.
        expect(JSON.stringify(await client.call('test_input_required_result_elicitation'))).toContain(
          'content',
        )
        expect(client.session).toBeUndefined()
      } finally {
        await client.close()
      }
      const rows = await weir.events(`agent = '${tag}'`, 6)
      expect(
        rows.every(
          (r) =>
            r.era === 'modern' &&
            r.session_id === '' &&
            r.server === name &&
            r.protocol_version === '2026-07-28',
        ),
      ).toBe(true)
      expect(rows.find((r) => r.tool === 'test_error_handling')).toMatchObject({ outcome: 'tool_error' })
      expect(
        rows
          .filter((r) => r.tool === 'test_input_required_result_elicitation')
          .map((r) => [r.kind, r.outcome])
          .sort(),
      ).toEqual([
        ['request', 'input_required'],
        ['request', 'ok'],
        ['server_request', 'input_required'],
      ])
      expect(rows.find((r) => r.method === 'server/discover')).toMatchObject({ outcome: 'ok' })
      expect(new Set(rows.filter((r) => r.method === 'tools/call').map((r) => r.run_id)).size).toBe(1)
    })
})
