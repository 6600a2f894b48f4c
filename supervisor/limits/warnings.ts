/** Says once a period that a share of a quota or of money is reached. */
import type { LimitEntry } from '../../config/limit-book.ts'
import type { Log } from '../../event/log.ts'
import { inWords } from '../../limits/words.ts'
import type { Metrics } from '../../proxy/telemetry/metrics.ts'
import type { LedgerLine } from './ledger-file.ts'

/** `lines`: what is spent, without what is only set aside. Returns what has been told of each, in their order. */
export function tellWarnings(
  lines: readonly LedgerLine[],
  entryOf: (key: string) => LimitEntry | null,
  metrics: Metrics,
  log: Log,
): number[] {
  return lines.map(([key, , used, warned]) => {
    const entry = entryOf(key)
    if (!entry) return warned
    const of = key.split('\n').slice(1).join(', ')
    const share = used / entry.amount
    metrics.set('weir_limit_used_ratio', share, [entry.name, of])
    const reached = Math.max(0, ...entry.warn_at.filter((at) => share >= at))
    if (reached <= warned) return warned
    metrics.add('weir_limit_warnings_total', 1, [entry.name, String(reached)])
    log.warn(`limit ${entry.name}: ${Math.round(reached * 100)} % reached`, {
      of,
      allowed: inWords(entry),
      mode: entry.mode,
    })
    return reached
  })
}
