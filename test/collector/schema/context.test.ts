/**
 * Context cost by the rules of the views: a session reads each part of a list once, by day and team, priced by the config;
 * tools nobody called; definitions and how they changed. Rows come as a proxy's lines, through the collector.
 */
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CONTEXT_QUESTIONS } from '../../../collector/api/questions-context.ts'
import * as contextCosts from '../../../collector/queries/context-costs.ts'
import * as toolChanges from '../../../collector/queries/tool-changes.ts'
import * as toolDefinitions from '../../../collector/queries/tool-definitions.ts'
import * as unusedTools from '../../../collector/queries/unused-tools.ts'
import { openStore, type Store } from '../../../collector/sink/store.ts'
import { contextPrices } from '../../../collector/watch/context-prices.ts'
import { type Collector, openCollector } from '../../../collector/wire.ts'
import { type ContextConfig, picoPerToken } from '../../../config/context.ts'
import type { ListPart, ToolDefinition, ToolList } from '../../../event/catalogue.ts'
import { makeEvent, newBatchId, segmentOf, sendBatch } from '../support/events.ts'
import {
  collectorOptions,
  isReady,
  type Running,
  scratchFolder,
  startStore,
  until,
} from '../support/processes.ts'

const folder = scratchFolder()
let store_: Running
let collector: Collector
let store: Store

const DAY_MS = 86_400_000
const today_ms = Math.floor(Date.now() / DAY_MS) * DAY_MS
/** Noon of a day before today. */
const noon = (days_ago: number): number => today_ms - days_ago * DAY_MS + DAY_MS / 2
const id = (word: string): string => Buffer.from(word.padEnd(16)).toString('hex')

/** Tools as `server: [tool, tokens, version of its definition]`. */
type Tools = Record<string, readonly (readonly [tool: string, tokens: number, version?: number])[]>

const partsOf = (tools: Tools): ListPart[] =>
  Object.entries(tools).map(([server, own]) => ({
    server,
    part_id: id(
      `${server}${own.map(([tool, tokens, version = 1]) => `${tool}${tokens}${version}`).join('')}`.slice(
        -16,
      ),
    ),
    tools: own.map(([tool, tokens, version = 1]) => [tool, id(`${tool}.${version}`), tokens] as const),
  }))

function linesOf(ts: number, list: string, tools: Tools): (ToolList | ToolDefinition)[] {
  const definitions = Object.entries(tools).flatMap(([server, own]) =>
    own.map(
      ([tool, tokens, version = 1]): ToolDefinition => ({
        definition: 1,
        ts,
        server,
        tool,
        hash: id(`${tool}.${version}`),
        tokens,
        bytes: tokens * 4,
        read_only: tool.startsWith('get'),
        destructive: !tool.startsWith('get'),
        text: `{"name":"${tool}","version":${version}}`,
        server_version: `1.${version}`,
      }),
    ),
  )
  return [...definitions, { list: 1, ts, list_id: id(list), parts: partsOf(tools) }]
}

type Who = { session: string; team?: string; caller?: string; at_ms: number; run?: string }
const listing = (list: string, { session, team = 'research', caller = 'agent', at_ms, run = 'r' }: Who) =>
  makeEvent({
    ts: at_ms * 1000,
    method: 'tools/list',
    tool: '',
    server: '',
    session_id: session,
    run_id: run,
    caller,
    team,
    project: '',
    list_id: list === '' ? '' : id(list),
  })
const call = (server: string, tool: string, team: string, at_ms: number) =>
  makeEvent({ ts: at_ms * 1000, server, tool, team, caller: 'agent', session_id: 's1' })

const send = async (lines: object[]): Promise<void> => {
  expect((await sendBatch(collector.address, newBatchId(), segmentOf(lines))).body).toMatchObject({ dead: 0 })
}
/** By the collector's own job, which looks at the options again and again. */
const setPrices = async (context: ContextConfig): Promise<void> => {
  collector.reload(collectorOptions(store_.address, { log_level: 'error', context }))
  const wanted = Object.fromEntries(picoPerToken(context))
  const inForce = async (): Promise<boolean> => {
    const rows = await store.rows<{ team: string; pico_per_token: number }>(
      'SELECT team, pico_per_token FROM weir.v_context_prices',
    )
    return isDeepStrictEqual(
      Object.fromEntries(rows.map((row) => [row.team, Number(row.pico_per_token)])),
      wanted,
    )
  }
  await until(inForce, 'the prices are in force')
}

