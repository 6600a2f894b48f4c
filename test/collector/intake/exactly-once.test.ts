import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openStore, type Store } from '../../../collector/sink/store.ts'
import type { ToolDefinition, ToolList } from '../../../event/catalogue.ts'
import type { CallEvent } from '../../../event/fields.ts'
import { makeEvent, makeIntent, newBatchId, nowUs, segmentOf, sendBatch } from '../support/events.ts'
import { type Gate, openGate } from '../support/gate.ts'
import {
  collectorOptions,
  isReady,
  type Running,
  scratchFolder,
  startCollector,
  startStore,
  until,
} from '../support/processes.ts'

const folder = scratchFolder()
let store_: Running
let gate: Gate
let store: Store
const collectors: Running[] = []

async function newCollector(): Promise<Running> {
  const collector = await startCollector(collectorOptions(gate.address, { log_level: 'error' }))
  collectors.push(collector)
  await until(() => isReady(collector.address), 'collector ready')
  return collector
}

beforeAll(async () => {
  store_ = await startStore(folder.path)
  gate = await openGate(store_.address)
  store = openStore(collectorOptions(store_.address).store)
}, 60_000)
beforeEach(() => {
  gate.onInsert = () => undefined
})
afterAll(async () => {
  for (const collector of collectors) await collector.kill()
  await store?.close()
  await gate?.close()
  await store_?.drain()
  folder.remove()
}, 60_000)

/** A batch with something for every table, over midnight. */
function batch(team: string, size = 20): { id: string; bytes: Buffer; size: number; team: string } {
  const midnight = Math.floor(nowUs() / 86_400e6) * 86_400e6
  const events: CallEvent[] = Array.from({ length: size }, (_, i) =>
    makeEvent({
      team,
      run_id: team,
      session_id: team,
      ts: midnight + (i % 2 === 0 ? -1e6 : 1e6) * (i + 1),
      captured_arguments: i === 0 ? '{"a":1}' : '',
      captured_result: i === 0 ? 'text' : '',
      method: i === 1 ? 'tools/list' : 'tools/call',
    }),
  )
  const lines = [...events.map(makeIntent).slice(0, 3), ...listed(team), ...events, '{"broken']
  return { id: newBatchId(), bytes: segmentOf(lines), size, team }
}

/** Two tools of a server that has the team's name, in one list. */
function listed(server: string): (ToolDefinition | ToolList)[] {
  const digest = (word: string): string => createHash('md5').update(`${server} ${word}`).digest('hex')
  const seen = { ts: nowUs(), server, tokens: 7, bytes: 28, read_only: true, destructive: false }
  const define = (tool: string): ToolDefinition => ({
    definition: 1,
    ...seen,
    tool,
    hash: digest(tool),
    text: '{}',
    server_version: '1',
  })
  const tools = ['a', 'b'].map((tool) => [tool, digest(tool), 7] as const)
  const parts = [{ server, part_id: digest('part'), tools }]
  return [define('a'), define('b'), { list: 1, ts: seen.ts, list_id: digest('list'), parts }]
}

/** What the store must hold of a batch, whatever happened on the way. */
async function check({ id, size, team }: { id: string; size: number; team: string }): Promise<void> {
  const [row] = await store.rows<Record<string, number>>(
    `SELECT (SELECT count() FROM weir.calls WHERE batch_id = {id:String}) AS calls,
       (SELECT uniqExact(event_id) FROM weir.calls WHERE batch_id = {id:String}) AS ids,
       (SELECT sum(calls) FROM weir.v_usage_1d WHERE team = {team:String}) AS usage,
       (SELECT sum(calls) FROM weir.v_callers_1d WHERE team = {team:String}) AS callers,
       (SELECT sum(calls) FROM weir.v_runs WHERE run_id = {team:String}) AS runs,
       (SELECT sum(calls) FROM weir.v_sessions WHERE session_id = {team:String}) AS sessions,
       (SELECT count() FROM weir.call_payloads WHERE batch_id = {id:String}) AS payloads,
       (SELECT count() FROM weir.call_intents WHERE batch_id = {id:String}) AS intents,
       (SELECT count() FROM weir.tool_definitions WHERE server = {team:String}) AS definitions,
       (SELECT count() FROM weir.tool_lists WHERE server = {team:String}) AS listed,
       (SELECT sum(listings) FROM weir.tool_listings WHERE team = {team:String}) AS listings,
       (SELECT count() FROM weir.v_dead_letters WHERE batch_id = {id:String}) AS dead,
       (SELECT count() FROM weir.dead_letters WHERE batch_id = {id:String}) AS dead_rows,
       (SELECT count() FROM weir.ingest_batches WHERE worker_id = {worker:String} AND complete = 1) AS ledger`,
    { id, team, worker: id.slice(0, 16) },
  )
  expect(row).toEqual({
    calls: size,
    ids: size,
    usage: size,
    callers: size,
    runs: size,
    sessions: size,
    payloads: 2,
    intents: 3,
    definitions: 2,
    listed: 2,
    listings: 1,
    dead: 1,
    dead_rows: 1,
    ledger: 1,
  })
}

