/** Promise 3: the spool keeps its bound whatever happens to the collector, never fails a call, and counts what it gives up. */
import { randomUUID } from 'node:crypto'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callTool, Load } from '../support/client.ts'
import { type FaultProxy, openFaultProxy } from '../support/fault-proxy.ts'
import { type Folder, makeFolder } from '../support/folder.ts'
import { startWeir, type Weir } from '../support/installation.ts'
import { readStore, type StoreReader, waitForRows } from '../support/store-reader.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'

const TOKEN = 'token-of-the-spool-test'
const MAX_BYTES = 1_048_576
const SEGMENT_BYTES = 65_536
const CALLS = 1_500
let upstream: UpstreamStub
let whole: Weir
let door: FaultProxy
let store: StoreReader

beforeAll(async () => {
  upstream = await startUpstream()
  whole = await startWeir({ config: { collector: { token: TOKEN }, servers: {} } })
  door = await openFaultProxy(() => whole.addresses.collector)
  store = readStore(whole.addresses.store)
  await waitFor('the schema is there', async () => (await store.number('SELECT count() FROM calls')) === 0)
})

afterAll(async () => {
  await store.close()
  await door.close()
  await whole.remove()
  await upstream.end()
})

const startProxy = (folder: Folder, spool: object = {}, workers = 2): Promise<Weir> =>
  startWeir({
    verb: 'proxy',
    folder,
    config: {
      workers,
      instance: folder.path.slice(-6),
      collector: { url: door.address, token: TOKEN },
      servers: { stub: { url: upstream.url, era: 'legacy' } },
      spool: { max_bytes: MAX_BYTES, segment_bytes: SEGMENT_BYTES, segment_age_ms: 50, ...spool },
    },
  })

const sizeOf = (folder: string): number =>
  readdirSync(folder)
    .filter((f) => /\.(open|ndjson)$/.test(f))
    .reduce((sum, f) => {
      try {
        return sum + statSync(join(folder, f)).size
      } catch {
        return sum
      }
    }, 0)

for (const full of ['drop_oldest', 'drop_newest'] as const)
  for (const away of ['refused', 'silent'] as const)
    test(`${full} with a collector that is ${away}: bounded, every call answered, losses exact`, async () => {
      const folder = makeFolder(full)
      const weir = await startProxy(folder, { full })
      const prefix = `${full}-${away}-`
      try {
        door.fault = () => (away === 'refused' ? { kind: 'cut' } : { kind: 'hang' })
        const load = new Load({
          url: () => `${weir.addresses.proxy}/servers/stub/mcp`,
          prefix,
          clients: 4,
          calls_max: CALLS,
        })
        let highest = 0
        const watch = setInterval(() => {
          highest = Math.max(highest, sizeOf(weir.spool))
        }, 20)
        await load.done()
        clearInterval(watch)
        expect(load.answered.length).toBe(CALLS)
        // Over the bound by what can be written between two looks of the supervisor: an open segment and a sealed one for each worker.
        expect(highest).toBeLessThan(MAX_BYTES + 4 * SEGMENT_BYTES + 100_000)
        expect(highest).toBeGreaterThan(MAX_BYTES / 2)
        const lost = await weir.metric('weir_events_lost_total', 'spool_full')
        expect(lost).toBeGreaterThan(0)
        door.fault = () => ({ kind: 'none' })
        door.cutHanging()
        await waitFor('the spool is empty', () => weir.spoolText === '', 60_000)
        const counts = await waitFor('rows and losses make up the calls', async () => {
          const rows = await store.idCounts(prefix)
          return rows.size + (await weir.metric('weir_events_lost_total')) === CALLS ? rows : null
        })
        expect([...counts.values()].every((n) => n === 1)).toBe(true)
        const final = await weir.metric('weir_events_lost_total')
        await waitFor(
          'the store knows the losses',
          async () =>
            (await store.number(
              `SELECT sum(lost_events) FROM v_losses WHERE instance = '${folder.path.slice(-6)}'`,
            )) === final,
        )
      } finally {
        door.fault = () => ({ kind: 'none' })
        await weir.remove()
        folder.remove()
      }
    }, 120_000)

test('a restart of everything with a full spool loses and doubles nothing; the budget holds for the new workers too', async () => {
  const folder = makeFolder('restart')
  let weir = await startProxy(folder, { full: 'drop_newest' })
  try {
    door.fault = () => ({ kind: 'cut' })
    const first = new Load({
      url: () => `${weir.addresses.proxy}/servers/stub/mcp`,
      prefix: 'restart-a-',
      clients: 4,
      calls_max: CALLS,
    })
    await first.done()
    const lostBefore = await weir.metric('weir_events_lost_total')
    expect(lostBefore).toBeGreaterThan(0)
    await weir.kill()
    weir = await startProxy(folder, { full: 'drop_newest' })
    const size = sizeOf(weir.spool)
    const second = new Load({
      url: () => `${weir.addresses.proxy}/servers/stub/mcp`,
      prefix: 'restart-b-',
      clients: 4,
      calls_max: 400,
    })
    await second.done()
    expect(second.answered.length).toBe(400)
    expect(sizeOf(weir.spool)).toBeLessThan(size + 4 * SEGMENT_BYTES + 100_000)
    door.fault = (_method, url) =>
      url.startsWith('/v1/batches') && Math.random() < 0.3 ? { kind: 'lost_answer' } : { kind: 'none' }
    await waitFor('the spool is empty', () => weir.spoolText === '', 60_000)
    door.fault = () => ({ kind: 'none' })
    const answered = first.answered.length + second.answered.length
    await waitFor('rows and losses make up the calls', async () => {
      const rows = await store.idCounts('restart-')
      const lost = await store.number(
        `SELECT sum(lost_events) FROM v_losses WHERE instance = '${folder.path.slice(-6)}'`,
      )
      expect([...rows.values()].every((n) => n === 1)).toBe(true)
      return rows.size + lost === answered
    })
  } finally {
    door.fault = () => ({ kind: 'none' })
    await weir.remove()
    folder.remove()
  }
}, 120_000)

