/** The jobs of the watch, put together: the one place that knows them all. A job of this folder knows no other. */
import type { Log } from '../log.ts'
import type { CollectorOptions } from '../options.ts'
import type { Store } from '../sink/store.ts'
import { anomalyJobs } from './anomaly/jobs.ts'
import type { Job } from './watch.ts'

export type JobParts = {
  store: Store
  log: Log
  /** The options in force: a reload changes what this returns. */
  options(): CollectorOptions
}

/** In the order they begin. */
export const watchJobs = (parts: JobParts): readonly Job[] => [...anomalyJobs(parts)]
