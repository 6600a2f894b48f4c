/**
 * Validation on a real installation, with real servers of both eras over HTTP and stdio and the SDK's clients: what does not
 * fit comes back as something a model can read, wherever the client calls and however it speaks, and never reaches the server.
 */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { initialize, send, toolCall } from '../support/client.ts'
import { waitFor } from '../support/wait.ts'
import { connect, type Kind, type Result } from './support/clients.ts'
import { freePort, type Peer, startPeer } from './support/go-server.ts'
import { type Observed, ROOT, startObserved } from './support/observed.ts'

const SERVER = join(ROOT, 'test/e2e/support/typed-server.ts')
const SECRET = 'canary-hunter2-argument'
let http: Peer
let weir: Observed
let count = 0
const tagOf = (): string => `valid${count++}`

const configOf = (validation: object): Record<string, unknown> => ({
  servers: {
    web: { url: http.url },
    io: { command: [process.execPath, SERVER] },
    free: { url: http.url },
  },
  validation: { servers: ['web', 'io'], ...validation },
})

beforeAll(async () => {
  const port = await freePort()
  http = await startPeer(process.execPath, [SERVER, String(port)], port, '/mcp')
  weir = await startObserved(configOf({ arguments: 'enforce', results: 'enforce' }))
})
afterAll(async () => {
  await weir?.stop()
  await http?.stop()
})

const textOf = (result: Result): string => (result.content as { text: string }[])[0]!.text
/** How many calls have reached the server. */
const reached = (text: string): number => Number(/is call (\d+)/.exec(text)?.[1])

const PLACES = [
  { path: '/servers/web/mcp', prefix: '' },
  { path: '/servers/io/mcp', prefix: '' },
  { path: '/mcp', prefix: 'web_' },
  { path: '/mcp', prefix: 'io_' },
]
/** Ends as the same request to the worker wherever it goes: all of them for one server at each kind of endpoint. */
const KINDS: Kind[] = ['sdk v1', 'sdk v2', 'sdk v2 auto', 'connect', 'websocket', 'sse']
const FEW: Kind[] = ['sdk v1', 'sdk v2 auto']

describe.each(PLACES)('$prefix at $path', ({ path, prefix }) => {
  test.each(path === '/servers/io/mcp' || prefix === 'web_' ? KINDS : FEW)(
    '%s: invalid arguments come back for the model to correct',
    async (kind) => {
      const tag = tagOf()
      const client = await connect(kind, { url: weir.url + path, tag })
      const note = async (): Promise<number> =>
        reached(textOf(await client.call(`${prefix}note`, { text: 'x' })))
      const before = await note()
      const refused = await client.call(`${prefix}transfer`, { to: SECRET, amount: -5 })
      expect(refused.isError).toBe(true)
      expect(textOf(refused)).toBe(
        'The arguments do not fit the input schema of the tool:\n' +
          '- /to: must match the pattern "^[A-Z]{2}[0-9]{2,30}$"\n' +
          '- /amount: must be > 0\n' +
          'Correct this and call the tool again.',
      )
      const corrected = await client.call(`${prefix}transfer`, { to: 'DE89', amount: 5 })
      expect(corrected.isError).toBeFalsy()
      expect(await note()).toBeGreaterThanOrEqual(before + 2)
      await client.close()
      const rows = await weir.events(`agent = '${tag}' AND tool = 'transfer'`, 2)
      expect(rows.map((r) => [r.outcome, r.owner, r.error_type, r.attempts])).toEqual([
        ['invalid', 'client', 'arguments_invalid', 0],
        ['ok', 'none', '', 1],
      ])
      expect(rows[0]).toMatchObject({
        decision: 'invalid',
        decision_rule: 'validation.arguments',
        decision_reason: '/to: pattern, /amount: exclusiveMinimum',
      })
      expect(JSON.stringify(rows)).not.toContain(SECRET)
    },
  )

  test('a result that does not fit its output schema is replaced, and one that fits is not touched', async () => {
    const tag = tagOf()
    const client = await connect('sdk v2', { url: weir.url + path, tag })
    const ask = (args: Result): Promise<Result> => client.call(`${prefix}balance`, args)
    const good = await ask({ answer: { balance: 5, currency: 'EUR', more: [1] } })
    expect(good).toMatchObject({ structuredContent: { balance: 5, currency: 'EUR', more: [1] } })
    const bad = await ask({ answer: { balance: SECRET } })
    expect(bad.isError).toBe(true)
    expect(textOf(bad)).toContain('- /balance: must be number')
    expect(JSON.stringify(bad)).not.toContain(SECRET)
    const missing = await ask({})
    expect(textOf(missing)).toContain('structuredContent is required')
    // A failure of the tool is a failure of the tool.
    expect(textOf(await ask({ fails: true }))).toMatch(/^balance is call/)
    await client.close()
    const rows = await weir.events(`agent = '${tag}' AND tool = 'balance'`, 4)
    expect(rows.map((r) => [r.outcome, r.owner, r.error_type])).toEqual([
      ['ok', 'none', ''],
      ['upstream_error', 'upstream', 'result_invalid'],
      ['upstream_error', 'upstream', 'result_invalid'],
      ['tool_error', 'upstream', 'tool_error'],
    ])
    expect(rows[1]).toMatchObject({ decision: 'invalid', decision_rule: 'validation.results' })
    expect(JSON.stringify(rows[1])).not.toContain(SECRET)
  })
})

