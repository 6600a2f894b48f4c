/**
 * Malformed messages over every transport a client may come by: each gets the answer JSON-RPC asks for, under its id where
 * one could be read, leaves exactly one event where a call was made, and harms nobody. requests.test.ts has the HTTP side
 * of it byte by byte; here is what all transports share, and what nobody thought of: mutations from a seed.
 */
import { isUtf8 } from 'node:buffer'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Observed, startObserved } from '../e2e/support/observed.ts'
import { type RawServer, sized, startRawServer } from '../e2e/support/raw.ts'
import { callTool, initialize, send } from '../support/client.ts'
import { isAlive } from '../support/processes.ts'
import { type Random, runSeed, seeded } from '../support/seed.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'
import { type Line, openLine, WAYS, type Way } from './support/lines.ts'
import { type Answered, idOf, read } from './support/reading.ts'

const PATH = '/servers/raw/mcp'
const DEPTH = 100_000
const VERSION = 'io.modelcontextprotocol/protocolVersion'
const nestedObjects = (levels: number): string => `${'{"0":'.repeat(levels)}1${'}'.repeat(levels)}`
const nested = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`
const modern = (method: string, more = '', version = '2026-07-28'): string =>
  `{"jsonrpc":"2.0","id":7,"method":${method},"params":{${more}"_meta":{"${VERSION}":${JSON.stringify(version)},"io.modelcontextprotocol/clientCapabilities":{}}}}`

type Case = {
  message: string | Buffer
  /** Code of the error; absent: the server answers. */
  code?: number
  /** Id of the answer as JSON text; a number is compared digit by digit. */
  id: string
  /** Outcome of its event. */
  outcome: 'ok' | 'invalid'
}
const wrong = (message: string | Buffer, code: number, id = 'null'): Case => ({
  message,
  code,
  id,
  outcome: 'invalid',
})
const fine = (message: string, id = '7'): Case => ({ message, id, outcome: 'ok' })
const LONG = 'i'.repeat(100_000)
const DIGITS = '123456789012345678901234567890'

const CASES: Record<string, Case> = {
  'half a message': wrong('{"jsonrpc":"2.0","id":7,', -32700),
  'a lone zero byte': wrong('\0', -32700),
  'a mark of byte order before a message': wrong('\ufeff{"jsonrpc":"2.0","id":7,"method":"x"}', -32700),
  'two messages in one': wrong('{"jsonrpc":"2.0","id":7,"method":"x"} {"jsonrpc":"2.0"}', -32700),
  'brackets without end': wrong('['.repeat(DEPTH), -32700),
  'a text': wrong('"initialize"', -32600),
  'a list of great depth': wrong(nested(DEPTH), -32600),
  'no jsonrpc': wrong('{"id":7,"method":"x"}', -32600, '7'),
  'a number as method': wrong('{"jsonrpc":"2.0","id":7,"method":1}', -32600, '7'),
  'no method': wrong('{"jsonrpc":"2.0","id":"7"}', -32600, '"7"'),
  'null as id': wrong('{"jsonrpc":"2.0","id":null,"method":"x"}', -32600),
  'an object as id': wrong('{"jsonrpc":"2.0","id":{"a":1},"method":"x"}', -32600),
  'a fraction as id': wrong('{"jsonrpc":"2.0","id":1.5,"method":"x"}', -32600),
  'an id of great depth': wrong(`{"jsonrpc":"2.0","id":${nested(DEPTH)},"method":"x"}`, -32600),
  'an integer of 400 digits as id': wrong(`{"jsonrpc":"2.0","id":${'9'.repeat(400)},"method":"x"}`, -32600),
  'params as a text': wrong('{"jsonrpc":"2.0","id":7,"method":"x","params":"y"}', -32602, '7'),
  'arguments of great depth': wrong(
    `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t","arguments":${nestedObjects(DEPTH)}}}`,
    -32602,
    '7',
  ),
  'a long integer as id of a bad request': wrong(
    `{"jsonrpc":"2.0","id":${DIGITS},"method":"x","params":1}`,
    -32602,
    DIGITS,
  ),
  'a long integer as id, after another id': wrong(
    `{"jsonrpc":"2.0","method":"x","result":{"id":5},"id":${DIGITS},"params":1}`,
    -32602,
    DIGITS,
  ),
  'a power of ten as id of a bad request': wrong(
    '{"jsonrpc":"2.0","id":1e30,"method":"x","params":1}',
    -32602,
    '1e30',
  ),
  'keys twice': fine('{"id":1,"jsonrpc":"1.0","method":"a","id":7,"jsonrpc":"2.0","method":"b"}'),
  'a very long id': fine(`{"jsonrpc":"2.0","id":"${LONG}","method":"x"}`, `"${LONG}"`),
  'an id of strange characters': fine(
    '{"jsonrpc":"2.0","id":"\\u0000\\ud800\\"é😀","method":"x"}',
    JSON.stringify('\u0000\ud800"é😀'),
  ),
  'an empty id': fine('{"jsonrpc":"2.0","id":"","method":"x"}', '""'),
  'a negative id': fine('{"jsonrpc":"2.0","id":-7,"method":"x"}', '-7'),
  'a long integer as id': fine(`{"jsonrpc":"2.0","id":${DIGITS},"method":"x"}`, DIGITS),
  'arguments that are a deep list': fine(
    `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t","arguments":${nested(DEPTH)}}}`,
  ),
  'params of great depth': fine(
    `{"jsonrpc":"2.0","id":7,"method":"x","params":{"deep":${nested(DEPTH)},"_meta":{"deep":${nested(DEPTH)}}}}`,
  ),
  'a list as params': fine('{"jsonrpc":"2.0","id":7,"method":"x","params":[{"_meta":1}]}'),
  'something else as _meta': fine('{"jsonrpc":"2.0","id":7,"method":"x","params":{"_meta":[null]}}'),
  'a line break in a modern method': fine(modern('"a\\r\\nb: c"')),
  'foreign letters in a modern method': fine(modern('"é😀\\u0000"')),
  'a line break in a modern version': fine(modern('"x"', '', '2026-07-28\r\nx: y')),
  'a name no header can hold': fine(modern('"tools/call"', '"name":"a\\r\\n\\u0000 é😀\\ud800 ",')),
  'whitespace around everything': fine(' \t{ "jsonrpc" : "2.0" , "id" : 7 , "method" : "x" }\t '),
}

