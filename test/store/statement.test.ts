/**
 * Statements under way: cancelled, slow, many at once. The store must stay responsive through all of it.
 */
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, reader, type StoreChild, startStore, writer } from './support/child.ts'

let store: StoreChild

beforeAll(async () => {
  store = await startStore({ statements_max: 4, queue_max: 2, readers_max_seconds: 20 })
}, 60_000)

afterAll(async () => {
  await store?.remove()
})

type Load = { running: number; readers: number; waiting: number }
const load = async () => (await store.ask('metrics')) as Load

/** Polls until `isTrue`, within what a crowded machine may need. */
async function until(isTrue: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await isTrue()) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('it did not happen within 10 seconds')
}

const runs = (count: number) => until(async () => (await load()).running === count)

const endless = 'SELECT count() FROM system.numbers WHERE NOT ignore(sipHash64(number))'
const asleep = 'SELECT (SELECT sum(sleepEachRow(0.5)) FROM numbers(30)) SETTINGS max_block_size = 1'

/** Starts a statement and leaves it running; `leave` hangs up. */
function begin(sql: string, who = reader): { leave: () => void; answer: Promise<IncomingMessage> } {
  const url = `${store.url}/?user=${who.user}&password=${who.password}`
  const req = request(url, { method: 'POST' })
  req.on('error', () => {})
  req.end(sql)
  const answer = once(req, 'response').then(([res]) => res as IncomingMessage)
  answer.catch(() => {})
  return { leave: () => req.destroy(), answer }
}

describe('a client that hangs up', () => {
  it.each([
    ['before the first byte', endless],
    ['while a scalar subquery runs', asleep],
    ['in the middle of a large answer', 'SELECT number, toString(number) FROM system.numbers'],
  ])('%s ends its statement', async (_, sql) => {
    const { leave } = begin(sql)
    await runs(1)
    await new Promise((resolve) => setTimeout(resolve, 200))
    leave()
    await runs(0)
    expect((await ask(store, reader, 'SELECT 1')).text).toBe('1\n')
  })

  it('without reading its answer ends its statement too', async () => {
    const { leave, answer } = begin('SELECT number, toString(number) FROM system.numbers')
    ;(await answer).pause()
    await runs(1)
    expect(await store.beats(5000)).toBe(true)
    leave()
    await runs(0)
  })

  it('leaves its pipe fit for the next, many times over', async () => {
    for (let i = 0; i < 20; i++) {
      const { leave, answer } = begin('SELECT number, toString(number) FROM system.numbers')
      await answer
      leave()
    }
    await runs(0)
    const sums = await Promise.all(
      Array.from({ length: 3 }, () => ask(store, reader, 'SELECT number FROM numbers(100000) FORMAT TSV')),
    )
    for (const { text } of sums) expect(text.length).toBe(588_890)
  })
})

describe('limits of a reader', () => {
  it.each([
    ['max_execution_time', '1', endless, 159],
    ['max_result_rows', '10', 'SELECT number FROM numbers(100000)', 396],
    ['max_result_bytes', '1000', 'SELECT number FROM numbers(100000)', 396],
    ['max_memory_usage', '20000000', 'SELECT groupArray(number) FROM numbers(10000000)', 241],
  ])('%s holds', async (name, value, sql, code) => {
    const answer = await ask(store, reader, sql, { [name]: value })
    expect(answer.text).toMatch(new RegExp(`Code: ${code}\\.`))
  })

  it('let a large GROUP BY spill instead of failing', async () => {
    const sql = 'SELECT count() FROM (SELECT number AS k, count() FROM numbers(3000000) GROUP BY k)'
    expect((await ask(store, reader, sql)).text).toBe('3000000\n')
  })
})

describe('the event loop', () => {
  it('goes on while the planner runs a scalar subquery and while a large answer streams', async () => {
    const begun = [begin(asleep), begin('SELECT number, toString(number) FROM system.numbers')]
    await runs(2)
    for (let i = 0; i < 3; i++) expect(await store.beats(5000)).toBe(true)
    for (const { leave } of begun) leave()
    await runs(0)
  })
})

describe('many at once', () => {
  it('lets writers through beside readers that fill their places', async () => {
    const begun = Array.from({ length: 5 }, () => begin(endless))
    await until(async () => (await load()).waiting === 2)
    expect(await load()).toEqual({ running: 3, readers: 3, waiting: 2 })
    expect((await ask(store, writer, 'SELECT 1')).text).toBe('1\n')
    const refused = await ask(store, reader, 'SELECT 1')
    expect([refused.status, refused.headers.get('x-clickhouse-exception-code')]).toEqual([503, '202'])
    expect(refused.text).toMatch(/try again in a moment or raise store\.statements_max/)
    for (const { leave } of begun) leave()
    await runs(0)
  })

  it('keeps parameters, settings and answers apart', async () => {
    const one = async (i: number) => {
      const answer = await ask(
        store,
        i % 2 ? reader : writer,
        "SELECT {x:UInt32}, getSetting('max_block_size')",
        { param_x: String(i), max_block_size: String(1000 + i) },
      )
      return answer.status === 503 ? null : answer.text
    }
    for (let round = 0; round < 20; round++) {
      const texts = await Promise.all(Array.from({ length: 4 }, (_, i) => one(round * 4 + i)))
      for (const [i, text] of texts.entries())
        if (text) expect(text).toBe(`${round * 4 + i}\t${1000 + round * 4 + i}\n`)
    }
  })

  it('answers a large result whole to a client that reads slowly', async () => {
    const { answer } = begin('SELECT number FROM numbers(3000000) FORMAT RowBinary')
    const res = await answer
    let size = 0
    for await (const chunk of res) {
      size += chunk.length
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(size).toBe(24_000_000)
  })
})
