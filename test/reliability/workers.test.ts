/** Several workers behind one port: what belongs together may arrive at different ones. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { expect, test } from 'vitest'
import { initialize, open, send, toolCall } from '../support/client.ts'
import { startWeir } from '../support/installation.ts'
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
