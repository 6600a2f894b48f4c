/**
 * Rates calls that are stored anew and writes what changed into `cost_adjustments`; events stay as they are. Works in slices of
 * time, in order. What a slice comes to depends only on the rating's own row, the calls, the ratings before it and the book:
 * so two that work on the same rating write the same rows under the same token, and the store keeps them once.
 * After a crash only the last slice written is in doubt (its rollups may be missing): it is written again under its token.
 */

import type { Book, Facts } from '../../config/cost-book.ts'
import type { CallEvent } from '../../event/fields.ts'
import type { CostSource } from '../../event/rated-fields.ts'
import { compactLines, type Store } from '../sink/store.ts'
import type { Rating, Result } from './ratings.ts'

const HOUR_US = 3_600_000_000
const DAY_US = 24 * HOUR_US
const FINE_US = 300_000_000
/** Calls in one slice, more or less: 50 ms of work. */
const SLICE_CALLS = 20_000

type Slice = { from_us: number; to_us: number }

const DIMENSIONS = [
  'trace_id',
  'session_id',
  'run_id',
  'env',
  'team',
  'project',
  'caller',
  'agent',
  'server',
  'tool',
  'method',
  'tags',
] as const satisfies readonly (keyof CallEvent)[]
const FACTS = [
  'kind',
  'outcome',
  'attempts',
  'tokens_in',
  'tokens_out',
  'request_bytes',
  'response_bytes',
  'upstream_us',
  'meters',
  'cost_reported',
  'cost_reported_nano',
] as const satisfies readonly (keyof Facts)[]

export const ADJUSTMENT_COLUMNS = [
  'ts',
  'event_id',
  'rating',
  'delta_nano',
  'unpriced_delta',
  'cost_nano',
  'price_id',
  'cost_source',
  'from_nano',
  'from_price_id',
  'from_source',
  ...DIMENSIONS,
  'tokens',
  'upstream_us',
]

type Call = Facts &
  Pick<CallEvent, (typeof DIMENSIONS)[number] | 'event_id'> & {
    now_nano: number
    now_price: string
    now_source: CostSource
  }

const COUNTED = `c.kind = 'request' AND c.method = 'tools/call' AND c.ingested_at > fromUnixTimestamp64Milli({stored_from:Int64}, 'UTC')
  AND c.ingested_at <= fromUnixTimestamp64Milli({stored_to:Int64}, 'UTC')
  AND c.ts >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND c.ts < fromUnixTimestamp64Micro({to:Int64}, 'UTC')`

const hoursSql = (database: string): string =>
  `SELECT toInt64(toUnixTimestamp(toStartOfHour(c.ts))) AS hour_s, count() AS calls FROM ${database}.calls AS c WHERE ${COUNTED} GROUP BY hour_s ORDER BY hour_s`

/** Calls of a slice with what they cost before this rating. */
const callsSql = (
  database: string,
): string => `SELECT toUnixTimestamp64Micro(c.ts) AS ts, toString(c.event_id) AS event_id,
  ${[...DIMENSIONS, ...FACTS].map((name) => `c.${name} AS ${name}`).join(', ')},
  c.cost_nano + a.delta_nano AS now_nano, if(a.ratings = 0, toString(c.price_id), a.price) AS now_price, if(a.ratings = 0, toString(c.cost_source), a.source) AS now_source
FROM ${database}.calls AS c
LEFT JOIN (
  SELECT event_id, sum(l.delta_nano) AS delta_nano, argMax(toString(l.price_id), l.rating) AS price, argMax(toString(l.cost_source), l.rating) AS source, count() AS ratings
  FROM ${database}.cost_adjustments AS l
  WHERE l.rating < {rating:UInt64} AND l.ts >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND l.ts < fromUnixTimestamp64Micro({to:Int64}, 'UTC')
  GROUP BY event_id
) AS a ON a.event_id = c.event_id
WHERE ${COUNTED}
ORDER BY c.ts, c.event_id`

const paramsOf = (rating: Rating, slice: Slice): Record<string, unknown> => ({
  rating: rating.rating,
  stored_from: rating.stored_from_ms,
  stored_to: rating.stored_to_ms,
  from: Math.max(slice.from_us, rating.from_us),
  to: Math.min(slice.to_us, rating.to_us),
})

