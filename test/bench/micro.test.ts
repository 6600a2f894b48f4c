/** Every micro benchmark runs: they build calls by hand, and break when the product's shapes move. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import type { Micro } from '../../bench/micro/measure.ts'
import { POLICIES } from '../../bench/scenarios/policy.ts'
import { VARIATIONS } from '../../bench/scenarios/stages.ts'
import { configOf } from '../../bench/support/alone.ts'
import { ROOT } from '../../bench/support/machine.ts'
import { patched } from '../../bench/support/patches.ts'
import { parseConfig } from '../../config/load.ts'

const folder = join(ROOT, 'bench/micro')
const SUPPORT = ['measure.ts', 'fixtures.ts']

test.each(readdirSync(folder).filter((file) => !SUPPORT.includes(file)))(
  '%s',
  async (file) => {
    const env = { ...process.env, BENCH_REPEATS: '1' }
    const { stdout } = await promisify(execFile)(process.execPath, [join(folder, file)], { env })
    const found = JSON.parse(stdout) as Micro[]
    expect(found.length).toBeGreaterThan(0)
    for (const { name, ns } of found) expect(ns.p25, name).toBeGreaterThan(0)
  },
  60_000,
)

test('what a scenario takes out of the source is there, once', () => {
  const patches = VARIATIONS.flatMap((variation) => variation.patches)
  expect(patches.length).toBeGreaterThan(0)
  for (const patch of patches)
    expect(patched(readFileSync(join(ROOT, patch.file), 'utf8'), [patch])).toContain(patch.to)
})

test.each(POLICIES)('the worker of the scenario policy can be made: $name', (variation) => {
  const { config } = parseConfig(configOf(variation, 'http://127.0.0.1:1/mcp', '/tmp/x'), '/tmp/x/weir.yaml')
  expect(Object.keys(config.callers)).toHaveLength(1 + (variation.callers ?? 0))
  expect(config.rules.length).toBe(
    variation.yaml.split('\n').filter((line) => line.startsWith('  - ')).length,
  )
})
