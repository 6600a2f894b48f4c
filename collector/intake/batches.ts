/**
 * `POST /v1/batches/<batch id>`: a segment comes in, and 200 goes out only when the store has all of it.
 * Keeps no queue and no state a crash could take along: whatever was not answered, the sender sends again under the same id.
 */
import { crc32 } from 'node:zlib'
import type { CallEvent } from '../../event/fields.ts'
import { BATCH_ID } from '../../event/segment.ts'
import { inflate } from '../api/body.ts'
import { ApiError, storeAway } from '../api/errors.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { findBatch, type LedgerEntry } from '../sink/ledger.ts'
import { type Store, StoreError } from '../sink/store.ts'
import { type Batch, writeBatch } from '../sink/write-batch.ts'
import { type Rate, readLines } from './lines.ts'

export type BatchRequest = {
  batch_id: string
  instance: string
  attempt: string
  checksum: string
  encoding: string | undefined
  body: Buffer
}
/** Body of a 200. `rows` and `dead` count lines of this batch, whenever they were stored. */
export type BatchAnswer = { rows: number; dead: number; duplicate: boolean }

export type IntakeParts = {
  store: Store
  /** Whether the schema is in place. */
  isReady(): boolean
  metrics: Metrics
  log: Log
  rate: Rate
  /** Called once for every batch this collector stored; never for a duplicate. Absent: nobody wants the events. */
  onStored?(events: readonly CallEvent[]): void
}

/** Batches remembered as complete, so that a repetition does not cost a question to the store. */
const REMEMBERED = 10_000

export type BatchIntake = (request: BatchRequest) => Promise<BatchAnswer>

export function openBatchIntake(parts: IntakeParts): BatchIntake {
  const complete = new Map<string, { rows: number; dead: number }>()
  const running = new Map<string, Promise<BatchAnswer>>()
  const remember = (id: string, answer: { rows: number; dead: number }): void => {
    complete.set(id, { rows: answer.rows, dead: answer.dead })
    if (complete.size > REMEMBERED) complete.delete(complete.keys().next().value!)
  }
  const known = (id: string): BatchAnswer | null => {
    const found = complete.get(id)
    return found ? { ...found, duplicate: true } : null
  }
  return async (request) => {
    const { batch_id } = request
    const attempt = checkHead(request)
    if (!parts.isReady()) throw storeAway()
    const body = await inflate(request.body, request.encoding)
    checkSum(body, request.checksum)
    for (;;) {
      const found = known(batch_id)
      if (found) return found
      const other = running.get(batch_id)
      if (!other) break
      await other.catch(() => {})
    }
    const work = store(parts, { ...request, body }, attempt)
    running.set(batch_id, work)
    try {
      const answer = await work
      remember(batch_id, answer)
      return answer
    } finally {
      running.delete(batch_id)
    }
  }
}

function checkHead(request: BatchRequest): number {
  if (!BATCH_ID.test(request.batch_id))
    throw new ApiError(
      400,
      'batch_id_malformed',
      'the batch id is not <worker id>-<8 digits>',
      'name the batch after its segment file',
    )
  const attempt = Number(request.attempt)
  if (!Number.isInteger(attempt) || attempt < 1)
    throw new ApiError(
      400,
      'attempt_malformed',
      'the header weir-attempt is not a number from 1',
      'count from 1, also over restarts',
    )
  return attempt
}

function checkSum(body: Buffer, checksum: string): void {
  if (!/^[0-9a-f]{8}$/.test(checksum) || Number.parseInt(checksum, 16) !== crc32(body))
    throw new ApiError(
      400,
      'checksum_mismatch',
      'the bytes are not the bytes that were sent',
      'send the same bytes again',
    )
}

async function store(parts: IntakeParts, request: BatchRequest, attempt: number): Promise<BatchAnswer> {
  const { metrics } = parts
  try {
    // A first attempt may be a second one whose sender forgot: the tokens see to that. Later ones may be older than the tokens.
    const entry: LedgerEntry | null = attempt > 1 ? await findBatch(parts.store, request.batch_id) : null
    if (entry?.complete) return { rows: entry.rows, dead: entry.dead, duplicate: true }
    const rows = await readLines(
      request.body.toString('utf8'),
      request.batch_id,
      parts.onStored !== undefined,
      parts.rate,
    )
    const batch: Batch = {
      id: request.batch_id,
      instance: request.instance.slice(0, 100),
      attempt,
      bytes: request.body.length,
      rows,
    }
    const written = await writeBatch(parts.store, batch, entry)
    metrics.stored(batch, written)
    if (rows.unknownFields > 0) tellUnknown(parts.log, rows.unknownNames)
    if (written.dead > 0)
      parts.log('warn', 'lines became dead letters', {
        batch_id: batch.id,
        dead: written.dead,
        refused: written.refused.length,
        first: rows.dead[0]?.error ?? '',
      })
    if (parts.onStored && rows.events.length > 0) {
      const refused = new Set(written.refused)
      parts.onStored(rows.events.filter((_, i) => !refused.has(rows.callRows[i]!)))
    }
    return { rows: written.rows, dead: written.dead, duplicate: false }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    parts.log('warn', 'batch not stored, the sender will come again', {
      batch_id: request.batch_id,
      class: error.kind,
      code: error.code,
      reason: error.message,
    })
    throw storeAway(error.kind === 'refused' ? 10 : 2)
  }
}

const told = new Set<string>()
/** Once per field name and process: a newer proxy sends them with every event. */
function tellUnknown(log: Log, names: readonly string[]): void {
  const fresh = names.filter((name) => !told.has(name)).slice(0, Math.max(0, 100 - told.size))
  for (const name of fresh) told.add(name)
  if (fresh.length) log('warn', 'events carry fields this version does not know: left out', { fields: fresh })
}
