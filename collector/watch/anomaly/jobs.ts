/** The detectors as jobs of the watch. */
import type { JobParts } from '../jobs.ts'
import type { Job } from '../watch.ts'
import { endOpen, keepBaselines, type TickState, tick } from './tick.ts'

/** Often enough to judge a bucket soon after it ended; a run without a new bucket asks one question and ends. */
const TICK_MS = 20_000
/** Baselines are made at the first run of a day (UTC), and whenever they are missing. */
const BASELINES_MS = 300_000

export function anomalyJobs({ store, options }: JobParts): readonly Job[] {
  const state: TickState = { seen_ms: 0 }
  return [
    {
      name: 'anomalies',
      every_ms: TICK_MS,
      async run(now_ms) {
        const { anomalies } = options()
        if (anomalies.enabled) await tick(store, anomalies, now_ms, state)
        else await endOpen(store, now_ms)
      },
    },
    {
      name: 'baselines',
      every_ms: BASELINES_MS,
      async run(now_ms) {
        if (options().anomalies.enabled) await keepBaselines(store, now_ms)
      },
    },
  ]
}
