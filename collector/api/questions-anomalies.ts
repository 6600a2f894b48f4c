/** What the console asks about findings. */
import { ANOMALY_KINDS } from '../../config/anomalies.ts'
import * as anomalies from '../queries/anomalies.ts'
import * as series from '../queries/anomaly-series.ts'
import { ApiError } from './errors.ts'
import { type Asked, integerOf, oneOf, type Question, rangeOf } from './questions.ts'

const FILTERS = ['server', 'tool', 'caller', 'team'] as const
const DAY_MS = 86_400_000

const wordsOf = (asked: Asked): Record<string, string> =>
  Object.fromEntries(FILTERS.filter((name) => asked[name]).map((name) => [name, asked[name]!]))

export const ANOMALY_QUESTIONS: Readonly<Record<string, Question>> = {
  anomalies: {
    about: 'Findings of the detectors, open ones first; by default of the last seven days',
    params: ['from', 'to', 'state', 'kind', 'limit', ...FILTERS],
    run(reader, asked) {
      const to_ms = integerOf(asked, 'to', Date.now())
      const { from_ms } = rangeOf({ from: String(to_ms - 7 * DAY_MS), ...asked, to: String(to_ms) })
      return anomalies.run(reader, {
        from_ms,
        to_ms,
        state: oneOf(asked, 'state', anomalies.STATES),
        kind: oneOf(asked, 'kind', ['', ...ANOMALY_KINDS]),
        limit: Math.min(1000, integerOf(asked, 'limit', 200)),
        ...wordsOf(asked),
      })
    },
  },
  anomaly: {
    about: 'One finding by its id, with evidence, what differs and example traces',
    params: ['id'],
    async run(reader, asked) {
      if (!/^[0-9a-f]{4,16}$/.test(asked.id ?? ''))
        throw new ApiError(
          400,
          'parameter_malformed',
          'the parameter id is not the id of a finding',
          'send the id as /api/anomalies gives it',
        )
      const found = await anomalies.one(reader, asked.id!)
      return found ? [found] : []
    },
  },
  'anomaly-series': {
    about: 'Values of a series in 15 minutes with the band in which they are usual',
    params: ['scope', 'series', 'metric', 'from', 'to'],
    run(reader, asked) {
      const { from_ms, to_ms } = rangeOf(asked)
      return series.run(reader, {
        scope: oneOf(asked, 'scope', series.SERIES_SCOPES),
        metric: oneOf(asked, 'metric', series.SERIES_METRICS),
        series: asked.series ?? '',
        from_ms,
        to_ms,
      })
    },
  },
  'anomaly-states': {
    about: 'Which series are followed, and what each still needs to be judged by its week',
    params: ['series', 'limit'],
    run: (reader, asked) =>
      series.states(reader, {
        series: asked.series ?? '',
        limit: Math.min(10_000, integerOf(asked, 'limit', 1000)),
      }),
  },
}
