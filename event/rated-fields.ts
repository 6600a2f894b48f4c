/** What the collector adds to an event when it stores it: money. Beside event/fields.ts, the second half of the columns of `calls`. */
import { lc, words } from './column-types.ts'

/**
 * Where a cost comes from, first that applies: the server's own word, the formula of a price, a price of the tool, of the
 * server, the default. `unpriced`: the call could cost something and no price names it. `none`: nothing to pay for.
 */
export const COST_SOURCES = ['none', 'unpriced', 'reported', 'formula', 'tool', 'server', 'default'] as const
export type CostSource = (typeof COST_SOURCES)[number]

/**
 * What the collector adds to the record when it stores it: columns of `calls` that no spool line has. A price that changes
 * later leaves them as they are: the difference is an entry in `cost_adjustments`.
 */
export const RATED_FIELDS = [
  {
    name: 'cost_nano',
    column: 'Int64 CODEC(T64, ZSTD(1))',
    meaning: 'Cost in nano-dollars (10^-9 USD) by the price known when the event was stored',
  },
  { name: 'price_id', column: lc, meaning: "The price that applied, as key of `prices`; '' when none did" },
  {
    name: 'cost_source',
    column: words(COST_SOURCES),
    meaning: 'Where the cost comes from; unpriced is not zero, it is unknown',
  },
] as const
