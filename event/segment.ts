/**
 * The spool file: its name, its lines, its identity. Written by a proxy worker, shipped by the supervisor, read by a collector.
 * A segment is JSON lines: a CallEvent each, or what stands beside events, told by its first key: a CallIntent (`intent`), a
 * ToolDefinition (`definition`), a ToolList (`list`). Its batch id is its name, so the same bytes always travel under the
 * same id and the store can drop what it already has.
 */

/** `open` = being written by the worker named in it; `sealed` = complete, never changes again. */
export type SegmentState = 'open' | 'sealed'
export type SegmentName = { worker_id: string; seq: number; state: SegmentState }

/** Worker ids are made at start of a worker process: 16 hex digits, never reused. */
export const WORKER_ID = /^[0-9a-f]{16}$/
const NAME = /^([0-9a-f]{16})-(\d{8})\.(open|ndjson)$/

export const segmentFile = (name: SegmentName): string =>
  `${name.worker_id}-${String(name.seq).padStart(8, '0')}.${name.state === 'open' ? 'open' : 'ndjson'}`

/** Reads a file name of the spool folder; null for any other file. */
export function parseSegmentFile(file: string): SegmentName | null {
  const m = NAME.exec(file)
  if (!m) return null
  return { worker_id: m[1]!, seq: Number(m[2]), state: m[3] === 'open' ? 'open' : 'sealed' }
}

/** Identity of a segment's bytes: what the collector ledger and the store's de-duplication go by. */
export const batchId = (name: Pick<SegmentName, 'worker_id' | 'seq'>): string =>
  `${name.worker_id}-${String(name.seq).padStart(8, '0')}`
export const BATCH_ID = /^[0-9a-f]{16}-\d{8}$/

/** How the lines begin that are no events. */
export const BESIDE_EVENTS: readonly string[] = ['{"intent"', '{"definition"', '{"list"']

/**
 * Why events were lost: given up for space, not written for lack of space or by another error, or refused by the collector
 * for good. Counted per worker, cumulative, so that reporting twice is harmless.
 */
export const LOSS_REASONS = ['spool_full', 'disk_full', 'write_error', 'rejected'] as const
export type LossReason = (typeof LOSS_REASONS)[number]

/** Body of `POST /v1/losses`: `events` is the total since the worker started. */
export type Loss = { instance: string; worker_id: string; reason: LossReason; events: number }

/** Headers of `POST /v1/batches/<batch id>` from shipper to collector. The body is the segment, as it is or zstd-compressed. */
export const INTAKE_HEADERS = {
  instance: 'weir-instance',
  /** 1 on first send; above 1 the collector must look whether it has the batch already. */
  attempt: 'weir-attempt',
  /** CRC-32 of the uncompressed bytes, 8 hex digits. */
  checksum: 'weir-crc32',
} as const
