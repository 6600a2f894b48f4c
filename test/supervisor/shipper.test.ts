import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeLog } from '../../event/log.ts'
import { LOSS_REASONS, type LossReason } from '../../event/segment.ts'
import { claimWorker } from '../../proxy/spool/claim.ts'
import { noLosses } from '../../proxy/spool/writer.ts'
import { Metrics } from '../../proxy/telemetry/metrics.ts'
import { Shipper, type ShipperOptions } from '../../supervisor/shipper.ts'
import { type Folder, makeFolder } from '../support/folder.ts'
import { waitFor } from '../support/wait.ts'

type Received = { id: string; headers: IncomingHttpHeaders; body: Buffer }
/** A collector that answers as told. */
class FakeCollector {
  readonly received: Received[] = []
  readonly losses: { worker_id: string; reason: string; events: number }[][] = []
  answer: (received: Received) => { status: number; headers?: Record<string, string> } | 'hang' | 'cut' =
    () => ({ status: 200 })
  url = ''
  readonly #server = createServer((req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (c: Buffer) => chunks.push(c))
    req.on('end', () => {
      const body = Buffer.concat(chunks)
      if (req.url === '/v1/losses') {
        this.losses.push(JSON.parse(body.toString()))
        return res.writeHead(200).end('{}')
      }
      const received = { id: req.url!.split('/').at(-1)!, headers: req.headers, body }
      this.received.push(received)
      const answer = this.answer(received)
      if (answer === 'hang') return
      if (answer === 'cut') return res.destroy()
      res.writeHead(answer.status, answer.headers).end('{}')
    })
  })

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve()))
    this.url = `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

const LIVE = 'aaaaaaaaaaaaaaaa'
const DEAD = 'dddddddddddddddd'
let folder: Folder
let collector: FakeCollector
let shipper: Shipper | null
let metrics: Metrics
let full: boolean[]

beforeEach(async () => {
  folder = makeFolder('shipper')
  collector = new FakeCollector()
  await collector.open()
  metrics = new Metrics()
  full = []
  shipper = null
})
afterEach(() => {
  shipper?.close()
  collector.close()
  folder.remove()
})

const name = (worker: string, seq: number, state: 'open' | 'ndjson'): string =>
  `${worker}-${String(seq).padStart(8, '0')}.${state}`
const put = (file: string, text: string): void => writeFileSync(join(folder.path, file), text)
const segments = (): string[] =>
  readdirSync(folder.path)
    .filter((f) => /\.(open|ndjson)$/.test(f))
    .sort()
const events = (n: number, bytes = 10): string => `{"pad":"${'x'.repeat(bytes)}"}\n`.repeat(n)
const value = (
  metric: 'weir_spool_ship_failures_total' | 'weir_spool_shipped_total',
  labels: string[] = [],
): number => metrics.series(metric, labels).value

const ledger = (counts: Partial<Record<LossReason, number>>): string =>
  LOSS_REASONS.map((r) => String(counts[r] ?? 0).padStart(16)).join('\n')

function start(more: Partial<ShipperOptions> = {}): Shipper {
  mkdirSync(folder.path, { recursive: true })
  shipper = new Shipper(
    {
      folder: folder.path,
      instance: 'tést',
      max_bytes: 1_000_000,
      full: 'drop_oldest',
      token: 'the-token',
      collector: () => collector.url,
      living: () => new Set([LIVE]),
      onFull: (isFull) => full.push(isFull),
      ...more,
    },
    '5555555555555555',
    metrics,
    makeLog('test', 'error', () => {}),
  )
  return shipper
}

test('a sealed segment is sent whole with its id, checksum and attempt, and deleted after a 2xx', async () => {
  start()
  put(name(LIVE, 3, 'ndjson'), events(2))
  shipper!.nudge()
  await waitFor('it is gone', () => segments().length === 0)
  const [sent] = collector.received
  expect(sent!.id).toBe(`${LIVE}-00000003`)
  expect(sent!.body.toString()).toBe(events(2))
  expect(sent!.headers).toMatchObject({
    'weir-attempt': '1',
    'weir-instance': encodeURIComponent('tést'),
    'weir-crc32': crc32(events(2)).toString(16).padStart(8, '0'),
    authorization: 'Bearer the-token',
  })
  expect(value('weir_spool_shipped_total')).toBe(1)
})

test('what an earlier run left is sent as a repetition', async () => {
  put(name(DEAD, 1, 'ndjson'), events(1))
  start()
  await waitFor('it is gone', () => segments().length === 0)
  expect(collector.received[0]!.headers['weir-attempt']).toBe('2')
})

test('the same bytes under the same id until a 2xx, whatever goes wrong before', async () => {
  const troubles = [
    { status: 503 },
    'cut',
    { status: 500 },
    { status: 401 },
    { status: 429 },
    { status: 200 },
  ] as const
  let n = 0
  collector.answer = () => troubles[n++]!
  start()
  put(name(LIVE, 0, 'ndjson'), events(3))
  await waitFor('it is gone', () => {
    shipper!.nudge(true)
    return segments().length === 0
  })
  expect(collector.received.length).toBe(troubles.length)
  expect(new Set(collector.received.map((r) => r.body.toString())).size).toBe(1)
  expect(collector.received.map((r) => r.headers['weir-attempt'])).toEqual(['1', '2', '3', '4', '5', '6'])
})

test('retry-after is honoured by waiting at least as long', async () => {
  collector.answer = () => ({ status: 503, headers: { 'retry-after': '5' } })
  start()
  put(name(LIVE, 0, 'ndjson'), events(1))
  shipper!.nudge()
  await waitFor('it was refused once', () => collector.received.length === 1)
  // Many looks, no second try.
  for (let i = 0; i < 20; i++) {
    shipper!.nudge()
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(collector.received.length).toBe(1)
})

test.each([400, 413, 422])('HTTP %i: the segment is set aside and the next is sent', async (status) => {
  collector.answer = (r) => ({ status: r.id.endsWith('0') ? status : 200 })
  put(name(DEAD, 0, 'ndjson'), events(1))
  put(name(DEAD, 1, 'ndjson'), events(2))
  start()
  await waitFor('nothing waits', () => segments().length === 0)
  expect(readFileSync(join(folder.path, 'rejected', name(DEAD, 0, 'ndjson')), 'utf8')).toBe(events(1))
  expect(collector.received.length).toBe(2)
  expect(value('weir_spool_ship_failures_total', ['rejected'])).toBe(1)
})

test('open segments of the living are left alone; those of the dead are taken over, empty ones removed', async () => {
  put(name(LIVE, 0, 'open'), events(1))
  put(name(DEAD, 0, 'open'), `${events(1)}{"torn`)
  put(name(DEAD, 1, 'open'), '')
  put('notes.txt', 'not ours')
  start()
  await waitFor('the dead one is sent', () => segments().length === 1)
  expect(segments()).toEqual([name(LIVE, 0, 'open')])
  expect(collector.received.map((r) => r.body.toString())).toEqual([`${events(1)}{"torn`])
  expect(existsSync(join(folder.path, 'notes.txt'))).toBe(true)
})

