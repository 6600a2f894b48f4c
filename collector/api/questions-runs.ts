/** Questions about agent runs: the list, and one run with its steps, findings and waterfall. */
import { run as findRun } from '../queries/find-run.ts'
import { run as readRun } from '../queries/run.ts'
import { run as listRuns, RUN_SORTS } from '../queries/run-list.ts'
import { ApiError } from './errors.ts'
import { integerOf, oneOf, type Question, rangeOf } from './questions.ts'

const LIST_MAX = 500
const STEPS_MAX = 2_000
const FILTERS = ['agent', 'caller', 'team', 'project', 'text'] as const

export const RUN_QUESTIONS: Readonly<Record<string, Question>> = {
  runs: {
    about: 'What agents did: one row per run of a time range',
    params: ['from', 'to', ...FILTERS, 'failing', 'looping', 'sort', 'limit'],
    run: (reader, asked) =>
      listRuns(reader, {
        ...rangeOf(asked),
        ...Object.fromEntries(FILTERS.map((name) => [name, asked[name] ?? ''])),
        failing: oneOf(asked, 'failing', ['false', 'true']) === 'true',
        looping: oneOf(asked, 'looping', ['false', 'true']) === 'true',
        sort: oneOf(asked, 'sort', RUN_SORTS),
        limit: Math.min(LIST_MAX, integerOf(asked, 'limit', 50)),
      }),
  },
  'find-run': {
    about: 'Runs by an id: of the run, whole or its beginning, or of one of its calls, traces or sessions',
    params: ['id'],
    run(reader, asked) {
      const id = (asked.id ?? '').trim()
      if (id === '') throw new ApiError(400, 'parameter_missing', 'the parameter id is missing', 'add id=…')
      const hex = id.replaceAll('-', '').toLowerCase()
      return findRun(reader, { id, hex: /^[0-9a-f]{16,32}$/.test(hex) ? hex : '' })
    },
  },
  run: {
    about:
      'One run: steps, critical path, loops, retries, failing arguments, and the waterfall with the spans of others',
    params: ['id', 'limit'],
    async run(reader, asked) {
      if (!asked.id)
        throw new ApiError(400, 'parameter_malformed', 'the parameter id is missing', 'send the id of a run')
      const found = await readRun(reader, { run_id: asked.id, limit: integerOf(asked, 'limit', STEPS_MAX) })
      if (!found)
        throw new ApiError(404, 'run_unknown', 'there is no such run', 'ask /api/runs for the runs there are')
      return found
    },
  },
}
