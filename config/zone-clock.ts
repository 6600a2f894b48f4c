/**
 * What a clock shows in a time zone: for rules that name hours and days. The same moment gives the same answer on every machine,
 * whatever its own zone. Pure but for a small memory: asking Intl takes microseconds, and a minute is asked for many times.
 */

/** What a clock and a calendar show. `weekday`: 1 Monday to 7 Sunday, as ISO 8601. */
export type Shown = {
  year: number
  month: number
  day: number
  hour: number
  minute: number
  weekday: number
}

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
/** Zones come from rules, so they are few; a rule set that names more only asks again. */
const ZONES_MAX = 100

type Zone = { readonly format: Intl.DateTimeFormat; minute: number; shown: Shown | null }
const zones = new Map<string, Zone>()

/** Whether this is a zone of the IANA database that this machine knows. */
export function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name })
    return true
  } catch {
    return false
  }
}

function zoneOf(name: string): Zone {
  const known = zones.get(name)
  if (known) return known
  if (zones.size >= ZONES_MAX) zones.clear()
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: name,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  })
  const zone: Zone = { format, minute: Number.NaN, shown: null }
  zones.set(name, zone)
  return zone
}

/** Throws a RangeError for a zone that is none. */
export function shownIn(zone_name: string, at: Date): Shown {
  const zone = zoneOf(zone_name)
  const minute = Math.floor(at.getTime() / MINUTE_MS)
  if (zone.shown && zone.minute === minute) return zone.shown
  const parts = Object.fromEntries(
    zone.format.formatToParts(at).map(({ type, value }) => [type, Number(value)]),
  )
  const { year = 0, month = 0, day = 0, hour = 0, minute: minutes = 0 } = parts
  // 1 January 1970 was a Thursday.
  const days = Date.UTC(year, month - 1, day) / DAY_MS
  const weekday = ((((days + 3) % 7) + 7) % 7) + 1
  zone.minute = minute
  zone.shown = { year, month, day, hour, minute: minutes, weekday }
  return zone.shown
}
