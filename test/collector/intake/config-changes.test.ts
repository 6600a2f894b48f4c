import { afterAll, beforeAll, expect, test } from 'vitest'
import { run as readAnnotations } from '../../../collector/queries/annotations.ts'
import { openReader, type Reader } from '../../../collector/queries/client.ts'
import { run as readChanges } from '../../../collector/queries/config-changes.ts'
import { type Collector, openCollector } from '../../../collector/wire.ts'
import { CHANGES_PATH, type ConfigChange } from '../../../event/config-change.ts'
import {
  collectorOptions,
  isReady,
  type Running,
  scratchFolder,
  startStore,
  TOKEN,
  until,
} from '../support/processes.ts'

const folder = scratchFolder()
const NOW_MS = Date.now()
let store: Running
let collector: Collector
let reader: Reader & { close(): Promise<void> }

beforeAll(async () => {
  store = await startStore(folder.path)
  collector = await openCollector(collectorOptions(store.address, { log_level: 'error' }))
  reader = openReader({
    url: store.address,
    user: 'reader',
    password: '',
    database: 'weir',
    timeout_ms: 20_000,
  })
  await until(() => isReady(collector.address), 'ready')
}, 60_000)
afterAll(async () => {
  await reader?.close()
  await collector?.drain()
  await store?.drain()
  folder.remove()
})

const change = (n: number, more: Partial<ConfigChange> = {}): ConfigChange => ({
  id: n.toString(16).padStart(32, '0'),
  at_ms: NOW_MS - n,
  instance: 'here',
  who: 'ada',
  via: 'command',
  section: 'keys',
  name: `a#k${n}`,
  before: '',
  after: '{}',
  ...more,
})
const tell = async (body: unknown, token = TOKEN): Promise<number> =>
  (
    await fetch(`${collector.address}${CHANGES_PATH}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  ).status
const stored = () => readChanges(reader, { from_ms: NOW_MS - 60_000, to_ms: NOW_MS + 60_000 })

test('a change told twice, alone and among others, is one row and one annotation', async () => {
  expect(await tell([change(1)])).toBe(200)
  expect(await tell([change(1)])).toBe(200)
  expect(await tell([change(1), change(2, { before: '{}', after: '' })])).toBe(200)
  expect((await stored()).map(({ name, action }) => [name, action])).toEqual([
    ['a#k1', 'added'],
    ['a#k2', 'removed'],
  ])
  const drawn = await readAnnotations(reader, { from_ms: NOW_MS - 60_000, to_ms: NOW_MS + 60_000 })
  expect(drawn.filter(({ kind }) => kind === 'access').map(({ title }) => title)).toEqual([
    'key a#k2 removed',
    'key a#k1 added',
  ])
})

test.each<[string, unknown]>([
  ['no JSON', '{'],
  ['no list', {}],
  ['a number for an id', [{ ...change(9), id: 9 }]],
  ['an unknown way', [{ ...change(9), via: 'magic' }]],
  ['a moment that is none', [{ ...change(9), at_ms: 'now' }]],
  ['a value without bound', [{ ...change(9), after: 'x'.repeat(20_000) }]],
  ['one bad among good ones', [change(8), { ...change(9), section: null }]],
])('%s is refused whole', async (_what, body) => {
  const before = (await stored()).length
  expect(await tell(body)).toBe(400)
  expect((await stored()).length).toBe(before)
})

test('nobody writes the record without the intake token', async () => {
  expect(await tell([change(7)], 'wrong-token-of-tests')).toBe(401)
})
