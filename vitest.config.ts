import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type Reporter, type TestCase, type TestSpecification } from 'vitest/node'

/** What takes minutes begins first: at the end it would leave a core idle. */
const LONG = [
  'anomaly/backtest',
  'reliability/kill.',
  'console/views',
  'money/reconcile',
  'conformance/conformance',
  'cli/wrap.',
  'e2e/matrix',
  'reliability/spool',
  'e2e/peers',
  'e2e/faults',
  'e2e/injected-faults',
]
const placeOf = ({ moduleId }: TestSpecification): number => {
  const place = LONG.findIndex((part) => moduleId.includes(part))
  return place < 0 ? LONG.length : place
}

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return sorted.sort((a, b) => placeOf(a) - placeOf(b))
  }
}

/** Says why a test needed its second try: that may be the machine, or a defect that shows once in a hundred times. */
const secondTries: Reporter = {
  onTestCaseResult(test: TestCase) {
    if (!test.diagnostic()?.flaky) return
    for (const { message, stack } of test.result().errors ?? [])
      process.stdout.write(`\nSECOND TRY: ${test.fullName}\n${stack ?? message}\n`)
  },
}

const isCi = process.env.CI === 'true'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // The embedded engine must never meet worker threads: one that exits takes every connection with it.
    pool: 'forks',
    globalSetup: 'test/support/prepare.ts',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // A shared machine may stall for longer than any deadline here; what fails twice in a row is broken.
    retry: isCi ? 1 : 0,
    // Hundreds of processes are started from the same sources: their types are stripped and their code compiled once.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compile') },
    sequence: { sequencer: LongestFirst, shuffle: { files: false, tests: false } },
    reporters: ['default', secondTries],
  },
})
