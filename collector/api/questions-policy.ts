/** Questions about policy: what was decided, by what, and why. */
import * as decisions from '../queries/decisions.ts'
import * as refusals from '../queries/refusals.ts'
import { FILTERS } from '../queries/scope.ts'
import { integerOf, type Question } from './questions.ts'
import { scopeOf } from './questions-calls.ts'

const SCOPE = ['from', 'to', ...FILTERS] as const
const ROWS_MAX = 10_000

export const POLICY_QUESTIONS: Readonly<Record<string, Question>> = {
  decisions: {
    about: 'What policy said, by rule, limit and budget',
    params: SCOPE,
    run: (reader, asked) => decisions.run(reader, scopeOf(asked)),
  },
  refusals: {
    about: 'What policy refused, one by one, newest first',
    params: [...SCOPE, 'rule', 'limit'],
    run: (reader, asked) =>
      refusals.run(reader, scopeOf(asked), {
        rule: asked.rule ?? '',
        limit: Math.min(ROWS_MAX, integerOf(asked, 'limit', 200)),
      }),
  },
}
