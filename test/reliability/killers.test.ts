/**
 * The known killers of a proxy on Node (reference: node-performance, section 7), each against real processes. What decides
 * is counted by the server behind, read from the kernel, or found in the store; never a time.
 */
import type { IncomingMessage } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callTool, type OpenAnswer, open, send, toolCall } from '../support/client.ts'
import { startWeir, type Weir } from '../support/installation.ts'
import { memoryOf } from '../support/processes.ts'
import { readStore, type StoreReader, waitForRows } from '../support/store-reader.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'

const MB = 1_048_576
const CONNECTIONS = 64
/** More than the kernel's buffers of both connections hold together, so that no answer is ever sent whole. */
const MORE_THAN_BUFFERED = 64 * MB
let upstream: UpstreamStub
let weir: Weir
let url: string
let store: StoreReader

beforeAll(async () => {
  upstream = await startUpstream()
  weir = await startWeir({
    config: {
      servers: { stub: { url: upstream.url, connections_max: CONNECTIONS } },
      spool: { segment_age_ms: 100 },
    },
  })
  url = `${weir.addresses.proxy}/servers/stub/mcp`
  store = readStore(weir.addresses.store)
})

afterAll(async () => {
  await store.close()
  await weir.remove()
  await upstream.end()
})

/** Resolves when the server has stopped sending: nobody takes more. Returns what it has sent. */
async function untilStalled(): Promise<number> {
  let last = -1
  let same = 0
  return waitFor('the server cannot send more', async () => {
    const { sent_bytes } = await upstream.seen()
    same = sent_bytes === last ? same + 1 : 0
    last = sent_bytes
    return same >= 20 && sent_bytes
  })
}

const outcomeOf = (
  id: string,
): Promise<{ outcome: string; error_type: string; owner: string; result_read: string }> =>
  waitFor(`the row of ${id}`, async () => {
    const [row] = await store.rows<{
      outcome: string
      error_type: string
      owner: string
      result_read: string
    }>(`SELECT outcome, error_type, owner, result_read FROM calls WHERE request_id = '${id}'`)
    return row
  })

describe('clients that leave', () => {
  for (const tool of ['download', 'sse_flood'])
    test(`two waves of ${CONNECTIONS} that leave in mid-${tool} do not empty the pool`, async () => {
      for (const wave of [1, 2]) {
        const before = await upstream.seen()
        const clients = await Promise.all(
          Array.from({ length: CONNECTIONS }, (_, i) =>
            open(url, {
              method: 'POST',
              body: toolCall(`gone-${tool}-${wave}-${i}`, tool, { bytes: MORE_THAN_BUFFERED }),
              isPaused: true,
            }),
          ),
        )
        await untilStalled()
        for (const client of clients) client.close()
        await waitFor(
          'the server was told',
          async () => (await upstream.seen()).abandoned >= before.abandoned + CONNECTIONS,
        )
      }
      const answers = await Promise.all(
        Array.from({ length: CONNECTIONS }, (_, i) => callTool(url, `after-${tool}-${i}`, 'echo')),
      )
      expect(answers.every((a) => a.isWhole && a.status === 200)).toBe(true)
      const rows = await waitFor('every client that left is a row', async () => {
        const found = await store.rows<{ outcome: string; owner: string; n: number }>(
          `SELECT outcome, owner, count() AS n FROM calls WHERE startsWith(request_id, 'gone-${tool}-') GROUP BY outcome, owner`,
        )
        return found.reduce((sum, r) => sum + Number(r.n), 0) === 2 * CONNECTIONS && found
      })
      expect(rows).toEqual([{ outcome: 'cancelled', owner: 'client', n: 2 * CONNECTIONS }])
    }, 120_000)

  test('a slow client gets every byte, and the call is ok', async () => {
    const bytes = 8 * MB
    const answer = await open(url, {
      method: 'POST',
      body: toolCall('slow-client', 'download', { bytes }),
      isPaused: true,
    })
    const whole = await readSlowly(answer.res)
    expect(whole).toBe(Number(answer.res.headers['content-length']))
    expect((await outcomeOf('slow-client')).outcome).toBe('ok')
  })
})

