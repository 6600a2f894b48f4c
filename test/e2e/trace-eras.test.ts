/**
 * Trace context over every bridge: client, SERVER span, CLIENT span and server stand in one line in each combination of
 * eras and transports, whichever way the client says its context. What arrived, the server says itself: one made with the
 * Python SDK, which speaks both eras, and ones made with the TypeScript SDKs, which speak one each.
 */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, initialize, send } from '../support/client.ts'
import { waitFor } from '../support/wait.ts'
import { freePort, type Peer, startPeer } from './support/go-server.ts'
import { type Observed, ROOT, startObserved } from './support/observed.ts'
import { makePython, PYTHON_SDK, type Python } from './support/python.ts'

const SERVER = join(ROOT, 'test/e2e/support/trace-server.ts')
const PYTHON_SERVER = join(ROOT, 'test/e2e/support/python_trace_server.py')
const TRACE = '0af7651916cd43dd8448eb211c80'
const SPAN = 'b7ad6b7169203331'
const STATE = 'vendor=of-the-client'
const KEY = 'io.modelcontextprotocol/'
type Era = 'legacy' | 'modern'
type Run = { client: Era; server: Era; transport: 'http' | 'stdio' | 'sse'; way: 'meta' | 'header' }
const ERAS: readonly Era[] = ['legacy', 'modern']
const VERSIONS = { legacy: '2025-11-25', modern: '2026-07-28' }
const RUNS: readonly Run[] = ERAS.flatMap((client) =>
  ERAS.flatMap((server) =>
    // HTTP+SSE ended before the modern era.
    (['http', 'stdio', ...(server === 'legacy' ? (['sse'] as const) : [])] as const).flatMap((transport) =>
      (['meta', 'header'] as const).map((way) => ({ client, server, transport, way })),
    ),
  ),
)

let python: Python
let peers: Peer[] = []
let weir: Observed

beforeAll(async () => {
  python = await makePython([PYTHON_SDK])
  const ports = await Promise.all([1, 2, 3, 4].map(freePort))
  const start = (i: number, command: string, args: string[], path = '/mcp') =>
    startPeer(command, [...args, String(ports[i])], ports[i]!, path)
  peers = await Promise.all([
    ...ERAS.map((era, i) => start(i, process.execPath, [SERVER, era])),
    ...(python.missing
      ? []
      : [
          start(2, python.bin('python'), [PYTHON_SERVER, 'streamable-http']),
          start(3, python.bin('python'), [PYTHON_SERVER, 'sse'], '/sse'),
        ]),
  ])
  const stdio = (era: Era) => ({ command: [process.execPath, SERVER, era] })
  const pythonStdio = { command: [python.bin('python'), PYTHON_SERVER] }
  weir = await startObserved({
    servers: {
      'typescript-legacy-http': { url: peers[0]!.url },
      'typescript-modern-http': { url: peers[1]!.url },
      'typescript-legacy-stdio': stdio('legacy'),
      'typescript-modern-stdio': stdio('modern'),
      ...(!python.missing && {
        'python-legacy-http': { url: peers[2]!.url, era: 'legacy' },
        'python-modern-http': { url: peers[2]!.url, era: 'modern' },
        'python-legacy-stdio': { ...pythonStdio, era: 'legacy' },
        'python-modern-stdio': { ...pythonStdio, era: 'modern' },
        'python-legacy-sse': { url: peers[3]!.url, transport: 'sse', era: 'legacy' },
      }),
    },
  })
}, 240_000)
afterAll(async () => {
  await weir?.stop()
  await Promise.all(peers.map((peer) => peer.stop()))
  python?.remove()
})

