/** `rules:` who may call what, with which arguments and when: how a rule is written, and what one alone or all together may not say. */
import { z } from 'zod'
import { compileExpression, EXPRESSION_MAX_CHARS, ExpressionError } from './expression.ts'
import { overlap } from './glob.ts'
import { meta } from './leaves.ts'
import type { Config } from './schema.ts'

const RULES_MAX = 10_000
const name = (description: string, example: string) =>
  z
    .string()
    .min(1)
    .max(100)
    .refine((text) => !/\p{Cc}/u.test(text), 'a rule has a name on one line, for example no large transfers')
    .optional()
    .meta(meta(description, { example }))

const pattern = z
  .string()
  .min(1)
  .max(200)
  .refine((text) => text.split('*').length <= 9, 'a pattern has at most 8 wildcards, for example get_*')
const patterns = (description: string, example: unknown) =>
  z
    .union(
      [pattern, z.array(pattern).min(1).max(1000)],
      'expected a pattern, or a list of patterns, for example get_*',
    )
    .transform((given) => (Array.isArray(given) ? given : [given]))
    .optional()
    .meta(meta(`${description}, with * as wildcard: one, or a list`, { example }))

export const MODES = ['enforce', 'shadow'] as const

const rule = z
  .strictObject({
    allow: name(
      'Name of a rule that lets calls pass. Once there is one, what none lets pass is refused',
      'analysts may read',
    ),
    deny: name('Name of a rule that refuses calls, whatever others allow', 'no large transfers'),
    when: z
      .string()
      .min(1)
      .max(EXPRESSION_MAX_CHARS)
      .optional()
      .meta(
        meta(
          'Condition in CEL over caller, server, tool, prompt, resource, method, args, client and now; without one the rule always applies',
          {
            example: "tool.name == 'transfer' && args.amount > 1000",
          },
        ),
      ),
    servers: patterns('Servers the rule is about; without it all', '[bank]'),
    tools: patterns(
      'Tools it is about, as their server names them; without tools, prompts and resources: all of these',
      '[get_*]',
    ),
    prompts: patterns('Prompts it is about, as their server names them', '[summary]'),
    resources: patterns('Resources it is about, by URI', '["file:///public/*"]'),
    callers: patterns('Callers it is about', '[rm-agent]'),
    teams: patterns('Teams of callers it is about', '[research]'),
    roles: patterns('Roles it is about: those of a caller that has one of them', '[analyst]'),
    mode: z
      .enum(MODES)
      .default('enforce')
      .meta(meta('shadow: the rule decides nothing; what it would have refused is noted on the event')),
  })
  .superRefine((given, context) => {
    const refuse = (message: string, ...path: string[]): void =>
      context.addIssue({ code: 'custom', message, path })
    if ((given.allow === undefined) === (given.deny === undefined))
      refuse('a rule has either `allow` or `deny` with its name, for example deny: no large transfers')
    if (given.when === undefined) return
    try {
      compileExpression(given.when)
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error
      refuse(error.message, 'when')
    }
  })

export const rules = z
  .array(rule)
  .max(RULES_MAX)
  .default([])
  .meta(meta('Who may call what: deny wins; once there is an allow, what no allow lets pass is refused'))

export type RuleConfig = Config['rules'][number]
export const nameOf = (given: RuleConfig): string => (given.allow ?? given.deny)!

type Add = (path: (string | number)[], message: string, fix: string) => void
/** What stands in the record where no rule decided. */
const TAKEN = new Set(['default', 'scope', 'unknown'])

/** What rules cannot tell one by one. Returns warnings; problems go to `add`. */
export function checkRules(config: Config, add: Add): string[] {
  const warnings: string[] = []
  const seen = new Map<string, number>()
  const isOpen = Object.keys(config.callers).length === 0
  const known: Record<'servers' | 'callers' | 'teams', string[]> = {
    servers: Object.keys(config.servers),
    callers: isOpen ? ['local'] : Object.keys(config.callers),
    teams: [...new Set(Object.values(config.callers).map(({ team }) => team))],
  }
  config.rules.forEach((given, i) => {
    const own = nameOf(given)
    const effect = given.allow === undefined ? 'deny' : 'allow'
    const other = seen.get(own)
    if (other !== undefined)
      add(
        ['rules', i, effect],
        `rules[${other}] has the same name`,
        'give each rule a name of its own: the record names it',
      )
    if (TAKEN.has(own))
      add(
        ['rules', i, effect],
        `\`${own}\` is what the record says where no rule decided`,
        'give the rule another name',
      )
    seen.set(own, i)
    for (const key of ['servers', 'callers', 'teams'] as const)
      for (const wanted of given[key] ?? [])
        if (known[key].length > 0 && !known[key].some((one) => overlap(wanted, one)))
          warnings.push(`rules[${i}].${key}: ${wanted} fits none that is configured`)
  })
  return warnings
}
