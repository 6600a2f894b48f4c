/** `durability: strict`: no tools/call reaches a server before its intent is on the disk; what cannot be recorded is not done. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callTool, initialize, send } from '../support/client.ts'
import { type Folder, makeFolder, mountSmallDisk } from '../support/folder.ts'
import { startWeir, type Weir } from '../support/installation.ts'
import { isAlive, signal } from '../support/processes.ts'
import { readStore } from '../support/store-reader.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'

let folder: Folder
let upstream: UpstreamStub
let weir: Weir
let url: string
const traceOf = (n: number): string => n.toString(16).padStart(32, 'a')
const traced = (n: number): { headers: Record<string, string> } => ({
  headers: { traceparent: `00-${traceOf(n)}-00f067aa0ba902b7-01` },
})

beforeAll(async () => {
  folder = makeFolder('strict')
  upstream = await startUpstream()
  weir = await startWeir({
    folder,
    config: {
      durability: 'strict',
      workers: 2,
      servers: { stub: { url: upstream.url, era: 'legacy' } },
      spool: { segment_bytes: 65_536, segment_age_ms: 2_000 },
    },
  })
  url = `${weir.addresses.proxy}/servers/stub/mcp`
})

afterAll(async () => {
  await weir.remove()
  await upstream.end()
  folder.remove()
})

test('an intent is on the disk before its call arrives, for calls at once and segments that are sealed meanwhile', async () => {
  const other = makeFolder('strict-spool')
  const looking = await startUpstream({ spool: join(other.path, 'data', 'spool') })
  // Nobody takes the segments away, so that each can be looked into.
  const alone = await startWeir({
    verb: 'proxy',
    folder: other,
    config: {
      durability: 'strict',
      workers: 2,
      collector: { url: 'http://127.0.0.1:9', token: 'token-of-the-strict-test' },
      servers: { stub: { url: looking.url, era: 'legacy' } },
      spool: { segment_bytes: 16_384, segment_age_ms: 50 },
    },
  })
  try {
    const at = `${alone.addresses.proxy}/servers/stub/mcp`
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => callTool(at, `strict-${i}`, 'echo', { text: 'x' }, traced(i))),
    )
    expect(answers.filter((a) => !a.isWhole || a.status !== 200)).toEqual([])
    const { arrived } = await looking.seen()
    expect(arrived.length).toBe(200)
    expect(arrived.filter((a) => !a.wasOnDisk).map((a) => a.id)).toEqual([])
    expect(alone.spoolFiles().length).toBeGreaterThan(4)
  } finally {
    await alone.remove()
    await looking.end()
    other.remove()
  }
})

test('an intent under the roof names the server and its own tool', async () => {
  const roof = `${weir.addresses.proxy}/mcp`
  const opened = await send(roof, initialize('roof-init'))
  const session = { 'mcp-session-id': String(opened.headers['mcp-session-id']) }
  const done = await callTool(
    roof,
    'roof-call',
    'stub_echo',
    {},
    { headers: { ...session, ...traced(2001).headers } },
  )
  expect(done.message?.result).toBeDefined()
  const store = readStore(weir.addresses.store)
  try {
    const intent = await waitFor('the intent is a row', async () =>
      (
        await store.rows<object>(
          `SELECT server, tool, method FROM call_intents WHERE trace_id = '${traceOf(2001)}'`,
        )
      ).at(0),
    )
    expect(intent).toEqual({ server: 'stub', tool: 'echo', method: 'tools/call' })
  } finally {
    await store.close()
  }
})

test('a call whose worker was killed shows as unfinished, and a finished one does not', async () => {
  const cut = callTool(url, 'strict-cut', 'held', {}, traced(1001))
  const done = await callTool(url, 'strict-done', 'echo', {}, traced(1002))
  expect(done.isWhole).toBe(true)
  await waitFor('the call is with the server', async () =>
    (await upstream.seen()).arrived.some((a) => a.id === 'strict-cut'),
  )
  const pids = weir.signal('worker', 'SIGKILL')
  await waitFor('the workers are gone', () => pids.every((pid) => !isAlive(pid)))
  expect((await cut).isWhole).toBe(false)
  const store = readStore(weir.addresses.store)
  try {
    await waitFor(
      'the intent is in the view',
      async () =>
        (await store.number(`SELECT count() FROM unfinished_calls WHERE trace_id = '${traceOf(1001)}'`)) ===
        1,
    )
    await waitFor(
      'the other call is a row',
      async () => (await store.number(`SELECT count() FROM calls WHERE trace_id = '${traceOf(1002)}'`)) === 1,
    )
    expect(await store.rows(`SELECT trace_id, server, tool, method FROM unfinished_calls`)).toEqual([
      { trace_id: traceOf(1001), server: 'stub', tool: 'held', method: 'tools/call' },
    ])
  } finally {
    await store.close()
    await upstream.release()
  }
})

test('with the disk full a tools/call is refused and never forwarded; other methods are served', async () => {
  const full = makeFolder('strict-full')
  const disk = mountSmallDisk(join(full.path, 'data', 'spool'), 1_048_576)
  if (!disk) return full.remove()
  const other = await startWeir({
    folder: full,
    config: { durability: 'strict', servers: { stub: { url: upstream.url, era: 'legacy' } } },
  })
  try {
    const at = `${other.addresses.proxy}/servers/stub/mcp`
    expect((await callTool(at, 'room', 'echo')).status).toBe(200)
    const before = (await upstream.seen()).arrived.length
    expect(() => writeFileSync(join(other.spool, 'ballast'), Buffer.alloc(2_000_000))).toThrow(/ENOSPC/)
    // What is left of the last page may still take a record or two.
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, i) => callTool(at, `tight-${i}`, 'echo')),
    )
    const refused = answers.filter((a) => a.status !== 200)
    expect(refused.length).toBeGreaterThan(20)
    for (const answer of refused) {
      expect(answer.status).toBe(503)
      expect(answer.message?.error?.data).toMatchObject({ weir: 'record_unavailable' })
    }
    expect((await upstream.seen()).arrived.length - before).toBe(answers.length - refused.length)
    const listed = await send(at, { jsonrpc: '2.0', id: 'list', method: 'tools/list' })
    expect(listed.message?.result?.tools).toBeInstanceOf(Array)
    // 31 calls and the list: each is an event that was written or one that was lost; intents are neither.
    const lost = await other.metric('weir_events_lost_total')
    expect(lost).toBeGreaterThanOrEqual(refused.length)
    expect(lost + (await other.metric('weir_events_written_total'))).toBe(32)
  } finally {
    for (const pid of other.allPids()) signal(pid, 'SIGCONT')
    await other.remove()
    disk.unmount()
    full.remove()
  }
})
