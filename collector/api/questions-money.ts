/** Questions about money: the month at a glance, who spends it, how it came about, budgets, the price book. Days are UTC. */
import * as budgets from '../queries/budgets.ts'
import * as costBy from '../queries/cost-by.ts'
import * as costSeries from '../queries/cost-series.ts'
import * as costSummary from '../queries/cost-summary.ts'
import * as costTags from '../queries/cost-tags.ts'
import * as fixedCosts from '../queries/fixed-costs.ts'
import * as prices from '../queries/prices.ts'
import { ApiError } from './errors.ts'
import { type Asked, integerOf, oneOf, type Question } from './questions.ts'

const DAY_MS = 86_400_000
const FILTERS = ['team', 'project', 'caller', 'agent', 'server', 'tool', 'env'] as const
/** Parameters both cost questions understand. `where_tag`: key=value; `without`: names of filters that calls must leave unnamed. */
const PARAMS = ['by', 'tag', 'from', 'to', ...FILTERS, 'where_tag', 'without']
/** A call may come from nobody's team; it always has a server. */
const UNNAMED: ReadonlySet<string> = new Set(['team', 'project', 'caller', 'agent', 'env'])
const LIMIT_MAX = 10_000

const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

/** Whole days from `from` (milliseconds, or YYYY-MM-DD) to before `to`; default: the running month. */
function daysOf(asked: Asked, now_ms = Date.now()): { from: string; to: string } {
  const read = (name: 'from' | 'to', otherwise: string): string => {
    const text = asked[name]
    if (text === undefined || text === '') return otherwise
    if (/^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text))) return text
    const ms = integerOf(asked, name, 0)
    // The day in which a range ends belongs to it.
    return day(name === 'to' ? Math.ceil(ms / DAY_MS) * DAY_MS : ms)
  }
  const from = read('from', `${day(now_ms).slice(0, 7)}-01`)
  const to = read('to', day(now_ms + DAY_MS))
  if (from >= to)
    throw new ApiError(
      400,
      'parameter_malformed',
      'the parameter from is not a day before `to`',
      'send days as YYYY-MM-DD, or milliseconds since 1970',
    )
  return { from, to }
}

function filtersOf(asked: Asked): Record<string, string> {
  const filters: Record<string, string> = {}
  for (const name of FILTERS) if (asked[name] !== undefined) filters[name] = asked[name]
  for (const name of asked.without ? asked.without.split(',') : []) {
    if (!UNNAMED.has(name))
      throw new ApiError(
        400,
        'parameter_malformed',
        'the parameter without names what every call has, or nothing known',
        `send some of ${[...UNNAMED].join(',')}`,
      )
    filters[name] = ''
  }
  const tag = asked.where_tag
  if (tag !== undefined && tag !== '') {
    const at = tag.indexOf('=')
    if (at < 1)
      throw new ApiError(
        400,
        'parameter_malformed',
        'the parameter where_tag is not key=value',
        'send key=value',
      )
    filters[`tag:${tag.slice(0, at)}`] = tag.slice(at + 1)
  }
  return filters
}

function tagOf(asked: Asked, by: string): string {
  if (by === 'tag' && !asked.tag)
    throw new ApiError(400, 'parameter_malformed', 'the parameter tag is missing', 'send the key of a tag')
  return asked.tag ?? ''
}

export const MONEY_QUESTIONS: Readonly<Record<string, Question>> = {
  'cost-summary': {
    about: 'The running month: spent, forecast, unpriced calls, where costs come from',
    params: [],
    run: (reader) => costSummary.run(reader),
  },
  'cost-by': {
    about: 'Costs of some days by team, project, caller, agent, server, tool, env or tag, within any of them',
    params: [...PARAMS, 'limit'],
    run(reader, asked) {
      const by = oneOf(asked, 'by', costBy.COST_DIMENSIONS)
      const limit = Math.min(LIMIT_MAX, integerOf(asked, 'limit', 1000))
      return costBy.run(reader, {
        by,
        tag: tagOf(asked, by),
        ...daysOf(asked),
        filters: filtersOf(asked),
        limit,
      })
    },
  },
  'cost-series': {
    about: 'Costs over time, by day or hour, by any of these',
    params: [...PARAMS, 'step'],
    run(reader, asked) {
      const by = oneOf(asked, 'by', ['all', ...costBy.COST_DIMENSIONS])
      const step = oneOf(asked, 'step', ['day', 'hour'])
      return costSeries.run(reader, {
        by,
        tag: tagOf(asked, by),
        step,
        ...daysOf(asked),
        filters: filtersOf(asked),
      })
    },
  },
  'cost-tags': {
    about: 'Keys of the tags that calls with a cost carried in some days, the most used first',
    params: ['from', 'to'],
    run: (reader, asked) => costTags.run(reader, daysOf(asked)),
  },
  'fixed-costs': {
    about:
      'Monthly prices of a month (its first day, YYYY-MM-DD; default: the running one), split by who used the server',
    params: ['by', 'month'],
    run(reader, asked) {
      const month = asked.month || `${day(Date.now()).slice(0, 7)}-01`
      if (!/^\d{4}-\d{2}-01$/.test(month) || Number.isNaN(Date.parse(month)))
        throw new ApiError(
          400,
          'parameter_malformed',
          'the parameter month is not the first day of a month',
          'send YYYY-MM-01',
        )
      return fixedCosts.run(reader, { month, by: oneOf(asked, 'by', fixedCosts.FIXED_DIMENSIONS) })
    },
  },
  budgets: {
    about: 'Budgets in their running period: spent, forecast, state',
    params: [],
    run: (reader) => budgets.run(reader),
  },
  prices: {
    about:
      'The price book: prices in force and those that priced calls lately; all=1 for all there ever were',
    params: ['all'],
    run: (reader, asked) => prices.run(reader, { all: integerOf(asked, 'all', 0) === 1 }),
  },
}