/** Takes a body in small sips, with turns of the event loop in between. */
async function readSlowly(res: IncomingMessage): Promise<number> {
  let total = 0
  for await (const chunk of res) {
    total += (chunk as Buffer).length
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  return total
}

describe('memory', () => {
  for (const tool of ['download', 'sse_flood'])
    test(`a reader that stalls in 300 MB of ${tool} costs the worker no memory`, async () => {
      const [pid] = weir.pids('worker')
      await callTool(url, `warm-${tool}`, 'echo')
      const before = memoryOf(pid!).rss_bytes
      const sentBefore = (await upstream.seen()).sent_bytes
      const reader = await open(url, {
        method: 'POST',
        body: toolCall(`stall-${tool}`, tool, { bytes: 300 * MB }),
        isPaused: true,
      })
      const sent = (await untilStalled()) - sentBefore
      const stalled = memoryOf(pid!).rss_bytes
      expect(sent).toBeLessThan(40 * MB)
      expect(stalled - before).toBeLessThan(60 * MB)
      expect((await callTool(url, `beside-${tool}`, 'echo')).isWhole).toBe(true)
      // And when it reads on, all of it passes within the same bounds.
      let total = 0
      let highest = 0
      for await (const chunk of reader.res) {
        total += (chunk as Buffer).length
        if (total % (16 * MB) < 65_536) highest = Math.max(highest, memoryOf(pid!).rss_bytes)
      }
      expect(total).toBeGreaterThan(299 * MB)
      expect(highest - before).toBeLessThan(150 * MB)
      expect((await outcomeOf(`stall-${tool}`)).outcome).toBe('ok')
    }, 120_000)
})

describe('servers that fail', () => {
  for (const [tool, outcome, error_type] of [
    ['cut_before', 'upstream_error', 'upstream_closed'],
    ['cut_body', 'upstream_error', 'upstream_closed'],
    ['cut_sse', 'upstream_error', 'upstream_closed'],
    ['half_frame', 'upstream_error', 'upstream_closed'],
    ['garbage', 'upstream_error', 'upstream_protocol'],
  ] as const)
    test(`${tool}: the process lives and the event says ${outcome}`, async () => {
      const pids = weir.pids('worker')
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, i) => callTool(url, `${tool}-${i}`, tool)),
      )
      for (const answer of answers) expect(answer.message?.result).toBeUndefined()
      const found = await outcomeOf(`${tool}-9`)
      expect(found).toMatchObject({ outcome, error_type, owner: 'upstream' })
      expect((await callTool(url, `${tool}-after`, 'echo')).isWhole).toBe(true)
      expect(weir.pids('worker')).toEqual(pids)
      const counts = await waitForRows(
        store,
        `${tool}-`,
        Array.from({ length: 10 }, (_, i) => `${tool}-${i}`),
      )
      expect([...counts.values()].every((n) => n === 1)).toBe(true)
    })

  test('a server that is not there', async () => {
    const gone = await startUpstream()
    const other = await startWeir({ config: { servers: { gone: { url: gone.url, era: 'legacy' } } } })
    await gone.end()
    const reader = readStore(other.addresses.store)
    try {
      const answer = await callTool(`${other.addresses.proxy}/servers/gone/mcp`, 'nobody', 'echo')
      expect(answer.status).toBe(503)
      const row = await waitFor(
        'its row',
        async () =>
          (
            await reader.rows<{ outcome: string; error_type: string }>(
              "SELECT outcome, error_type FROM calls WHERE request_id = 'nobody'",
            )
          )[0],
      )
      expect(row).toEqual({ outcome: 'unavailable', error_type: 'upstream_unavailable' })
    } finally {
      await reader.close()
      await other.remove()
    }
  })
})

describe('streams', () => {
  const listen = (i: number): object => ({
    jsonrpc: '2.0',
    id: `listen-${i}`,
    method: 'subscriptions/listen',
    params: {
      notifications: { toolsListChanged: true },
      _meta: {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
        'io.modelcontextprotocol/clientCapabilities': {},
      },
    },
  })
  const openListen = (i: number): Promise<OpenAnswer> =>
    open(url, {
      method: 'POST',
      body: listen(i),
      headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'subscriptions/listen' },
    })

  test('hundreds of held streams have connections of their own, and calls never share one', async () => {
    const streams = await Promise.all([
      ...Array.from({ length: 200 }, () => open(url)),
      ...Array.from({ length: 150 }, (_, i) => openListen(i)),
    ])
    try {
      expect(streams.filter((s) => s.status !== 200).length).toBe(0)
      await waitFor('the server holds them all', async () => (await upstream.seen()).openStreams === 350)
      const answers = await Promise.all(
        Array.from({ length: 200 }, (_, i) => callTool(url, `beside-stream-${i}`, 'echo')),
      )
      expect(answers.every((a) => a.isWhole && a.status === 200)).toBe(true)
      const { sockets } = await upstream.seen()
      const ofStreams = sockets.filter((s) => s.streams > 0)
      expect(ofStreams.length).toBe(350)
      expect(ofStreams.filter((s) => s.calls > 0)).toEqual([])
      expect(sockets.filter((s) => s.calls > 0).length).toBeLessThanOrEqual(CONNECTIONS)
    } finally {
      for (const stream of streams) stream.close()
    }
    await waitFor('the server has none left', async () => (await upstream.seen()).openStreams === 0)
  }, 120_000)

  test('the head of a stream is there before its first event', async () => {
    const answer = await open(url, { method: 'POST', body: toolCall('head-first', 'sse_held') })
    expect(answer.status).toBe(200)
    expect(answer.text()).toBe('')
    expect((await upstream.seen()).held).toBe(1)
    await upstream.release()
    await answer.ended
    expect(answer.text()).toContain('"head-first"')
    const stream = await open(url)
    expect(stream.status).toBe(200)
    stream.close()
  })

  test.each([
    ['a result of 5 MB in one frame', {}, 'ok'],
    ['with isError after 5 MB', { error: true }, 'tool_error'],
    ['with a member called method before its content', { member: true }, 'ok'],
  ])('%s passes in pieces and has the right outcome', async (name, args, outcome) => {
    const id = `large-${name.length}`
    const [pid] = weir.pids('worker')
    const answer = await callTool(url, id, 'sse_large', { bytes: 5 * MB, ...args })
    expect(answer.isWhole).toBe(true)
    expect((answer.message!.result!.content as { text: string }[])[0]!.text.length).toBe(5 * MB)
    expect(await outcomeOf(id)).toMatchObject({ outcome, result_read: 'scanned' })
    expect(weir.pids('worker')).toEqual([pid])
  })
})

