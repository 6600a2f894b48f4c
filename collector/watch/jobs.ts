/** The jobs of the watch, put together: the one place that knows them all. A job of this folder knows no other. */
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { CollectorOptions } from '../options.ts'
import type { Reader } from '../queries/client.ts'
import type { Store } from '../sink/store.ts'
import { alertJobs } from './alerts/jobs.ts'
import { contextPrices } from './context-prices.ts'
import type { Job } from './watch.ts'

export type JobParts = {
  store: Store
  /** For the questions of `collector/queries/`. */
  reader: Reader
  metrics: Pick<Metrics, 'count' | 'set'>
  log: Log
  /** The options in force: a reload changes what this returns. */
  options(): CollectorOptions
}

/** In the order they begin. */
export const watchJobs = (parts: JobParts): readonly Job[] => [
  contextPrices(parts.store, () => parts.options().context),
  ...alertJobs(parts),
]
