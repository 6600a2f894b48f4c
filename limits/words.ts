/** Limits in words, for whoever is refused. Pure. */
import type { LimitEntry, LimitKind } from '../config/limit-book.ts'

const UNIT = new Map([
  [1_000, 'second'],
  [60_000, 'minute'],
  [3_600_000, 'hour'],
])
const NANO_PER_USD = 1e9

const calls = (n: number): string => (n === 1 ? '1 call' : `${n} calls`)
export const usd = (nano: number): string =>
  (nano / NANO_PER_USD).toLocaleString('en-US', { maximumFractionDigits: 9, useGrouping: false })

/** For example `10 calls a second, 20 at once`. */
export function inWords({ kind, amount, burst, period_ms, period }: LimitEntry): string {
  switch (kind) {
    case 'rate':
      return `${calls(amount)} a ${UNIT.get(period_ms)}, ${burst} at once`
    case 'concurrency':
      return `${calls(amount)} at a time`
    case 'quota':
      return `${calls(amount)} a ${period}`
    case 'spend':
      return `${usd(amount)} USD a ${period}`
  }
}

/** A count in the unit its reader thinks in. */
export const amountText = (kind: LimitKind, units: number): string =>
  kind === 'spend' ? usd(units) : String(units)
