/**
 * Where a wrapped server's events go: the spool of a data folder, as a worker of its own, without the lock of the folder.
 * Whoever runs `weir up` there ships them, now or later. Never throws and never waits: what cannot be written is counted in
 * the ledger of the spool, also what was lost before there was one.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../../config/schema.ts'
import { parseSegmentFile } from '../../event/segment.ts'
import type { Call } from '../../proxy/call.ts'
import { Capture } from '../../proxy/capture.ts'
import { Catalogue } from '../../proxy/catalogue.ts'
import { Recorder } from '../../proxy/record.ts'
import { type Claim, claimWorker } from '../../proxy/spool/claim.ts'
import { SpoolWriter } from '../../proxy/spool/writer.ts'
import { configSecrets } from '../../proxy/telemetry/config-secrets.ts'
import { Metrics } from '../../proxy/telemetry/metrics.ts'
import { makeRedactor } from '../../proxy/telemetry/redact.ts'
import { loadSecrets, makeSpoolFolder, spoolFolder } from '../../supervisor/data-folder.ts'
import { environmentSecrets } from './settings.ts'

/** As the event names the process that served the call. */
const WORKER = 'wrap'
const RETRY_MS = 1_000
/** The spool's budget is at least this many segments; a supervisor may run over it by about one. */
const SEGMENTS_MIN = 8

type Open = { claim: Claim; spool: SpoolWriter; recorder: Recorder; catalogue: Catalogue }

export class Recording {
  readonly #config: Config
  readonly #data: string
  readonly #onTrouble: (reason: string) => void
  #open: Open | null = null
  /** Events that came while nothing could be written. */
  #missed = 0
  #retryAt_ms = 0
  #lookAt_ms = 0

  /** `onTrouble` hears, once, why nothing can be recorded. */
  constructor(config: Config, data: string, onTrouble: (reason: string) => void) {
    this.#config = config
    this.#data = data
    this.#onTrouble = onTrouble
    this.#tryOpen()
  }

  /** What is kept of arguments and results; null while nothing can be recorded. */
  get capture(): Capture | null {
    return this.#open?.recorder.capture ?? null
  }

  /** The answer of a call as text: what it says of the server and its tools is noted. Before the call's event. */
  answered(call: Call, text: string): void {
    this.#open?.catalogue.answered(call, text)
  }

  /** Writes the event of a call, once: when this returns it is with the system, or lost and counted. */
  record(call: Call): void {
    if (this.#open === null && performance.now() >= this.#retryAt_ms) this.#tryOpen()
    if (this.#open === null) return this.lost()
    if (this.#open.spool.isFull && performance.now() >= this.#lookAt_ms) this.#keepBudget(this.#open.spool)
    try {
      this.#open.recorder.record(call)
    } catch {
      this.lost()
    }
  }

  /** An event that never came to be written. */
  lost(): void {
    if (this.#open === null) this.#missed++
    else this.#open.spool.losses.add('write_error', 1)
  }

  #tryOpen(): void {
    let claim: Claim | null = null
    try {
      const folder = makeSpoolFolder(this.#data)
      const { hash } = loadSecrets(this.#data)
      claim = claimWorker(folder)
      this.#open = this.#begin(folder, claim, hash)
    } catch (error) {
      claim?.release()
      if (this.#retryAt_ms === 0) this.#onTrouble((error as Error).message)
      this.#retryAt_ms = performance.now() + RETRY_MS
    }
  }

  #begin(folder: string, claim: Claim, hashKey: string): Open {
    const { capture, spool: limits, instance, env } = this.#config
    const spool = new SpoolWriter(
      {
        folder,
        worker_id: claim.worker_id,
        segment_bytes: Math.min(limits.segment_bytes, Math.floor(limits.max_bytes / SEGMENTS_MIN)),
        segment_age_ms: limits.segment_age_ms,
      },
      () => this.#keepBudget(spool),
    )
    this.#keepBudget(spool)
    if (this.#missed > 0) spool.losses.add('write_error', this.#missed)
    this.#missed = 0
    const redact = makeRedactor(capture.redact, [...configSecrets(this.#config), ...environmentSecrets()])
    const recorder = new Recorder(
      { instance, worker: WORKER, env },
      spool,
      new Metrics(),
      new Capture(capture, redact, hashKey),
    )
    const catalogue = new Catalogue(spool, { redact, keepsText: capture.definitions })
    return { claim, spool, recorder, catalogue }
  }

  /**
   * Nobody may be there to keep the spool within its budget, and nobody else's segment is ours to drop: when others have used
   * it up, new events are given up, whatever the config says for the supervisor.
   */
  #keepBudget(spool: SpoolWriter): void {
    const { max_bytes } = this.#config.spool
    this.#lookAt_ms = performance.now() + RETRY_MS
    spool.isFull = bytesIn(spoolFolder(this.#data)) > max_bytes * (1 + 1 / SEGMENTS_MIN)
  }

  close(): void {
    try {
      this.#open?.catalogue.finish()
      this.#open?.spool.close()
      this.#open?.spool.losses.removeEmpty()
      this.#open?.claim.release()
    } catch {
      // What is left in the spool is sealed and told by whoever ships it.
    }
    this.#open = null
  }
}

/** Bytes of all segments in a folder. */
function bytesIn(folder: string): number {
  let bytes = 0
  try {
    for (const file of readdirSync(folder))
      if (parseSegmentFile(file)) bytes += statSync(join(folder, file), { throwIfNoEntry: false })?.size ?? 0
  } catch {
    // A folder that cannot be read is not full; writing will tell.
  }
  return bytes
}
