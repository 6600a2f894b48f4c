/**
 * `POST /v1/losses`: how many events each worker has given up, as totals since its start. A report may come any number of
 * times: the table is keyed by the total itself.
 */
import { randomUUID } from 'node:crypto'
import { LOSS_REASONS, type Loss, WORKER_ID } from '../../event/segment.ts'
import { ApiError } from '../api/errors.ts'
import { compactLines, type Store } from '../sink/store.ts'

const REASONS = new Set<string>(LOSS_REASONS)
const LOSSES_MAX = 10_000

function isLoss(value: unknown): value is Loss {
  if (typeof value !== 'object' || value === null) return false
  const { instance, worker_id, reason, events } = value as Record<string, unknown>
  return (
    typeof instance === 'string' &&
    typeof worker_id === 'string' &&
    WORKER_ID.test(worker_id) &&
    REASONS.has(reason as string) &&
    Number.isSafeInteger(events) &&
    (events as number) >= 0
  )
}

/** Throws ApiError 400 when any of them is not a Loss: a counter that is half understood is worse than none. */
export function readLosses(body: Buffer): Loss[] {
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch {
    value = null
  }
  if (!Array.isArray(value) || value.length > LOSSES_MAX || !value.every(isLoss))
    throw new ApiError(
      400,
      'losses_malformed',
      'the body is not a list of losses',
      'see event/segment.ts, type Loss',
    )
  return value
}

export async function writeLosses(store: Store, losses: readonly Loss[]): Promise<void> {
  const lost = losses.filter((loss) => loss.events > 0)
  if (lost.length === 0) return
  const now_ms = Date.now()
  const rows = lost.map((l) => [
    l.worker_id,
    l.reason,
    l.events,
    l.instance.toWellFormed().slice(0, 100),
    now_ms,
  ])
  await store.insert(
    'losses',
    ['worker_id', 'reason', 'events', 'instance', 'first_reported'],
    compactLines(rows),
    randomUUID(),
  )
}
