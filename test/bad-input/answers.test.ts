/**
 * Odd answers of servers: event streams cut anywhere, with any line ends, wrong content types. A client over HTTP gets the
 * bytes as they came, one over a line the messages in them, and the event says what became of the call.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Observed, startObserved } from '../e2e/support/observed.ts'
import {
  chunked,
  exchange,
  post,
  type RawServer,
  type Recorded,
  sized,
  startRawServer,
} from '../e2e/support/raw.ts'
import { isAlive } from '../support/processes.ts'
import { waitFor } from '../support/wait.ts'
import { openLine } from './support/lines.ts'
import { idOf } from './support/reading.ts'

const PATH = '/servers/raw/mcp'
const SSE = 'text/event-stream'
const JSON_TYPE = 'application/json'
const note = (text: string): string =>
  JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: text } })
const answer = (text = 'é😀'): string =>
  JSON.stringify({ jsonrpc: '2.0', id: 7, result: { content: [{ type: 'text', text }] } })

/** A note and the answer, with these bytes at the end of a line and of a frame. */
const stream = (line: string, blank: string): string =>
  [note('one'), answer()].map((data) => `event: message${line}data: ${data}${line}${blank}`).join('')
const bytewise = (text: string | Buffer): Buffer[] => [...Buffer.from(text)].map((byte) => Buffer.of(byte))

const ENDS = { LF: '\n', CRLF: '\r\n', CR: '\r' }
const HUGE = 'x'.repeat(1_500_000)
/** Streams with one note and one answer. */
const STREAMS: Record<string, string | Buffer> = {
  ...Object.fromEntries(
    Object.entries(ENDS).flatMap(([line, a]) =>
      Object.entries(ENDS)
        // A CR and a LF are one end, not two.
        .filter(([, b]) => a + b !== '\r\n')
        .map(([blank, b]) => [`lines end in ${line}, frames in ${blank}`, stream(a, b)]),
    ),
  ),
  'a mark of byte order first': `\ufeff${stream('\n', '\n')}`,
  'comments and unknown fields': `: here\n\nretry: 5\n\nfoo: bar\n\n:\n\n${stream('\n', '\n')}: bye\n\n`,
  'an answer over several lines': `data: ${note('one')}\n\ndata: {"jsonrpc":"2.0",\ndata:"id":7,\ndata: "result":{}}\n\n`,
  'no last blank line': stream('\n', '\n').slice(0, -1),
  'a huge note': `data: ${note(HUGE)}\r\n\r\ndata: ${answer()}\r\n\r\n`,
  'a huge answer': `data: ${note('one')}\n\nevent: message\ndata: ${answer(HUGE)}\n\n`,
}

const json = (body: string | Buffer, type = JSON_TYPE, status = '200 OK'): Recorded =>
  sized(status, type, body)
/** Answers that are none, or not what they say. */
const ODD: Record<string, { answer: Recorded; outcome: string }> = {
  'HTML that says it is': { answer: json('<html>', 'text/html'), outcome: 'upstream_error' },
  'an answer that says it is HTML': { answer: json(answer(), 'text/html'), outcome: 'upstream_error' },
  'an answer without a type': {
    answer: {
      pieces: [`HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(answer())}\r\n\r\n`, answer()],
    },
    outcome: 'upstream_error',
  },
  'a stream that says it is JSON': { answer: json(stream('\n', '\n')), outcome: 'upstream_error' },
  'JSON that says it is a stream': { answer: json(answer(), SSE), outcome: 'upstream_error' },
  'nothing at all': { answer: json(''), outcome: 'upstream_error' },
  'accepted, and no answer': { answer: json('', 'text/plain', '202 Accepted'), outcome: 'upstream_error' },
  'zero bytes': { answer: json(Buffer.alloc(64)), outcome: 'upstream_error' },
  'half an answer': { answer: json(answer().slice(0, -3)), outcome: 'upstream_error' },
  'brackets of great depth': { answer: json('['.repeat(10_000)), outcome: 'upstream_error' },
  'an answer of great depth': {
    answer: json(
      `{"jsonrpc":"2.0","id":7,"result":{"deep":${'{"0":'.repeat(100_000)}1${'}'.repeat(100_000)}}}`,
    ),
    outcome: 'ok',
  },
  'an id of great depth': {
    answer: json(`{"jsonrpc":"2.0","id":${'{"0":'.repeat(100_000)}1${'}'.repeat(100_000)},"result":{}}`),
    outcome: 'ok',
  },
}