/** Days, or as many hours of one as together have few calls; busy hours in five-minute slices. Fixed by the rating, for the tokens name them. */
async function slicesOf(store: Store, rating: Rating): Promise<Slice[]> {
  const hours = await store.rows<{ hour_s: number; calls: number }>(
    hoursSql(store.database),
    paramsOf(rating, rating),
  )
  const slices: Slice[] = []
  let last: (Slice & { calls: number }) | null = null
  for (const hour of hours) {
    const from_us = Number(hour.hour_s) * 1e6
    const calls = Number(hour.calls)
    if (calls > SLICE_CALLS) {
      for (let at = from_us; at < from_us + HOUR_US; at += FINE_US)
        slices.push({ from_us: at, to_us: at + FINE_US })
      last = null
      continue
    }
    // One day at most: a slice is one block of one partition.
    const isSameDay = last !== null && Math.floor(last.from_us / DAY_US) === Math.floor(from_us / DAY_US)
    if (last && isSameDay && last.calls + calls <= SLICE_CALLS) {
      last.to_us = from_us + HOUR_US
      last.calls += calls
    } else {
      last = { from_us, to_us: from_us + HOUR_US, calls }
      slices.push(last)
    }
  }
  return slices
}

const kindOf = (source: string): string => (source === 'none' || source === 'unpriced' ? source : 'priced')

/** The entry that brings a call from what it costs to what it should cost; null when it does. */
function adjustment(call: Call, rating: number, book: Book): { row: unknown[]; delta_nano: number } | null {
  const now = { cost_nano: Number(call.now_nano), cost_source: call.now_source }
  const next = book.rate(call)
  if (next.cost_nano === now.cost_nano && kindOf(next.cost_source) === kindOf(now.cost_source)) return null
  const delta_nano = next.cost_nano - now.cost_nano
  const unpriced = Number(next.cost_source === 'unpriced') - Number(now.cost_source === 'unpriced')
  return {
    delta_nano,
    row: [
      call.ts,
      call.event_id,
      rating,
      delta_nano,
      unpriced,
      next.cost_nano,
      next.price_id,
      next.cost_source,
      now.cost_nano,
      call.now_price,
      now.cost_source,
      ...DIMENSIONS.map((name) => call[name]),
      call.tokens_in + call.tokens_out,
      call.upstream_us,
    ],
  }
}

/** Numbers of 64 bits come as texts from older servers. */
const asFacts = (call: Call): Call => ({
  ...call,
  ts: Number(call.ts),
  response_bytes: Number(call.response_bytes),
  upstream_us: Number(call.upstream_us),
  cost_reported_nano: Number(call.cost_reported_nano),
})

async function rateSlice(store: Store, rating: Rating, slice: Slice, book: Book): Promise<Result> {
  const calls = await store.rows<Call>(callsSql(store.database), paramsOf(rating, slice))
  const rows: unknown[][] = []
  let sum = 0
  for (const call of calls) {
    const found = adjustment(asFacts(call), rating.rating, book)
    if (!found) continue
    rows.push(found.row)
    sum += found.delta_nano
  }
  const token = `rerate:${rating.rating}:${slice.from_us}:${slice.to_us}`
  if (rows.length > 0) await store.insert('cost_adjustments', ADJUSTMENT_COLUMNS, compactLines(rows), token)
  return { calls: calls.length, changed: rows.length, delta_nano: sum }
}

/** A rating under way in this process. */
export type Work = {
  readonly rating: Rating
  /** Does slices until none is left, then true; or until `until_ms` (performance.now) has passed, then false. */
  go(book: Book, until_ms: number): Promise<boolean>
  /** Of what this process did. */
  readonly result: Result
}

/** Takes a rating up where it was left: the slice written last is done again, those before are done. */
export async function openWork(store: Store, rating: Rating): Promise<Work> {
  const [written] = await store.rows<{ rows: number; last_us: number }>(
    `SELECT count() AS rows, toUnixTimestamp64Micro(max(a.ts)) AS last_us FROM ${store.database}.cost_adjustments AS a WHERE a.rating = {rating:UInt64}`,
    { rating: rating.rating },
  )
  const last_us = Number(written?.rows) > 0 ? Number(written!.last_us) : 0
  const slices = (await slicesOf(store, rating)).filter((slice) => slice.to_us > last_us)
  const result = { calls: 0, changed: 0, delta_nano: 0 }
  let at = 0
  return {
    rating,
    result,
    async go(book, until_ms) {
      for (; at < slices.length; at++) {
        if (performance.now() > until_ms) return false
        const done = await rateSlice(store, rating, slices[at]!, book)
        result.calls += done.calls
        result.changed += done.changed
        result.delta_nano += done.delta_nano
      }
      return true
    },
  }
}
