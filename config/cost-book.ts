/**
 * Rates calls: a compiled price book, asked once per stored row. Amounts are exact: integers throughout, one rounding per
 * call (halves to even). Pure: knows no store and no clock; the same book and facts give the same cost everywhere.
 * Order of sources: the server's own word (where it is trusted), then the most special price in force at the call's time.
 */
import { createHash } from 'node:crypto'
import type { CallEvent } from '../event/fields.ts'
import type { CostSource } from '../event/rated-fields.ts'
import { divideHalfEven, nanoOfDouble } from './decimal.ts'
import { compileFormula, type Formula } from './formula.ts'
import { fits } from './glob.ts'
import { ATTO_PER_NANO, bySpecial, type PriceEntry } from './price-book.ts'

/** What of a call its cost depends on. */
export type Facts = Pick<
  CallEvent,
  | 'ts'
  | 'kind'
  | 'method'
  | 'server'
  | 'tool'
  | 'outcome'
  | 'attempts'
  | 'tokens_in'
  | 'tokens_out'
  | 'request_bytes'
  | 'response_bytes'
  | 'upstream_us'
  | 'meters'
  | 'cost_reported'
  | 'cost_reported_nano'
>

/** `cost_nano`: nano-dollars, below 2^53 (nine million dollars a call). */
export type Rated = { cost_nano: number; price_id: string; cost_source: CostSource }

export type Book = {
  /** Equal for equal prices, whatever their order. */
  readonly id: string
  readonly prices: readonly PriceEntry[]
  /** `onFailure` hears of a formula that gave no amount: the call is then unpriced. */
  rate(call: Facts, onFailure?: (price_id: string) => void): Rated
}

const NOTHING: Rated = Object.freeze({ cost_nano: 0, price_id: '', cost_source: 'none' })
const UNPRICED: Rated = Object.freeze({ cost_nano: 0, price_id: '', cost_source: 'unpriced' })
/** The server was reached and gave an answer of its own; a question back is no answer yet. */
const EXECUTED: ReadonlySet<string> = new Set(['ok', 'tool_error', 'rpc_error'])
const US_PER_SECOND = 1_000_000n
const COST_MAX_NANO = BigInt(Number.MAX_SAFE_INTEGER)
/** Pairs of server and tool remembered; clients choose the names of tools. */
const REMEMBERED_MAX = 20_000

type Compiled = {
  readonly entry: PriceEntry
  readonly from_us: number
  readonly to_us: number
  readonly source: CostSource
  /** Nano-dollars. Throws RangeError when there is no amount. */
  cost(call: Facts): bigint
}

const sourceOf = ({ server, tool, formula }: PriceEntry): CostSource =>
  formula !== '' ? 'formula' : tool !== '*' ? 'tool' : server !== '*' ? 'server' : 'default'

const bounded = (cost: bigint): bigint => {
  if (cost > COST_MAX_NANO) throw new RangeError('the cost of the call is beyond any price')
  return cost
}

function byFormula(formula: Formula): Compiled['cost'] {
  return (call) => {
    const inputs = {
      tokens_in: call.tokens_in,
      tokens_out: call.tokens_out,
      request_bytes: call.request_bytes,
      response_bytes: call.response_bytes,
      seconds: call.upstream_us / 1e6,
    }
    return bounded(nanoOfDouble(formula.run(inputs, call.meters)))
  }
}

/** Sums in units of 10^-24 USD, so that microseconds at a rate per second are whole numbers too. */
function byRates({ rates }: PriceEntry): Compiled['cost'] {
  const per_call = BigInt(rates.per_call_usd)
  const measured = [
    [BigInt(rates.per_input_token_usd), (c: Facts) => c.tokens_in],
    [BigInt(rates.per_output_token_usd), (c: Facts) => c.tokens_out],
    [BigInt(rates.per_byte_in_usd), (c: Facts) => c.request_bytes],
    [BigInt(rates.per_byte_out_usd), (c: Facts) => c.response_bytes],
  ] as const
  const used = measured.filter(([rate]) => rate > 0n)
  const per_second = BigInt(rates.per_second_usd)
  if (used.length === 0 && per_second === 0n) return () => per_call
  const unit = ATTO_PER_NANO * US_PER_SECOND
  return (call) => {
    let sum = per_call * unit
    for (const [rate, measure] of used) sum += rate * BigInt(measure(call)) * US_PER_SECOND
    if (per_second > 0n) sum += per_second * BigInt(call.upstream_us)
    return bounded(divideHalfEven(sum, unit))
  }
}

const compile = (entry: PriceEntry): Compiled => ({
  entry,
  from_us: entry.valid_from_ms * 1000,
  to_us: entry.valid_to_ms * 1000,
  source: sourceOf(entry),
  cost: entry.formula === '' ? byRates(entry) : byFormula(compileFormula(entry.formula)),
})

const isBilled = (entry: PriceEntry | null, call: Facts): boolean => {
  const bill_on = entry?.bill_on ?? 'executed'
  if (bill_on === 'all') return true
  return call.attempts > 0 && (bill_on === 'ok' ? call.outcome === 'ok' : EXECUTED.has(call.outcome))
}

const bookId = (prices: readonly PriceEntry[]): string =>
  createHash('sha256')
    .update(JSON.stringify(prices.map((price) => price.price_id).sort()))
    .digest('hex')
    .slice(0, 16)

/** Prices as `config/price-book.ts` makes them: checked, formulas compile. */
export function compileBook(prices: readonly PriceEntry[]): Book {
  const compiled = prices
    .filter((price) => price.priced)
    .toSorted(bySpecial)
    .map((entry) => ({
      ...compile(entry),
      servers: entry.server.split('*'),
      tools: entry.tool.split('*'),
    }))
  const trusted = new Map(prices.filter((price) => price.reported).map((p) => [p.server, p.price_id]))
  /** Server → tool → the prices that fit, the most special first. */
  const known = new Map<string, Map<string, readonly Compiled[]>>()
  let remembered = 0
  const pricesOf = (server: string, tool: string): readonly Compiled[] => {
    const found = known.get(server)?.get(tool)
    if (found) return found
    const fitting = compiled.filter((p) => fits(p.servers, server) && fits(p.tools, tool))
    if (remembered++ >= REMEMBERED_MAX) {
      known.clear()
      remembered = 0
    }
    const tools = known.get(server) ?? new Map<string, readonly Compiled[]>()
    known.set(server, tools.set(tool, fitting))
    return fitting
  }
  return {
    id: bookId(prices),
    prices,
    rate(call, onFailure) {
      if (call.kind !== 'request' || call.method !== 'tools/call') return NOTHING
      if (call.cost_reported && call.cost_reported_nano >= 0) {
        const price_id = trusted.get(call.server)
        if (price_id !== undefined)
          return { cost_nano: call.cost_reported_nano, price_id, cost_source: 'reported' }
      }
      for (const price of pricesOf(call.server, call.tool)) {
        if (call.ts < price.from_us || call.ts >= price.to_us) continue
        if (!isBilled(price.entry, call)) return NOTHING
        try {
          const cost_nano = Number(price.cost(call))
          return { cost_nano, price_id: price.entry.price_id, cost_source: price.source }
        } catch {
          onFailure?.(price.entry.price_id)
          return UNPRICED
        }
      }
      return isBilled(null, call) ? UNPRICED : NOTHING
    },
  }
}
