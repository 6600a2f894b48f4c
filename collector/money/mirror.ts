/**
 * Prices and budgets of the config as rows, for whoever asks the store: what `price_id` points to, and what budgets there are.
 * A book loaded again is written again; the newest `loaded_at` says which is in force. A book without entries is a row without id.
 */
import { createHash, randomUUID } from 'node:crypto'
import type { BudgetEntry, MoneyOptions, PriceEntry } from '../../config/price-book.ts'
import { compactLines, type Store } from '../sink/store.ts'

const PRICE_COLUMNS = [
  'price_id',
  'server',
  'tool',
  'valid_from',
  'valid_to',
  'per_call_nano',
  'per_input_token_nano',
  'per_output_token_nano',
  'per_byte_in_nano',
  'per_byte_out_nano',
  'per_second_nano',
  'per_month_nano',
  'split_by',
  'formula',
  'bill_on',
  'reported',
  'priced',
  'book',
]
const BUDGET_COLUMNS = ['budget_id', 'scope', 'value', 'period', 'amount_nano', 'warn_at', 'book']

const ATTO_PLACES = 9

/** Atto-dollars as nano-dollars with nine places. */
function nanoText(atto: string): string {
  const digits = atto.padStart(ATTO_PLACES + 1, '0')
  return `${digits.slice(0, -ATTO_PLACES)}.${digits.slice(-ATTO_PLACES)}`
}

const priceRow = (p: PriceEntry, book: string): unknown[] => [
  p.price_id,
  p.server,
  p.tool,
  p.valid_from_ms,
  p.valid_to_ms,
  p.rates.per_call_usd,
  nanoText(p.rates.per_input_token_usd),
  nanoText(p.rates.per_output_token_usd),
  nanoText(p.rates.per_byte_in_usd),
  nanoText(p.rates.per_byte_out_usd),
  nanoText(p.rates.per_second_usd),
  p.rates.per_month_usd,
  p.split_by,
  p.formula,
  p.bill_on,
  p.reported ? 1 : 0,
  p.priced ? 1 : 0,
  book,
]
const NO_PRICE = ['', '', '', 0, 0, 0, 0, 0, 0, 0, 0, 0, '', '', '', 0, 0]

const budgetRow = (b: BudgetEntry, book: string): unknown[] => [
  b.budget_id,
  b.scope,
  b.value,
  b.period,
  b.amount_nano,
  b.warn_at,
  book,
]
const NO_BUDGET = ['', '', '', '', 0, []]

export const budgetsId = (budgets: readonly BudgetEntry[]): string =>
  createHash('sha256').update(JSON.stringify(budgets)).digest('hex').slice(0, 16)

/** Writes the book `book_id` and the budgets as what is in force from now on. */
export async function mirrorMoney(
  store: Store,
  { prices, budgets }: MoneyOptions,
  book_id: string,
): Promise<void> {
  const price_rows = prices.length > 0 ? prices.map((p) => priceRow(p, book_id)) : [[...NO_PRICE, book_id]]
  await store.insert('prices', PRICE_COLUMNS, compactLines(price_rows), randomUUID())
  const id = budgetsId(budgets)
  const budget_rows = budgets.length > 0 ? budgets.map((b) => budgetRow(b, id)) : [[...NO_BUDGET, id]]
  await store.insert('budgets', BUDGET_COLUMNS, compactLines(budget_rows), randomUUID())
}