/** The id of a message as it stands there, for an upstream that answers whatever comes. */
const rawId = (text: string): string =>
  [...text.matchAll(/"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+(?:[eE]\d+)?)/g)].at(-1)?.[1] ?? 'null'

const DISCOVERED = JSON.stringify({
  jsonrpc: '2.0',
  id: 'weir-discover',
  result: { supportedVersions: ['2026-07-28', '2025-11-25'] },
})

let server: RawServer
let stub: UpstreamStub
let weir: Observed
let pids: number[]

beforeAll(async () => {
  server = await startRawServer((_name, { body }) => {
    const text = body.toString()
    // Weir asks once which era it speaks: any.
    if (text.includes('"weir-discover"')) return sized('200 OK', 'application/json', DISCOVERED)
    const reading = read(body)
    if (reading.kind !== 'request') return sized('202 Accepted', 'text/plain', '')
    const id = JSON.parse(rawId(text)) === JSON.parse(reading.id) ? rawId(text) : reading.id
    return sized(
      '200 OK',
      'application/json',
      `{"jsonrpc":"2.0","id":${id},"result":{"size":${text.length}}}`,
    )
  })
  stub = await startUpstream()
  weir = await startObserved({
    servers: { raw: { url: `http://127.0.0.1:${server.port}/` }, stub: { url: stub.url } },
    http: { body_max_bytes: 1_000_000 },
    // What is kept is masked first: all of it has to survive that, too.
    capture: { keep: [{ tools: '*', arguments: true, results: true }] },
  })
  pids = weir.weir.allPids()
})
afterAll(async () => {
  await weir?.stop()
  await stub?.end()
  await server?.close()
})

/** What cannot be read has no label to be found by: the tests of this file count one after the other. */
const eventsSoFar = async (): Promise<number> => {
  await weir.settled()
  return (await weir.events('1', 0)).length
}

async function allAreWell(): Promise<void> {
  expect(weir.weir.allPids()).toEqual(pids)
  expect(pids.every(isAlive)).toBe(true)
  expect(weir.weir.output).not.toMatch(/internal error/)
  await waitFor('no call is left open', async () => (await weir.weir.metric('weir_calls_open')) === 0)
}

describe.each(WAYS)('over %s', (way) => {
  let line: Line
  const agent = `table-${way}`
  const done: Case[] = []
  let earlier = 0
  beforeAll(async () => {
    earlier = await eventsSoFar()
    line = await openLine(way, { port: weir.port, path: PATH, agent })
  })
  afterAll(() => line?.close())

  for (const [name, one] of Object.entries(CASES))
    test(name, async () => {
      const before = line.heard.length
      done.push(one)
      await line.say(one.message)
      const text = await waitFor('an answer', () => line.heard[before], 10_000)
      const answer = JSON.parse(text) as Answered
      expect({ code: answer.error?.code, isResult: answer.result !== undefined }).toEqual({
        code: one.code,
        isResult: one.code === undefined,
      })
      if (answer.error) expect(answer.error.message).toBeTypeOf('string')
      expect(JSON.stringify(answer.id)).toBe(JSON.stringify(JSON.parse(one.id)))
      if (/^\d{20,}$/.test(one.id)) expect(text).toMatch(new RegExp(`"id":\\s*${one.id}\\b`))
      expect(line.heard.length, 'one answer').toBe(before + 1)
    })

  test('each left one event, in order', async () => {
    const rows = (await weir.events('1', earlier + done.length)).slice(earlier)
    expect(rows.map((r) => r.outcome)).toEqual(done.map((d) => d.outcome))
    await allAreWell()
  })

  test('a character cut in pieces stays one', async () => {
    const before = line.heard.length
    const text = '{"jsonrpc":"2.0","id":"é😀","method":"cut","params":{"text":"ü€😀"}}'
    const bytes = Buffer.from(text)
    await line.inPieces([...bytes].map((byte) => Buffer.of(byte)))
    expect(idOf(await waitFor('an answer', () => line.heard[before]))).toBe('"é😀"')
    const arrived = [...server.seen.values()].flat().map((r) => r.body.toString())
    expect(arrived.some((body) => body.includes('"method":"cut"') && body.includes('"ü€😀"'))).toBe(true)
  })

  test('calls under one id at once each get their own answer', async () => {
    const own = await openLine(way, { port: weir.port, path: '/servers/stub/mcp', agent: `twice-${way}` })
    const said = ['a', 'b', 'c', 'd'].map((text) =>
      own.say(
        `{"jsonrpc":"2.0","id":"same","method":"tools/call","params":{"name":"held","arguments":{"text":"${text}"}}}`,
      ),
    )
    await waitFor('all are with the server', async () => (await stub.seen()).held === 4)
    await stub.release()
    await Promise.all(said)
    await waitFor('all are answered', () => own.heard.length === 4)
    const texts = own.heard.map((text) => /"text":"(.)"/.exec(text)?.[1])
    expect(texts.sort()).toEqual(['a', 'b', 'c', 'd'])
    expect(own.heard.every((text) => idOf(text) === '"same"')).toBe(true)
    expect((await weir.events(`agent = 'twice-${way}'`, 4)).map((r) => r.outcome)).toEqual(
      Array(4).fill('ok'),
    )
    await own.close()
  })
})

test('what is not UTF-8 is no message', async () => {
  const bytes = Buffer.concat([
    Buffer.from('{"jsonrpc":"2.0","id":7,"method":"'),
    Buffer.of(0xc3, 0x28),
    Buffer.from('"}'),
  ])
  for (const way of ['http', 'sse'] as const) {
    const earlier = await eventsSoFar()
    const line = await openLine(way, { port: weir.port, path: PATH, agent: `utf8-${way}` })
    await line.say(bytes)
    const answer = JSON.parse(await waitFor(`an answer over ${way}`, () => line.heard[0])) as Answered
    expect([answer.id, answer.error?.code]).toEqual([null, -32700])
    expect((await weir.events('1', earlier + 1)).at(-1)).toMatchObject({ outcome: 'invalid', transport: way })
    await line.close()
  }
  // The protocol of WebSocket has an answer of its own: the connection is over.
  const socket = await openLine('websocket', { port: weir.port, path: PATH, agent: 'utf8-websocket' })
  await socket.say(bytes)
  await waitFor('the connection ends', () => !socket.isOpen)
  await allAreWell()
})

describe('mutations of valid messages', () => {
  const seed = runSeed('fuzz')
  const SAMPLES = [
    JSON.stringify(initialize('i-1')),
    '{"jsonrpc":"2.0","method":"notifications/initialized"}',
    '{"jsonrpc":"2.0","id":12,"method":"tools/list","params":{"cursor":"abc"}}',
    '{"jsonrpc":"2.0","id":"t","method":"tools/call","params":{"name":"echo","arguments":{"text":"hé 😀","n":[1,2.5,null,true]}}}',
    '{"jsonrpc":"2.0","id":13,"method":"resources/read","params":{"uri":"file:///a/b?c=d#e"}}',
    '{"jsonrpc":"2.0","id":14,"method":"prompts/get","params":{"name":"p","arguments":{"a":"b"},"_meta":{"progressToken":1,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}',
    '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":12,"reason":"x"}}',
    '{"jsonrpc":"2.0","id":15,"result":{"roots":[]}}',
    modern('"tools/call"', '"name":"echo","arguments":{"a":1},'),
    modern('"server/discover"'),
    modern('"subscriptions/wait"', '"notifications":{"toolsListChanged":true},'),
  ]
  const WORDS = [
    'null',
    '{}',
    '[]',
    '""',
    '-1',
    '1e400',
    '"\\ud800"',
    '"__proto__"',
    ',',
    ':',
    '"',
    '\\',
    '{',
    ']',
    '\0',
    '\ufeff',
    'é',
    '😀',
  ]

  function mutate(random: Random): Buffer {
    let bytes = Buffer.from(random.pick(SAMPLES))
    for (let n = 1 + random.int(3); n > 0; n--) {
      const at = random.int(bytes.length + 1)
      const to = Math.min(bytes.length, at + 1 + random.int(12))
      const middle = [
        () => Buffer.alloc(0),
        () => Buffer.from(random.pick(WORDS)),
        () => Buffer.of(random.int(256)),
        () => Buffer.concat([bytes.subarray(at, to), bytes.subarray(at, to)]),
        () => Buffer.from(random.pick(SAMPLES)).subarray(0, random.int(40)),
      ]
      bytes = Buffer.concat([bytes.subarray(0, at), random.pick(middle)(), bytes.subarray(to)])
    }
    // One message a line, where there are lines; and what WebSocket itself refuses is tested above.
    return bytes.filter((byte) => byte !== 10 && byte !== 13) as Buffer
  }

  test.each([
    ['http', 400],
    ['websocket', 250],
    ['sse', 150],
    ['connect', 150],
  ] as const)('over %s, %i of them', async (way: Way, count: number) => {
    const random = seeded(seed)
    const agent = `mutated-${way}`
    const earlier = await eventsSoFar()
    let line = await openLine(way, { port: weir.port, path: PATH, agent })
    let calls = 0
    for (let i = 0; i < count; i++) {
      const message = Buffer.from(mutate(random))
      const reading = read(message)
      const isBad = reading.kind === 'unreadable' && !isUtf8(message)
      if (isBad && way !== 'http' && way !== 'sse') continue
      const before = line.heard.length
      await line.say(message)
      const shown = `WEIR_SEED=${seed}, ${i}: ${JSON.stringify(message.toString('latin1'))}`
      if (way !== 'http' && reading.kind === 'blank') continue
      if (reading.kind !== 'response') calls++
      if (reading.kind === 'notification' || reading.kind === 'response') continue
      const wanted =
        reading.kind === 'request' ? reading.id : reading.kind === 'invalid' ? (reading.id ?? 'null') : 'null'
      const text = await waitFor(`an answer: ${shown}`, () => line.heard[before], 10_000)
      expect(idOf(text), shown).toBe(wanted)
      // An error that was answered under a false session may have ended the line; then there is a new one.
      if (!line.isOpen) line = await openLine(way, { port: weir.port, path: PATH, agent })
    }
    expect((await weir.events('1', earlier + calls)).length - earlier).toBe(calls)
    await line.close()
    await allAreWell()
  })

  test('under the roof, within a session', async () => {
    const random = seeded(seed + 1)
    const hello = await send(`${weir.url}/mcp`, initialize('hello'))
    const headers = { 'mcp-session-id': String(hello.headers['mcp-session-id']) }
    await weir.events("request_id = 'hello'")
    const earlier = await eventsSoFar()
    let calls = 0
    const line = await openLine('http', { port: weir.port, path: '/mcp', agent: 'mutated-roof', headers })
    for (let i = 0; i < 200; i++) {
      const message = Buffer.from(mutate(random))
      const reading = read(message)
      const shown = `WEIR_SEED=${seed}, ${i}: ${JSON.stringify(message.toString('latin1'))}`
      await line.say(message)
      if (reading.kind !== 'response') calls++
      const id = idOf(line.heard.at(-1)!)
      if (reading.kind === 'request') expect(id, shown).toBe(reading.id)
      else if (reading.kind === 'invalid') expect(id, shown).toBe(reading.id ?? 'null')
      else if (reading.kind === 'unreadable' || reading.kind === 'blank') expect(id, shown).toBe('null')
    }
    expect((await weir.events('1', earlier + calls)).length - earlier).toBe(calls)
    await allAreWell()
  })
})

test('and everything still works', async () => {
  const answer = await callTool(`${weir.url}/servers/stub/mcp`, 'last', 'echo', { text: 'hi' })
  expect(answer.message?.result).toMatchObject({ content: [{ text: 'hi' }] })
})
