/** Settings of limits: how often, how many at once, how much in a period, for how much money. What they become is in limit-book.ts. */
import { z } from 'zod'
import { amountProblem, NANO_DIGITS } from './decimal.ts'
import { meta } from './leaves.ts'

/** Of what there is a count each. `agent` is what the client says of itself; `key` is the credential. */
export const LIMIT_PER = ['caller', 'team', 'project', 'agent', 'key', 'server', 'tool', 'method'] as const
export const RATE_UNITS = { s: 1_000, m: 60_000, h: 3_600_000 } as const
export const QUOTA_PERIODS = ['hour', 'day', 'week', 'month'] as const
/** What works at a server. Lists, initialize, pings and notifications do not count unless `methods` says so. */
export const LIMITED_METHODS = [
  'tools/call',
  'prompts/get',
  'resources/read',
  'resources/subscribe',
  'completion/complete',
]

const RATE = /^([1-9]\d{0,8})\/([smh])$/
const QUOTA = /^([1-9]\d{0,14})\/(hour|day|week|month)$/
const SPEND = /^(\S+)\/(hour|day|week|month)$/

export type RateUnit = keyof typeof RATE_UNITS
export type QuotaPeriod = (typeof QUOTA_PERIODS)[number]

/** `10/s` → 10 calls in 1000 ms. The text has been checked. */
export function rateOf(text: string): { calls: number; period_ms: number } {
  const [, calls, unit] = RATE.exec(text)!
  return { calls: Number(calls), period_ms: RATE_UNITS[unit as RateUnit] }
}

export function quotaOf(text: string): { calls: number; period: QuotaPeriod } {
  const [, calls, period] = QUOTA.exec(text)!
  return { calls: Number(calls), period: period as QuotaPeriod }
}

export function spendOf(text: string): { amount: string; period: QuotaPeriod } {
  const [, amount, period] = SPEND.exec(text)!
  return { amount: amount!, period: period as QuotaPeriod }
}

const patterns = (what: string, example: string) =>
  z
    .array(z.string().min(1).max(200))
    .min(1)
    .optional()
    .meta(meta(`Only calls ${what}, with * as wildcard; default: all`, { example }))

export const limit = z
  .strictObject({
    name: z
      .string()
      .regex(
        /^[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}$/,
        'a limit has a name of letters, digits, spaces, "_", "." and "-", for example per-caller',
      )
      .meta(meta('Its name, in refusals, events and metrics', { example: 'per-caller' })),
    per: z
      .array(z.enum(LIMIT_PER))
      .default([])
      .meta(meta('Of what there is a count each; empty: one for all', { example: '[caller, tool]' })),
    rate: z
      .string()
      .regex(RATE, 'expected calls per second, minute or hour, for example 10/s, 600/m or 1000/h')
      .optional()
      .meta(meta('Calls per second (s), minute (m) or hour (h)', { example: '10/s' })),
    burst: z
      .number()
      .int()
      .min(1)
      .max(1_000_000)
      .optional()
      .meta(
        meta('Only with `rate`. Calls at once after a pause; default: what the rate allows in a second', {
          example: 20,
        }),
      ),
    concurrency: z
      .number()
      .int()
      .min(1)
      .max(1_000_000)
      .optional()
      .meta(meta('Calls under way at a time', { example: 5 })),
    quota: z
      .string()
      .regex(QUOTA, 'expected calls per hour, day, week or month, for example 100000/day')
      .optional()
      .meta(
        meta('Calls in an hour, day, week (from Monday) or month, each by UTC', { example: '100000/day' }),
      ),
    spend_usd: z
      .string()
      .regex(SPEND, 'expected US dollars per hour, day, week or month, for example 25/day')
      .superRefine((text, context) => {
        const problem = SPEND.test(text) ? amountProblem(spendOf(text).amount, NANO_DIGITS) : null
        if (problem) context.addIssue({ code: 'custom', message: problem.replace('0.002', '25/day') })
      })
      .optional()
      .meta(
        meta(
          'US dollars that calls may cost in an hour, day, week or month by UTC, at the prices of this file',
          {
            example: '25/day',
          },
        ),
      ),
    warn_at: z
      .array(z.number().positive().max(1))
      .default([0.5, 0.8, 1])
      .meta(meta('Only with `quota` and `spend_usd`. Shares at which it is told that they are reached')),
    servers: patterns('to these servers', '[bank]'),
    tools: patterns('of these tools: tool or server/tool', '["search/*"]'),
    callers: patterns('of these callers', '["batch-*"]'),
    teams: patterns('of these teams', '[research]'),
    projects: patterns('for these projects', '[kyc]'),
    agents: patterns('of these agents, as clients name themselves', '["crawler*"]'),
    roles: patterns('of callers with one of these roles', '[analyst]'),
    methods: z
      .array(z.string().min(1).max(100))
      .min(1)
      .default([...LIMITED_METHODS])
      .meta(meta('Which requests count, with * as wildcard')),
    mode: z
      .enum(['enforce', 'shadow'])
      .default('enforce')
      .meta(meta('shadow: what it would have refused is recorded, and passes')),
  })
  .superRefine((one, context) => {
    const refuse = (message: string, ...path: string[]): void =>
      context.addIssue({ code: 'custom', message, path })
    if (!one.rate && !one.concurrency && !one.quota && !one.spend_usd)
      refuse('limits nothing, for example rate: 10/s, concurrency: 5, quota: 1000/day or spend_usd: 25/day')
    if (one.burst !== undefined && !one.rate) refuse('needs a rate, for example rate: 10/s', 'burst')
    if (new Set(one.per).size < one.per.length) refuse('names one thing twice, for example [caller]', 'per')
  })

/** Whether a budget of money also refuses. */
export const enforce = z
  .union([z.boolean(), z.literal('shadow')], 'expected true, false or shadow, for example true')
  .default(false)
  .meta(
    meta('true: calls beyond it are refused; shadow: that they would be is recorded; false: it only warns'),
  )

export const redisUrl = z.string().refine((text) => {
  try {
    const { protocol, username, password } = new URL(text)
    decodeURIComponent(username + password)
    return ['redis:', 'rediss:'].includes(protocol)
  } catch {
    return false
  }
}, 'expected a redis:// or rediss:// URL, for example rediss://user:${REDIS_PASSWORD}@redis.internal:6379/0')

export const limitsStore = z
  .strictObject({
    redis: z
      .strictObject({
        url: redisUrl.meta(
          meta('Redis 6 or Valkey that all proxies of the fleet share', {
            example: 'rediss://:${REDIS_PASSWORD}@redis.internal:6379/0',
          }),
        ),
        prefix: z
          .string()
          .regex(/^[A-Za-z0-9:_.-]{1,64}$/, 'expected letters, digits and ":_.-", for example weir')
          .default('weir')
          .meta(meta('First part of all its keys; one for each fleet')),
        timeout_ms: z
          .number()
          .int()
          .min(1)
          .max(10_000)
          .default(100)
          .meta(meta('How long a call waits for it; then `fallback` applies', { unit: 'ms' })),
        fallback: z
          .enum(['local', 'refuse'])
          .default('local')
          .meta(
            meta(
              'While it is slow or away: local (this machine keeps its own counts) or refuse (calls with an enforced limit get 503)',
            ),
          ),
        share: z
          .number()
          .positive()
          .max(1)
          .default(1)
          .meta(
            meta(
              'Only with fallback local. Part of every limit that this machine may use meanwhile, for example 0.25 with four proxies',
            ),
          ),
      })
      .optional(),
  })
  .prefault({})
  .meta(meta('Where counts are kept; default: in this installation, exact over its workers'))