describe('the record comes first', () => {
  let alone: Weir
  let at: string
  beforeAll(async () => {
    // Segments that stay open, so that the line can be read when the client's bytes arrive.
    alone = await startWeir({
      verb: 'proxy',
      config: {
        collector: { url: 'http://127.0.0.1:9', token: 'token-of-the-killers-test' },
        servers: { stub: { url: upstream.url, era: 'legacy' } },
        spool: { segment_age_ms: 3_600_000, segment_bytes: 16 * MB },
      },
    })
    at = `${alone.addresses.proxy}/servers/stub/mcp`
  })
  afterAll(() => alone.remove())

  test.each([
    ['echo', {}],
    ['sse', {}],
    ['rpc_error', { text: 'no' }],
    ['tool_error', { text: 'no' }],
  ])('the line of a %s call is in the spool when its result begins to arrive', async (tool, args) => {
    let seen = ''
    const id = `first-${tool}`
    const answer = await callTool(at, id, tool, args, {
      onResult: () => {
        seen = alone.spoolText
      },
    })
    expect(answer.isWhole).toBe(true)
    expect(seen).toContain(`"request_id":"${id}"`)
  })

  test('a frame before the result does not wait for it', async () => {
    const answer = await open(at, { method: 'POST', body: toolCall('tick', 'sse_tick') })
    await waitFor('the notification is there', () => answer.text().includes('step 1'))
    expect(alone.spoolText).not.toContain('"request_id":"tick"')
    await upstream.release()
    await answer.ended
    expect(alone.spoolText).toContain('"request_id":"tick"')
  })

  test.each(['download', 'sse_large'])(
    'the line of a large %s is in the spool before its last byte',
    async (tool) => {
      const id = `last-${tool}`
      const answer = await open(at, {
        method: 'POST',
        body: toolCall(id, tool, { bytes: 3 * MB }),
        isPaused: true,
      })
      let tail = ''
      let seenAtEnd = ''
      for await (const chunk of answer.res) {
        tail = (tail + (chunk as Buffer).toString('latin1')).slice(-20)
        if (tail.includes('"}]}}')) seenAtEnd ||= alone.spoolText
      }
      expect(seenAtEnd).toContain(`"request_id":"${id}"`)
    },
  )
})

test('at the limit of open files: streams beyond are refused by name, calls still work', async () => {
  const limited = await startWeir({
    files_max: 1024,
    config: { servers: { stub: { url: upstream.url, era: 'legacy' } } },
  })
  const at = `${limited.addresses.proxy}/servers/stub/mcp`
  const streams: OpenAnswer[] = []
  try {
    for (let batch = 0; batch < 6; batch++)
      streams.push(...(await Promise.all(Array.from({ length: 100 }, () => open(at)))))
    const held = streams.filter((s) => s.status === 200)
    const refused = streams.filter((s) => s.status !== 200)
    expect(held.length).toBeGreaterThan(100)
    expect(refused.length).toBeGreaterThan(100)
    for (const stream of refused) {
      await stream.ended
      expect([stream.status, JSON.parse(stream.text()).error.code]).toEqual([503, 'streams_exhausted'])
    }
    const listen = {
      jsonrpc: '2.0',
      id: 'one-more',
      method: 'subscriptions/listen',
      params: {
        notifications: { toolsListChanged: true },
        _meta: {
          'io.modelcontextprotocol/protocolVersion': '2026-07-28',
          'io.modelcontextprotocol/clientCapabilities': {},
        },
      },
    }
    const more = await send(at, listen, {
      headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'subscriptions/listen' },
      timeout_ms: 5_000,
    })
    expect([more.status, JSON.parse(more.text).error.code]).toEqual([503, 'streams_exhausted'])
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => callTool(at, `limit-${i}`, 'echo')),
    )
    expect(answers.filter((a) => !a.isWhole || a.status !== 200)).toEqual([])
    const reader = readStore(limited.addresses.store)
    await waitForRows(
      reader,
      'limit-',
      answers.map((_, i) => `limit-${i}`),
    )
    await reader.close()
    for (const stream of held) stream.close()
    await waitFor('a stream is taken again', async () => {
      const again = await open(at)
      again.close()
      return again.status === 200
    })
  } finally {
    for (const stream of streams) stream.close()
    await limited.remove()
  }
}, 120_000)
