/**
 * Trace context over every bridge: client, SERVER span, CLIENT span and server stand in one line in each combination of
 * eras, over HTTP and stdio. What arrived, the server (made with an SDK) says itself.
 */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Answer, initialize, send } from '../support/client.ts'
import { waitFor } from '../support/wait.ts'
import { freePort, type Peer, startPeer } from './support/go-server.ts'
import { type Observed, ROOT, startObserved } from './support/observed.ts'

const SERVER = join(ROOT, 'test/e2e/support/trace-server.ts')
const TRACE = '0af7651916cd43dd8448eb211c8031'
const SPAN = 'b7ad6b7169203331'
const KEY = 'io.modelcontextprotocol/'
type Era = 'legacy' | 'modern'
const ERAS: readonly Era[] = ['legacy', 'modern']
const RUNS = ERAS.flatMap((client) =>
  ERAS.flatMap((server) => (['http', 'stdio'] as const).map((transport) => ({ client, server, transport }))),
)

let peers: Peer[] = []
let weir: Observed

beforeAll(async () => {
  const ports = [await freePort(), await freePort()]
  peers = await Promise.all(
    ERAS.map((era, i) => startPeer(process.execPath, [SERVER, era, String(ports[i])], ports[i]!, '/mcp')),
  )
  const stdio = (era: Era) => ({ command: [process.execPath, SERVER, era] })
  weir = await startObserved({
    servers: {
      'legacy-http': { url: peers[0]!.url },
      'modern-http': { url: peers[1]!.url },
      'legacy-stdio': stdio('legacy'),
      'modern-stdio': stdio('modern'),
    },
  })
})
afterAll(async () => {
  await weir?.stop()
  await Promise.all(peers.map((peer) => peer.stop()))
})

/** Calls the tool with a context of the client's own, in `_meta`. */
async function call(url: string, era: Era, id: string, traceparent: string): Promise<Answer> {
  const params = { name: 'context', arguments: {} }
  const body = (meta: object) => ({
    jsonrpc: '2.0',
    id,
    method: 'tools/call',
    params: { ...params, _meta: { traceparent, ...meta } },
  })
  if (era === 'modern') {
    const version = {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'context',
    }
    const envelope = { [`${KEY}protocolVersion`]: '2026-07-28', [`${KEY}clientCapabilities`]: {} }
    return send(url, body(envelope), { headers: version })
  }
  const opened = await send(url, initialize(`${id}-open`))
  const headers = {
    'mcp-session-id': String(opened.headers['mcp-session-id']),
    'mcp-protocol-version': '2025-11-25',
  }
  await send(url, { jsonrpc: '2.0', method: 'notifications/initialized' }, { headers })
  return send(url, body({}), { headers })
}

test.for(RUNS.map((run, i) => ({ ...run, i })))(
  '$client client, $server server over $transport',
  async ({ client, server, transport, i }) => {
    const name = `${server}-${transport}`
    const trace = `${TRACE}${String(i).padStart(2, '0')}`
    const id = `trace-${client}-${name}`
    const answer = await call(`${weir.url}/servers/${name}/mcp`, client, id, `00-${trace}-${SPAN}-01`)
    const content = answer.message?.result?.content as { text: string }[] | undefined
    expect(content, answer.text).toBeDefined()
    const seen = JSON.parse(content![0]!.text) as { meta?: string; header?: string }

    const [row, ...more] = await weir.events(`request_id = '${id}'`)
    expect(more).toEqual([])
    expect(row).toMatchObject({ era: client, trace_id: trace, parent_span_id: SPAN, trace_source: 'meta' })
    const context = `00-${trace}-${row!.client_span_id}-01`
    // A bridge is a hop of its own between Weir's two processes: what counts to the server is `_meta`.
    const isDirect = transport === 'http' && client === server
    expect(seen).toEqual({ meta: context, ...(isDirect && { header: context }) })

    type Span = { SpanId: string; ParentSpanId: string; SpanKind: string }
    const spans = await waitFor('both spans', async () => {
      const found = await weir.store.rows<Span>(
        `SELECT SpanId, ParentSpanId, SpanKind FROM otel_traces WHERE TraceId = '${trace}' ORDER BY SpanKind DESC`,
      )
      return found.length >= 2 && found
    })
    expect(spans.map(({ SpanKind, ...ids }) => ({ kind: SpanKind.toLowerCase(), ...ids }))).toEqual([
      { kind: expect.stringContaining('server'), SpanId: row!.span_id, ParentSpanId: SPAN },
      { kind: expect.stringContaining('client'), SpanId: row!.client_span_id, ParentSpanId: row!.span_id },
    ])
  },
)
