/**
 * What the workers lost, told to the collector: totals per worker and reason, so that telling twice is harmless.
 * Reads the ledgers in the spool folder; one whose worker is gone is removed once it was told.
 */
import { readdirSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LOSS_REASONS, type Loss, type LossReason } from '../event/segment.ts'
import { claimedWorkers } from '../proxy/spool/claim.ts'
import { noLosses, readLosses } from '../proxy/spool/writer.ts'

const LEDGER = /^([0-9a-f]{16})\.lost$/
const SEND_MAX_MS = 10_000

export type LossReportOptions = {
  folder: string
  instance: string
  token: string
  /** Ledger that is ours and stays. */
  own_id: string
  /** Workers of this supervisor that are alive. */
  living(): ReadonlySet<string>
}

type Ledger = { file: string; worker_id: string; counts: Record<LossReason, number>; wasAlive: boolean }

export class LossReport {
  readonly #options: LossReportOptions
  /** What was told last, by worker. */
  readonly #told = new Map<string, string>()
  /** Totals of the ledgers that are removed. */
  readonly #retired = noLosses()

  constructor(options: LossReportOptions) {
    this.#options = options
  }

  /** Tells the collector what is new. What it does not take is told the next time. */
  async send(collector: string): Promise<void> {
    const { folder, instance, token, own_id } = this.#options
    // Asked before anything is read: whoever is gone by then has written its last count.
    const alive = this.#alive()
    const ledgers: Ledger[] = []
    for (const file of await readdir(folder)) {
      const worker_id = LEDGER.exec(file)?.[1]
      const counts = worker_id ? readLosses(join(folder, file)) : null
      if (worker_id && counts) ledgers.push({ file, worker_id, counts, wasAlive: alive.has(worker_id) })
    }
    const news = ledgers.filter((l) => this.#told.get(l.worker_id) !== JSON.stringify(l.counts))
    const losses = news.flatMap(({ worker_id, counts }): Loss[] =>
      LOSS_REASONS.filter((reason) => counts[reason] > 0).map((reason) => ({
        instance,
        worker_id,
        reason,
        events: counts[reason],
      })),
    )
    if (losses.length > 0 && !(await post(collector, token, losses))) return
    // Asked again: whoever started in between is not gone.
    const stillAlive = this.#alive()
    for (const { file, worker_id, counts, wasAlive } of ledgers) {
      if (LOSS_REASONS.some((r) => counts[r] > 0)) this.#told.set(worker_id, JSON.stringify(counts))
      if (worker_id === own_id || wasAlive || stillAlive.has(worker_id)) continue
      for (const reason of LOSS_REASONS) this.#retired[reason] += counts[reason]
      this.#told.delete(worker_id)
      await rm(join(folder, file), { force: true })
    }
  }

  /** Whose ledgers are still written to. */
  #alive(): ReadonlySet<string> {
    return this.#options.living().union(claimedWorkers(this.#options.folder))
  }

  /** Losses of everybody but our workers alive, who count their own. */
  totals(): Record<LossReason, number> {
    const { folder, living } = this.#options
    const total = { ...this.#retired }
    const alive = living()
    for (const file of readdirSync(folder)) {
      const worker_id = LEDGER.exec(file)?.[1]
      const counts = worker_id && !alive.has(worker_id) ? readLosses(join(folder, file)) : null
      if (counts) for (const reason of LOSS_REASONS) total[reason] += counts[reason]
    }
    return total
  }
}

async function post(collector: string, token: string, losses: readonly Loss[]): Promise<boolean> {
  const answer = await fetch(`${collector}/v1/losses`, {
    method: 'POST',
    body: JSON.stringify(losses),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(SEND_MAX_MS),
  }).catch(() => null)
  return answer?.ok ?? false
}
