/** The shipper of an installation: its folder, whose spool files are still written to, and who hears that it is full. */
import { randomBytes } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import type { Log } from '../event/log.ts'
import type { Metrics } from '../proxy/telemetry/metrics.ts'
import { spoolFolder } from './data-folder.ts'
import type { Managed } from './managed.ts'
import { Shipper } from './shipper.ts'

type Around = {
  token: string
  /** Where events go; '' while that is not known. */
  collector: () => string
  /** Identities of the workers alive, by slot. */
  ids: ReadonlyMap<string, string>
  workers: ReadonlyMap<string, Managed>
  metrics: Metrics
  log: Log
}

export function openShipper({ data, instance, spool }: Config, around: Around): Shipper {
  const { token, collector, ids, workers, metrics, log } = around
  return new Shipper(
    {
      folder: spoolFolder(data),
      instance,
      max_bytes: spool.max_bytes,
      full: spool.full,
      token,
      collector,
      living: () => new Set(ids.values()),
      onFull: (isFull) => {
        for (const worker of workers.values()) worker.ask('spool_full', isFull).catch(() => {})
      },
    },
    randomBytes(8).toString('hex'),
    metrics,
    log,
  )
}
