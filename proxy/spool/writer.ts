/**
 * The worker's end of the spool: appends a line to the open segment before the caller's answer ends.
 * Synchronous on purpose: no queue to lose. A write that fails loses that event, is counted durably, and never throws.
 * Invariant: a sealed segment never changes; nobody else writes to this worker's files.
 */
import {
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { LOSS_REASONS, type LossReason, segmentFile } from '../../event/segment.ts'

export type SpoolOptions = {
  folder: string
  worker_id: string
  segment_bytes: number
  segment_age_ms: number
}

const LOSS_WIDTH = 16
const BUFFER_BYTES = 262_144
const NEWLINE = 10

/** Who waits for a line to be written. */
export type Written = { written(): void }

export const noLosses = (): Record<LossReason, number> =>
  Object.fromEntries(LOSS_REASONS.map((r) => [r, 0])) as Record<LossReason, number>

type Waiter = { resolve: () => void; reject: (error: Error) => void }

const settle = (waiters: readonly Waiter[], error: Error | null): void => {
  for (const w of waiters) error ? w.reject(error) : w.resolve()
}

/** Cumulative losses of one worker in a file whose blocks exist from the start, so that a full disk can still be told. */
export class LossLedger {
  readonly #fd: number
  readonly #file: string
  readonly counts: Record<LossReason, number> = noLosses()

  constructor(folder: string, worker_id: string) {
    this.#file = join(folder, `${worker_id}.lost`)
    this.#fd = openSync(this.#file, 'w', 0o600)
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

  /** Takes the file away when it has nothing to tell. Only for a worker that ends and has no supervisor to do so. */
  removeEmpty(): void {
    if (LOSS_REASONS.every((reason) => this.counts[reason] === 0)) rmSync(this.#file, { force: true })
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
  #syncWaiters: Waiter[] = []
  /** Those whose sync is under way. */
  #syncing: Waiter[] | null = null
  /** Whether the open segment holds a record that somebody wants on the disk. */
  #mustSync = false
  /** Whether the open segment's name is on the disk too. */
  #isNamed = false
  #buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  #used = 0
  /** Lines in the buffer: where each ends, and whether it counts as an event. */
  #lines: { end: number; events: 0 | 1 }[] = []
  #then: Written[] = []
  /** This turn of the event loop has written already. */
  #isTurnBusy = false
  /** Set by the supervisor when the spool's budget is used up and new events are the ones to give up. */
  isFull = false
  written = 0

  constructor(options: SpoolOptions, onSealed: () => void = () => {}) {
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
    this.#options = options
    this.#onSealed = onSealed
    this.losses = new LossLedger(options.folder, options.worker_id)
  }

  /** Appends one line (without its newline). False when the event is lost; it is counted then. */
  append(line: string): boolean {
    return this.#appendNow(line, true)
  }

  /**
   * Appends one line and tells `then` when it is written, or lost and counted. The first line of a turn of the event loop is
   * written at once, so that a lone call waits for nothing; those after it share one write at the end of the turn.
   */
  appendThen(line: string, then: Written): void {
    if (this.isFull) {
      this.losses.add('spool_full', 1)
      return then.written()
    }
    if (!this.#isTurnBusy) {
      this.#isTurnBusy = true
      setImmediate(this.#endTurn)
      this.#appendNow(line, true)
      return then.written()
    }
    this.#put(line, true)
    this.#then.push(then)
  }

  /** Appends lines that are no events. Nobody misses them: false when not all were written, and they come again. */
  appendBeside(lines: readonly string[]): boolean {
    if (this.isFull) return false
    let isWhole = true
    for (const line of lines) if (!this.#put(line, false)) isWhole = false
    return this.#flush() && isWhole
  }

  readonly #endTurn = (): void => {
    this.#isTurnBusy = false
    this.#flush()
  }

  #appendNow(line: string, isEvent: boolean): boolean {
    if (this.isFull) {
      // Nobody misses an intent as an event: its call is refused.
      this.losses.add('spool_full', isEvent ? 1 : 0)
      return false
    }
    this.#put(line, isEvent)
    return this.#flush()
  }

  /** Lays a line down in the buffer; makes room first when there is none. False when what made room was not written. */
  #put(line: string, isEvent: boolean): boolean {
    // A character is at most three bytes of UTF-8.
    const need = line.length * 3 + 1
    let isWhole = true
    if (this.#used + need > this.#buffer.length) {
      isWhole = this.#flush()
      if (need > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(need)
    }
    this.#used += this.#buffer.write(line, this.#used)
    this.#buffer[this.#used++] = NEWLINE
    this.#lines.push({ end: this.#used, events: isEvent ? 1 : 0 })
    return isWhole
  }

  /** Writes what the buffer holds. False when not all of it could be written: the rest is lost, and counted. */
  #flush(): boolean {
    const lines = this.#lines
    if (lines.length === 0) return true
    const then = this.#then
    const used = this.#used
    this.#lines = []
    this.#then = []
    this.#used = 0
    let reason: LossReason = 'disk_full'
    let taken = 0
    try {
      if (this.#fd < 0) this.#open()
      taken = writeSync(this.#fd, this.#buffer, 0, used)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code !== 'ENOSPC' && code !== 'EDQUOT') reason = 'write_error'
    }
    let kept = 0
    let lost = 0
    for (const { end, events } of lines) {
      if (end > taken) lost += events
      else {
        kept = end
        this.#events++
        this.written += events
      }
    }
    this.#size_bytes += kept
    const isWhole = taken === used
    if (!isWhole) {
      this.losses.add(reason, lost)
      if (taken > kept) this.#cutTornLine()
    }
    if (this.#size_bytes >= this.#options.segment_bytes) this.seal()
    for (const one of then) one.written()
    if (this.#buffer.length > BUFFER_BYTES) this.#buffer = Buffer.allocUnsafe(BUFFER_BYTES)
    return isWhole
  }

  /** A torn line would poison its neighbours. */
  #cutTornLine(): void {
    try {
      ftruncateSync(this.#fd, this.#size_bytes)
    } catch {
      // The collector takes what is left of the line for a dead letter, and the next line with it.
      this.seal()
    }
  }

  /**
   * Appends a line and resolves when it is on the disk. Appends of one moment share one fdatasync.
   * Rejects when it could not be written or synced: the caller must not go on.
   */
  appendSynced(line: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter = { resolve, reject }
      this.#mustSync = true
      this.#syncWaiters.push(waiter)
      if (!this.#appendNow(line, false)) {
        this.#syncWaiters = this.#syncWaiters.filter((w) => w !== waiter)
        reject(new Error('the spool did not take the record'))
      } else if (this.#fd >= 0) this.#sync()
    })
  }

  #sync(): void {
    if (this.#syncing !== null || this.#syncWaiters.length === 0) return
    const waiters = this.#syncWaiters
    this.#syncWaiters = []
    this.#syncing = waiters
    const isNamed = this.#isNamed
    this.#isNamed = true
    fdatasync(this.#fd, (failure) => {
      let error: Error | null = failure
      try {
        if (!isNamed) this.#syncFolder()
      } catch (cause) {
        error ??= cause as Error
      }
      // Sealed meanwhile: `seal` has synced and told them; telling them again does nothing.
      settle(waiters, error)
      this.#syncing = null
      if (this.#fd >= 0) this.#sync()
    })
  }

  /** A synced file in a folder that was not synced may be gone after a power cut. */
  #syncFolder(): void {
    const fd = openSync(this.#options.folder, 'r')
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  }

  #open(): void {
    const { folder, worker_id, segment_age_ms } = this.#options
    this.#fd = openSync(join(folder, segmentFile({ worker_id, seq: this.#seq, state: 'open' })), 'a', 0o600)
    this.#size_bytes = 0
    this.#events = 0
    this.#isNamed = false
    this.#timer ??= setTimeout(() => this.#sealByAge(), segment_age_ms).unref()
  }

  /**
   * A batch costs the store the same whether it holds one event or a thousand, so at most one segment of a worker is on its
   * way: while the one before is not stored yet, this one goes on filling (group commit). Its size still bounds it.
   */
  #sealByAge(): void {
    this.#timer = null
    const { folder, worker_id, segment_age_ms } = this.#options
    const isBusy =
      this.#seq > 0 &&
      existsSync(join(folder, segmentFile({ worker_id, seq: this.#seq - 1, state: 'sealed' })))
    if (isBusy) this.#timer = setTimeout(() => this.#sealByAge(), segment_age_ms / 4).unref()
    else this.seal()
  }

  /** Closes the open segment for good and hands it to the shipper. Nothing to do when it is empty. */
  seal(): void {
    this.#flush()
    if (this.#fd < 0) return
    const { folder, worker_id } = this.#options
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#mustSync) {
      let failure: Error | null = null
      try {
        fdatasyncSync(this.#fd)
        if (!this.#isNamed) this.#syncFolder()
      } catch (error) {
        failure = error as Error
      }
      settle([...(this.#syncing ?? []), ...this.#syncWaiters.splice(0)], failure)
    }
    try {
      closeSync(this.#fd)
      if (this.#events > 0) {
        const from = segmentFile({ worker_id, seq: this.#seq, state: 'open' })
        renameSync(
          join(folder, from),
          join(folder, segmentFile({ worker_id, seq: this.#seq, state: 'sealed' })),
        )
      }
    } catch {
      // The file keeps its `.open` name; the supervisor takes it over when this worker is gone.
    }
    this.#fd = -1
    this.#mustSync = false
    if (this.#events > 0) this.#seq++
    this.#onSealed()
  }

  close(): void {
    this.seal()
    this.losses.close()
  }
}
