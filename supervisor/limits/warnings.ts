/** Says once a period that a share of a quota or of money is reached. */
import type { LimitEntry } from '../../config/limit-book.ts'
import type { Log } from '../../event/log.ts'
import type { LimitNote } from '../../limits/messages.ts'
import { amountText, inWords } from '../../limits/words.ts'
import type { Metrics } from '../../proxy/telemetry/metrics.ts'
import type { LedgerLine } from './ledger-file.ts'

/** `lines`: what is spent, without what is only set aside. Returns what has been told of each, in their order. */
export function tellWarnings(
  lines: readonly LedgerLine[],
  entryOf: (key: string) => LimitEntry | null,
  { metrics, log, note }: { metrics: Metrics; log: Log; note: ((note: LimitNote) => void) | null },
): number[] {
  return lines.map(([key, period_start, used, warned]) => {
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
    note?.({
      id: `${key.replaceAll('\n', ' ')} ${period_start} ${reached}`,
      ts_ms: Date.now(),
      title: `limit ${entry.name}: ${Math.round(reached * 100)} % reached`,
      detail: `${of === '' ? '' : `${of}: `}${amountText(entry.kind, used)} of ${inWords(entry)}`,
    })
    return reached
  })
}
