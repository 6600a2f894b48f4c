/**
 * The worker's end of the spool: appends a line to the open segment before the caller's answer ends.
 * Synchronous on purpose (2 us, no queue to lose). A write that fails loses that event, is counted durably, and never throws.
 * Invariant: a sealed segment never changes; nobody else writes to this worker's files.
 */
import { closeSync, fdatasync, fdatasyncSync, ftruncateSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { LOSS_REASONS, type LossReason, segmentFile } from '../../event/segment.ts'

export type SpoolOptions = { folder: string; worker_id: string; segment_bytes: number; segment_age_ms: number }

const LOSS_WIDTH = 16

/** Cumulative losses of one worker in a file whose blocks exist from the start, so that a full disk can still be told. */
export class LossLedger {
  readonly #fd: number
  readonly counts: Record<LossReason, number> = { spool_full: 0, disk_full: 0, write_error: 0 }

  constructor(folder: string, worker_id: string) {
    this.#fd = openSync(join(folder, `${worker_id}.lost`), 'w', 0o600)
    this.#write()
  }

  add(reason: LossReason, events: number): void {
    this.counts[reason] += events
    this.#write()
  }

  #write(): void {
    try {
      writeSync(this.#fd, LOSS_REASONS.map((r) => String(this.counts[r]).padStart(LOSS_WIDTH)).join('\n'), 0)
    } catch {
      // Counted in memory still; the metric shows it.
    }
  }

  close(): void {
    closeSync(this.#fd)
  }
}

/** Reads a ledger file; null when it is not one. */
export function readLosses(file: string): Record<LossReason, number> | null {
  const numbers = readFileSync(file, 'latin1').split('\n').map(Number)
  if (numbers.length !== LOSS_REASONS.length || numbers.some((n) => !Number.isSafeInteger(n))) return null
  return Object.fromEntries(LOSS_REASONS.map((r, i) => [r, numbers[i]!])) as Record<LossReason, number>
}

export class SpoolWriter {
  readonly #options: SpoolOptions
  readonly losses: LossLedger
  readonly #onSealed: () => void
  #fd = -1
  #seq = 0
  #size_bytes = 0
  #events = 0
  #timer: NodeJS.Timeout | null = null
  #syncWaiters: { resolve: () => void; reject: (error: Error) => void }[] = []
  #syncing = false
  /** Set by the supervisor when the spool's budget is used up and new events are the ones to give up. */
  isFull = false
  written = 0

  constructor(options: SpoolOptions, onSealed: () => void = () => {}) {
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
    this.#options = options
    this.#onSealed = onSealed
    this.losses = new LossLedger(options.folder, options.worker_id)
  }

  /** Appends one line (with its newline). False when the event is lost; it is counted then. */
  append(line: string): boolean {
    if (this.isFull) {
      this.losses.add('spool_full', 1)
      return false
    }
    try {
      if (this.#fd < 0) this.#open()
      const wanted = Buffer.byteLength(line)
      const done = writeSync(this.#fd, line)
      if (done !== wanted) {
        // A torn line would poison its neighbours.
        ftruncateSync(this.#fd, this.#size_bytes)
        this.losses.add('disk_full', 1)
        return false
      }
      this.#size_bytes += wanted
      this.#events++
      this.written++
      if (this.#size_bytes >= this.#options.segment_bytes) this.seal()
      return true
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      this.losses.add(code === 'ENOSPC' || code === 'EDQUOT' ? 'disk_full' : 'write_error', 1)
      return false
    }
  }

  /**
   * Appends a line and resolves when it is on the disk. Appends of one moment share one fdatasync.
   * Rejects when it could not be written or synced: the caller must not go on.
   */
  appendSynced(line: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.append(line)) return reject(new Error('the spool did not take the record'))
      // Sealing syncs too, so a closed segment needs no second sync.
      if (this.#fd < 0) return resolve()
      this.#syncWaiters.push({ resolve, reject })
      this.#sync()
    })
  }

  #sync(): void {
    if (this.#syncing || this.#syncWaiters.length === 0) return
    const waiters = this.#syncWaiters
    this.#syncWaiters = []
    this.#syncing = true
    const fd = this.#fd
    fdatasync(fd, (error) => {
      this.#syncing = false
      for (const w of waiters) error && this.#fd === fd ? w.reject(error) : w.resolve()
      this.#sync()
    })
  }

  #open(): void {
    const { folder, worker_id, segment_age_ms } = this.#options
    this.#fd = openSync(join(folder, segmentFile({ worker_id, seq: this.#seq, state: 'open' })), 'a', 0o600)
    this.#size_bytes = 0
    this.#events = 0
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.seal()
    }, segment_age_ms).unref()
  }

  /** Closes the open segment for good and hands it to the shipper. Nothing to do when it is empty. */
  seal(): void {
    if (this.#fd < 0) return
    const { folder, worker_id } = this.#options
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    // With a sync under way the descriptor must outlive it; those waiting are served here.
    if (this.#syncing || this.#syncWaiters.length > 0) {
      try {
        fdatasyncSync(this.#fd)
        for (const w of this.#syncWaiters.splice(0)) w.resolve()
      } catch (error) {
        for (const w of this.#syncWaiters.splice(0)) w.reject(error as Error)
      }
    }
    try {
      closeSync(this.#fd)
      if (this.#events > 0) {
        const from = segmentFile({ worker_id, seq: this.#seq, state: 'open' })
        renameSync(join(folder, from), join(folder, segmentFile({ worker_id, seq: this.#seq, state: 'sealed' })))
      }
    } catch {
      // The file keeps its `.open` name; the supervisor takes it over when this worker is gone.
    }
    this.#fd = -1
    if (this.#events > 0) this.#seq++
    this.#onSealed()
  }

  close(): void {
    this.seal()
    this.losses.close()
  }
}
