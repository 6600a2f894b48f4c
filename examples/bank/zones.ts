/** Two time zones for any moment: one where it is working hours, one where it is night. So the example shows both at any time of day. */

const ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'America/Los_Angeles',
  'Asia/Dubai',
  'Asia/Tokyo',
  'Pacific/Auckland',
  'Asia/Kolkata',
  'Pacific/Honolulu',
] as const

const clocks = new Map(
  ZONES.map((timeZone) => [
    timeZone,
    new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', hourCycle: 'h23' }),
  ]),
)
const hourIn = (zone: (typeof ZONES)[number], at: Date): number => Number(clocks.get(zone)!.format(at))

/** `open`: between nine and five, an hour from either end. `closed`: deep in the night. */
export function zones(at: Date): { open: string; closed: string } {
  const find = (from: number, to: number): string =>
    ZONES.find((zone) => hourIn(zone, at) >= from && hourIn(zone, at) < to) ?? ZONES[0]
  return { open: find(9, 17), closed: find(18, 24) }
}
