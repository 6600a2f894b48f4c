/** What policy said of a call: the part of the event contract that event/fields.ts takes in. */
import { lc, words } from './column-types.ts'
import { field } from './field.ts'

/**
 * The last word of policy. `none`: nothing was configured to decide, or the call ended before it was. `deny`: a rule, a scope or
 * the default of rules; `limit`: a rate, a quota, a concurrency or a budget; `invalid`: the arguments or the result do not fit the schema.
 */
export const VERDICTS = ['none', 'allow', 'deny', 'limit', 'invalid'] as const
export type Verdict = (typeof VERDICTS)[number]

export const DECISION_FIELDS = [
  field('roles', 'strings', `Array(${lc})`, 'Roles of the caller: from the config, or claimed by its token'),
  field(
    'decision',
    VERDICTS,
    words(VERDICTS),
    'What policy said: none (nothing configured decided), allow, deny (a rule or scope), limit (a rate, quota, concurrency or budget), invalid (arguments or result do not fit the schema)',
    { otel: 'weir.decision' },
  ),
  field(
    'decision_rule',
    'string',
    lc,
    'Name of the rule, limit, budget or scope that decided; `default` when none did',
    { otel: 'weir.decision.rule' },
  ),
  field('decision_reason', 'string', 'String', 'Why, in words: never a value of an argument', {
    otel: 'weir.decision.reason',
  }),
  field(
    'decision_facts',
    'labels',
    `Map(${lc}, String)`,
    'Facts the decision saw that no other column has, for example the state of a limit; of arguments only their names',
  ),
  field(
    'shadow',
    'strings',
    `Array(${lc})`,
    'Rules, limits and budgets in `mode: shadow` that would have refused the call',
  ),
] as const
