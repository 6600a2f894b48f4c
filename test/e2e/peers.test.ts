/**
 * Real servers behind Weir, real clients in front: everything the protocol has, through a server's own endpoint and under
 * the roof, over HTTP and stdio. Each scenario is asserted in the client's view and in the events it left.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Folder, makeFolder } from '../support/folder.ts'
import { waitFor } from '../support/wait.ts'
import { connect, type Kind, type Result, type TestClient } from './support/clients.ts'
import { freePort, type Peer, startPeer } from './support/go-server.ts'
import { type Observed, ROOT, type Row, startObserved } from './support/observed.ts'

const sha256 = (key: string): string => createHash('sha256').update(key).digest('hex')
const npm = (name: string, file: string): string =>
  join(ROOT, 'node_modules', '@modelcontextprotocol', name, file)
const EVERYTHING = npm('server-everything', 'dist/index.js')
const texts = (result: Result): string =>
  (result.content as { type: string; text?: string }[]).map((c) => c.text ?? `<${c.type}>`).join('\n')

let folder: Folder
let http: Peer
let sse: Peer
let socket: Peer
let weir: Observed
let count = 0
const tagOf = (): string => `tag${count++}`

beforeAll(async () => {
  folder = makeFolder('peers')
  mkdirSync(join(folder.path, 'docs'))
  writeFileSync(join(folder.path, 'docs', 'hello.txt'), 'hello from a file')
  const port = await freePort()
  http = await startPeer(process.execPath, [EVERYTHING, 'streamableHttp'], port, '/mcp', {
    PORT: String(port),
  })
  const [ssePort, socketPort] = [await freePort(), await freePort()]
  sse = await startPeer(process.execPath, [EVERYTHING, 'sse'], ssePort, '/sse', { PORT: String(ssePort) })
  socket = await startPeer(
    process.execPath,
    [
      join(ROOT, 'test/support/websocket-program.ts'),
      String(socketPort),
      process.execPath,
      EVERYTHING,
      'stdio',
    ],
    socketPort,
    '/',
    {},
  )
  weir = await startObserved({
    callers: {
      alice: { team: 'a', keys: [{ sha256: sha256('alice-key') }] },
      bob: { team: 'b', keys: [{ sha256: sha256('bob-key') }] },
    },
    servers: {
      web: { url: http.url },
      'web-sse': { url: sse.url, transport: 'sse' },
      'web-ws': {
        url: socket.url.replace('http', 'ws'),
        credentials: { bearer: 'for-the-socket' },
      },
      'web-io': { command: [process.execPath, EVERYTHING, 'stdio'] },
      solo: { command: [process.execPath, EVERYTHING, 'stdio'], isolation: 'session' },
      files: {
        command: [process.execPath, npm('server-filesystem', 'dist/index.js'), join(folder.path, 'docs')],
      },
      memory: {
        command: [process.execPath, npm('server-memory', 'dist/index.js')],
        env: { MEMORY_FILE_PATH: join(folder.path, 'memory.jsonl') },
      },
    },
  })
})
afterAll(async () => {
  await weir?.stop()
  await http?.stop()
  await sse?.stop()
  await socket?.stop()
  folder?.remove()
})

type Place = { path: string; prefix: string; server: string }
const PLACES: readonly Place[] = [
  { path: '/servers/web/mcp', prefix: '', server: 'web' },
  { path: '/servers/web-io/mcp', prefix: '', server: 'web-io' },
  { path: '/servers/web-sse/mcp', prefix: '', server: 'web-sse' },
  { path: '/servers/web-ws/mcp', prefix: '', server: 'web-ws' },
  { path: '/mcp', prefix: 'web_', server: 'web' },
  { path: '/mcp', prefix: 'web-io_', server: 'web-io' },
  { path: '/mcp', prefix: 'web-sse_', server: 'web-sse' },
  { path: '/mcp', prefix: 'web-ws_', server: 'web-ws' },
]
const KINDS: readonly Kind[] = ['sdk v1', 'sdk v2', 'sdk v2 auto']

/** What stands before Weir is the same for every server behind it: one of each place is enough. */
const RUNS = [
  ...KINDS.flatMap((kind) => PLACES.map((place) => ({ kind, ...place }))),
  { kind: 'connect' as const, ...PLACES[1]! },
  { kind: 'connect' as const, ...PLACES[4]! },
  { kind: 'websocket' as const, ...PLACES[0]! },
  { kind: 'sse' as const, ...PLACES[1]! },
  { kind: 'sse' as const, ...PLACES[6]! },
  { kind: 'websocket' as const, ...PLACES[5]! },
]

