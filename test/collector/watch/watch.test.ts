import { afterAll, beforeAll, expect, test } from 'vitest'
import { migrate } from '../../../collector/schema/migrate.ts'
import { openStore, type Store } from '../../../collector/sink/store.ts'
import { type Job, openWatch, type Watch } from '../../../collector/watch/watch.ts'
import { collectorOptions, type Running, scratchFolder, startStore, until } from '../support/processes.ts'

const folder = scratchFolder()
let process_: Running
let store: Store

beforeAll(async () => {
  process_ = await startStore(folder.path)
  const options = collectorOptions(process_.address)
  store = openStore(options.store)
  await migrate({ store, retention: options.retention, log: () => {} })
}, 60_000)
afterAll(async () => {
  await store?.close()
  await process_?.drain()
  folder.remove()
}, 30_000)

const open = (jobs: readonly Job[], runs: string[] = []): Watch =>
  openWatch({
    store,
    isReady: () => true,
    jobs,
    log: () => {},
    onRun: (job, _seconds, ok) => void runs.push(`${job} ${ok}`),
  })

test('of two collectors one runs the jobs, and the other takes over when the first ends', async () => {
  const seen: string[] = []
  const epochs: number[] = []
  const job = (who: string): Job => ({
    name: 'count',
    every_ms: 20,
    async run(_now, epoch) {
      seen.push(who)
      epochs.push(epoch)
    },
  })
  const first = open([job('first')])
  await until(() => seen.length > 2, 'the first runs')
  const second = open([job('second')])
  await until(() => seen.length > 10, 'the first goes on')
  expect(new Set(seen)).toEqual(new Set(['first']))
  await first.stop()
  await until(() => seen.includes('second'), 'the second takes over')
  const at = seen.indexOf('second')
  expect(seen.slice(at).every((who) => who === 'second')).toBe(true)
  expect(epochs.at(-1)).toBeGreaterThan(epochs[0]!)
  await second.stop()
  const after = seen.length
  await new Promise((resolve) => setImmediate(resolve))
  expect(seen.length).toBe(after)
}, 60_000)

test('a job that fails is told and tried again, and harms no other', async () => {
  const runs: string[] = []
  let tries = 0
  const watch = open(
    [
      {
        name: 'broken',
        every_ms: 10,
        async run() {
          tries++
          throw new Error('no')
        },
      },
      { name: 'fine', every_ms: 10, async run() {} },
    ],
    runs,
  )
  await until(() => tries > 3 && runs.filter((r) => r === 'fine true').length > 3, 'both ran')
  await watch.stop()
  expect(runs).toContain('broken false')
  expect(runs).not.toContain('fine false')
}, 30_000)

test('a job never runs twice at once, however long it takes', async () => {
  let running = 0
  let most = 0
  let ends = 0
  const watch = open([
    {
      name: 'long',
      every_ms: 1,
      async run() {
        most = Math.max(most, ++running)
        await store.rows('SELECT sleep(0.05)')
        running--
        ends++
      },
    },
  ])
  await until(() => ends > 3, 'it ran')
  await watch.stop()
  expect(most).toBe(1)
}, 30_000)
