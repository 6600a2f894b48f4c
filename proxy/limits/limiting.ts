/** The limits of a worker: what outlives a reload, the stage of each config, and the end of every call that holds something. */
import { limitEntries } from '../../config/limit-book.ts'
import type { PriceEntry } from '../../config/price-book.ts'
import type { Config } from '../../config/schema.ts'
import type { Stage } from '../pipeline.ts'
import type { Recorder } from '../record.ts'
import { letGo, throttle } from '../stages/throttle.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { planner } from './plans.ts'
import { type KeeperLink, Purses } from './purses.ts'
import { Spending } from './spending.ts'

export class Limiting {
  readonly #purses: Purses
  readonly #metrics: Metrics
  #spending = new Spending([])

  constructor(link: KeeperLink, recorder: Recorder, metrics: Metrics) {
    this.#purses = new Purses(link)
    this.#metrics = metrics
    recorder.onHolderEnd = (call, event) => {
      const { kind, method, server, tool, outcome, meters, cost_reported, cost_reported_nano } = call
      const facts = { kind, method, server, tool, outcome, meters, cost_reported, cost_reported_nano }
      const isSpending = call.holds!.some(({ line }) => line.entry.kind === 'spend')
      letGo(call, this.#purses, isSpending ? this.#spending.cost({ ...event, ...facts }) : 0)
    }
  }

  /** The stage of a config; null when it has no limits. `metering` takes the numbers that prices name. */
  stage(config: Config, prices: readonly PriceEntry[], metering: Stage | null): Stage | null {
    const planOf = planner(limitEntries(config))
    if (!planOf) return null
    const purses = this.#purses
    this.#spending = new Spending(prices)
    return throttle({ planOf, purses, spending: this.#spending, metering, metrics: this.#metrics })
  }

  recall(key: string): void {
    this.#purses.recall(key)
  }

  /** Gives everything back; no call is under way any more. */
  finish(): void {
    this.#purses.flush()
  }
}