const request = (name: string): string =>
  JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name } })

let server: RawServer
let weir: Observed
let pids: number[]
const answers = new Map<string, Recorded>()

beforeAll(async () => {
  server = await startRawServer((_name, { body }) => {
    const name = (JSON.parse(body.toString()) as { params?: { name?: string } }).params?.name ?? ''
    return answers.get(name) ?? sized('202 Accepted', 'text/plain', '')
  })
  weir = await startObserved({ servers: { raw: { url: `http://127.0.0.1:${server.port}/` } } })
  pids = weir.weir.allPids()
})
afterAll(async () => {
  await weir?.stop()
  await server?.close()
})

let count = 0
/** Has the server answer like this to a call of its own name. */
function prepared(recorded: Recorded): string {
  const name = `case-${count++}`
  answers.set(name, recorded)
  return name
}
/** What the event of a case must say: looked at when all are there. */
const wanted = new Map<string, object>()

describe('event streams', () => {
  for (const [name, text] of Object.entries(STREAMS))
    test.each(['whole', 'in pieces'])(`${name}, %s`, async (how) => {
      const bytes = Buffer.from(text)
      const isHuge = bytes.length > 100_000
      const pieces =
        how === 'whole'
          ? [bytes]
          : isHuge
            ? Array.from({ length: Math.ceil(bytes.length / 50_001) }, (_, i) =>
                bytes.subarray(i * 50_001, (i + 1) * 50_001),
              )
            : bytewise(bytes)
      const recorded = chunked('200 OK', SSE, pieces)
      const plain = prepared(recorded)
      const got = await exchange(weir.port, [post(PATH, weir.port, request(plain))])
      expect(got.body.equals(bytes), 'byte by byte').toBe(true)
      wanted.set(plain, { outcome: 'ok', stream_messages: 1 })

      const over = prepared(recorded)
      const line = await openLine('websocket', { port: weir.port, path: PATH, agent: over })
      await line.say(request(over))
      await waitFor('note and answer', () => line.heard.length >= 2)
      expect(line.heard.map(idOf)).toEqual([undefined, '7'])
      expect(JSON.parse(line.heard[0]!)).toMatchObject({ method: 'notifications/message' })
      wanted.set(over, { outcome: 'ok' })
      await line.close()
    })
})

describe('answers that are not what they say', () => {
  for (const [name, { answer: recorded, outcome }] of Object.entries(ODD))
    test(name, async () => {
      const plain = prepared(recorded)
      const got = await exchange(weir.port, [post(PATH, weir.port, request(plain))])
      expect(got.body.equals(Buffer.concat(recorded.pieces.slice(1).map((p) => Buffer.from(p))))).toBe(true)
      wanted.set(plain, { outcome })

      // Over a line there is no status to read: each request is answered, if only by an error.
      const over = prepared(recorded)
      const line = await openLine('websocket', { port: weir.port, path: PATH, agent: over })
      await line.say(request(over))
      expect(idOf(await waitFor('an answer', () => line.heard.at(-1)))).toBe('7')
      wanted.set(over, { outcome })
      await line.close()
    })
})

test('each call left one event that says what became of it', async () => {
  const rows = await weir.events("tool LIKE 'case-%'", wanted.size)
  expect(rows.map((row) => row.tool).sort()).toEqual([...wanted.keys()].sort())
  for (const row of rows) expect(row).toMatchObject(wanted.get(row.tool)!)
})

test('no process has died, and none was started anew', () => {
  expect(weir.weir.allPids()).toEqual(pids)
  expect(pids.every(isAlive)).toBe(true)
  expect(weir.weir.output).not.toMatch(/internal error/)
})