const TABLES = [
  'calls',
  'call_payloads',
  'call_intents',
  'tool_definitions',
  'tool_lists',
  'dead_letters',
  'ingest_batches',
] as const

test.each(TABLES.flatMap((table) => [['before', table] as const, ['after', table] as const]))(
  'a collector killed %s the insert into %s loses nothing and doubles nothing',
  async (when, table) => {
    const sent = batch(`killed-${when}-${table}`)
    const first = await newCollector()
    gate.onInsert = async (at, moment) => {
      if (at !== table || moment !== when) return
      await first.kill()
      return 'stop'
    }
    await expect(sendBatch(first.address, sent.id, sent.bytes)).rejects.toThrow()
    gate.onInsert = () => undefined
    const second = await newCollector()
    const again = await sendBatch(second.address, sent.id, sent.bytes, { attempt: 2 })
    expect(again).toMatchObject({ status: 200, body: { rows: 20, dead: 1 } })
    // Only the very last insert makes the batch known.
    expect(again.body.duplicate).toBe(when === 'after' && table === 'ingest_batches')
    await check(sent)
    await second.kill()
  },
  60_000,
)

test('two collectors that get the same batches at once store them once', async () => {
  const [one, two] = await Promise.all([newCollector(), newCollector()])
  const batches = Array.from({ length: 8 }, (_, i) => batch(`both-${i}`))
  const answers = await Promise.all(
    batches.flatMap(({ id, bytes }) => [
      sendBatch(one.address, id, bytes),
      sendBatch(two.address, id, bytes),
      sendBatch(one.address, id, bytes),
    ]),
  )
  expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200))
  for (const sent of batches) await check(sent)
  await Promise.all([one.kill(), two.kill()])
}, 60_000)

test('a store killed in the middle of inserts has every batch once when it is back', async () => {
  const collector = await newCollector()
  const port = Number(new URL(store_.address).port)
  for (let round = 0; round < 3; round++) {
    const batches = Array.from({ length: 5 }, (_, i) => batch(`store-${round}-${i}`, 300))
    let inserts = 0
    let killed: Promise<void> | null = null
    gate.onInsert = (_table, when) => {
      // The request is on its way while the store dies: some inserts were done, some half, some not at all.
      if (when === 'before' && ++inserts === 3 + round * 4)
        setTimeout(() => (killed = store_.kill()), round * 7)
      return undefined
    }
    const answers = await Promise.all(batches.map(({ id, bytes }) => sendBatch(collector.address, id, bytes)))
    await until(() => killed !== null, 'the store is killed')
    await killed
    for (const answer of answers.filter((a) => a.status !== 200))
      expect(answer).toMatchObject({ status: 503, retryAfter: expect.any(String) })
    expect(answers.some((answer) => answer.status === 503)).toBe(true)
    store_ = await startStore(folder.path, { port })
    for (const { id, bytes } of batches) {
      let attempt = 1
      await until(
        async () => (await sendBatch(collector.address, id, bytes, { attempt: ++attempt })).status === 200,
        'batch stored',
      )
    }
    for (const sent of batches) await check(sent)
  }
  await collector.kill()
}, 120_000)

test('a batch that the de-duplication window has forgotten is known by the ledger', async () => {
  const collector = await newCollector()
  const old = batch('forgotten')
  await sendBatch(collector.address, old.id, old.bytes)
  for (const table of ['calls', 'usage_1d', 'caller_1d', 'runs', 'sessions'])
    await store.command(`ALTER TABLE weir.${table} MODIFY SETTING non_replicated_deduplication_window = 1`)
  for (let i = 0; i < 3; i++) {
    const later = batch(`later-${i}`)
    await sendBatch(collector.address, later.id, later.bytes)
  }
  await collector.kill()
  const second = await newCollector()
  expect(await sendBatch(second.address, old.id, old.bytes, { attempt: 2 })).toMatchObject({
    status: 200,
    body: { rows: 20, dead: 1, duplicate: true },
  })
  await check(old)
  await second.kill()
}, 60_000)
