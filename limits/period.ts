/** Periods of quotas and money, by UTC. Weeks begin on Monday. Pure. */
import type { QuotaPeriod } from '../config/limits.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
const WEEK_MS = 7 * DAY_MS
/** 1970-01-05 was a Monday. */
const MONDAY_MS = 4 * DAY_MS

/** First moment of the period that `now_ms` is in. */
export function periodStart(period: QuotaPeriod, now_ms: number): number {
  switch (period) {
    case 'hour':
      return now_ms - (now_ms % HOUR_MS)
    case 'day':
      return now_ms - (now_ms % DAY_MS)
    case 'week':
      return now_ms - ((now_ms - MONDAY_MS) % WEEK_MS)
    case 'month': {
      const now = new Date(now_ms)
      return Date.UTC(now.getUTCFullYear(), now.getUTCMonth())
    }
  }
}

/** First moment after the period that begins at `start_ms`. */
export function periodEnd(period: QuotaPeriod, start_ms: number): number {
  switch (period) {
    case 'hour':
      return start_ms + HOUR_MS
    case 'day':
      return start_ms + DAY_MS
    case 'week':
      return start_ms + WEEK_MS
    case 'month': {
      const start = new Date(start_ms)
      return Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1)
    }
  }
}
