/** Which config is in force since when, and what it changed: for the collector, which notes it and evaluates alerts by it. */
import type { CollectorOptions } from '../collector/options.ts'
import { changedPaths } from '../config/changes.ts'
import type { Config } from '../config/schema.ts'

export class ConfigHistory {
  #config: Config | null = null
  #taken: { taken_ms: number; changed: readonly string[] } = { taken_ms: 0, changed: [] }

  /** The same config keeps its moment, however often it is asked about. */
  alertOptions(config: Config): CollectorOptions['alerts'] {
    if (config !== this.#config) {
      const changed = this.#config ? changedPaths(this.#config, config) : []
      this.#taken = { taken_ms: Date.now(), changed }
      this.#config = config
    }
    return { alerts: config.alerts, slos: config.slos, config: this.#taken }
  }
}
