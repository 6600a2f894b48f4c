/** Questions about tool definitions: what they are, how they changed, what reading them cost, which nobody called. */
import * as contextCosts from '../queries/context-costs.ts'
import * as toolChanges from '../queries/tool-changes.ts'
import * as toolDefinitions from '../queries/tool-definitions.ts'
import * as unusedTools from '../queries/unused-tools.ts'
import { ApiError } from './errors.ts'
import { integerOf, oneOf, type Question, rangeOf } from './questions.ts'

const LIMIT_MAX = 10_000
const limitOf = (asked: Parameters<typeof integerOf>[0], otherwise: number): number =>
  Math.min(LIMIT_MAX, integerOf(asked, 'limit', otherwise))

function wordOf(asked: Parameters<typeof integerOf>[0], name: string): string {
  const text = asked[name]
  if (text) return text
  throw new ApiError(400, 'parameter_missing', `the parameter ${name} is missing`, `add ${name}=…`)
}

export const CONTEXT_QUESTIONS: Readonly<Record<string, Question>> = {
  'context-costs': {
    about: 'What reading tool definitions cost, in tokens and nano-dollars, over whole UTC days',
    params: ['from', 'to', 'by', 'limit'],
    run: (reader, asked) =>
      contextCosts.run(reader, {
        ...rangeOf(asked),
        by: oneOf(asked, 'by', contextCosts.CONTEXT_GROUPS),
        limit: limitOf(asked, 1_000),
      }),
  },
  'unused-tools': {
    about:
      'Tools that were listed and never called (by a team, when one is named), and what leaving them out saves',
    params: ['from', 'to', 'team', 'limit'],
    async run(reader, asked) {
      const { rows, totals } = await unusedTools.run(reader, {
        ...rangeOf(asked),
        team: asked.team ?? null,
        limit: limitOf(asked, 1_000),
      })
      return { rows, totals: [totals] }
    },
  },
  'tool-definitions': {
    about: 'What each tool is now: size, hints, versions, since when',
    params: ['server', 'limit'],
    run: (reader, asked) =>
      toolDefinitions.run(reader, { server: asked.server ?? '', limit: limitOf(asked, LIMIT_MAX) }),
  },
  'tool-versions': {
    about: 'All definitions of one tool, newest first, with their text',
    params: ['server', 'tool', 'limit'],
    run: (reader, asked) =>
      toolDefinitions.versions(reader, {
        server: wordOf(asked, 'server'),
        tool: wordOf(asked, 'tool'),
        limit: limitOf(asked, 100),
      }),
  },
  'tool-changes': {
    about: 'Tools whose definition changed, newest first',
    params: ['from', 'to', 'server', 'limit'],
    run: (reader, asked) =>
      toolChanges.run(reader, { ...rangeOf(asked), server: asked.server ?? '', limit: limitOf(asked, 200) }),
  },
}
