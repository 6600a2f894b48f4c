/** The jobs of the watch, put together: the one place that knows them all. A job of this folder knows no other. */

import type { Book } from '../../config/cost-book.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { CollectorOptions } from '../options.ts'
import type { Reader } from '../queries/client.ts'
import type { Store } from '../sink/store.ts'
import { alertJobs } from './alerts/jobs.ts'
import { anomalyJobs } from './anomaly/jobs.ts'
import { contextPrices } from './context-prices.ts'
import { moneyJob } from './money.ts'
import type { Job } from './watch.ts'

export type JobParts = {
  store: Store
  /** For the questions of `collector/queries/`. */
  reader: Reader
  metrics: Pick<Metrics, 'count' | 'set'>
  log: Log
  /** The options in force: a reload changes what this returns. */
  options(): CollectorOptions
  /** The price book in force. */
  book(): Book
}

/** In the order they begin: findings before alerts, for a rule may be about them. */
export const watchJobs = (parts: JobParts): readonly Job[] => [
  moneyJob(parts),
  contextPrices(parts.store, () => parts.options().context),
  ...anomalyJobs(parts),
  ...alertJobs(parts),
]
