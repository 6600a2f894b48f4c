/** Settings of money: prices, teams, budgets, tags. What they mean together is in price-book.ts. */
import { z } from 'zod'
import { ATTO_DIGITS, amountProblem, NANO_DIGITS } from './decimal.ts'
import { compileFormula, FormulaError } from './formula.ts'
import { meta, moment } from './leaves.ts'
import { enforce } from './limits.ts'

export const BILL_ON = ['ok', 'executed', 'all'] as const
export const SPLIT_BY = ['calls', 'duration', 'tokens'] as const
export const BUDGET_SCOPES = ['team', 'project', 'caller', 'agent', 'server', 'tool'] as const
export const BUDGET_PERIODS = ['day', 'week', 'month'] as const

/** Rates of a price and how many places after the point each may have: a call is rated in nano-dollars, parts of it in finer units. */
export const RATES = {
  per_call_usd: NANO_DIGITS,
  per_input_token_usd: ATTO_DIGITS,
  per_output_token_usd: ATTO_DIGITS,
  per_byte_in_usd: ATTO_DIGITS,
  per_byte_out_usd: ATTO_DIGITS,
  per_second_usd: ATTO_DIGITS,
  per_month_usd: NANO_DIGITS,
} as const
export type Rate = keyof typeof RATES
export const RATE_NAMES = Object.keys(RATES) as readonly Rate[]

/** US dollars: a number, or a text when it has more digits than a number can hold. */
const usd = (digits: number, description: string, example: string) =>
  z
    .union([z.number(), z.string()])
    .superRefine((value, context) => {
      const message = amountProblem(value, digits)
      if (message) context.addIssue({ code: 'custom', message })
    })
    .optional()
    .meta(meta(description, { unit: 'USD', example }))

const formula = z
  .string()
  .min(1)
  .superRefine((text, context) => {
    try {
      compileFormula(text)
    } catch (error) {
      if (!(error instanceof FormulaError)) throw error
      context.addIssue({ code: 'custom', message: error.message })
    }
  })
  .optional()
  .meta(
    meta(
      'Cost of a call in USD as a CEL expression over args.<name>, size(args.<name>), tokens_in, tokens_out, request_bytes, response_bytes, seconds; in place of rates',
      { example: '0.01 + 0.002 * args.pages' },
    ),
  )

const rates = {
  per_call_usd: usd(RATES.per_call_usd, 'A call', '0.002'),
  per_input_token_usd: usd(RATES.per_input_token_usd, 'A token of the arguments', '0.000003'),
  per_output_token_usd: usd(RATES.per_output_token_usd, 'A token of the result', '0.000015'),
  per_byte_in_usd: usd(RATES.per_byte_in_usd, 'A byte of the request', '0.00000000001'),
  per_byte_out_usd: usd(RATES.per_byte_out_usd, 'A byte of the answer', '0.00000000009'),
  per_second_usd: usd(RATES.per_second_usd, 'A second during which the server worked on a call', '0.0001'),
  per_month_usd: usd(
    RATES.per_month_usd,
    'A calendar month (UTC) of the server, whatever it is used; split among those who use it',
    '400',
  ),
  formula,
  split_by: z
    .enum(SPLIT_BY)
    .default('calls')
    .meta(meta('By what of their use the price of a month is split')),
  bill_on: z
    .enum(BILL_ON)
    .default('executed')
    .meta(meta('Which tool calls cost: those that succeeded, those a server answered, or all')),
}

type Priced = { [R in Rate]?: number | string | undefined } & { formula?: string | undefined }

function refuseEmpty(price: Priced & { reported?: boolean }, context: z.RefinementCtx): void {
  const named = RATE_NAMES.filter((rate) => price[rate] !== undefined)
  if (named.length === 0 && price.formula === undefined && !price.reported)
    context.addIssue({ code: 'custom', message: 'names no price, for example per_call_usd: 0.002' })
  const beside = named.find((rate) => rate !== 'per_month_usd')
  if (price.formula !== undefined && beside)
    context.addIssue({
      code: 'custom',
      path: ['formula'],
      message: `stands beside ${beside}: a formula says all that a call costs, for example formula: "0.002 + 0.01 * args.pages"`,
    })
}

/** Short form of a price, at the server itself. */
export const serverPrice = z
  .strictObject({
    ...rates,
    reported: z
      .boolean()
      .default(false)
      .meta(
        meta(
          'The server is trusted to say in `_meta["weir/cost"]` of a result what the call cost; wins over all prices',
        ),
      ),
  })
  .superRefine(refuseEmpty)
  .meta(meta('What calls of this server cost; for one tool, or from a day on, see `prices`'))

export const priceEntry = z
  .strictObject({
    server: z.string().min(1).default('*').meta(meta('Which servers, with * as wildcard')),
    tool: z
      .string()
      .min(1)
      .default('*')
      .meta(meta("Which tools by the server's own names, with * as wildcard")),
    valid_from: moment
      .optional()
      .meta(meta('First day or moment (UTC) of the price; default: ever', { example: '2026-10-01' })),
    valid_to: moment
      .optional()
      .meta(
        meta('First day or moment at which it no longer holds; default: never', { example: '2027-01-01' }),
      ),
    ...rates,
  })
  .superRefine((entry, context) => {
    refuseEmpty(entry, context)
    if (entry.valid_from && entry.valid_to && Date.parse(entry.valid_from) >= Date.parse(entry.valid_to))
      context.addIssue({
        code: 'custom',
        path: ['valid_to'],
        message: 'is not after valid_from, for example valid_from: 2026-01-01, valid_to: 2027-01-01',
      })
    if (entry.per_month_usd !== undefined && (entry.tool !== '*' || entry.server.includes('*')))
      context.addIssue({
        code: 'custom',
        path: ['per_month_usd'],
        message: 'is the price of one server as a whole, for example server: search, tool: "*"',
      })
  })

export const tags = z
  .record(
    z.string().regex(/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/, 'a tag is a word, for example cost_center'),
    z.string().max(200),
  )
  .default({})

const budgetAmount = usd(NANO_DIGITS, 'What may be spent in the period', '400').unwrap()
const warnAt = z
  .array(z.number().positive().max(10))
  .default([0.5, 0.8, 1])
  .meta(meta('Shares of the amount at which a budget counts as reached'))

export const team = z.strictObject({
  budget_usd_per_month: usd(NANO_DIGITS, 'What the team may spend in a calendar month (UTC)', '400'),
  enforce,
  tags: tags.meta(meta('Tags of every call of the team, for example its cost center')),
})

export const budget = z.strictObject({
  scope: z.enum(BUDGET_SCOPES).meta(meta('Whose spending')),
  name: z
    .string()
    .min(1)
    .max(200)
    .meta(meta('Its name; of a tool: server/tool', { example: 'research' })),
  period: z.enum(BUDGET_PERIODS).default('month').meta(meta('UTC; weeks begin on Monday')),
  amount_usd: budgetAmount,
  warn_at: warnAt,
  enforce,
})
