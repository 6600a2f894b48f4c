/** The prices and budgets in force in this collector: swapped whole on reload. Counts what was rated and what a formula could not. */

import { type Book, compileBook, type Facts, type Rated } from '../../config/cost-book.ts'
import type { MoneyOptions } from '../../config/price-book.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'

export type Money = {
  /** Rates a call that is about to be stored. */
  rate(call: Facts): Rated
  readonly book: Book
  reload(options: MoneyOptions): void
}

export function openMoney(options: MoneyOptions, metrics: Metrics, log: Log): Money {
  let book = compileBook(options.prices)
  /** Prices whose formula has failed: told once each. */
  const told = new Set<string>()
  const onFailure = (price_id: string): void => {
    metrics.count('weir_collector_formula_failures_total', 1)
    if (told.has(price_id)) return
    told.add(price_id)
    const { server, tool } = book.prices.find((price) => price.price_id === price_id) ?? {}
    log('warn', 'a price formula gave no amount: such calls stay unpriced', { price_id, server, tool })
  }
  return {
    rate(call) {
      const rated = book.rate(call, onFailure)
      if (rated.cost_source !== 'none')
        metrics.count('weir_collector_calls_rated_total', 1, { source: rated.cost_source })
      return rated
    },
    get book() {
      return book
    },
    reload(next) {
      book = compileBook(next.prices)
      told.clear()
    },
  }
}
