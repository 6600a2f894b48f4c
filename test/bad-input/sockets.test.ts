/**
 * Clients that misuse their connection: too much, too slow, half closed, all at once, not what was agreed. None costs
 * others anything: the processes live, memory stays bounded, each call leaves one event.
 */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Observed, startObserved } from '../e2e/support/observed.ts'
import { exchange, post } from '../e2e/support/raw.ts'
import { initialize, open, send, toolCall } from '../support/client.ts'
import { isAlive, memoryOf } from '../support/processes.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'
import { openLine } from './support/lines.ts'
import { idOf } from './support/reading.ts'

const PATH = '/servers/stub/mcp'
const MB = 2 ** 20
const BODY_MAX = MB
const LARGE = 100 * MB
/** Far below what would be held if something were held whole, far above what noise makes. */
const GROWTH_MAX = 64 * MB
/** A line hands over whole messages, of at most 64 MB: it may hold one in a few forms while it goes out. */
const LINE_GROWTH_MAX = 400 * MB
const LORIS = 50

let stub: UpstreamStub
let weir: Observed
let pids: number[]
const loris: { socket: Socket; isClosed: boolean; text: string }[] = []

const raw = (): { socket: Socket; isClosed: boolean; text: string } => {
  const one = {
    socket: connect({ port: weir.port, host: '127.0.0.1', allowHalfOpen: true }),
    isClosed: false,
    text: '',
  }
  one.socket.on('data', (chunk) => {
    one.text += chunk.toString('latin1')
  })
  one.socket.on('error', () => {})
  one.socket.on('end', () => {
    one.isClosed = true
    one.socket.end()
  })
  one.socket.on('close', () => {
    one.isClosed = true
  })
  return one
}
const head = (length: string, path = PATH): string =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n${length}\r\n\r\n`
const peak = (): number => Math.max(...weir.weir.pids('worker').map((pid) => memoryOf(pid).rss_bytes))
const eventsSoFar = async (): Promise<number> => {
  await weir.settled()
  return (await weir.events('1', 0)).length
}

/** Highest memory of the worker while `act` runs, above what it was before. */
async function growthIn(act: () => Promise<void>): Promise<number> {
  const before = peak()
  let highest = before
  const watch = setInterval(() => {
    highest = Math.max(highest, peak())
  }, 10)
  try {
    await act()
  } finally {
    clearInterval(watch)
  }
  return highest - before
}

beforeAll(async () => {
  stub = await startUpstream()
  weir = await startObserved({ servers: { stub: { url: stub.url } }, http: { body_max_bytes: BODY_MAX } })
  pids = weir.weir.allPids()
  // They drip all the while, half of them heads, half bodies; the last test looks what became of them.
  for (let i = 0; i < LORIS; i++) {
    const one = raw()
    one.socket.write(i % 2 === 0 ? `POST ${PATH} HTTP/1.1\r\nHost: loc` : head('Content-Length: 1000'))
    loris.push(one)
  }
  // A first call warms what is made once.
  await send(weir.url + PATH, toolCall('warm', 'download', { bytes: 5 * MB }))
})
afterAll(async () => {
  for (const { socket } of loris) socket.destroy()
  await weir?.stop()
  await stub?.end()
})

describe('bodies of 100 MB', () => {
  test.each([
    ['announced', `Content-Length: ${LARGE}`],
    ['announced, asking first', `Content-Length: ${LARGE}\r\nExpect: 100-continue`],
    ['in chunks', 'Transfer-Encoding: chunked'],
  ])('%s: 413 before it is sent, and no memory', async (_name, length) => {
    const earlier = await eventsSoFar()
    let sent = 0
    const growth = await growthIn(async () => {
      const one = raw()
      one.socket.write(head(length))
      const piece = Buffer.alloc(65_536, 120)
      const framed = Buffer.concat([Buffer.from('10000\r\n'), piece, Buffer.from('\r\n')])
      while (!/HTTP\/1.1 [45]/.test(one.text) && !one.isClosed && sent < LARGE) {
        const isTaken = one.socket.write(length.startsWith('Transfer') ? framed : piece)
        sent += piece.length
        if (!isTaken) await new Promise((resolve) => setTimeout(resolve, 1))
      }
      await waitFor('the refusal', () => /HTTP\/1.1 413/.test(one.text))
      expect(one.text).toContain('"code":10413')
      one.socket.destroy()
    })
    expect(sent, 'refused before it was sent').toBeLessThan(LARGE)
    expect(growth).toBeLessThan(GROWTH_MAX)
    const rows = (await weir.events('1', earlier + 1)).slice(earlier)
    expect(rows.map((r) => r.error_type)).toEqual(['payload_too_large'])
  })

  test('over HTTP+SSE: 413; over WebSocket: the connection ends; an event each', async () => {
    const earlier = await eventsSoFar()
    const stream = await open(`${weir.url}/servers/stub/sse`)
    const path = await waitFor('the endpoint is named', () => /\ndata: (\S+)\n/.exec(stream.text())?.[1])
    const refused = await exchange(weir.port, [head(`Content-Length: ${LARGE}`, path)])
    expect(refused.status).toBe(413)
    stream.close()
    const line = await openLine('websocket', { port: weir.port, path: PATH, agent: 'large' })
    const growth = await growthIn(async () => {
      await line.say(Buffer.alloc(LARGE, 120))
      await waitFor('the connection ends', () => !line.isOpen)
    })
    expect(growth).toBeLessThan(GROWTH_MAX)
    const rows = (await weir.events('1', earlier + 2)).slice(earlier)
    const refusal = {
      kind: 'unreadable',
      outcome: 'invalid',
      error_type: 'payload_too_large',
      endpoint: PATH,
    }
    expect(rows).toEqual([
      expect.objectContaining({ ...refusal, transport: 'sse', http_status: 413 }),
      expect.objectContaining({ ...refusal, transport: 'websocket', http_status: 413 }),
    ])
  })
})

describe('answers of 100 MB', () => {
  test.each(['download', 'sse_large', 'sse_flood'])('%s: streamed through', async (tool) => {
    const id = `large-${tool}`
    let bytes = 0
    const growth = await growthIn(async () => {
      const { res } = await open(weir.url + PATH, {
        method: 'POST',
        body: toolCall(id, tool, { bytes: LARGE }),
        isPaused: true,
      })
      for await (const chunk of res) bytes += (chunk as Buffer).length
    })
    expect(bytes).toBeGreaterThanOrEqual(LARGE * 0.99)
    expect(growth).toBeLessThan(GROWTH_MAX)
    const rows = await weir.events(`request_id = '${id}'`)
    expect(rows.map((r) => r.outcome)).toEqual(['ok'])
  })

  test.each([
    ['websocket', 'download'],
    ['websocket', 'sse_large'],
    ['sse', 'download'],
  ] as const)('over %s, %s: more than a line takes is an error, and the line lives on', async (way, tool) => {
    const line = await openLine(way, { port: weir.port, path: PATH, agent: 'long' })
    const growth = await growthIn(async () => {
      await line.say(JSON.stringify(toolCall('long', tool, { bytes: LARGE })))
      const text = await waitFor('an answer', () => line.heard[0])
      expect(JSON.parse(text)).toMatchObject({
        id: 'long',
        error: { message: expect.stringContaining('larger than') },
      })
    })
    expect(growth).toBeLessThan(LINE_GROWTH_MAX)
    await line.say(JSON.stringify(toolCall('after', 'echo')))
    expect(idOf(await waitFor('the next answer', () => line.heard[1]))).toBe('"after"')
    await line.close()
  })
})

describe('connections', () => {
  test('requests in one breath are answered in order, the bad ones too', async () => {
    const one = raw()
    const earlier = await eventsSoFar()
    const bodies = Array.from({ length: 20 }, (_, i) =>
      i % 5 === 4 ? '{"jsonrpc":' : JSON.stringify(toolCall(`pipe-${i}`, 'echo', { text: `t${i}` })),
    )
    one.socket.write(Buffer.concat(bodies.map((body) => post(PATH, weir.port, body))))
    await waitFor('all are answered', () => (one.text.match(/HTTP\/1.1 \d+/g)?.length ?? 0) === 20)
    const seen = [...one.text.matchAll(/"id":("pipe-\d+"|null)/g)].map((m) => m[1])
    expect(seen).toEqual(bodies.map((_, i) => (i % 5 === 4 ? 'null' : `"pipe-${i}"`)))
    one.socket.destroy()
    expect((await weir.events('1', earlier + 20)).length).toBe(earlier + 20)
  })

  test('a client that closes its half has left: that is how one sees that it has', async () => {
    const one = raw()
    one.socket.end(post(PATH, weir.port, JSON.stringify(toolCall('half', 'never'))))
    await waitFor('it is let go', () => one.isClosed)
    expect(one.text).toBe('')
    expect((await weir.events("request_id = 'half'")).map((r) => [r.outcome, r.error_type])).toEqual([
      ['cancelled', 'client_gone'],
    ])
  })

  test('uploads that are broken off leave one event each, and nothing behind', async () => {
    const earlier = await eventsSoFar()
    const growth = await growthIn(async () => {
      for (let wave = 0; wave < 5; wave++) {
        const wild = Array.from({ length: 20 }, raw)
        for (const one of wild)
          one.socket.write(
            Buffer.concat([Buffer.from(head('Content-Length: 1000000')), Buffer.alloc(500_000, 32)]),
          )
        await waitFor('they are open', async () => (await weir.weir.metric('weir_calls_open')) >= 20)
        for (const one of wild) one.socket.resetAndDestroy()
        // The dripping bodies stay open, as long as they are let.
        await waitFor('they are gone', async () => (await weir.weir.metric('weir_calls_open')) <= LORIS / 2)
      }
    })
    expect(growth).toBeLessThan(2 * GROWTH_MAX)
    const rows = (await weir.events('1', earlier + 100)).slice(earlier)
    const seen = Object.entries(Object.groupBy(rows, (r) => `${r.outcome} ${r.error_type}`))
    // One or the other of those that drip may end meanwhile.
    expect(seen.map(([what, list]) => [what, list!.length >= 100])).toEqual([['cancelled client_gone', true]])
  })

  test('frames that break the rules of WebSocket end their connection and no other', async () => {
    const frames: Record<string, Buffer> = {
      'not masked': Buffer.from([0x81, 2, 0x7b, 0x7d]),
      'a reserved opcode': Buffer.from([0x83, 0x80, 0, 0, 0, 0]),
      'a reserved bit': Buffer.from([0xc1, 0x80, 0, 0, 0, 0]),
      'a ping in pieces': Buffer.from([0x09, 0x80, 0, 0, 0, 0]),
      'a continuation of nothing': Buffer.from([0x80, 0x80, 0, 0, 0, 0]),
      'a length beyond all': Buffer.from([0x81, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0]),
      noise: randomBytes(4096),
    }
    const other = await openLine('websocket', { port: weir.port, path: PATH, agent: 'other' })
    for (const [name, bytes] of Object.entries(frames)) {
      const one = raw()
      one.socket.write(
        `GET ${PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mcp\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
      )
      await waitFor('it is open', () => one.text.includes('HTTP/1.1 101'))
      one.socket.write(bytes)
      await waitFor(`it ends: ${name}`, () => one.isClosed)
      one.socket.destroy()
    }
    await other.say(JSON.stringify(initialize('still-here')))
    expect(idOf(await waitFor('an answer', () => other.heard[0]))).toBe('"still-here"')
    await other.close()
  })
})

test('those that drip are let go, and each that had begun a call left its event', async () => {
  // Node gives a head 15 s and a request 30 s, and looks twice a minute.
  await waitFor('all are closed', () => loris.every((one) => one.isClosed), 120_000)
  for (const { text } of loris) expect(text).toMatch(/^(HTTP\/1\.1 408 |$)/)
  await waitFor('no call is left open', async () => (await weir.weir.metric('weir_calls_open')) === 0)
  expect(weir.weir.allPids()).toEqual(pids)
  expect(pids.every(isAlive)).toBe(true)
  expect(weir.weir.output).not.toMatch(/internal error/)
}, 150_000)