for (const { kind, path, prefix, server } of RUNS)
  test(`${kind} at ${path}, ${server}: everything`, async () => {
    const tag = tagOf()
    const client = await connect(kind, { url: weir.url + path, key: 'alice-key', tag })
    try {
      await everything(client, prefix, kind)
    } finally {
      await client.close()
    }
    const rows = await weir.events(`agent = '${tag}'`, 20)
    assertEvents(rows, { path, prefix, server }, kind === 'sdk v2 auto' ? 'modern' : 'legacy')
  })

async function everything(client: TestClient, prefix: string, kind: Kind): Promise<void> {
  const tools = (await client.tools()).map((t) => t.name)
  for (const name of ['echo', 'get-sum', 'get-tiny-image']) expect(tools).toContain(prefix + name)
  expect(new Set(tools).size).toBe(tools.length)

  expect(texts(await client.call(`${prefix}echo`, { message: 'grüße 😀' }))).toBe('Echo: grüße 😀')
  const failed = await client.call(`${prefix}get-sum`, { a: 'x', b: 2 })
  expect(failed.isError).toBe(true)
  const image = await client.call(`${prefix}get-tiny-image`)
  expect((image.content as { type: string }[]).map((c) => c.type)).toEqual(['text', 'image', 'text'])
  const structured = await client.call(`${prefix}get-structured-content`, { location: 'New York' })
  expect(structured.structuredContent).toBeTypeOf('object')
  const links = await client.call(`${prefix}get-resource-links`, { count: 3 })
  expect((links.content as { type: string }[]).filter((c) => c.type === 'resource_link').length).toBe(3)
  expect(
    (await client.call(`${prefix}nobody-has-this`).catch((e: Error) => ({ isError: true, e }))).isError,
  ).toBe(true)

  expect((await client.prompts()).map((p) => p.name)).toContain(`${prefix}args-prompt`)
  expect(JSON.stringify(await client.prompt(`${prefix}args-prompt`, { city: 'Köln' }))).toContain('Köln')
  const completion = await client.complete({
    ref: { type: 'ref/prompt', name: `${prefix}completable-prompt` },
    argument: { name: 'department', value: 'E' },
  })
  expect((completion.completion as { values: string[] }).values).toContain('Engineering')

  const resources = await client.resources()
  expect(resources.length).toBeGreaterThan(0)
  expect(JSON.stringify(await client.read(resources[0]!.uri))).toContain(resources[0]!.uri)
  expect((await client.templates()).length).toBeGreaterThan(0)

  const steps: unknown[] = []
  await client.call(
    `${prefix}trigger-long-running-operation`,
    { duration: 0.2, steps: 2 },
    { onprogress: (p) => steps.push(p) },
  )
  // SDK v1 forgets a progress that it reads in one piece with its result, as a pipe or socket may give them.
  expect(steps.length).toBeGreaterThanOrEqual(kind.startsWith('sdk') ? 2 : 1)

  // Questions of the server come back with this client's answers.
  await waitFor('the tools that need capabilities', async () =>
    (await client.tools()).some((t) => t.name === `${prefix}trigger-sampling-request`),
  )
  expect(
    texts(await client.call(`${prefix}trigger-sampling-request`, { prompt: 'p', maxTokens: 5 })),
  ).toContain(`sampled by ${client.tag}`)
  expect(texts(await client.call(`${prefix}trigger-elicitation-request`))).toContain(client.tag)
  expect(client.heard.map((h) => h.method)).toEqual(
    expect.arrayContaining(['sampling/createMessage', 'elicitation/create']),
  )

  // A modern client asks for logs with each call.
  if (kind !== 'sdk v2 auto') await client.level('debug')
  const stop = new AbortController()
  const cancelled = client.call(
    `${prefix}trigger-long-running-operation`,
    { duration: 600, steps: 600 },
    { signal: stop.signal, onprogress: () => stop.abort(new Error('enough')) },
  )
  await expect(cancelled).rejects.toThrow()
}

