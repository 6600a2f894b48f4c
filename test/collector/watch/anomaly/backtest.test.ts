/**
 * The small backtest with its fixed seed must not get worse than the table that is committed for it. Faults, history and
 * detectors are deterministic, so the figures are the same on every machine.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStore, type Store } from '../../../../collector/sink/store.ts'
import { openRandom } from '../../../../collector/watch/anomaly-backtest/random.ts'
import {
  backtestEvents,
  backtestSeries,
  SIZES,
  syntheticHistory,
} from '../../../../collector/watch/anomaly-backtest/run.ts'
import type { Line } from '../../../../collector/watch/anomaly-backtest/score.ts'
import { anomalies } from '../../../../config/anomalies.ts'
import { collectorOptions, type Running, scratchFolder, startStore } from '../../support/processes.ts'

const FLOOR = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../../bench/results/backtest-small.json'), 'utf8'),
) as { seed: number; series: Line[]; events: Line[] }
const PARTS = { options: anomalies.parse({}), seed: FLOOR.seed, say: () => {} }
const folder = scratchFolder()
let process_: Running
const stores: Store[] = []
const open = (database: string): Store => {
  const options = { ...collectorOptions(process_.address).store, database, timeout_ms: 300_000 }
  const store = openStore(options)
  stores.push(store)
  return store
}

beforeAll(async () => {
  process_ = await startStore(folder.path)
}, 60_000)
afterAll(async () => {
  for (const store of stores) await store.close()
  await process_?.drain()
  folder.remove()
}, 60_000)

function holds(lines: readonly Line[], floor: readonly Line[]): void {
  expect(lines.map((l) => l.fault)).toEqual(floor.map((l) => l.fault))
  for (const line of lines) {
    const before = floor.find((l) => l.fault === line.fault)!
    expect(line.recall, `recall of ${line.fault}`).toBeGreaterThanOrEqual(before.recall)
    expect(line.precision, `precision of ${line.fault}`).toBeGreaterThanOrEqual(before.precision)
  }
}

test('faults in series are found as well as the committed table says', async () => {
  const size = SIZES.small
  const { lines } = await backtestSeries(
    open('backtest_series'),
    syntheticHistory(openRandom(PARTS.seed), size),
    size,
    PARTS,
  )
  holds(lines, FLOOR.series)
}, 2_400_000)

test('faults among single calls are found as well as the committed table says', async () => {
  const { lines } = await backtestEvents(open('backtest_events'), SIZES.small, PARTS)
  holds(lines, FLOOR.events)
}, 2_400_000)
