/** The time looked at: `range=1h` up to now, or `from` and `to` in milliseconds since 1970. */
import type { Place } from './route.ts'

export const RANGES = [
  { key: '15m', name: '15 minutes', ms: 900_000 },
  { key: '1h', name: '1 hour', ms: 3_600_000 },
  { key: '6h', name: '6 hours', ms: 6 * 3_600_000 },
  { key: '24h', name: '24 hours', ms: 86_400_000 },
  { key: '7d', name: '7 days', ms: 7 * 86_400_000 },
  { key: '30d', name: '30 days', ms: 30 * 86_400_000 },
  { key: '90d', name: '90 days', ms: 90 * 86_400_000 },
] as const
export const DEFAULT_RANGE = '1h'

export type Span = { readonly from_ms: number; readonly to_ms: number; readonly isLive: boolean }

const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Length of a range such as `90m`, `6h`, `7d`; null when it is none. */
export function rangeMs(text: string): number | null {
  const match = /^(\d{1,4})([mhd])$/.exec(text)
  const ms = match ? Number(match[1]) * UNIT_MS[match[2]!]! : 0
  return ms > 0 && ms <= 800 * 86_400_000 ? ms : null
}

/** What a place looks at, at `now_ms`. */
export function spanOf({ params }: Place, now_ms: number): Span {
  const [from_ms, to_ms] = [Number(params.from), Number(params.to)]
  if (
    params.from &&
    params.to &&
    Number.isSafeInteger(from_ms) &&
    Number.isSafeInteger(to_ms) &&
    from_ms < to_ms
  )
    return { from_ms, to_ms, isLive: false }
  const length = rangeMs(params.range ?? '') ?? rangeMs(DEFAULT_RANGE)!
  // A second ahead: the store's clock may lead.
  const end_ms = Math.ceil(now_ms / 1000) * 1000 + 1000
  return { from_ms: end_ms - length, to_ms: end_ms, isLive: true }
}

/** The store writes moments as `2026-01-31 10:00:00.123456`, in UTC. Milliseconds since 1970; NaN for ''. */
export const momentMs = (text: string): number =>
  text === ''
    ? Number.NaN
    : Date.parse(`${text.replace(' ', 'T').slice(0, 23)}${text.length > 10 ? 'Z' : 'T00:00:00Z'}`)

const pad = (n: number, width = 2): string => String(n).padStart(width, '0')

/** Local time of day, with the date when it is not today. */
export function clock(ms: number, { seconds = true, millis = false } = {}): string {
  if (!Number.isFinite(ms)) return ''
  const d = new Date(ms)
  const time = `${pad(d.getHours())}:${pad(d.getMinutes())}${seconds ? `:${pad(d.getSeconds())}` : ''}${millis ? `.${pad(d.getMilliseconds(), 3)}` : ''}`
  return d.toDateString() === new Date().toDateString()
    ? time
    : `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${time}`
}

/** `3 min ago`, for a moment in the past. */
export function ago(ms: number, now_ms = Date.now()): string {
  if (!Number.isFinite(ms)) return 'never'
  const s = Math.max(0, (now_ms - ms) / 1000)
  if (s < 60) return `${Math.floor(s)} s ago`
  if (s < 3600) return `${Math.floor(s / 60)} min ago`
  if (s < 86_400) return `${Math.floor(s / 3600)} h ago`
  return `${Math.floor(s / 86_400)} d ago`
}
export const utc = (ms: number): string => (Number.isFinite(ms) ? new Date(ms).toISOString() : '')