test('the count of lost events survives the worker that lost them', async () => {
  const folder = makeFolder('monotonic')
  const weir = await startProxy(folder, { full: 'drop_newest' }, 1)
  try {
    door.fault = () => ({ kind: 'cut' })
    const load = new Load({
      url: () => `${weir.addresses.proxy}/servers/stub/mcp`,
      prefix: 'monotonic-',
      clients: 4,
      calls_max: CALLS,
    })
    await load.done()
    const lost = await weir.metric('weir_events_lost_total')
    const written = await weir.metric('weir_events_written_total')
    expect(lost + written).toBe(CALLS)
    const [pid] = weir.pids('worker')
    weir.signal('worker', 'SIGKILL')
    await waitFor('another worker serves', async () => {
      const [now] = weir.pids('worker')
      return now !== undefined && now !== pid && (await weir.metric('weir_events_lost_total')) >= 0
    })
    // A counter that falls would be read as a restart, and the same losses counted again.
    expect(await weir.metric('weir_events_lost_total')).toBe(lost)
    expect(await weir.metric('weir_events_written_total')).toBe(written)
  } finally {
    door.fault = () => ({ kind: 'none' })
    await weir.remove()
    folder.remove()
  }
}, 120_000)

test('a segment the collector refuses for good is set aside and the rest goes on', async () => {
  const folder = makeFolder('rejected')
  const weir = await startProxy(folder)
  try {
    let refused = 0
    door.fault = (_method, url) =>
      url.startsWith('/v1/batches') && refused++ === 0
        ? { kind: 'status', status: 422, body: 'no' }
        : { kind: 'none' }
    const load = new Load({
      url: () => `${weir.addresses.proxy}/servers/stub/mcp`,
      prefix: 'rejected-',
      clients: 4,
      calls_max: 200,
    })
    await load.done()
    const aside = (): string =>
      weir
        .spoolFiles()
        .filter((f) => f.name.startsWith('rejected/'))
        .map((f) => f.text)
        .join('')
    await waitFor('a segment is set aside', () => aside() !== '')
    const apart = new Set([...aside().matchAll(/"request_id":"(rejected-\d+)"/g)].map((m) => m[1]!))
    await waitForRows(
      store,
      'rejected-',
      load.answered.filter((id) => !apart.has(id)),
    )
    const counts = await store.idCounts('rejected-')
    expect(counts.size + apart.size).toBe(200)
    expect(weir.output).toContain('refused a segment for good')
  } finally {
    door.fault = () => ({ kind: 'none' })
    await weir.remove()
    folder.remove()
  }
})

test('what a dead worker left half written: whole lines are stored, the torn one is a dead letter', async () => {
  const folder = makeFolder('torn')
  door.fault = () => ({ kind: 'none' })
  const weir = await startProxy(folder, { segment_age_ms: 60_000, segment_bytes: 4_194_304 }, 1)
  try {
    await callTool(`${weir.addresses.proxy}/servers/stub/mcp`, 'torn-real', 'echo')
    const line = weir.spoolText.trim()
    expect(line.startsWith('{"version":1')).toBe(true)
    const lines = Array.from({ length: 20 }, (_, i) =>
      line
        .replace(/"event_id":"[^"]+"/, `"event_id":"${randomUUID()}"`)
        .replace('"torn-real"', `"torn-${i}"`),
    )
    const worker = 'dead0dead0dead00'
    writeFileSync(join(weir.spool, `${worker}-00000003.open`), `${lines.join('\n')}\n${line.slice(0, 333)}`)
    writeFileSync(join(weir.spool, `${worker}-00000004.open`), '')
    const counts = await waitForRows(
      store,
      'torn-',
      lines.map((_, i) => `torn-${i}`),
    )
    expect([...counts.values()].every((n) => n === 1)).toBe(true)
    const dead = await waitFor('the dead letter is there', async () => {
      const found = await store.rows<{ row_no: number; reason: string; body: string }>(
        `SELECT row_no, reason, body FROM v_dead_letters WHERE batch_id = '${worker}-00000003'`,
      )
      return found.length > 0 && found
    })
    expect(dead).toEqual([{ row_no: 20, reason: 'not_json', body: line.slice(0, 333) }])
    await waitFor('nothing of it is left', () => !readdirSync(weir.spool).some((f) => f.startsWith(worker)))
  } finally {
    await weir.remove()
    folder.remove()
  }
})
