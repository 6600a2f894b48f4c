/** Durations and moments as people type them. */
import { isoSeconds } from '../config/key-text.ts'
import { clean } from './terminal.ts'
import { CliError } from './verb.ts'

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** "30m", "2h", "7d" in milliseconds; NaN for anything else. */
export function durationMs(text: string): number {
  const [, number, unit] = /^(\d{1,6})([smhd])$/.exec(text.trim()) ?? []
  return Number(number) * (UNITS[unit ?? ''] ?? Number.NaN)
}

/** A day, a moment or a time from now as ISO 8601. Throws CliError when it is none, or over. `option` names it. */
export function momentFrom(text: string, option: string, now_ms: number): string {
  const from_now = durationMs(text)
  const isDay = /^\d{4}-\d\d-\d\d$/.test(text)
  const isMoment = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text)
  const at_ms = from_now > 0 ? now_ms + from_now : isDay || isMoment ? Date.parse(text) : Number.NaN
  if (!Number.isFinite(at_ms))
    throw new CliError(
      `${option} ${clean(text)} is not a moment`,
      'write for example 90d, 2027-01-31 or 2027-01-31T12:00:00Z',
      2,
    )
  if (at_ms <= now_ms)
    throw new CliError(`${option} ${clean(text)} is over already`, 'name a later moment', 2)
  return isDay ? text : isoSeconds(at_ms)
}
