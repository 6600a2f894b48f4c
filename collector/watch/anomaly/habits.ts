/** When a caller usually works. Pure. Hours are UTC, one bit each; neighbours count as usual, so a change of the clocks is no finding. */

export type ActiveDay = { day: number; hours: number }

const DAYS_BACK = 28
const ACTIVE_DAYS_MIN = 8
const AGE_DAYS_MIN = 14
const RECENT_DAYS = 7
const DAY_MASK = 0xffffff

/** The hours with one more on either side. */
const widened = (hours: number): number =>
  (hours | (hours << 1) | (hours >>> 1) | (hours >>> 23) | ((hours & 1) << 23)) & DAY_MASK

const union = (days: readonly ActiveDay[]): number => days.reduce((all, d) => all | d.hours, 0)
/** Days since 1970 → 0 Monday … 6 Sunday. */
const weekday = (day: number): number => (day + 3) % 7
const isWeekend = (day: number): boolean => weekday(day) >= 5

export type OffHours = 'hour' | 'weekend' | null

/**
 * Whether activity at `hour` of `day` (days since 1970) is unlike the four weeks before: an hour, or a weekend, in which the
 * caller never was. Null also while there is too little history, or its hours have no pattern yet.
 */
export function offHours(history: readonly ActiveDay[], day: number, hour: number): OffHours {
  const days = history.filter((d) => d.day < day && d.day >= day - DAYS_BACK)
  if (days.length < ACTIVE_DAYS_MIN) return null
  if (day - Math.min(...days.map((d) => d.day)) < AGE_DAYS_MIN) return null
  const earlier = days.filter((d) => d.day < day - RECENT_DAYS)
  const recent = days.filter((d) => d.day >= day - RECENT_DAYS)
  // Who keeps reaching new hours has no hours of its own.
  const hasHours = (union(recent) & ~widened(union(earlier))) === 0 && union(earlier) !== 0
  if (hasHours && (widened(union(days)) & (1 << hour)) === 0) return 'hour'
  if (isWeekend(day) && !days.some((d) => isWeekend(d.day))) return 'weekend'
  return null
}
