/**
 * The price book of a config: all prices in one form, with their ids, their order, and what is wrong between them.
 * Plain data that travels between processes: amounts are integers written as text. Pure.
 *
 * Of the prices that fit a call at its time the most special one applies: one that names the tool before one that names the
 * server before the default; exact names before patterns, longer patterns before shorter ones; a formula before rates.
 */
import { createHash } from 'node:crypto'
import { ATTO_DIGITS, amountOf, NANO_DIGITS } from './decimal.ts'
import { overlap } from './glob.ts'
import { RATE_NAMES, RATES, type Rate } from './money.ts'
import type { Config } from './schema.ts'
import { pathText } from './setting-path.ts'

/** One price. Times are milliseconds since 1970; `valid_to_ms` is the first moment it no longer holds. */
export type PriceEntry = {
  price_id: string
  server: string
  tool: string
  valid_from_ms: number
  valid_to_ms: number
  /** Nano-dollars for a call and a month, atto-dollars (10^-18) for everything else; whole numbers as text. */
  rates: Record<Rate, string>
  formula: string
  split_by: 'calls' | 'duration' | 'tokens'
  bill_on: 'ok' | 'executed' | 'all'
  reported: boolean
  /** Whether it is a price at all: a server may be trusted to report and have none. */
  priced: boolean
}

export type BudgetEntry = {
  budget_id: string
  scope: string
  value: string
  period: string
  amount_nano: string
  warn_at: readonly number[]
}

/** What the collector is told of money. */
export type MoneyOptions = { prices: readonly PriceEntry[]; budgets: readonly BudgetEntry[] }
export const NO_MONEY: MoneyOptions = { prices: [], budgets: [] }

/** Where calls may lie: no row of the store is outside. */
const EVER_FROM_MS = 0
const EVER_TO_MS = Date.UTC(2100, 0)
const ID_DIGITS = 16

const digest = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, ID_DIGITS)

type Given = Config['prices'][number] | NonNullable<Config['servers'][string]['price']>

function entryOf(given: Given, server: string, tool: string, from?: string, to?: string): PriceEntry {
  const rates = Object.fromEntries(
    RATE_NAMES.map((rate) => [rate, amountOf(given[rate] ?? 0, RATES[rate]).toString()]),
  ) as Record<Rate, string>
  const content = {
    server,
    tool,
    valid_from_ms: from ? Date.parse(from) : EVER_FROM_MS,
    valid_to_ms: to ? Date.parse(to) : EVER_TO_MS,
    rates,
    formula: given.formula ?? '',
    split_by: given.split_by,
    bill_on: given.bill_on,
    reported: 'reported' in given && given.reported,
    priced: given.formula !== undefined || RATE_NAMES.some((rate) => given[rate] !== undefined),
  }
  return { price_id: digest(content), ...content }
}

type Path = readonly (string | number)[]

/** Every price with the place in the file it comes from. */
function placedPrices(config: Pick<Config, 'servers' | 'prices'>): { entry: PriceEntry; path: Path }[] {
  const short = Object.entries(config.servers).flatMap(([name, { price }]) =>
    price ? [{ entry: entryOf(price, name, '*'), path: ['servers', name, 'price'] }] : [],
  )
  const listed = config.prices.map((given, i) => ({
    entry: entryOf(given, given.server, given.tool, given.valid_from, given.valid_to),
    path: ['prices', i],
  }))
  return [...short, ...listed]
}

const budgetId = (scope: string, value: string, period: string): string => digest([scope, value, period])

function placedBudgets(config: Pick<Config, 'teams' | 'budgets'>): { entry: BudgetEntry; path: Path }[] {
  const make = (
    scope: string,
    value: string,
    period: string,
    amount: number | string,
    warn_at: readonly number[],
  ) => ({
    budget_id: budgetId(scope, value, period),
    scope,
    value,
    period,
    amount_nano: amountOf(amount, NANO_DIGITS).toString(),
    warn_at,
  })
  const short = Object.entries(config.teams).flatMap(([name, { budget_usd_per_month: amount }]) =>
    amount === undefined
      ? []
      : [
          {
            entry: make('team', name, 'month', amount, [0.5, 0.8, 1]),
            path: ['teams', name, 'budget_usd_per_month'],
          },
        ],
  )
  const listed = config.budgets.map((b, i) => ({
    entry: make(b.scope, b.name, b.period, b.amount_usd, b.warn_at),
    path: ['budgets', i],
  }))
  return [...short, ...listed]
}

