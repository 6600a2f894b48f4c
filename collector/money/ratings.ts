/**
 * The record of re-ratings: which there were, which one is under way, which is due. A rating is begun once, under its number,
 * whoever tries; what it looks at is fixed in its row, so that everybody who goes on with it makes the same of it.
 */
import { compactLines, type Store } from '../sink/store.ts'

/** One rating: calls with `from_us` <= ts < `to_us` (microseconds) that were stored after `stored_from_ms`, up to `stored_to_ms`. */
export type Rating = {
  rating: number
  what: 'book' | 'late' | 'asked'
  book: string
  from_us: number
  to_us: number
  stored_from_ms: number
  stored_to_ms: number
}
export type Result = { calls: number; changed: number; delta_nano: number }

const COLUMNS = [
  'rating',
  'done',
  'what',
  'book',
  'from_ts',
  'to_ts',
  'stored_from',
  'stored_to',
  'calls',
  'changed',
  'delta_nano',
]
/** No call lies outside. */
export const EVER = { from_us: Date.UTC(2000, 0) * 1000, to_us: Date.UTC(2100, 0) * 1000 }

/** Calls that came in while a book changed may have been rated by the one before, here or in another collector of a fleet. */
const LATE_EVERY_MS = 300_000
const LATE_FOR_MS = 1_800_000
const LATE_OVERLAP_MS = 600_000

const write = (store: Store, r: Rating, done: 0 | 1, { calls, changed, delta_nano }: Result): Promise<void> =>
  store.insert(
    'ratings',
    COLUMNS,
    compactLines([
      [
        r.rating,
        done,
        r.what,
        r.book,
        r.from_us,
        r.to_us,
        r.stored_from_ms,
        r.stored_to_ms,
        calls,
        changed,
        delta_nano,
      ],
    ]),
    `rating:${r.rating}:${done}`,
  )

const NOTHING: Result = { calls: 0, changed: 0, delta_nano: 0 }
export const finish = (store: Store, rating: Rating, result: Result): Promise<void> =>
  write(store, rating, 1, result)

type Row = Rating & { done: number; now_ms: number }

/** The newest ratings, newest first, with the store's clock. */
async function newest(store: Store): Promise<{ rows: Row[]; now_ms: number }> {
  const rows = await store.rows<Row>(
    `SELECT toInt64(rating) AS rating, toUInt8(max(r.done)) AS done, any(r.what) AS what, any(r.book) AS book,
       toUnixTimestamp64Micro(any(r.from_ts)) AS from_us, toUnixTimestamp64Micro(any(r.to_ts)) AS to_us,
       toUnixTimestamp64Milli(any(r.stored_from)) AS stored_from_ms, toUnixTimestamp64Milli(any(r.stored_to)) AS stored_to_ms
     FROM ${store.database}.ratings AS r GROUP BY rating ORDER BY rating DESC LIMIT 200`,
  )
  const [clock] = await store.rows<{ now_ms: number }>('SELECT toUnixTimestamp64Milli(now64(3)) AS now_ms')
  const number = (value: unknown): number => Number(value)
  return {
    now_ms: number(clock!.now_ms),
    rows: rows.map((row) => ({
      ...row,
      rating: number(row.rating),
      from_us: number(row.from_us),
      to_us: number(row.to_us),
      stored_from_ms: number(row.stored_from_ms),
      stored_to_ms: number(row.stored_to_ms),
    })),
  }
}

async function begin(store: Store, rating: Rating): Promise<Rating | null> {
  await write(store, rating, 0, NOTHING)
  const { rows } = await newest(store)
  // Another may have begun this number with something else: then that is what it is.
  return rows.find((row) => row.rating === rating.rating && row.done === 0) ?? null
}

/**
 * The rating to work on now, begun if need be; null when there is nothing to do. `book` is the book in force here. `isEmpty`:
 * it has no price, and while nobody ever had one, there is nothing to rate.
 */
export async function dueRating(store: Store, book: string, isEmpty: boolean): Promise<Rating | null> {
  const { rows, now_ms } = await newest(store)
  const next = (rows[0]?.rating ?? 0) + 1
  const last = rows.find((row) => row.what === 'book')
  for (const row of rows.toReversed()) {
    if (row.done) continue
    if (row.book === book) return row
    // The prices it was begun with are gone; the rating of the new book looks at all calls anyway.
    await finish(store, row, NOTHING)
  }
  const whole = { ...EVER, book, stored_from_ms: 0, stored_to_ms: now_ms }
  if (last?.book !== book) {
    if (isEmpty && !last) return null
    return begin(store, { rating: next, what: 'book', ...whole })
  }
  const latest = rows.find((row) => row.what !== 'asked')!
  const isLateDue =
    latest.stored_to_ms < last.stored_to_ms + LATE_FOR_MS && now_ms >= latest.stored_to_ms + LATE_EVERY_MS
  if (!isLateDue) return null
  const stored_from_ms = latest.stored_to_ms - LATE_OVERLAP_MS
  return begin(store, { rating: next, what: 'late', ...whole, stored_from_ms })
}

/** Asks for the calls of a time range to be rated anew; whoever holds the watch does it. Answers the number of the rating. */
export async function askRating(store: Store, book: string, from_us: number, to_us: number): Promise<number> {
  for (;;) {
    const { rows, now_ms } = await newest(store)
    const rating = (rows[0]?.rating ?? 0) + 1
    await write(
      store,
      { rating, what: 'asked', book, from_us, to_us, stored_from_ms: 0, stored_to_ms: now_ms },
      0,
      NOTHING,
    )
    const after = await newest(store)
    const won = after.rows.find((row) => row.rating === rating)
    if (won?.what === 'asked' && won.from_us === from_us && won.to_us === to_us) return rating
  }
}
