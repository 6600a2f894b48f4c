/**
 * The figures every rollup counts, and the rules behind them. One definition: tables, views, queries and dashboards use it.
 *
 * A **call** is an event of kind `request`. Notifications, requests of servers and unreadable bodies are recorded and
 * visible in `calls` and `v_failures`, but never count as calls.
 * A call **failed** unless its outcome is `ok` or `input_required`: `cancelled` is a failure (nobody got an answer).
 * A failure is a **fault** unless the client owns it: the figure to alert on, for a client cannot page anyone with bad arguments.
 */
import { OUTCOMES } from '../../event/fields.ts'

/** SQL condition on a row of `calls`. */
export const FAILED = "outcome NOT IN ('ok', 'input_required')"
export const FAULT = `(${FAILED} AND owner NOT IN ('none', 'client'))`

const COUNT = 'SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1))'
const SIGNED_COUNT = 'SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1))'

/** Column of a rollup → how it is counted from `calls AS c`. Sums of times end in `_sum`; the rest are plain totals. */
export const FIGURES: Readonly<Record<string, string>> = {
  calls: 'count()',
  ...Object.fromEntries(OUTCOMES.map((outcome) => [outcome, `countIf(c.outcome = '${outcome}')`])),
  faults: `countIf(${FAULT.replaceAll(/\b(outcome|owner)\b/g, 'c.$1')})`,
  duration_us_sum: 'sum(c.duration_us)',
  upstream_us_sum: 'sum(c.upstream_us)',
  overhead_us_sum: 'sum(c.overhead_us)',
  request_bytes: 'sum(c.request_bytes)',
  response_bytes: 'sum(c.response_bytes)',
  tokens_in: 'sum(c.tokens_in)',
  tokens_out: 'sum(c.tokens_out)',
  upstream_messages: 'sum(c.attempts)',
  cost_nano: 'sum(c.cost_nano)',
  unpriced: "countIf(c.cost_source = 'unpriced')",
}
/** Figures that a later rating may lower: money, and how much of it is unknown. */
const SIGNED = new Set(['cost_nano', 'unpriced'])

const names = Object.keys(FIGURES)
/** Column definitions of a rollup. */
export const FIGURE_COLUMNS = names
  .map((name) => `${name} ${SIGNED.has(name) ? SIGNED_COUNT : COUNT}`)
  .join(',\n  ')
/** What a materialized view selects from `calls AS c`. */
export const FIGURE_COUNTS = names.map((name) => `${FIGURES[name]} AS ${name}`).join(',\n  ')
/** What a view selects from a rollup `AS r`, grouped; with the figures derived from the counts. */
export const FIGURE_SUMS = [
  ...names.map((name) => `sum(r.${name}) AS ${name}`),
  'sum(r.calls) - sum(r.ok) - sum(r.input_required) AS failed',
].join(',\n  ')
/** The same, row by row: for views whose readers add up themselves. */
export const FIGURE_ROWS = [
  ...names.map((name) => `r.${name} AS ${name}`),
  'r.calls - r.ok - r.input_required AS failed',
].join(',\n  ')
export const COUNT_COLUMN = COUNT
export const SIGNED_COUNT_COLUMN = SIGNED_COUNT

/**
 * What a period will have cost at its end: what is spent, and for the rest of it the pace of the last full days, or of the
 * period so far when there is no full day. From columns used_nano, fixed_nano, recent_nano, full_days, elapsed_s, rest_s.
 */
export const FORECAST =
  'used_nano + fixed_nano + toInt64(round(rest_s * if(full_days > 0, recent_nano / (full_days * 86400), used_nano / elapsed_s)))'

/** Stands for the tags of a row in a key, where a map cannot stand. */
export const TAGS_ID = 'cityHash64(toJSONString(mapSort(c.tags)))'

/**
 * Quantile of a histogram column in microseconds: the middle of the bucket in which the rank falls. Off by at most 4.5 %.
 * `hist` is an expression of type Map(Int16, UInt64), already summed.
 */
export function quantileSql(hist: string, q: number): string {
  const sorted = `arraySort(x -> x.1, arrayZip(mapKeys(${hist}), mapValues(${hist})))`
  const counts = `arrayCumSum(x -> x.2, ${sorted})`
  return `if(empty(${hist}), 0., exp2((${sorted}[arrayFirstIndex(x -> x >= ${q} * ${counts}[-1], ${counts})].1 + 0.5) / 8))`
}

/** Bucket of a duration in microseconds, as `tool_5m` counts it: bucket i holds (2^(i/8), 2^((i+1)/8)]. */
export const bucketSql = (us: string): string => `toInt16(ceil(log2(greatest(${us}, 1)) * 8) - 1)`