test('a writer that is not ours: its open segment is its own while its claim holds, then it is taken over', async () => {
  const { worker_id, release } = claimWorker(folder.path)
  put(name(worker_id, 0, 'ndjson'), events(1))
  put(name(worker_id, 1, 'open'), events(2))
  put(`${worker_id}.lost`, ledger({ write_error: 3 }))
  start()
  await waitFor('what it has sealed is sent, what it has lost is told', () => {
    shipper!.nudge()
    return collector.received.length === 1 && collector.losses.length === 1
  })
  expect(collector.received[0]!.headers['weir-attempt']).toBe('2')
  // It counts for itself to nobody: its losses are in our sum while it lives, and stay there.
  expect(shipper!.losses().write_error).toBe(3)
  for (let i = 0; i < 20; i++) {
    shipper!.nudge()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  expect(segments()).toEqual([name(worker_id, 1, 'open')])
  expect(existsSync(join(folder.path, `${worker_id}.lost`))).toBe(true)
  release()
  await waitFor('the rest is sent', () => segments().length === 0)
  expect(collector.received[1]!.body.toString()).toBe(events(2))
  await waitFor('nothing of it is left', () => readdirSync(folder.path).length === 1)
  expect(shipper!.losses().write_error).toBe(3)
})

test('drop_oldest: the oldest go until the rest fits, each event counted, what stands beside them not', async () => {
  collector.answer = () => 'cut'
  for (let i = 0; i < 5; i++) {
    put(name(DEAD, i, 'ndjson'), `{"intent":1}\n{"definition":1}\n${events(10, 1000)}{"list":1}\n`)
    await waitFor('the clock has moved', () => new Promise((r) => setTimeout(() => r(true), 3)))
  }
  start({ max_bytes: 32_000 })
  await waitFor('it fits', () => segments().length === 3)
  expect(segments()).toEqual([2, 3, 4].map((i) => name(DEAD, i, 'ndjson')))
  expect(shipper!.losses().spool_full).toBe(20)
  collector.answer = () => ({ status: 200 })
  await waitFor('the losses are told', () => {
    shipper!.nudge(true)
    return collector.losses.length > 0
  })
  expect(collector.losses[0]).toEqual([
    { instance: 'tést', worker_id: '5555555555555555', reason: 'spool_full', events: 20 },
  ])
})

test('the budget is kept while a send hangs, and what is on its way is not dropped', async () => {
  collector.answer = () => 'hang'
  put(name(DEAD, 0, 'ndjson'), events(10, 1000))
  start({ max_bytes: 32_000 })
  await waitFor('the send hangs', () => collector.received.length === 1)
  for (let i = 1; i < 8; i++) put(name(DEAD, i, 'ndjson'), events(10, 1000))
  shipper!.nudge()
  await waitFor('it fits', () => segments().length <= 3)
  expect(segments()).toContain(name(DEAD, 0, 'ndjson'))
  expect(shipper!.losses().spool_full).toBe((8 - segments().length) * 10)
})

test('drop_newest: workers are told when it is full, and told again well below', async () => {
  collector.answer = () => 'cut'
  for (let i = 0; i < 4; i++) put(name(DEAD, i, 'ndjson'), events(10, 1000))
  start({ max_bytes: 32_000, full: 'drop_newest' })
  await waitFor('they were told', () => full.length === 1)
  expect(full).toEqual([true])
  expect(shipper!.isFull).toBe(true)
  expect(segments().length).toBe(4)
  collector.answer = () => ({ status: 200 })
  await waitFor('they were told again', () => {
    shipper!.nudge(true)
    return full.length === 2
  })
  expect(full).toEqual([true, false])
  expect(shipper!.losses().spool_full).toBe(0)
})

test('the ledger of a dead worker is reported once, kept in the sum, and removed', async () => {
  put(`${DEAD}.lost`, ledger({ spool_full: 7, disk_full: 2 }))
  put(`${LIVE}.lost`, ledger({ spool_full: 1 }))
  put('eeeeeeeeeeeeeeee.lost', '')
  start()
  await waitFor('the ledger is gone', () => !existsSync(join(folder.path, `${DEAD}.lost`)))
  const told = collector.losses.flat()
  expect(told).toContainEqual({ instance: 'tést', worker_id: DEAD, reason: 'spool_full', events: 7 })
  expect(told).toContainEqual({ instance: 'tést', worker_id: DEAD, reason: 'disk_full', events: 2 })
  expect(told).toContainEqual({ instance: 'tést', worker_id: LIVE, reason: 'spool_full', events: 1 })
  expect(shipper!.losses()).toEqual({ ...noLosses(), spool_full: 7, disk_full: 2 })
  expect(existsSync(join(folder.path, `${LIVE}.lost`))).toBe(true)
})

test('flush sends what is there and gives up when nobody answers', async () => {
  start()
  for (let i = 0; i < 20; i++) put(name(DEAD, i, 'open'), events(1))
  await shipper!.flush(30_000)
  expect(segments()).toEqual([])
  collector.close()
  put(name(DEAD, 99, 'open'), events(1))
  await shipper!.flush(60_000)
  expect(segments()).toEqual([name(DEAD, 99, 'ndjson')])
}, 50_000)
