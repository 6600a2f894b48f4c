/**
 * From the spool to the collector: sealed segments in order, the same bytes under the same id until it says they are stored.
 * Takes over what dead workers left, keeps the spool within its budget, and reports losses. Never blocks a worker.
 * Invariant: a segment is deleted only after a 2xx, or counted as lost when the budget forces it out.
 */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Log } from '../event/log.ts'
import {
  BESIDE_EVENTS,
  batchId,
  INTAKE_HEADERS,
  type LossReason,
  parseSegmentFile,
  segmentFile,
} from '../event/segment.ts'
import { claimedWorkers } from '../proxy/spool/claim.ts'
import { LossLedger } from '../proxy/spool/writer.ts'
import type { Metrics } from '../proxy/telemetry/metrics.ts'
import { LossReport } from './loss-report.ts'

const POLL_MS = 1_000
const BACKOFF_MIN_MS = 200
const BACKOFF_MAX_MS = 10_000
const SEND_MAX_MS = 120_000
const BESIDE = BESIDE_EVENTS.map((head) => Buffer.from(head))

export type ShipperOptions = {
  folder: string
  instance: string
  max_bytes: number
  full: 'drop_oldest' | 'drop_newest'
  token: string
  /** Where the collector is now; '' while it is not known. */
  collector(): string
  /** Workers of this supervisor that are alive: their open segments are theirs, as are those of whoever holds a claim. */
  living(): ReadonlySet<string>
  /** Tells the workers that the spool takes nothing, or takes again. */
  onFull(isFull: boolean): void
}

/** Events in a segment; what stands beside them is none. */
function countEvents(bytes: Buffer): number {
  let events = 0
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(10, from)
    if (!BESIDE.some((head) => bytes.subarray(from, from + head.length).equals(head))) events++
    if (end < 0) break
    from = end + 1
  }
  return events
}

type Segment = { file: string; id: string; size_bytes: number; born_ms: number }

export class Shipper {
  readonly #options: ShipperOptions
  readonly #metrics: Metrics
  readonly #log: Log
  readonly #losses: LossLedger
  readonly #report: LossReport
  #timer: NodeJS.Timeout | null = null
  #isRunning = false
  #isClosed = false
  #again = false
  #failures = 0
  #retryAt_ms = 0
  readonly #attempts = new Map<string, number>()
  #isFull = false
  #known: Segment[] = []
  /** Batch on its way to the collector: not to be dropped meanwhile. */
  #sending = ''
  #tending: Promise<void> | null = null
  readonly #watch: NodeJS.Timeout
  lastError = ''