const BANK = [
  ['get_balance', 100],
  ['transfer', 250],
] as const
const FILES = [
  ['read', 40],
  ['write', 60],
] as const
const two: Tools = { bank: BANK, files: FILES }

beforeAll(async () => {
  store_ = await startStore(folder.path)
  collector = await openCollector(collectorOptions(store_.address, { log_level: 'error' }))
  store = openStore({ ...collectorOptions(store_.address).store, database: 'weir' })
  await until(() => isReady(collector.address), 'ready')
  const changed: Tools = {
    bank: [
      ['get_balance', 130, 2],
      ['transfer', 250],
    ],
    files: FILES,
  }
  await send([
    ...linesOf(noon(3) * 1000, 'two', two),
    // One session: listed three times, over midnight; then its bank changed.
    listing('two', { session: 's1', at_ms: noon(3) }),
    listing('two', { session: 's1', at_ms: noon(3) + 1000 }),
    listing('two', { session: 's1', at_ms: noon(2) }),
    ...linesOf(noon(2) * 1000 + 5e6, 'changed', changed),
    listing('changed', { session: 's1', at_ms: noon(2) + 5000 }),
    // Another of the same caller, and one of another team without a session, known by its run.
    listing('two', { session: 's2', at_ms: noon(2) }),
    listing('two', { session: '', run: 'run-9', team: 'ops', caller: 'bot', at_ms: noon(1) }),
    listing('two', { session: '', run: 'run-9', team: 'ops', caller: 'bot', at_ms: noon(1) + 9000 }),
    // Runs of two callers may have one name.
    listing('two', { session: '', run: 'run-9', team: 'lab', caller: 'cat', at_ms: noon(1) }),
    // Two pages are one listing.
    ...linesOf(noon(1) * 1000, 'page1', { bank: BANK.slice(0, 1), files: [] }),
    ...linesOf(noon(1) * 1000, 'page2', { bank: BANK.slice(1) }),
    listing('page1', { session: 's3', at_ms: noon(1) }),
    listing('page2', { session: 's3', at_ms: noon(1) + 10 }),
    // Not read; and one that failed reads nothing.
    listing('', { session: 's4', at_ms: noon(1) }),
    makeEvent({
      ...listing('two', { session: 's5', at_ms: noon(1) }),
      outcome: 'timeout',
      owner: 'upstream',
    }),
    call('bank', 'get_balance', 'research', noon(2)),
    call('files', 'read', 'ops', noon(1)),
  ])
}, 60_000)
afterAll(async () => {
  await collector?.drain()
  await store?.close()
  await store_?.drain()
  folder.remove()
}, 60_000)

const costs = (where = '1 = 1') =>
  store.rows<Record<string, unknown>>(
    `SELECT toString(day) AS day, team, server, sessions, tokens, cost_nano FROM weir.v_context_costs WHERE ${where} ORDER BY day, team, server`,
  )
const dayOf = (days_ago: number): string => new Date(noon(days_ago)).toISOString().slice(0, 10)

