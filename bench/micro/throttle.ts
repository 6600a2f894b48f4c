/** Limits: the stage when this worker holds enough, with few and many limits, and what the keeper does for an ask. */
import { limitEntries } from '../../config/limit-book.ts'
import { parseConfig } from '../../config/load.ts'
import { Bank } from '../../limits/bank.ts'
import type { Ask } from '../../limits/messages.ts'
import { planner } from '../../proxy/limits/plans.ts'
import { Purses } from '../../proxy/limits/purses.ts'
import { Spending } from '../../proxy/limits/spending.ts'
import { letGo, throttle } from '../../proxy/stages/throttle.ts'
import { understand } from '../../proxy/stages/understand.ts'
import { Metrics } from '../../proxy/telemetry/metrics.ts'
import { newCall, seal } from './fixtures.ts'
import { micro, report } from './measure.ts'

const entriesOf = (limits: string) =>
  limitEntries(
    parseConfig(`servers: { stub: { url: "http://127.0.0.1:9/mcp" } }\nlimits:\n${limits}`, 'weir.yaml', {})
      .config,
  )
const PLENTY = 1_000_000_000

/** A stage whose keeper lends more than is ever used. */
async function stageOf(limits: string) {
  const purses = new Purses({
    ask: (asks: readonly Ask[]) =>
      Promise.resolve(
        asks.map(({ needs }) => ({
          lent: needs.map(() => PLENTY),
          refusal: null,
          isAway: false,
          shadow: [],
        })),
      ),
    settle: () => {},
  })
  const planOf = planner(entriesOf(limits))!
  const stage = throttle({
    planOf,
    purses,
    spending: new Spending([]),
    metering: null,
    metrics: new Metrics(),
  })
  const call = newCall('legacy', 0)
  understand(seal).before(call)
  call.server = 'stub'
  await stage.before(call)
  return {
    call,
    pass: () => {
      call.decision = null
      const waiting = stage.before(call)
      if (call.holds) letGo(call, purses, 0)
      return waiting
    },
  }
}

const budget = { stage: 'throttle', target_ns: 500, must_ns: 1000 }
const rate = await stageOf('  - { name: a, per: [caller], rate: 100000/s }')
micro('throttle: a rate, held here', rate.pass, budget)
const four = await stageOf(
  '  - { name: a, per: [caller], rate: 100000/s, quota: 100000000/day, concurrency: 1000 }\n  - { name: b, per: [tool], rate: 100000/s }',
)
micro('throttle: rate, quota, concurrency and a rate of the tool, held here', four.pass)
for (const count of [10, 1000]) {
  const others = Array.from(
    { length: count - 1 },
    (_, i) => `  - { name: n${i}, rate: 10/s, callers: [c${i}] }`,
  )
  const many = await stageOf(['  - { name: a, per: [caller], rate: 100000/s }', ...others].join('\n'))
  micro(`throttle: a rate, one of ${count} limits`, many.pass)
}
const [entry] = entriesOf('  - { name: a, rate: 1000000/s, burst: 1000000 }')
const bank = new Bank([entry!])
micro('keeper: a rate', (i) => bank.take([[entry!.id, 1, 0]], { mono_ms: i, wall_ms: i }))
report()