  constructor(options: ShipperOptions, own_id: string, metrics: Metrics, log: Log) {
    this.#options = options
    this.#metrics = metrics
    this.#log = log
    this.#losses = new LossLedger(options.folder, own_id)
    this.#report = new LossReport({ ...options, own_id })
    // What an earlier run left may have been sent already.
    for (const file of readdirSync(options.folder)) {
      const name = parseSegmentFile(file)
      if (name) this.#attempts.set(batchId(name), 1)
    }
    this.#watch = setInterval(
      () => void this.#tend().catch((error: Error) => this.#unreadable(error)),
      POLL_MS,
    ).unref()
    this.#schedule(0)
  }

  /** Whether new events are given up: what a worker that starts now has to know. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** There is something new: look at once. A waiting backoff stays unless `now` says the collector is back. */
  nudge(now = false): void {
    if (now) this.#retryAt_ms = 0
    this.#again = true
    if (this.#isRunning) void this.#tend().catch((error: Error) => this.#unreadable(error))
    this.#schedule(0)
  }

  #unreadable(error: Error): void {
    this.#log.error('the spool cannot be read', { reason: error.message })
  }

  /** Takes over what the dead left and keeps the budget, also while a send hangs. One at a time. */
  #tend(): Promise<void> {
    const tend = async (): Promise<void> => {
      try {
        await this.#adopt()
        await this.#keepBudget()
      } finally {
        this.#tending = null
      }
    }
    this.#tending ??= tend()
    return this.#tending
  }

  #schedule(wait_ms: number): void {
    if (this.#isRunning || this.#isClosed) return
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#run(), wait_ms)
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return
    this.#isRunning = true
    try {
      do {
        this.#again = false
        await this.#tend()
        await this.#ship()
        if (this.#failures === 0 && this.#options.collector())
          await this.#report.send(this.#options.collector())
      } while (this.#again && !this.#isClosed)
    } catch (error) {
      this.#unreadable(error as Error)
    }
    this.#isRunning = false
    this.#schedule(Math.min(POLL_MS, Math.max(20, this.#retryAt_ms - Date.now())))
  }

  /** Seals what workers that are gone left open. */
  async #adopt(): Promise<void> {
    const { folder, living } = this.#options
    const files = await readdir(folder)
    // Asked after the files were listed: a claim is older than every other file of its worker.
    const claimed = claimedWorkers(folder)
    for (const file of files) {
      const name = parseSegmentFile(file)
      if (name?.state !== 'open' || living().has(name.worker_id) || claimed.has(name.worker_id)) continue
      try {
        const { size } = await stat(join(folder, file))
        if (size === 0) await rm(join(folder, file), { force: true })
        else await rename(join(folder, file), join(folder, segmentFile({ ...name, state: 'sealed' })))
      } catch (error) {
        // Sealed by its worker between the listing and its end.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
    }
  }

  async #segments(): Promise<Segment[]> {
    const { folder } = this.#options
    const found: Segment[] = []
    for (const file of await readdir(folder)) {
      const name = parseSegmentFile(file)
      if (name?.state !== 'sealed') continue
      try {
        const { size, mtimeMs } = await stat(join(folder, file))
        found.push({ file, id: batchId(name), size_bytes: size, born_ms: mtimeMs })
      } catch {
        // Gone between listing and looking.
      }
    }
    return found.sort((a, b) => a.born_ms - b.born_ms || (a.file < b.file ? -1 : 1))
  }

  async #keepBudget(): Promise<void> {
    const { folder, max_bytes, full, onFull } = this.#options
    const segments = await this.#segments()
    let total = segments.reduce((sum, s) => sum + s.size_bytes, 0)
    if (full === 'drop_oldest') {
      for (const oldest of [...segments]) {
        if (total <= max_bytes || segments.length < 2) break
        if (oldest.id === this.#sending) continue
        const path = join(folder, oldest.file)
        const events = countEvents(await readFile(path).catch(() => Buffer.alloc(0)))
        if (oldest.id === this.#sending) continue
        segments.splice(segments.indexOf(oldest), 1)
        total -= oldest.size_bytes
        if (events === 0 && !existsSync(path)) continue
        // Counted first: a crash in between counts too much rather than too little.
        this.#losses.add('spool_full', events)
        rmSync(path, { force: true })
        this.#attempts.delete(oldest.id)
        this.#log.warn('the spool is full: its oldest segment is dropped', { events, segment: oldest.id })
      }
    } else {
      const isFull = this.#isFull ? total > max_bytes * 0.9 : total > max_bytes
      if (isFull !== this.#isFull) onFull((this.#isFull = isFull))
    }
    this.#known = segments
  }

  async #ship(): Promise<void> {
    const collector = this.#options.collector()
    if (!collector || Date.now() < this.#retryAt_ms) return
    for (const segment of [...this.#known]) {
      if (this.#isClosed && this.#failures > 0) return
      if (!(await this.#send(collector, segment))) return
    }
  }

  /** Sends one segment. False: stop for now, the collector is not there or not ready. */
  async #send(collector: string, segment: Segment): Promise<boolean> {
    const { folder, instance, token } = this.#options
    const path = join(folder, segment.file)
    this.#sending = segment.id
    let body: Buffer
    try {
      body = await readFile(path)
    } catch {
      this.#sending = ''
      return true
    }
    const attempt = (this.#attempts.get(segment.id) ?? 0) + 1
    this.#attempts.set(segment.id, attempt)
    try {
      const answer = await fetch(`${collector}/v1/batches/${segment.id}`, {
        method: 'POST',
        body: new Uint8Array(body),
        headers: {
          'content-type': 'application/x-ndjson',
          authorization: `Bearer ${token}`,
          [INTAKE_HEADERS.instance]: encodeURIComponent(instance),
          [INTAKE_HEADERS.attempt]: String(attempt),
          [INTAKE_HEADERS.checksum]: crc32(body).toString(16).padStart(8, '0'),
        },
        signal: AbortSignal.timeout(SEND_MAX_MS),
      })
      const text = await answer.text()
      if (answer.ok) {
        await rm(path, { force: true })
        this.#attempts.delete(segment.id)
        this.#succeed()
        return true
      }
      // Bytes that changed on the way are sent again; what the collector cannot take as it is would fail for ever.
      const isFinal = [400, 413, 422].includes(answer.status) && !text.includes('"checksum_mismatch"')
      if (isFinal) {
        await this.#setAside(segment, body, `HTTP ${answer.status}: ${text.slice(0, 300)}`)
        return true
      }
      const after = Number(answer.headers.get('retry-after'))
      this.#fail(`HTTP ${answer.status}`, `http_${answer.status}`, Number.isFinite(after) ? after * 1000 : 0)
    } catch (error) {
      const cause = (error as { cause?: { code?: string } }).cause?.code
      this.#fail(cause ?? (error as Error).message, cause ?? (error as Error).name)
    } finally {
      this.#sending = ''
    }
    return false
  }

  #succeed(): void {
    if (this.#failures > 0) this.#log.info('the collector takes events again', { failures: this.#failures })
    this.#failures = 0
    this.#retryAt_ms = 0
    this.lastError = ''
    this.#metrics.add('weir_spool_shipped_total')
  }

  #fail(reason: string, kind: string, atLeast_ms = 0): void {
    this.#failures++
    this.lastError = reason
    const wait_ms = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(this.#failures - 1, 10))
    // Half of it at random, so that a fleet does not come back in step.
    this.#retryAt_ms =
      Date.now() + Math.max(Math.min(atLeast_ms, BACKOFF_MAX_MS), wait_ms * (0.5 + Math.random() / 2))
    this.#metrics.add('weir_spool_ship_failures_total', 1, [kind.slice(0, 40)])
    if (this.#failures === 1 || this.#failures % 20 === 0)
      this.#log.warn('the collector does not take events; they wait in the spool', {
        reason,
        failures: this.#failures,
      })
  }

  /** A segment the collector will never take is kept apart for a person to look at, and the way is free again. */
  async #setAside(segment: Segment, bytes: Buffer, reason: string): Promise<void> {
    const { folder } = this.#options
    await mkdir(join(folder, 'rejected'), { recursive: true, mode: 0o700 })
    this.#losses.add('rejected', countEvents(bytes))
    await rename(join(folder, segment.file), join(folder, 'rejected', segment.file))
    this.#metrics.add('weir_spool_ship_failures_total', 1, ['rejected'])
    this.#log.error('the collector refused a segment for good; it was moved to spool/rejected', {
      segment: segment.id,
      reason,
    })
  }

  /** Losses of everybody but our workers alive, who count their own. */
  losses(): Record<LossReason, number> {
    return this.#report.totals()
  }

  /** What waits, as gauges and for readiness. */
  state(): { segments: number; bytes: number; age_s: number } {
    let segments = 0
    let bytes = 0
    let oldest = Date.now()
    for (const s of this.#snapshot()) {
      segments++
      bytes += s.size_bytes
      oldest = Math.min(oldest, s.born_ms)
    }
    return { segments, bytes, age_s: segments > 0 ? (Date.now() - oldest) / 1000 : 0 }
  }

  #snapshot(): Segment[] {
    return this.#known.filter((s) => {
      try {
        statSync(join(this.#options.folder, s.file))
        return true
      } catch {
        return false
      }
    })
  }

  /** Ships what is there, for at most `timeout_ms`. The rest waits for the next start. */
  async flush(timeout_ms: number): Promise<void> {
    const end = Date.now() + timeout_ms
    this.nudge(true)
    do {
      await new Promise((resolve) => setTimeout(resolve, 50))
      await this.#tend().catch(() => {})
      const left = await this.#segments().catch(() => [])
      if (left.length === 0 && !this.#isRunning) break
      // A collector that answers, if only "not yet", is worth the wait.
      if (this.#failures > 2 && !this.lastError.startsWith('HTTP ')) break
      this.nudge()
    } while (Date.now() < end)
  }

  close(): void {
    this.#isClosed = true
    if (this.#timer) clearTimeout(this.#timer)
    clearInterval(this.#watch)
    this.#losses.close()
  }
}
