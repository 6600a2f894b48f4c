/**
 * Wrapped servers beside a running installation: real clients over stdio in front of real servers, and the rows of their
 * calls in its store, exactly once, whatever is killed and whoever was there first.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Client as ClientV2 } from '@modelcontextprotocol/client'
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MODERN_VERSION } from '../../proxy/mcp/versions.ts'
import { endAll, LineClient, type Wrapped, wrap } from '../cli/support/wrap.ts'
import { type Folder, makeFolder } from '../support/folder.ts'
import { waitFor } from '../support/wait.ts'
import { type Observed, ROOT, type Row, startObserved } from './support/observed.ts'

const npm = (name: string): string =>
  join(ROOT, 'node_modules', '@modelcontextprotocol', name, 'dist/index.js')
const CONFIG = { servers: {}, spool: { segment_age_ms: 200 } }
const FIXTURE = [process.execPath, join(ROOT, 'test/proxy/host/fixtures/stdio-server.ts')]
let weir: Observed
let folder: Folder

beforeAll(async () => {
  folder = makeFolder('wrapped')
  weir = await startObserved(CONFIG, { folder })
})
afterAll(async () => {
  await endAll()
  await weir?.stop()
  folder?.remove()
})

const words = (name: string, ...command: string[]): string[] => [
  join(ROOT, 'weir.ts'),
  'wrap',
  '--config',
  weir.weir.configFile,
  '--name',
  name,
  '--',
  process.execPath,
  ...command,
]
const params = (name: string, ...command: string[]) => ({
  command: process.execPath,
  args: words(name, ...command),
  stderr: 'ignore' as const,
})
const calls = (server: string, count: number): Promise<Row[]> =>
  weir.events(`server = '${server}' AND kind = 'request'`, count)

test('SDK v1 with server-everything and server-memory: rows while they live, one session and trace each', async () => {
  const everything = new ClientV1({ name: 'wrap-v1', version: '1.2.3' })
  const memory = new ClientV1({ name: 'wrap-v1', version: '1.2.3' })
  await Promise.all([
    everything.connect(new StdioV1(params('w-everything', npm('server-everything'), 'stdio'))),
    memory.connect(new StdioV1(params('w-memory', npm('server-memory')))),
  ])
  try {
    expect((await everything.listTools()).tools.length).toBeGreaterThan(8)
    const echo = await everything.callTool({ name: 'echo', arguments: { message: 'grüße 😀' } })
    expect(JSON.stringify(echo.content)).toContain('Echo: grüße 😀')
    expect((await everything.callTool({ name: 'get-sum', arguments: { a: 'x' } })).isError).toBe(true)
    const stop = new AbortController()
    await expect(
      everything.callTool(
        { name: 'trigger-long-running-operation', arguments: { duration: 600, steps: 600 } },
        undefined,
        { signal: stop.signal, onprogress: () => stop.abort(new Error('enough')) },
      ),
    ).rejects.toThrow()
    await memory.callTool({
      name: 'create_entities',
      arguments: { entities: [{ name: 'Weir', entityType: 'proxy', observations: ['canary-0815'] }] },
    })
    const rows = await calls('w-everything', 5)
    expect(rows.map((r) => [r.method, r.tool, r.outcome, r.owner])).toEqual([
      ['initialize', '', 'ok', 'none'],
      ['tools/list', '', 'ok', 'none'],
      ['tools/call', 'echo', 'ok', 'none'],
      ['tools/call', 'get-sum', 'tool_error', 'upstream'],
      ['tools/call', 'trigger-long-running-operation', 'cancelled', 'client'],
    ])
    for (const r of rows)
      expect(r).toMatchObject({
        transport: 'stdio',
        upstream_transport: 'stdio',
        worker: 'wrap',
        client_name: 'wrap-v1',
        client_version: '1.2.3',
        era: 'legacy',
        caller: 'local',
      })
    for (const key of ['trace_id', 'session_id', 'run_id'])
      expect(new Set(rows.map((r) => r[key])).size).toBe(1)
    // What it listed is known as if it had come through the proxy.
    expect(rows[1]!.list_id).toMatch(/^[0-9a-f]{32}$/)
    const listed = await weir.store.rows<{ tools: number; versions: string[] }>(
      "SELECT count() AS tools, groupUniqArray(server_version) AS versions FROM v_tool_definitions WHERE server = 'w-everything'",
    )
    expect(listed).toEqual([{ tools: rows[1]!.list_items, versions: [expect.stringMatching(/^\d/)] }])
    const [, stored] = await calls('w-memory', 2)
    expect(stored).toMatchObject({ tool: 'create_entities', outcome: 'ok' })
    expect(stored!.session_id).not.toBe(rows[0]!.session_id)
    expect(await weir.store.dump()).not.toContain('canary-0815')
  } finally {
    await Promise.all([everything.close(), memory.close()])
  }
})

test('SDK v2 with a modern server', async () => {
  const client = new ClientV2({ name: 'wrap-v2', version: '2' }, { versionNegotiation: { mode: 'auto' } })
  await client.connect(new StdioV2(params('w-modern', FIXTURE[1]!, '--modern')))
  try {
    await client.callTool({ name: 'pid', arguments: {} })
    const rows = await calls('w-modern', 2)
    expect(rows.map((r) => [r.method, r.outcome])).toEqual([
      ['server/discover', 'ok'],
      ['tools/call', 'ok'],
    ])
    for (const r of rows)
      expect(r).toMatchObject({ era: 'modern', protocol_version: MODERN_VERSION, client_name: 'wrap-v2' })
  } finally {
    await client.close()
  }
})

test('killed while it writes: what it had not sealed is shipped, every answered call once', async () => {
  const killed: { wrapped: Wrapped; client: LineClient }[] = []
  for (let i = 0; i < 3; i++) {
    const wrapped = wrap(['--config', weir.weir.configFile, '--name', 'w-killed'], FIXTURE)
    killed.push({ wrapped, client: new LineClient(wrapped) })
  }
  for (const [i, { client }] of killed.entries())
    for (let n = 0; n < 300; n++)
      client.say({ id: `killed-${i}-${n}`, method: 'tools/call', params: { name: 'pid' } })
  await Promise.all(
    killed.map(async ({ wrapped, client }, i) => {
      await waitFor('some answers', () => client.heard().length > 50 * (i + 1))
      wrapped.child.kill('SIGKILL')
      await wrapped.ended
    }),
  )
  const answered = killed.flatMap(({ client }) => client.heard().map((m) => String(m.id)))
  const counts = await waitFor('all are rows', async () => {
    const found = await weir.store.idCounts('killed-')
    return answered.every((id) => found.has(id)) && found
  })
  expect([...counts.values()].every((n) => n === 1)).toBe(true)
  // Claims and ledgers of the dead are cleared away, too.
  const own = (): string[] => readdirSync(weir.weir.spool).filter((f) => f.endsWith('.lock'))
  await waitFor('nothing of them is left', () => own().length === 0)
})

test('the installation may come and go meanwhile: nothing is lost, nothing doubled', async () => {
  const wrapped = wrap(['--config', weir.weir.configFile, '--name', 'w-steady'], FIXTURE)
  const client = new LineClient(wrapped)
  let n = 0
  let isCalling = true
  const calling = (async () => {
    while (isCalling) await client.tool(`steady-${n++}`, 'pid')
  })()
  await waitFor('the first are rows', async () => (await weir.store.idCounts('steady-')).size > 0)
  const { configFile } = weir.weir
  // All of it, without a word: what was on its way is sent again by the next.
  await weir.weir.kill()
  const before = n
  await waitFor('calls go on', () => n > before + 50)
  await weir.store.close()
  weir = await startObserved(CONFIG, { folder })
  expect(weir.weir.configFile).toBe(configFile)
  const after = n
  await waitFor('calls go on', () => n > after + 20)
  isCalling = false
  await calling
  wrapped.child.stdin!.end()
  expect(await wrapped.ended).toEqual({ code: 0, signal: null })
  const counts = await waitFor('all are rows', async () => {
    const found = await weir.store.idCounts('steady-')
    return found.size >= n && found
  })
  expect(counts.size).toBe(n)
  expect([...counts.values()].every((times) => times === 1)).toBe(true)
  expect(await weir.weir.metric('weir_events_lost_total')).toBe(0)
})

test('weir tail shows them', () => {
  const out = execFileSync(
    process.execPath,
    [
      join(ROOT, 'weir.ts'),
      'tail',
      '--no-follow',
      '--config',
      weir.weir.configFile,
      '--server',
      'w-everything',
      '--json',
    ],
    { encoding: 'utf8' },
  )
  expect(out).toContain('"tool":"echo"')
})
