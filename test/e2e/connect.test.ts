/** `weir connect` in front of a real Weir: what is recorded of a client over stdio, and who can claim to be one. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { runningAt } from '../../supervisor/running.ts'
import { initialize, toolCall } from '../support/client.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'
import { type Observed, ROOT, startObserved } from './support/observed.ts'

const KEY = 'key-of-the-agent'
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'
let upstream: UpstreamStub
let weir: Observed

beforeAll(async () => {
  upstream = await startUpstream({ sessions: true })
  weir = await startObserved({
    workers: 2,
    callers: { agent: { keys: [{ sha256: createHash('sha256').update(KEY).digest('hex') }] } },
    servers: { stub: { url: upstream.url, era: 'legacy' } },
  })
})
afterAll(async () => {
  await weir?.stop()
  await upstream?.end()
})

type Loose = { id?: unknown; result?: { content?: { text: string }[] }; error?: { message: string } }
type Line = { say(message: object): void; answer(id: string): Promise<Loose>; end(): Promise<void> }
const lines: Line[] = []
afterEach(async () => {
  for (const line of lines.splice(0)) await line.end()
})

function connect(argv: readonly string[], env: Record<string, string> = {}): Line {
  const child = spawn(process.execPath, [join(ROOT, 'weir.ts'), 'connect', ...argv], {
    env: { ...process.env, WEIR_KEY: KEY, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const heard: Loose[] = []
  createInterface({ input: child.stdout }).on('line', (text) =>
    heard.push(...[JSON.parse(text) as Loose].flat()),
  )
  const line = {
    say: (message: object) => void child.stdin.write(`${JSON.stringify(message)}\n`),
    answer: (id: string) => waitFor(`an answer to ${id}`, () => heard.find((m) => m.id === id)),
    end: () => {
      child.stdin.end()
      return ended
    },
  }
  lines.push(line)
  return line
}

async function opened(id: string, argv: readonly string[], env = {}): Promise<Line> {
  const line = connect(argv, env)
  line.say(initialize(id))
  expect((await line.answer(id)).result).toBeDefined()
  line.say({ jsonrpc: '2.0', method: 'notifications/initialized' })
  return line
}

test.each([
  ['a URL', 'echo', () => [`${weir.url}/servers/stub/mcp`]],
  ['the folder', 'stub_echo', () => ['--config', weir.weir.configFile]],
])(
  'by %s of a Weir of the same user: recorded as stdio, with the context it sends',
  async (_by, tool, argv) => {
    const prefix = `own-${tool}`
    const line = await opened(`${prefix}-open`, argv())
    // Enough for both workers to be asked.
    const ids = [1, 2, 3, 4, 5, 6].map((n) => `${prefix}-${n}`)
    for (const id of ids)
      line.say(toolCall(id, tool, { text: id }, { traceparent: `00-${TRACE}-${SPAN}-01` }))
    for (const id of ids) expect((await line.answer(id)).result?.content?.[0]?.text).toBe(id)
    const rows = await weir.events(`startsWith(request_id, '${prefix}-')`, 7)
    expect(
      rows.map(({ transport, caller, client_address }) => ({ transport, caller, client_address })),
    ).toEqual(
      Array.from({ length: 7 }, () => ({ transport: 'stdio', caller: 'agent', client_address: '127.0.0.1' })),
    )
    for (const row of rows.filter(({ method }) => method === 'tools/call'))
      expect(row).toMatchObject({ trace_id: TRACE, parent_span_id: SPAN, trace_source: 'meta' })
    const [span] = await weir.store.rows<{ transport: string }>(
      `SELECT SpanAttributes['network.transport'] AS transport FROM otel_traces WHERE SpanId = '${rows[1]!.span_id}'`,
    )
    expect(span).toEqual({ transport: 'pipe' })
  },
)

test('messages of a batch, and those after a worker has died, came over stdio too', async () => {
  const line = connect([`${weir.url}/servers/stub/mcp`])
  line.say([toolCall('batch-1', 'echo'), toolCall('batch-2', 'echo')])
  await Promise.all([line.answer('batch-1'), line.answer('batch-2')])
  const [killed] = weir.weir.pids('worker')
  process.kill(killed!, 'SIGKILL')
  await waitFor('another worker is there', () => {
    const pids = weir.weir.pids('worker')
    return pids.length === 2 && !pids.includes(killed!)
  })
  for (const id of ['after-1', 'after-2', 'after-3', 'after-4']) {
    line.say(toolCall(id, 'echo', { text: id }))
    expect((await line.answer(id)).result?.content?.[0]?.text).toBe(id)
  }
  const rows = await weir.events("match(request_id, '^(batch|after)-[0-9]$')", 6)
  expect(rows.map((row) => row.transport)).toEqual(Array.from({ length: 6 }, () => 'stdio'))
})

test('a Weir that is not to be found is spoken to over HTTP, and nobody can claim otherwise', async () => {
  const argv = [`${weir.url}/servers/stub/mcp`, '--header', 'weir-hop-transport: stdio']
  const line = await opened('other-open', argv, { TMPDIR: weir.weir.folder.path })
  line.say(toolCall('other-1', 'echo'))
  await line.answer('other-1')
  expect((await weir.events("request_id = 'other-1'"))[0]).toMatchObject({ transport: 'http' })
})

test('the socket is in a folder that only its owner may enter', async () => {
  const { socket } = (await runningAt(new URL(weir.url)))!
  expect(dirname(dirname(socket))).toBe(tmpdir())
  expect(statSync(dirname(socket)).mode & 0o077).toBe(0)
})
