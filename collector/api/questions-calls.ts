/** Questions about calls: figures, series, tools, what changed, what failed. */
import * as callers from '../queries/callers.ts'
import * as costToday from '../queries/cost-today.ts'
import * as figures from '../queries/figures.ts'
import * as fingerprints from '../queries/fingerprints.ts'
import * as latency from '../queries/latency.ts'
import * as movers from '../queries/movers.ts'
import { FILTERS, type Scope } from '../queries/scope.ts'
import * as series from '../queries/series.ts'
import * as servers from '../queries/servers.ts'
import { type Asked, integerOf, oneOf, type Question, rangeOf } from './questions.ts'

const SCOPE = ['from', 'to', ...FILTERS] as const
const DAY_MS = 86_400_000

/** Time and filters of a question. */
export const scopeOf = (asked: Asked): Scope => ({
  ...rangeOf(asked),
  ...Object.fromEntries(FILTERS.map((name) => [name, asked[name] ?? ''])),
})

export const CALL_QUESTIONS: Readonly<Record<string, Question>> = {
  figures: {
    about: 'Rate, errors and duration of everything in a time',
    params: SCOPE,
    run: (reader, asked) => figures.run(reader, scopeOf(asked)),
  },
  series: {
    about: 'The same in even steps of time',
    params: SCOPE,
    run: (reader, asked) => series.run(reader, scopeOf(asked)),
  },
  tools: {
    about: 'Rate, errors and duration by tool',
    params: SCOPE,
    run: (reader, asked) => figures.byTool(reader, scopeOf(asked)),
  },
  movers: {
    about: 'Tools in a time, and in the same time a day or a week before',
    params: [...SCOPE, 'against'],
    run(reader, asked) {
      const scope = scopeOf(asked)
      const days = { day: 1, week: 7 }[oneOf(asked, 'against', ['day', 'week'])]
      const shift = Math.ceil((scope.to_ms - scope.from_ms) / DAY_MS / days) * days * DAY_MS
      return movers.run(reader, scope, shift)
    },
  },
  fingerprints: {
    about: 'Failures by cause, with examples',
    params: [...SCOPE, 'outcome', 'limit'],
    run: (reader, asked) =>
      fingerprints.run(reader, scopeOf(asked), {
        outcome: asked.outcome ?? '',
        limit: Math.min(1_000, integerOf(asked, 'limit', 100)),
      }),
  },
  latency: {
    about: 'How durations spread over time: calls by step and bucket of the histogram',
    params: SCOPE,
    run: (reader, asked) => latency.run(reader, scopeOf(asked)),
  },
  callers: {
    about: 'Who called',
    params: SCOPE,
    run: (reader, asked) => callers.run(reader, scopeOf(asked)),
  },
  servers: {
    about: 'Servers: health, what they speak, how long they take',
    params: ['from', 'to', 'server'],
    run: (reader, asked) => servers.run(reader, scopeOf(asked)),
  },
  'cost-today': {
    about: 'What calls cost since midnight UTC',
    params: [],
    run: (reader) => costToday.run(reader),
  },
}
