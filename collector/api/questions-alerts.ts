/** What the console may ask about alerts, objectives, silences and annotations. */
import * as alerts from '../queries/alerts.ts'
import { run as runAnnotations } from '../queries/annotations.ts'
import { run as runSilences } from '../queries/silences.ts'
import { run as runSlos } from '../queries/slos.ts'
import { integerOf, oneOf, type Question, rangeOf } from './questions.ts'

const RANGE = ['from', 'to'] as const

export const ALERT_QUESTIONS: Readonly<Record<string, Question>> = {
  alerts: {
    about: 'Alerts as they stand now, and those that ended in the last day',
    params: ['limit'],
    run: (reader, asked) => alerts.run(reader, { limit: integerOf(asked, 'limit', 1000) }),
  },
  'alert-history': {
    about: 'Every change of state of all alerts, or of one',
    params: [...RANGE, 'fingerprint', 'limit'],
    run: (reader, asked) =>
      alerts.runHistory(reader, {
        ...rangeOf(asked),
        fingerprint: asked.fingerprint ?? '',
        limit: integerOf(asked, 'limit', 1000),
      }),
  },
  'alert-deliveries': {
    about: 'Messages to receivers, and what became of them',
    params: [...RANGE, 'limit'],
    run: (reader, asked) =>
      alerts.runDeliveries(reader, { ...rangeOf(asked), limit: integerOf(asked, 'limit', 1000) }),
  },
  'alert-rules': {
    about: 'The rules in force, and how their last evaluation went',
    params: [],
    run: (reader) => alerts.runRules(reader),
  },
  silences: {
    about: 'Silences: those that run or will, or all',
    params: ['only'],
    run: (reader, asked) => runSilences(reader, { only: oneOf(asked, 'only', ['running', 'all']) }),
  },
  slos: {
    about: 'Service level objectives: what is left of the error budget, and how fast it burns',
    params: [],
    run: (reader) => runSlos(reader),
  },
  annotations: {
    about: 'Moments to draw on charts',
    params: [...RANGE, 'server'],
    run: (reader, asked) => runAnnotations(reader, { ...rangeOf(asked), server: asked.server ?? '' }),
  },
}
