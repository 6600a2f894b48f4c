/** What workers hold of limits, with the real keeper of counts between them: nobody is refused for what another, or he himself, has left. */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { limitEntries } from '../../../config/limit-book.ts'
import { parseConfig } from '../../../config/load.ts'
import type { Line } from '../../../limits/select.ts'
import { Purses } from '../../../proxy/limits/purses.ts'
import { Metrics } from '../../../proxy/telemetry/metrics.ts'
import { Keeper } from '../../../supervisor/limits/keeper.ts'
import { type Folder, makeFolder } from '../../support/folder.ts'

const USD = 1_000_000_000
const silent = { debug() {}, info() {}, warn() {}, error() {} }

let folder: Folder
let keeper: Keeper
/** How a worker answers a recall. */
let recall: (slot: string, key: string) => Promise<void>
const workers = new Map<string, Purses>()

function open(limit: string): { line: Line; one: Purses; two: Purses } {
  const { config } = parseConfig(
    `servers: { bank: { url: "http://127.0.0.1:9/mcp" } }\nlimits: [ { name: x, ${limit} } ]`,
    'weir.yaml',
    {},
  )
  const [entry] = limitEntries(config)
  keeper = new Keeper(
    {
      file: join(folder.path, 'limits.json'),
      machine: 'm',
      log: silent,
      metrics: new Metrics(),
      workers: 2,
      living: (slot: string) => slot,
      spent: null,
      note: null,
      recall: (slot: string, key: string) => recall(slot, key),
    } as unknown as ConstructorParameters<typeof Keeper>[0],
    config,
  )
  const open = (slot: string): Purses => {
    const purses = new Purses({
      ask: (asks) => keeper.ask(slot, asks),
      settle: (settled) => keeper.settle(slot, settled),
    })
    workers.set(slot, purses)
    return purses
  }
  return { line: { key: entry!.id, entry: entry! }, one: open('w1'), two: open('w2') }
}

/** As the stage does it: what is here, what is known to be gone, and else the keeper. */
async function pays(purses: Purses, line: Line, units: number): Promise<boolean> {
  if (purses.takeFree(line, units)) return true
  if (purses.dry(line, units)) return false
  const { lent } = await purses.ask([line], [], () => units)
  return lent !== null
}

beforeEach(() => {
  folder = makeFolder('purses')
  recall = async (slot, key) => workers.get(slot)!.recall(key)
})
afterEach(() => {
  keeper?.close()
  folder.remove()
  workers.clear()
})

test('what is left of a loan is no reason to refuse the call it would pay for', async () => {
  const { line, one } = open('spend_usd: 3/day')
  expect(await pays(one, line, USD)).toBe(true)
  one.spent(line, USD, USD, Date.now())
  // Now it asks for one more than it needs, and is lent a part of one.
  one.flush()
  expect(await pays(one, line, USD)).toBe(true)
  expect(await pays(one, line, USD)).toBe(true)
  expect(await pays(one, line, USD)).toBe(false)
})

test('what another worker holds is given back, also when it answers too late to be waited for', async () => {
  const { line, one, two } = open('quota: 10/day')
  expect(await pays(two, line, 1)).toBe(true)
  two.flush()
  expect(await pays(two, line, 1)).toBe(true)
  // The second worker stands still for longer than anybody waits.
  recall = async (slot, key) => {
    setTimeout(() => workers.get(slot)!.recall(key), 50)
    throw new Error('no answer')
  }
  let passed = 2
  while (await pays(one, line, 1)) passed++
  await pause(150)
  while (await pays(one, line, 1)) passed++
  expect(passed).toBe(10)
})

test('what is too dear for the rest keeps nothing cheaper from passing', async () => {
  const { line, one } = open('spend_usd: 1/day')
  expect(await pays(one, line, USD / 2)).toBe(true)
  expect(await pays(one, line, USD)).toBe(false)
  expect(await pays(one, line, USD)).toBe(false)
  expect(await pays(one, line, USD / 100)).toBe(true)
})

test('money that a call did not cost is there for the next at once', async () => {
  const { line, one } = open('spend_usd: 1/day')
  expect(await pays(one, line, USD)).toBe(true)
  expect(await pays(one, line, USD)).toBe(false)
  one.spent(line, USD, 0, Date.now())
  expect(await pays(one, line, USD)).toBe(true)
})
