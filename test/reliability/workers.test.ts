/** Several workers behind one port: what belongs together may arrive at different ones. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { describe, expect, test } from 'vitest'
import { connect } from '../e2e/support/clients.ts'
import type { AskArguments } from '../support/asking-tool.ts'
import { initialize, type OpenAnswer, open, send, toolCall } from '../support/client.ts'
import { startWeir, type Weir } from '../support/installation.ts'
import { signal } from '../support/processes.ts'
import { readStore } from '../support/store-reader.ts'
import { startUpstream } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'

const CALLS = 3

test('a session over HTTP+SSE is found by what is posted to another worker', async () => {
  const upstream = await startUpstream({ sessions: true })
  const weir = await startWeir({
    config: { workers: 2, servers: { stub: { url: upstream.url, era: 'legacy' } } },
  })
  const store = readStore(weir.addresses.store)
  const client = new Client({ name: 'old', version: '1' })
  try {
    // Each message on a connection of its own: they go round the workers.
    const requestInit = { headers: { connection: 'close' } }
    const url = new URL(`${weir.addresses.proxy}/servers/stub/sse`)
    await client.connect(new SSEClientTransport(url, { requestInit }) as Transport)
    for (let i = 0; i < 6; i++)
      expect((await client.callTool({ name: 'echo', arguments: { text: String(i) } })).content).toMatchObject(
        [{ text: String(i) }],
      )
    const rows = await waitFor('all are rows', async () => {
      const found = await store.rows<{ worker: string; transport: string; outcome: string }>(
        "SELECT DISTINCT worker, transport, outcome FROM calls WHERE tool = 'echo'",
      )
      return found.length > 0 && found
    })
    expect(rows).toEqual([{ worker: rows[0]!.worker, transport: 'sse', outcome: 'ok' }])
  } finally {
    await client.close()
    await store.close()
    await weir.remove()
    await upstream.end()
  }
}, 120_000)

test('a cancel finds its call, whichever worker has it', async () => {
  const upstream = await startUpstream({ sessions: true })
  const weir = await startWeir({
    config: { workers: 2, servers: { stub: { url: upstream.url, era: 'legacy' } } },
  })
  const store = readStore(weir.addresses.store)
  try {
    const url = `${weir.addresses.proxy}/servers/stub/mcp`
    const opened = await send(url, initialize('open'))
    const headers = { 'mcp-session-id': String(opened.headers['mcp-session-id']) }
    for (let i = 0; i < CALLS; i++) {
      const waiting = open(url, { method: 'POST', body: toolCall(`far-${i}`, 'never'), headers })
      await waitFor('the call is with the server', async () =>
        (await upstream.seen()).arrived.some((a) => a.id === `far-${i}`),
      )
      const notice = {
        jsonrpc: '2.0',
        method: 'notifications/cancelled',
        params: { requestId: `far-${i}`, reason: String(i) },
      }
      expect((await send(url, notice, { headers })).status).toBe(202)
      await (await waiting).ended
    }
    type Found = { method: string; outcome: string; worker: string }
    const rows = await waitFor('all are rows', async () => {
      const found = await store.rows<Found>(
        "SELECT method, outcome, worker FROM calls WHERE method IN ('tools/call', 'notifications/cancelled') ORDER BY ts",
      )
      return found.length === 2 * CALLS && found
    })
    const calls = rows.filter((row) => row.method === 'tools/call')
    expect(calls.map((row) => row.outcome)).toEqual(Array(CALLS).fill('cancelled'))
    const notices = rows.filter((row) => row.method !== 'tools/call')
    expect(notices.some((notice, i) => notice.worker !== calls[i]!.worker)).toBe(true)
  } finally {
    await store.close()
    await weir.remove()
    await upstream.end()
  }
}, 120_000)

describe('questions of servers', () => {
  type Asked = { request_id: string; outcome: string; error_type: string; worker: string }

  /** Events of questions in the spool, from which nothing is taken: what is here was written. */
  const inSpool = (weir: Weir): Asked[] =>
    weir.spoolText
      .split('\n')
      .filter((line) => line.endsWith('}') && line.includes('"kind":"server_request"'))
      .map((line) => JSON.parse(line) as Asked)

  const startTwo = async (url: string): Promise<Weir> =>
    startWeir({
      verb: 'proxy',
      config: {
        workers: 2,
        collector: { url: 'http://127.0.0.1:9', token: 'token-of-a-collector-that-is-away' },
        spool: { segment_age_ms: 600_000 },
        servers: { stub: { url, era: 'legacy' } },
      },
    })

  async function openSession(url: string) {
    const opened = await send(url, initialize('open'))
    const headers = { 'mcp-session-id': String(opened.headers['mcp-session-id']) }
    const tool = url.endsWith('/servers/stub/mcp') ? 'ask' : 'stub_ask'
    const seen = (as: string): string => (tool === 'ask' ? as : `stub:"${as}"`)
    return {
      headers,
      call: (as: string, args: Partial<AskArguments> = {}): Promise<OpenAnswer> =>
        open(url, {
          method: 'POST',
          body: toolCall(`c-${as}`, tool, { as, method: 'roots/list', ...args }),
          headers,
        }),
      answer: (as: string) => send(url, { jsonrpc: '2.0', id: seen(as), result: { roots: [] } }, { headers }),
    }
  }
  const heard = (stream: OpenAnswer): Promise<unknown> =>
    waitFor('the question', () => stream.text().includes('roots/list'))

  for (const path of ['/servers/stub/mcp', '/mcp'])
    test(`an answer finds its question in whichever worker has it, and its 202 waits for the event, at ${path}`, async () => {
      const upstream = await startUpstream({ sessions: true })
      const weir = await startTwo(upstream.url)
      try {
        const session = await openSession(weir.addresses.proxy + path)
        const ids = ['near-0', 'near-1', 'near-2', 'near-3', 'near-4', 'near-5']
        for (const as of ids) {
          const call = await session.call(as)
          await heard(call)
          expect((await session.answer(as)).status).toBe(202)
          expect(inSpool(weir).find((e) => e.request_id === as)).toMatchObject({ outcome: 'ok' })
          await call.ended
          expect(call.text()).toContain('"result"')
        }
        expect((await upstream.seen()).answers.length).toBe(ids.length)
        expect(
          inSpool(weir)
            .map((e) => e.request_id)
            .sort(),
        ).toEqual(ids)
      } finally {
        await weir.remove()
        await upstream.end()
      }
    }, 120_000)

  test('what is taken back, or ends with its session, is found too', async () => {
    const upstream = await startUpstream({ sessions: true })
    const weir = await startTwo(upstream.url)
    const url = `${weir.addresses.proxy}/servers/stub/mcp`
    try {
      for (let i = 0; i < 4; i++) {
        const session = await openSession(url)
        const stream = await open(url, { headers: session.headers })
        await waitFor('the stream', async () => (await upstream.seen()).openStreams > 0)
        const calls = [
          await session.call(`back-${i}`, { next: 'withdraw', back_on_session: true }),
          await session.call(`ended-${i}`, { next: 'result', on: 'session' }),
        ]
        await heard(stream)
        await waitFor('it is taken back', () =>
          inSpool(weir).some((e) => e.request_id === `back-${i}` && e.error_type === 'withdrawn'),
        )
        // Every other DELETE goes to the worker that does not have the stream.
        if (i % 2 === 1) await send(url, initialize('between'))
        await send(url, '', { method: 'DELETE', headers: session.headers })
        await waitFor('it ends with its session', () =>
          inSpool(weir).some((e) => e.request_id === `ended-${i}` && e.error_type === 'session_ended'),
        )
        for (const open of [stream, ...calls]) open.close()
        await waitFor('the streams are gone', async () => (await upstream.seen()).openStreams === 0)
      }
      expect(inSpool(weir).length).toBe(8)
    } finally {
      await weir.remove()
      await upstream.end()
    }
  }, 120_000)

  test('a killed worker loses what is under way, as with calls, and nothing that was answered', async () => {
    const upstream = await startUpstream({ sessions: true })
    const weir = await startWeir({
      config: { workers: 2, servers: { stub: { url: upstream.url, era: 'legacy' } } },
    })
    const store = readStore(weir.addresses.store)
    try {
      const session = await openSession(`${weir.addresses.proxy}/servers/stub/mcp`)
      const answered = ['answered-0', 'answered-1', 'answered-2', 'answered-3']
      for (const as of answered) {
        const call = await session.call(as)
        await heard(call)
        expect((await session.answer(as)).status).toBe(202)
      }
      // Connections go round: each worker has one of these.
      const open = [await session.call('open-0'), await session.call('open-1')]
      for (const call of open) await heard(call)
      const killed = weir.pids('worker')[0]!
      signal(killed, 'SIGKILL')
      const lost = await Promise.race(open.map((call, i) => call.ended.then(() => i)))
      // Until the supervisor has noticed, it may hand a connection to the dead one.
      await waitFor('another is in its place', () => {
        const now = weir.pids('worker')
        return now.length === 2 && !now.includes(killed)
      })
      // The server is told all the same.
      for (const i of [0, 1]) expect((await session.answer(`open-${i}`)).status).toBe(202)
      expect((await upstream.seen()).answers.filter((a) => a.includes('open-')).length).toBe(2)
      const wanted = [...answered, `open-${1 - lost}`].sort()
      const counts = await waitFor('what was answered is stored', async () => {
        const rows = await store.rows<{ request_id: string; n: number; outcome: string }>(
          "SELECT request_id, toUInt32(count()) AS n, any(outcome) AS outcome FROM calls WHERE kind = 'server_request' GROUP BY request_id ORDER BY request_id",
        )
        return rows.length >= wanted.length && rows
      })
      expect(counts).toEqual(wanted.map((request_id) => ({ request_id, n: 1, outcome: 'ok' })))
    } finally {
      await store.close()
      await weir.remove()
      await upstream.end()
    }
  }, 120_000)

  test('a real client whose messages go round the workers', async () => {
    const upstream = await startUpstream({ sessions: true })
    const weir = await startTwo(upstream.url)
    const client = await connect('sdk v1', { url: `${weir.addresses.proxy}/servers/stub/mcp`, tag: 'round' })
    try {
      const ids = Array.from({ length: 8 }, (_, i) => `round-${i}`)
      await Promise.all(
        ids.map((as) => client.call('ask', { as, method: 'sampling/createMessage', params: SAMPLE })),
      )
      const found = await waitFor('all are written', () => {
        const events = inSpool(weir).filter((e) => e.request_id.startsWith('round-'))
        return events.length >= ids.length && events
      })
      expect(found.map((e) => [e.request_id, e.outcome]).sort()).toEqual(ids.map((id) => [id, 'ok']))
    } finally {
      await client.close()
      await weir.remove()
      await upstream.end()
    }
  }, 120_000)
})

const SAMPLE = { messages: [{ role: 'user', content: { type: 'text', text: 'p' } }], maxTokens: 5 }