test('a session reads each part once, again when it changed, on the day it read it first', async () => {
  expect(await costs("team = 'research' AND server != ''")).toEqual([
    { day: dayOf(3), team: 'research', server: 'bank', sessions: 1, tokens: 350, cost_nano: null },
    { day: dayOf(3), team: 'research', server: 'files', sessions: 1, tokens: 100, cost_nano: null },
    // s2 reads both; s1 reads the changed bank, and not again the files beside it.
    { day: dayOf(2), team: 'research', server: 'bank', sessions: 2, tokens: 350 + 380, cost_nano: null },
    { day: dayOf(2), team: 'research', server: 'files', sessions: 1, tokens: 100, cost_nano: null },
    // s3 in two pages; its files are none.
    { day: dayOf(1), team: 'research', server: 'bank', sessions: 1, tokens: 350, cost_nano: null },
    { day: dayOf(1), team: 'research', server: 'files', sessions: 1, tokens: 0, cost_nano: null },
  ])
  expect(await costs("team IN ('ops', 'lab') AND server = 'bank'")).toEqual([
    { day: dayOf(1), team: 'lab', server: 'bank', sessions: 1, tokens: 350, cost_nano: null },
    { day: dayOf(1), team: 'ops', server: 'bank', sessions: 1, tokens: 350, cost_nano: null },
  ])
  expect(
    await store.rows(
      'SELECT sessions, unread_sessions, tokens FROM weir.v_context_costs WHERE server = {s:String}',
      {
        s: '',
      },
    ),
  ).toEqual([{ sessions: 1, unread_sessions: 1, tokens: 0 }])
})

test('prices come from the config, by team, exact; one taken out is unpriced again', async () => {
  const range = { from_ms: noon(3), to_ms: noon(1) }
  const byTeam = async () =>
    Object.fromEntries(
      (await contextCosts.run(store, { ...range, by: 'team' })).map((row) => [
        row.name,
        [row.sessions, Number(row.tokens), row.cost_nano === null ? null : Number(row.cost_nano)],
      ]),
    )
  const research = 350 + 100 + 730 + 100 + 350
  await setPrices({ usd_per_million_input_tokens: 3, teams: { ops: 0.0375 } })
  expect(await byTeam()).toEqual({
    research: [4, research, research * 3000],
    ops: [1, 450, 16_875],
    lab: [1, 450, 450 * 3000],
  })
  await setPrices({ teams: { ops: 0.0375 } })
  expect(await byTeam()).toEqual({
    research: [4, research, null],
    ops: [1, 450, 16_875],
    lab: [1, 450, null],
  })
  const all = await contextCosts.run(store, { ...range, by: 'server' })
  expect(all.find((row) => row.name === 'files')).toMatchObject({
    tokens: 400,
    unpriced_tokens: 300,
    cost_nano: 3750,
  })
  await setPrices({ teams: {} })
  expect((await byTeam()).ops).toEqual([1, 450, null])
  // Unchanged prices are not written again.
  const rows = () => store.rows('SELECT count() AS n FROM weir.context_prices')
  const before = await rows()
  await contextPrices(store, () => ({ teams: {} })).run(Date.now(), 1)
  expect(await rows()).toEqual(before)
})

test('what nobody called, and what one team never called, with what leaving it out saves', async () => {
  await setPrices({ usd_per_million_input_tokens: 2, teams: {} })
  const window = { from_ms: noon(4), to_ms: noon(0) }
  const { rows, totals } = await unusedTools.run(store, window)
  const transfer = {
    server: 'bank',
    tool: 'transfer',
    tokens: 250,
    sessions: 5,
    calls: 0,
    teams: ['lab', 'ops', 'research'],
  }
  // s1 read the tool twice: its part changed.
  expect(
    rows.map((row) => ({
      ...row,
      context_tokens: Number(row.context_tokens),
      cost_nano: Number(row.cost_nano),
    })),
  ).toEqual([
    { ...transfer, context_tokens: 250 * 6, cost_nano: 250 * 6 * 2000, unpriced_tokens: 0 },
    {
      server: 'files',
      tool: 'write',
      tokens: 60,
      sessions: 4,
      calls: 0,
      teams: ['lab', 'ops', 'research'],
      context_tokens: 240,
      cost_nano: 240 * 2000,
      unpriced_tokens: 0,
    },
  ])
  const everything = 350 + 100 + 730 + 100 + 350 + 450 + 450
  expect(totals).toMatchObject({
    tools: 4,
    sessions: 6,
    unread_sessions: 1,
    context_tokens: everything,
    cost_nano: everything * 2000,
  })

  const ops = await unusedTools.run(store, { ...window, team: 'ops' })
  expect(ops.rows.map((row) => [row.tool, row.calls, row.context_tokens])).toEqual([
    ['transfer', 0, 250],
    ['get_balance', 1, 100],
    ['write', 0, 60],
  ])
  expect(ops.totals).toMatchObject({ tools: 4, sessions: 1, context_tokens: 450 })
  // Before anybody listed.
  expect(await unusedTools.run(store, { from_ms: noon(9), to_ms: noon(8) })).toMatchObject({
    rows: [],
    totals: { tools: 0, sessions: 0, context_tokens: 0, cost_nano: null },
  })
})

