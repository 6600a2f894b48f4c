/** The keeper of an installation: its file, its name among others, and how it reaches workers and collector. */
import { join } from 'node:path'
import type { Config } from '../../config/schema.ts'
import type { Log } from '../../event/log.ts'
import type { SpentRow } from '../../limits/messages.ts'
import type { Metrics } from '../../proxy/telemetry/metrics.ts'
import type { Managed } from '../managed.ts'
import { Keeper } from './keeper.ts'

/** How long a worker may take to give back what it does not use of a limit. */
const RECALL_MS = 200
const SPENT_MS = 20_000

type Around = {
  log: Log
  metrics: Metrics
  /** Of this installation alone; a part of it tells machines of one name apart. */
  secret: string
  workers: ReadonlyMap<string, Managed>
  /** Identities of the workers alive, by slot. */
  ids: ReadonlyMap<string, string>
  /** Null where the collector is elsewhere. */
  collector: (() => Managed | null) | null
}

export function openKeeper(config: Config, around: Around): Keeper {
  const { log, metrics, secret, workers, ids, collector } = around
  return new Keeper(
    {
      file: join(config.data, 'limits.json'),
      machine: `${config.instance}-${secret.slice(0, 8)}`,
      log,
      metrics,
      workers: config.workers,
      living: (slot) => ids.get(slot),
      spent: collector
        ? async (from_ms) => {
            const rows = await collector()?.ask('spent', from_ms, SPENT_MS)
            if (!rows) throw new Error('the collector is not ready')
            return rows as SpentRow[]
          }
        : null,
      note: collector
        ? (note) => {
            const noted = collector()?.ask('limit_note', note, SPENT_MS)
            noted?.catch((error: Error) =>
              log.warn('not noted on charts', { title: note.title, error: error.message }),
            )
          }
        : null,
      recall: async (slot, key) => {
        await workers.get(slot)!.ask('recall', key, RECALL_MS)
      },
    },
    config,
  )
}
