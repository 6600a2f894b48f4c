/** What the definitions of tools cost that clients put into a model's context: the price of a token, by team. */
import { z } from 'zod'
import { meta } from './leaves.ts'

const DECIMALS = 6
const PRICE_MAX = 1_000_000

const price = z
  .number()
  .min(0)
  .max(PRICE_MAX)
  .refine(
    (usd) => Number(usd.toFixed(DECIMALS)) === usd,
    `a price has at most ${DECIMALS} decimals, for example 3.00`,
  )

export const context = z
  .strictObject({
    usd_per_million_input_tokens: price.optional().meta(
      meta(
        'What a model reads for: US dollars a million input tokens; without it contexts are counted and not priced',
        {
          example: 3,
        },
      ),
    ),
    teams: z
      .record(z.string().min(1).max(100), price)
      .default({})
      .meta(meta('The same by team, where its models cost something else')),
  })
  .prefault({})
  .meta(meta('What tool definitions cost that clients read'))

export type ContextConfig = z.infer<typeof context>

/** Price of one token in 10^-12 USD, a whole number, by team; '' is every team without its own. */
export const picoPerToken = ({
  usd_per_million_input_tokens: usd,
  teams,
}: ContextConfig): ReadonlyMap<string, number> =>
  new Map(
    [...(usd === undefined ? [] : [['', usd] as const]), ...Object.entries(teams)].map(([team, dollars]) => [
      team,
      Math.round(dollars * 10 ** DECIMALS),
    ]),
  )