test('a definition is what was listed last; a change is a row, a return to the old one is not', async () => {
  const balance = async () =>
    (await toolDefinitions.run(store, { server: 'bank' })).find((row) => row.tool === 'get_balance')
  expect(await balance()).toMatchObject({
    // s3 listed the first one after s1 saw the second.
    hash: id('get_balance.1'),
    tokens: 100,
    bytes: 400,
    versions: 2,
    read_only: 1,
    destructive: 0,
    server_version: '1.1',
  })
  const changes = () => toolChanges.run(store, { from_ms: noon(9), to_ms: noon(0) })
  const expected = [
    {
      server: 'bank',
      tool: 'get_balance',
      version: 2,
      hash: id('get_balance.2'),
      hash_before: id('get_balance.1'),
      tokens: 130,
      tokens_before: 100,
      definition: '{"name":"get_balance","version":2}',
      definition_before: '{"name":"get_balance","version":1}',
    },
  ]
  expect(await changes()).toMatchObject(expected)
  await send([listing('changed', { session: 's9', at_ms: noon(1) + 60_000 })])
  expect(await balance()).toMatchObject({
    hash: id('get_balance.2'),
    tokens: 130,
    versions: 2,
    server_version: '1.2',
  })
  expect(await changes()).toMatchObject(expected)
  const versions = await toolDefinitions.versions(store, { server: 'bank', tool: 'get_balance' })
  expect(versions.map((row) => [row.version, row.definition])).toEqual([
    [2, '{"name":"get_balance","version":2}'],
    [1, '{"name":"get_balance","version":1}'],
  ])
})

test('the text of a definition is the one that was masked last', async () => {
  const [line] = linesOf(noon(1) * 1000 + 1, 'x', { bank: BANK.slice(1) }) as [ToolDefinition]
  await send([{ ...line, text: '{"name":"[secret]"}' }])
  await send([{ ...line, ts: line.ts - 1e9 }])
  const [row] = await toolDefinitions.versions(store, { server: 'bank', tool: 'transfer' })
  expect(row?.definition).toBe('{"name":"[secret]"}')
})

test('the console may ask all of it, and is told what is wrong with a question', async () => {
  const range = { from: String(noon(9)), to: String(noon(0)) }
  const ask = (name: string, asked: Record<string, string> = range): Promise<unknown> =>
    CONTEXT_QUESTIONS[name]!.run(store, asked)
  expect(await ask('unused-tools')).toMatchObject({
    rows: [{ tool: 'transfer' }, { tool: 'write' }],
    totals: [{ tools: 4 }],
  })
  expect(await ask('unused-tools', { ...range, team: 'ops' })).toMatchObject({ rows: { length: 3 } })
  expect(await ask('context-costs', { ...range, by: 'day' })).toMatchObject([
    { name: dayOf(3) },
    { name: dayOf(2) },
    { name: dayOf(1) },
  ])
  expect(await ask('tool-definitions', { server: 'files' })).toMatchObject([
    { tool: 'read' },
    { tool: 'write' },
  ])
  expect(await ask('tool-versions', { server: 'bank', tool: 'get_balance' })).toMatchObject({ length: 2 })
  expect(await ask('tool-changes')).toMatchObject([{ tool: 'get_balance' }])
  await expect(async () => ask('context-costs', { by: 'moon' })).rejects.toMatchObject({ status: 400 })
  await expect(async () => ask('tool-versions', { server: 'bank' })).rejects.toMatchObject({ status: 400 })
})
