/**
 * The limits of a config, budgets that refuse included, in one form: an entry for each thing that is counted. Plain data that
 * travels between processes, and what is wrong between them. Pure.
 */
import { amountOf, NANO_DIGITS } from './decimal.ts'
import { overlap } from './glob.ts'
import { type LIMIT_PER, type QuotaPeriod, quotaOf, rateOf, spendOf } from './limits.ts'
import type { Config } from './schema.ts'

export const LIMIT_KINDS = ['rate', 'concurrency', 'quota', 'spend'] as const
export type LimitKind = (typeof LIMIT_KINDS)[number]
export type LimitPer = (typeof LIMIT_PER)[number]
export const MATCH_FIELDS = [
  'servers',
  'tools',
  'callers',
  'teams',
  'projects',
  'agents',
  'roles',
  'methods',
] as const
export type MatchField = (typeof MATCH_FIELDS)[number]

/** One thing that is counted. A limit with a rate and a quota is two of them. */
export type LimitEntry = {
  /** Unique in a config, and the same over a reload as long as its name is: counts go on. */
  id: string
  /** What people call it: name of the limit, or `budget:<scope>:<name>:<period>`. */
  name: string
  kind: LimitKind
  mode: 'enforce' | 'shadow'
  per: readonly LimitPer[]
  /** Patterns; a field that is not there fits everything. */
  match: { readonly [F in MatchField]?: readonly string[] }
  /** Of a budget: whose, to the letter. */
  exact: { readonly scope: string; readonly value: string } | null
  /** Calls; of spend: nano-dollars, below 2^53. */
  amount: number
  /** Of a rate: calls at once. */
  burst: number
  /** Of a rate: time in which `amount` calls are allowed, ms. */
  period_ms: number
  /** Of a quota or spend. */
  period: QuotaPeriod | ''
  warn_at: readonly number[]
}

type Given = Config['limits'][number]
const SPEND_MAX_NANO = BigInt(Number.MAX_SAFE_INTEGER)

function matchOf(given: Given): LimitEntry['match'] {
  const fields = MATCH_FIELDS.flatMap((field) => (given[field] ? [[field, given[field]]] : []))
  return Object.fromEntries(fields)
}

function entriesOf(given: Given): LimitEntry[] {
  const { name, mode, per } = given
  const base = { name, mode, per, match: matchOf(given), exact: null, burst: 0, period_ms: 0 }
  const entries: LimitEntry[] = []
  const add = (kind: LimitKind, more: Partial<LimitEntry> & { amount: number }): void => {
    entries.push({ ...base, id: `${kind} ${name}`, kind, period: '', warn_at: [], ...more })
  }
  if (given.rate !== undefined) {
    const { calls, period_ms } = rateOf(given.rate)
    const burst = given.burst ?? Math.max(1, Math.ceil((calls * 1000) / period_ms))
    add('rate', { amount: calls, period_ms, burst })
  }
  if (given.concurrency !== undefined) add('concurrency', { amount: given.concurrency })
  const { warn_at } = given
  if (given.quota !== undefined) {
    const { calls, period } = quotaOf(given.quota)
    add('quota', { amount: calls, period, warn_at })
  }
  if (given.spend_usd !== undefined) {
    const { amount, period } = spendOf(given.spend_usd)
    add('spend', { amount: Number(amountOf(amount, NANO_DIGITS)), period, warn_at })
  }
  return entries
}

type Budget = {
  scope: string
  value: string
  period: QuotaPeriod
  amount: string | number
  warn_at: readonly number[]
  enforce: boolean | 'shadow'
  path: (string | number)[]
}

function budgetsOf({ teams, budgets }: Pick<Config, 'teams' | 'budgets'>): Budget[] {
  const short = Object.entries(teams).flatMap(([value, team]) =>
    team.budget_usd_per_month === undefined
      ? []
      : [
          {
            scope: 'team',
            value,
            period: 'month' as const,
            amount: team.budget_usd_per_month,
            warn_at: [0.5, 0.8, 1],
            enforce: team.enforce,
            path: ['teams', value, 'budget_usd_per_month'],
          },
        ],
  )
  const listed = budgets.map(({ name, amount_usd, ...rest }, i) => ({
    ...rest,
    value: name,
    amount: amount_usd,
    path: ['budgets', i, 'amount_usd'],
  }))
  return [...short, ...listed].filter((budget) => budget.enforce !== false)
}

function entryOfBudget({ scope, value, period, amount, warn_at, enforce }: Budget): LimitEntry {
  const name = `budget:${scope}:${value}:${period}`
  return {
    id: `spend ${name}`,
    name,
    kind: 'spend',
    mode: enforce === 'shadow' ? 'shadow' : 'enforce',
    per: [],
    match: {},
    exact: { scope, value },
    amount: Number(amountOf(amount, NANO_DIGITS)),
    burst: 0,
    period_ms: 0,
    period,
    warn_at: warn_at.filter((share) => share <= 1),
  }
}

/** Everything that is counted and may refuse, in the order of the file; budgets last. */
export const limitEntries = (config: Pick<Config, 'limits' | 'teams' | 'budgets'>): LimitEntry[] => [
  ...config.limits.flatMap(entriesOf),
  ...budgetsOf(config).map(entryOfBudget),
]

type Add = (path: (string | number)[], message: string, fix: string) => void

/** What limits cannot tell one by one. Returns warnings; problems go to `add`. */
export function checkLimits(config: Config, add: Add): string[] {
  const warnings: string[] = []
  const servers = Object.keys(config.servers)
  const taken = new Map<string, number>()
  config.limits.forEach((given, i) => {
    const other = taken.get(given.name)
    if (other !== undefined)
      add(['limits', i, 'name'], `is the name of limits[${other}] too`, 'give each limit a name of its own')
    taken.set(given.name, i)
    for (const server of given.servers ?? [])
      if (!server.includes('*') && !servers.includes(server))
        add(
          ['limits', i, 'servers'],
          `there is no server ${server}`,
          `name servers that are configured (${servers.slice(0, 8).join(', ') || 'none is'}), or use *`,
        )
      else if (!servers.some((name) => overlap(server, name)))
        warnings.push(`limits[${i}].servers: ${server} fits no configured server`)
    if (given.spend_usd && amountOf(spendOf(given.spend_usd).amount, NANO_DIGITS) > SPEND_MAX_NANO)
      add(['limits', i, 'spend_usd'], 'is above 9,000,000 USD', 'write at most 9000000/month')
    if (given.per.includes('agent') && !config.limits.some((one) => isWider(one, given)))
      warnings.push(
        `limits[${i}].per names agent, which clients choose: without a limit per caller beside it, a client that changes its agent has no limit`,
      )
  })
  const budgets = budgetsOf(config)
  for (const { path, amount } of budgets)
    if (amountOf(amount, NANO_DIGITS) > SPEND_MAX_NANO)
      add(path, 'is above 9,000,000 USD, which cannot be enforced', 'write at most 9000000')
  const isSpending = budgets.length > 0 || config.limits.some((one) => one.spend_usd)
  if (isSpending && config.prices.length === 0 && !servers.some((name) => config.servers[name]!.price))
    warnings.push('limits on money never refuse: there are no prices, so calls cost nothing')
  return warnings
}

/** Whether a limit holds a caller back that changes its agent. */
const isWider = (one: Given, given: Given): boolean =>
  one !== given && !one.per.includes('agent') && !one.agents && one.mode === 'enforce'