function assertEvents(rows: readonly Row[], { path, prefix, server }: Place, era: 'legacy' | 'modern'): void {
  const of = (tool: string): Row =>
    rows.find((r) => r.tool === tool && r.method === 'tools/call' && r.outcome !== 'input_required')!
  expect(
    rows.every(
      (r) => r.endpoint === path && r.caller === 'alice' && r.team === 'a' && r.kind !== 'unreadable',
    ),
  ).toBe(true)
  expect(
    rows.every((r) => String(r.client_name).startsWith('client-tag') || r.method === 'server/discover'),
  ).toBe(true)
  expect(of('echo')).toMatchObject({
    outcome: 'ok',
    owner: 'none',
    server,
    exposed_name: `${prefix}echo`,
    content_text: 1,
    http_status: 200,
    arguments_bytes: Buffer.byteLength('{"message":"grüße 😀"}'),
    attempts: 1,
    era,
    upstream_protocol_version: '2025-11-25',
    result_read: 'parsed',
  })
  expect(of('echo').arguments_hash).toMatch(/^[0-9a-f]{32}$/)
  expect(of('echo').captured_arguments).toBeUndefined()
  expect(of('get-sum')).toMatchObject({ outcome: 'tool_error', owner: 'upstream', error_type: 'tool_error' })
  expect(of('get-tiny-image')).toMatchObject({ outcome: 'ok', content_text: 2, content_image: 1 })
  expect(of('get-structured-content')).toMatchObject({ outcome: 'ok', content_structured: true })
  expect(of('get-resource-links')).toMatchObject({ outcome: 'ok', content_resource: 3 })
  expect(['tool_error', 'rpc_error']).toContain(of('nobody-has-this').outcome)
  expect(of('trigger-sampling-request')).toMatchObject({ outcome: 'ok' })
  // A question is an answer of its own in the modern era, and a child of the call that caused it in either.
  const asked = rows.filter((r) => r.kind === 'request' && r.outcome === 'input_required')
  expect(asked.length > 0).toBe(era === 'modern')
  for (const [tool, method] of [
    ['trigger-sampling-request', 'sampling/createMessage'],
    ['trigger-elicitation-request', 'elicitation/create'],
  ] as const) {
    const causes = era === 'modern' ? asked.filter((r) => r.tool === tool) : [of(tool)]
    const spans = causes.map((r) => r.client_span_id)
    const questions = rows.filter((r) => r.kind === 'server_request' && r.method === method)
    expect(questions).toMatchObject([{ outcome: era === 'modern' ? 'input_required' : 'ok', server, tool }])
    expect(spans).toContain(questions[0]!.parent_span_id)
  }
  // A stdio server's own questions may come on the stream of any call.
  const runs = rows.filter(
    (r) =>
      r.kind === 'request' && r.tool === 'trigger-long-running-operation' && r.outcome !== 'input_required',
  )
  expect(runs.map((r) => r.outcome).sort()).toEqual(['cancelled', 'ok'])
  expect(runs.find((r) => r.outcome === 'ok')).toMatchObject({ outcome: 'ok' })
  // Its progress, and a stdio server's other messages (its list changed), travel on the stream of the open call; in the
  // modern era on that of whichever round was open.
  const told = rows
    .filter(
      (r) => r.kind === 'request' && r.tool === 'trigger-long-running-operation' && r.outcome !== 'cancelled',
    )
    .reduce((sum, r) => sum + Number(r.stream_messages), 0)
  expect(told).toBeGreaterThanOrEqual(era === 'modern' ? 1 : 2)
  expect(rows.find((r) => r.method === 'prompts/get')).toMatchObject({
    outcome: 'ok',
    server,
    tool: 'args-prompt',
    exposed_name: `${prefix}args-prompt`,
  })
  // Both servers have the same URIs: under the roof they belong to the first in the config.
  expect(rows.find((r) => r.method === 'resources/read')).toMatchObject({
    outcome: 'ok',
    server: path === '/mcp' ? 'web' : server,
  })
  expect(Number(rows.find((r) => r.method === 'tools/list')!.list_items)).toBeGreaterThan(8)
  for (const r of rows) {
    const phases = [
      'receive_us',
      'authorise_us',
      'queue_us',
      'connect_us',
      'wait_us',
      'transfer_us',
      'answer_us',
    ].map((p) => Number(r[p]))
    expect(
      Math.abs(phases.reduce((a, b) => a + b, 0) - r.duration_us),
      `${r.method} ${r.tool} ${JSON.stringify(phases)} = ${r.duration_us}`,
    ).toBeLessThanOrEqual(phases.length)
  }
  // One session (legacy), one trace, one run.
  const inSession = era === 'modern' ? rows : rows.filter((r) => r.session_id !== '')
  expect(new Set(inSession.map((r) => r.session_id)).size).toBe(1)
  expect(new Set(inSession.map((r) => r.trace_id)).size).toBe(1)
  expect(new Set(inSession.map((r) => r.span_id)).size).toBe(inSession.length)
}

