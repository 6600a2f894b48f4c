/** Re-ratings, the newest first: why, of how many calls, and what they changed. */
import type { Reader } from './client.ts'

export type RatingRow = {
  rating: number
  done: number
  /** book: prices changed; late: stored while they did; asked: by a person. */
  what: 'book' | 'late' | 'asked'
  calls: number
  changed: number
  delta_nano: number
  written_at: string
}

export const sql = `SELECT r.rating AS rating, r.done AS done, r.what AS what, r.calls AS calls, a.changed AS changed, a.delta_nano AS delta_nano, toString(r.written_at) AS written_at
FROM (SELECT rating, toUInt8(max(l.done)) AS done, any(l.what) AS what, max(l.calls) AS calls, max(l.written_at) AS written_at FROM ratings AS l GROUP BY rating) AS r
LEFT JOIN (SELECT rating, count() AS changed, sum(c.delta_nano) AS delta_nano FROM cost_adjustments AS c GROUP BY rating) AS a ON a.rating = r.rating
WHERE {rating:UInt64} = 0 OR r.rating = {rating:UInt64} ORDER BY rating DESC LIMIT {limit:UInt32}`

/** `rating` 0: all. */
export const run = (
  reader: Reader,
  { rating = 0, limit = 100 }: { rating?: number; limit?: number } = {},
): Promise<RatingRow[]> => reader.rows<RatingRow>(sql, { rating, limit })