describe('getting past it', () => {
  const url = (server: string): string => `${weir.url}/servers/${server}/mcp`
  const invalid = { amount: 1 }

  async function session(server: string, version = '2025-06-18'): Promise<Record<string, string>> {
    const opening = initialize('init') as { params: { protocolVersion: string } }
    opening.params.protocolVersion = version
    const opened = await send(url(server), opening)
    const id = opened.headers['mcp-session-id']
    const headers = { 'mcp-protocol-version': version, ...(id ? { 'mcp-session-id': String(id) } : {}) }
    await send(url(server), { jsonrpc: '2.0', method: 'notifications/initialized' }, { headers })
    return headers
  }

  test('a tools/call without an id, a batch, an older revision and a claimed one are judged too', async () => {
    const headers = await session('io', '2025-03-26')
    const notification = {
      jsonrpc: '2.0',
      method: 'tools/call',
      params: { name: 'transfer', arguments: invalid },
    }
    const refused = await send(url('io'), notification, { headers })
    expect(refused.text).toContain('message_ambiguous')
    const batch = await send(
      url('io'),
      [toolCall('a', 'transfer', invalid), toolCall('b', 'transfer', invalid)],
      {
        headers,
      },
    )
    expect(batch.text.match(/"isError":true/g)).toHaveLength(2)
    for (const version of ['2024-11-05', '2025-11-25', '1999-01-01'])
      expect(
        (
          await send(url('io'), toolCall(`v${version}`, 'transfer', invalid), {
            headers: { ...headers, 'mcp-protocol-version': version },
          })
        ).text,
        version,
      ).not.toMatch(/is call/)
  })

  test('an argument that is there twice is not judged as one and obeyed as the other', async () => {
    const headers = await session('io')
    const twice =
      '{"jsonrpc":"2.0","id":"twice","method":"tools/call","params":{"name":"transfer","arguments":{"to":"DE89","amount":-1,"amount":1}}}'
    expect((await send(url('io'), twice, { headers })).message).toMatchObject({
      error: { data: { weir: 'message_ambiguous' } },
    })
  })

  test('another spelling of a name is no other tool: it is unknown', async () => {
    const headers = await session('io')
    for (const name of [
      'Transfer',
      'transfer ',
      'transfer\u0000',
      'transf\u0435r',
      '__proto__',
      'constructor',
      '',
    ])
      expect(
        (await send(url('io'), toolCall('spelled', name, invalid), { headers })).message,
        name,
      ).toMatchObject({
        error: { code: -32602, data: { weir: 'tool_unknown' } },
      })
  })

  test('arguments that are none, missing, or nested as deep as a body can be', async () => {
    const headers = await session('io')
    for (const args of [null, [], 'text', 5])
      expect(
        (await send(url('io'), toolCall('odd', 'transfer', args as never), { headers })).message?.result
          ?.isError,
      ).toBe(true)
    const missing = { jsonrpc: '2.0', id: 'm', method: 'tools/call', params: { name: 'transfer' } }
    expect((await send(url('io'), missing, { headers })).message?.result?.isError).toBe(true)
    const deep = `{"jsonrpc":"2.0","id":"deep","method":"tools/call","params":{"name":"transfer","arguments":{"to":"DE89","amount":1,"memo":${'['.repeat(100_000)}${']'.repeat(100_000)}}}}`
    expect((await send(url('io'), deep, { headers })).text).not.toMatch(/is call/)
    const huge = { to: 'DE89', amount: 1, memo: Array.from({ length: 500_000 }, (_, i) => i) }
    expect(
      (await send(url('io'), toolCall('huge', 'transfer', huge), { headers })).message?.result?.isError,
    ).toBe(true)
  })

  test('a broken session does not make the tools of others unknown', async () => {
    const bad = { 'mcp-protocol-version': '2025-06-18', accept: 'application/json' }
    await send(url('web'), toolCall('broken', 'transfer', invalid), { headers: bad })
    const headers = await session('web')
    expect(
      (await send(url('web'), toolCall('judged', 'transfer', invalid), { headers })).message?.result?.isError,
    ).toBe(true)
  })
})