describe('the stream of a session', () => {
  for (const { path, prefix, server } of PLACES.slice(0, 3))
    test(`resource updates at ${path}, ${server}, for those who asked only`, async () => {
      const [one, two] = await Promise.all([
        connect('sdk v1', { url: weir.url + path, key: 'alice-key', tag: tagOf() }),
        connect('sdk v1', { url: weir.url + path, key: 'bob-key', tag: tagOf() }),
      ])
      try {
        const uri = 'demo://resource/dynamic/text/1'
        await one.subscribe(uri)
        await one.call(`${prefix}toggle-subscriber-updates`)
        await waitFor(
          'an update',
          () => one.heard.some((h) => h.method === 'notifications/resources/updated' && h.params.uri === uri),
          20_000,
        )
        expect(two.heard.filter((h) => h.method === 'notifications/resources/updated')).toEqual([])
      } finally {
        await Promise.all([one.close(), two.close()])
      }
    })
})

describe('clients at once', () => {
  // Sessions of one caller share a hosted child unless `isolation: session`: a question of the child could then be either's.
  const BOTH = ['alice-key', 'bob-key']
  const CROWDS = [
    { path: '/servers/web/mcp', prefix: '', keys: [...BOTH, ...BOTH] },
    { path: '/servers/web-io/mcp', prefix: '', keys: BOTH },
    { path: '/servers/solo/mcp', prefix: '', keys: [...BOTH, ...BOTH] },
    { path: '/mcp', prefix: 'web_', keys: [...BOTH, ...BOTH] },
    { path: '/mcp', prefix: 'web-io_', keys: BOTH },
    { path: '/mcp', prefix: 'solo_', keys: [...BOTH, ...BOTH] },
  ]
  for (const { path, prefix, keys } of CROWDS)
    test(`never hear each other at ${path}, ${prefix || 'unprefixed'}`, async () => {
      const clients = await Promise.all(
        keys.map((key) => connect('sdk v1', { url: weir.url + path, key, tag: tagOf() })),
      )
      try {
        await Promise.all(
          clients.map(async (client) => {
            await waitFor('sampling', async () =>
              (await client.tools()).some((t) => t.name === `${prefix}trigger-sampling-request`),
            )
            for (let i = 0; i < 5; i++) {
              const prompt = `${client.tag} asks ${i}`
              expect(
                texts(await client.call(`${prefix}trigger-sampling-request`, { prompt, maxTokens: 5 })),
              ).toContain(`sampled by ${client.tag}`)
              expect(texts(await client.call(`${prefix}echo`, { message: prompt }))).toBe(`Echo: ${prompt}`)
            }
          }),
        )
        for (const client of clients) {
          const asked = client.heard.filter((h) => h.method === 'sampling/createMessage')
          expect(asked.length).toBe(5)
          expect(asked.every((h) => JSON.stringify(h.params).includes(`${client.tag} asks`))).toBe(true)
        }
      } finally {
        await Promise.all(clients.map((c) => c.close()))
      }
    })
})