/** Calls the tool with a context of the client's own, in `_meta` or in headers. */
async function call(
  url: string,
  era: Era,
  id: string,
  way: Run['way'],
  traceparent: string,
): Promise<Answer> {
  const context = { traceparent, tracestate: STATE }
  const shown = way === 'header' ? context : {}
  const body = (envelope: object) => {
    const meta = { ...(way === 'meta' && context), ...envelope }
    const _meta = Object.keys(meta).length > 0 && { _meta: meta }
    return { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'context', arguments: {}, ..._meta } }
  }
  if (era === 'modern') {
    const headers = {
      'mcp-protocol-version': VERSIONS.modern,
      'mcp-method': 'tools/call',
      'mcp-name': 'context',
      ...shown,
    }
    const envelope = { [`${KEY}protocolVersion`]: VERSIONS.modern, [`${KEY}clientCapabilities`]: {} }
    return send(url, body(envelope), { headers })
  }
  const opened = await send(url, initialize(`${id}-open`))
  const session = {
    'mcp-session-id': String(opened.headers['mcp-session-id']),
    'mcp-protocol-version': VERSIONS.legacy,
  }
  await send(url, { jsonrpc: '2.0', method: 'notifications/initialized' }, { headers: session })
  return send(url, body({}), { headers: { ...session, ...shown } })
}

type Span = { SpanId: string; ParentSpanId: string; SpanKind: string; SpanName: string }
type Seen = {
  version?: string
  meta?: string
  meta_state?: string
  header?: string
  header_state?: string
}

async function observe(sdk: 'python' | 'typescript', run: Run, number: number): Promise<void> {
  const name = `${sdk}-${run.server}-${run.transport}`
  const trace = `${TRACE}${number.toString(16).padStart(4, '0')}`
  const id = `${run.client}-${run.way}-${name}`
  const url = `${weir.url}/servers/${name}/mcp`
  const answer = await call(url, run.client, id, run.way, `00-${trace}-${SPAN}-01`)
  const content = answer.message?.result?.content as { text: string }[] | undefined
  expect(content, answer.text).toBeDefined()
  const seen = JSON.parse(content![0]!.text) as Seen

  const [row, ...more] = await weir.events(`request_id = '${id}'`)
  expect(more).toEqual([])
  expect(row).toMatchObject({
    era: run.client,
    trace_id: trace,
    parent_span_id: SPAN,
    trace_source: run.way,
    upstream_protocol_version: VERSIONS[run.server],
  })
  const context = `00-${trace}-${row!.client_span_id}-01`
  const hasHeaders = run.transport !== 'stdio'
  expect(seen).toEqual({
    version: VERSIONS[run.server],
    meta: context,
    meta_state: STATE,
    ...(hasHeaders && { header: context, header_state: STATE }),
  })

  const spans = await waitFor('both spans', async () => {
    const found = await weir.store.rows<Span>(
      `SELECT SpanId, ParentSpanId, SpanKind, SpanName FROM otel_traces WHERE TraceId = '${trace}' ORDER BY SpanKind DESC`,
    )
    return found.length >= 2 && found
  })
  // The whole trace: client → SERVER → CLIENT → server, whose parent is what it was told above.
  expect(spans.map(({ SpanKind, ...ids }) => ({ kind: SpanKind.toLowerCase(), ...ids }))).toEqual([
    {
      kind: expect.stringContaining('server'),
      SpanName: 'tools/call context',
      SpanId: row!.span_id,
      ParentSpanId: SPAN,
    },
    {
      kind: expect.stringContaining('client'),
      SpanName: 'tools/call context',
      SpanId: row!.client_span_id,
      ParentSpanId: row!.span_id,
    },
  ])
}

describe('from a client to a server of the', () => {
  const runs = RUNS.map((run, i) => ({ ...run, i }))
  test.for(runs)(
    'Python SDK: $client client with its $way, $server server over $transport',
    async ({ i, ...run }, { skip }) => {
      if (python.missing) skip(python.missing)
      await observe('python', run, i)
    },
  )
  test.for(runs.filter(({ transport }) => transport !== 'sse'))(
    'TypeScript SDK: $client client with its $way, $server server over $transport',
    ({ i, ...run }) => observe('typescript', run, 0x1000 + i),
  )
})