test('a schema that cannot be used judges nothing, is counted, and told once', async () => {
  const client = await connect('sdk v2', { url: `${weir.url}/servers/web/mcp`, tag: tagOf() })
  expect(textOf(await client.call('odd', { x: 1 }))).toMatch(/^odd is call/)
  await client.call('odd', {})
  await client.close()
  expect(
    await weir.weir.metric('weir_validations_total', 'weir_server="web",what="arguments",result="unusable"'),
  ).toBe(2)
  const told = weir.weir.output.split('\n').filter((line) => line.includes('a schema cannot be used'))
  expect(told).toHaveLength(1)
  expect(told[0]).toContain('none.json')
})

test('a server that the patterns do not name is left alone', async () => {
  const client = await connect('sdk v2', { url: `${weir.url}/servers/free/mcp`, tag: tagOf() })
  expect(textOf(await client.call('transfer', { amount: 'much' }))).toMatch(/^transfer is call/)
  await client.close()
})

test('a schema that changes at the server holds from the next call on, without a restart', async () => {
  const client = await connect('sdk v2', { url: `${weir.url}/servers/web/mcp`, tag: tagOf() })
  expect(textOf(await client.call('note', { text: 'x' }))).toMatch(/^note is call/)
  await fetch(new URL('/_schema', http.url))
  // What the server would take now is refused by no old list.
  await waitFor('a number is taken', async () =>
    /^note is call/.test(textOf(await client.call('note', { text: 5 }))),
  )
  expect((await client.call('note', { text: 'x' })).isError).toBe(true)
  await client.close()
})

test('observe changes nothing, and says on the event what it would have refused; a reload takes it over', async () => {
  weir.weir.writeConfig(configOf({ arguments: 'observe', results: 'observe' }))
  const client = await connect('sdk v2', { url: `${weir.url}/servers/web/mcp`, tag: tagOf() })
  await waitFor('the reload has come', async () =>
    /is call/.test(textOf(await client.call('transfer', { amount: SECRET }))),
  )
  await client.call('balance', { answer: { balance: SECRET } }).catch(() => {})
  await client.call('transfer', { to: 'DE89', amount: 5 })
  await client.close()
  const rows = await weir.events(`agent = '${client.tag}' AND has(shadow, 'validation.arguments')`)
  expect(rows.at(-1)).toMatchObject({
    outcome: 'ok',
    decision: 'none',
    decision_facts: { 'validation.arguments': '/: required, /amount: type' },
  })
  const results = await weir.events(`agent = '${client.tag}' AND has(shadow, 'validation.results')`)
  expect(results).toHaveLength(1)
  expect(results[0]).toMatchObject({
    outcome: 'ok',
    decision_facts: { 'validation.results': '/balance: type' },
  })
  expect(JSON.stringify([rows, results])).not.toContain(SECRET)
  expect(
    await weir.events(`agent = '${client.tag}' AND tool = 'transfer' AND empty(shadow)`),
  ).not.toHaveLength(0)
})