describe('sessions', () => {
  for (const path of ['/servers/web/mcp', '/servers/web-io/mcp', '/mcp'])
    test(`belong to their caller and end with DELETE at ${path}`, async () => {
      const client = await connect('sdk v1', { url: weir.url + path, key: 'alice-key', tag: tagOf() })
      const session = client.session!
      const ask = (key: string, at = path, method = 'POST'): Promise<Response> =>
        fetch(weir.url + at, {
          method,
          headers: {
            authorization: `Bearer ${key}`,
            'content-type': 'application/json',
            accept: 'application/json, text/event-stream',
            'mcp-session-id': session,
          },
          ...(method === 'POST' ? { body: '{"jsonrpc":"2.0","id":1,"method":"ping"}' } : {}),
        })
      expect((await ask('alice-key')).status).toBe(200)
      for (const answer of [
        await ask('bob-key'),
        await ask('bob-key', path, 'DELETE'),
        await ask('bob-key', path, 'GET'),
        await ask('alice-key', path === '/mcp' ? '/servers/web/mcp' : '/mcp'),
      ]) {
        expect(answer.status).toBe(404)
        expect(await answer.json()).toMatchObject({
          error: { code: -32001, data: { weir: 'session_unknown' } },
        })
      }
      await client.terminate()
      await client.close()
      // A server may say 400 for a session it has ended (seen: server-everything).
      if (path !== '/mcp') expect([400, 404]).toContain((await ask('alice-key')).status)
    })
})

describe('other servers', () => {
  test('files and memory under the roof: reads, writes, and the arguments stay private', async () => {
    const tag = tagOf()
    const client = await connect('sdk v1', { url: `${weir.url}/mcp`, key: 'alice-key', tag })
    try {
      expect(
        texts(await client.call('files_read_text_file', { path: join(folder.path, 'docs', 'hello.txt') })),
      ).toBe('hello from a file')
      expect((await client.call('files_read_text_file', { path: '/etc/passwd' })).isError).toBe(true)
      await client.call('memory_create_entities', {
        entities: [{ name: 'Weir', entityType: 'proxy', observations: ['canary-4711'] }],
      })
      expect(texts(await client.call('memory_read_graph'))).toContain('canary-4711')
    } finally {
      await client.close()
    }
    const rows = await weir.events(`agent = '${tag}' AND method = 'tools/call'`, 4)
    expect(rows.map((r) => [r.server, r.tool, r.outcome])).toEqual([
      ['files', 'read_text_file', 'ok'],
      ['files', 'read_text_file', 'tool_error'],
      ['memory', 'create_entities', 'ok'],
      ['memory', 'read_graph', 'ok'],
    ])
    expect(JSON.stringify(rows)).not.toContain('canary-4711')
  })
})
