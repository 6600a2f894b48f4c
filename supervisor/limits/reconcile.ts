/**
 * What the store knows of money that was spent, for counts that do not: a limit that is new in a running period, calls whose
 * count was lost with a kill, calls of other installations that share the store. Off the path of calls. Pure.
 */
import type { LimitEntry } from '../../config/limit-book.ts'
import type { SpentRow } from '../../limits/messages.ts'
import { periodStart } from '../../limits/period.ts'
import { selector } from '../../limits/select.ts'

/** The store knows days, callers and tools; neither credentials nor roles. */
const isKnown = ({ kind, period, per, match }: LimitEntry): boolean =>
  kind === 'spend' && period !== 'hour' && !per.includes('key') && match.roles === undefined

/** Nano-dollars spent in the running periods, by key. */
export function spentByKey(
  entries: readonly LimitEntry[],
  rows: readonly SpentRow[],
  now_ms: number,
): ReadonlyMap<string, number> {
  const spent = new Map<string, number>()
  const select = selector(entries.filter(isKnown))
  if (!select) return spent
  for (const { day_ms, spent_nano, ...what } of rows) {
    const plan = select({ ...what, key: '', method: 'tools/call', roles: [] })
    for (const { key, entry } of [...plan.enforced, ...plan.shadow])
      if (day_ms >= periodStart(entry.period as Exclude<typeof entry.period, ''>, now_ms))
        spent.set(key, (spent.get(key) ?? 0) + spent_nano)
  }
  return spent
}

/** First moment whose costs are asked for; null when no limit wants to know. */
export function spentFrom(entries: readonly LimitEntry[], now_ms: number): number | null {
  const starts = entries
    .filter(isKnown)
    .map(({ period }) => periodStart(period as Exclude<typeof period, ''>, now_ms))
  return starts.length === 0 ? null : Math.min(...starts)
}