export const moneyOptions = (config: Config): MoneyOptions => ({
  prices: placedPrices(config).map(({ entry }) => entry),
  budgets: placedBudgets(config).map(({ entry }) => entry),
})

/** 2 exact, 1 pattern, 0 anything. */
const kindOf = (pattern: string): number => (pattern === '*' ? 0 : pattern.includes('*') ? 1 : 2)
const literals = (pattern: string): number => pattern.replaceAll('*', '').length

/** How special a price is: compare with `bySpecial`. */
const rankOf = ({ server, tool, formula }: PriceEntry): readonly number[] => [
  kindOf(tool),
  kindOf(server),
  kindOf(tool) === 1 ? literals(tool) : 0,
  kindOf(server) === 1 ? literals(server) : 0,
  formula === '' ? 0 : 1,
]

/** Sorts the most special price first; 0 for prices of equal rank. */
export function bySpecial(a: PriceEntry, b: PriceEntry): number {
  const [left, right] = [rankOf(a), rankOf(b)]
  for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return right[i]! - left[i]!
  return 0
}

const clash = (a: PriceEntry, b: PriceEntry): boolean =>
  bySpecial(a, b) === 0 &&
  a.valid_from_ms < b.valid_to_ms &&
  b.valid_from_ms < a.valid_to_ms &&
  overlap(a.server, b.server) &&
  overlap(a.tool, b.tool)

type Add = (path: (string | number)[], message: string, fix: string) => void

/** What prices, teams and budgets cannot tell one by one. Returns warnings; problems go to `add`. */
export function checkMoney(config: Config, add: Add): string[] {
  const warnings: string[] = []
  const servers = Object.keys(config.servers)
  const known = servers.length > 0 ? `configured are ${servers.slice(0, 8).join(', ')}` : 'none is configured'
  config.prices.forEach(({ server }, i) => {
    if (!server.includes('*') && !servers.includes(server))
      add(['prices', i, 'server'], 'there is no such server', `name one under \`servers\` (${known})`)
    else if (server !== '*' && !servers.some((name) => overlap(server, name)))
      warnings.push(`prices[${i}].server fits no configured server`)
  })
  const prices = placedPrices(config)
  prices.forEach(({ entry, path }, i) => {
    const other = prices.slice(0, i).find((before) => clash(before.entry, entry))
    if (other)
      add(
        [...path],
        `overlaps ${pathText(other.path)}: both would price the same call at the same time`,
        'end one with `valid_to` where the other begins, or name servers and tools so that one is more special',
      )
  })
  const taken = new Map<string, Path>()
  for (const { entry, path } of placedBudgets(config)) {
    const other = taken.get(entry.budget_id)
    if (other)
      add(
        [...path],
        `is the second budget of ${entry.scope} ${entry.value} for a ${entry.period}; the first is ${pathText(other)}`,
        'keep one of them',
      )
    taken.set(entry.budget_id, path)
  }
  config.budgets.forEach(({ scope, name }, i) => {
    const server = scope === 'server' ? name : scope === 'tool' ? name.split('/')[0]! : null
    if (scope === 'tool' && !name.includes('/'))
      add(['budgets', i, 'name'], 'does not say of which server', 'write server/tool')
    else if (server !== null && !servers.includes(server))
      add(['budgets', i, 'name'], 'there is no such server', `name one under \`servers\` (${known})`)
  })
  const teams = Object.keys(config.teams)
  if (teams.length > 0)
    for (const [caller, { team }] of Object.entries(config.callers))
      if (team !== '' && !teams.includes(team))
        warnings.push(`callers.${caller}.team is not under \`teams\`: it has no budget and no tags`)
  return warnings
}

export const ATTO_PER_NANO = 10n ** BigInt(ATTO_DIGITS - NANO_DIGITS)
