/**
 * Maintenance windows: weekly or dated times, in a time zone, in which nobody is told. Pure: the time is an argument.
 * A window that begins at 02:00 and ends at 04:00 is as long as clocks say, also on the nights on which they change.
 */
import type { MaintenanceConfig } from '../../../config/alerts.ts'
import { compileMatchers, type Labels, parseMatcher } from '../../../config/matchers.ts'

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const

/** Whether `now_ms` is within the window. */
export function isWithin(window: MaintenanceConfig, now_ms: number): boolean {
  const now = Temporal.Instant.fromEpochMilliseconds(now_ms).toZonedDateTimeISO(window.time_zone)
  const isBetween = (from: Temporal.ZonedDateTime, to: Temporal.ZonedDateTime): boolean =>
    Temporal.ZonedDateTime.compare(from, now) <= 0 && Temporal.ZonedDateTime.compare(now, to) < 0
  if (!window.days) {
    const at = (text: string): Temporal.ZonedDateTime =>
      Temporal.PlainDateTime.from(text).toZonedDateTime(window.time_zone)
    return isBetween(at(window.from), at(window.to))
  }
  const at = (date: Temporal.PlainDate, time: string): Temporal.ZonedDateTime =>
    date.toZonedDateTime({ timeZone: window.time_zone, plainTime: Temporal.PlainTime.from(time) })
  const { days, from, to } = window
  // One that goes over midnight began yesterday.
  return [now.toPlainDate(), now.toPlainDate().subtract({ days: 1 })].some((date) => {
    if (!days.includes(DAYS[date.dayOfWeek - 1]!)) return false
    const last = to <= from ? date.add({ days: 1 }) : date
    return isBetween(at(date, from), at(last, to))
  })
}

/** The name of the first window that keeps an alert quiet now, '' when none does. */
export function openMaintenance(
  windows: readonly MaintenanceConfig[],
): (labels: Labels, now_ms: number) => string {
  const compiled = windows.map((window) => ({
    window,
    isMeant: compileMatchers(window.match.map(parseMatcher)),
  }))
  return (labels, now_ms) =>
    compiled.find(({ window, isMeant }) => isMeant(labels) && isWithin(window, now_ms))?.window.name ?? ''
}
