/** What the cost view looks at, all of it from the address: days (UTC), what costs are split by, and within what. */
import type { Params } from './api.ts'
import { filtersOf } from './filters.ts'
import { usePulse } from './live.ts'
import { here, usePlace } from './route.ts'
import { spanOf } from './time.ts'

const DAY_MS = 86_400_000
const HOURS_UP_TO_MS = 3 * DAY_MS

/** In the order of drilling down; `env` and `tag` stand beside it. */
const LEVELS = ['team', 'project', 'caller', 'agent', 'server', 'tool'] as const
export const SPLITS = [...LEVELS, 'env', 'tag'] as const
export type Split = (typeof SPLITS)[number]
/** `where_tag`: key=value; `without`: what calls leave unnamed, for example `team,project`. */
export const COST_FILTERS = [...LEVELS, 'env', 'where_tag', 'without'] as const

export const PERIODS = [
  ['month', 'this month'],
  ['before', 'last month'],
  ['range', 'the days of the time range'],
] as const
type Period = (typeof PERIODS)[number][0]

export type CostScope = {
  readonly period: Period
  /** First day and first day after, YYYY-MM-DD, UTC. */
  readonly from: string
  readonly to: string
  readonly step: 'day' | 'hour'
  readonly by: Split
  /** Key of the tag when `by` is tag. */
  readonly tag: string
  readonly filters: Readonly<Record<string, string>>
  /** Parameters of questions about costs, without what they are split by. */
  readonly params: Params
  readonly key: string
  /** Nothing of it changes any more. */
  readonly isStill: boolean
}

const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10)
/** First day of the month `by` months from that of `now_ms`, UTC. */
export function monthOf(now_ms: number, by = 0): string {
  const now = new Date(now_ms)
  return day(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + by))
}

export function useCostScope(): CostScope {
  const place = usePlace()
  const { params } = place
  const { now_ms } = usePulse()
  const period = PERIODS.find(([word]) => word === params.period)?.[0] ?? 'month'
  const span = spanOf(place, now_ms)
  const [from, to] =
    period === 'month'
      ? [monthOf(now_ms), monthOf(now_ms, 1)]
      : period === 'before'
        ? [monthOf(now_ms, -1), monthOf(now_ms)]
        : [day(span.from_ms), day(Math.ceil(span.to_ms / DAY_MS) * DAY_MS)]
  const filters = filtersOf(params, COST_FILTERS)
  const tag = params.tag ?? ''
  const by = SPLITS.find((word) => word === params.by) ?? nextOf('', filters)
  return {
    period,
    from,
    to,
    step: Date.parse(to) - Date.parse(from) <= HOURS_UP_TO_MS ? 'hour' : 'day',
    by,
    tag,
    filters,
    params: { from, to, ...filters },
    key: JSON.stringify([from, to, filters]),
    isStill: Date.parse(to) <= now_ms - DAY_MS,
  }
}

/** The level below `by` that is not fixed yet. */
function nextOf(by: string, filters: Readonly<Record<string, string>>): Split {
  const unnamed = (filters.without ?? '').split(',')
  const below = LEVELS.slice((LEVELS as readonly string[]).indexOf(by) + 1)
  return below.find((level) => !filters[level] && !unnamed.includes(level)) ?? 'tool'
}

/** Address one level down, within `value` of the present one. */
export function inside({ by, tag, filters }: CostScope, value: string): string {
  const named =
    by === 'tag'
      ? { where_tag: `${tag}=${value}` }
      : value === ''
        ? { without: [...(filters.without ? filters.without.split(',') : []), by].join(',') }
        : { [by]: value }
  const next = nextOf(by === 'tag' || by === 'env' ? '' : by, { ...filters, ...named })
  return here({ ...named, by: next, tag: null, page_costs: null, sort_costs: null })
}

/** What a value of a split is called; calls may name none. */
export const nameOf = (by: string, value: string): string => value || `no ${by}`
