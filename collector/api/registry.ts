/** All questions of the console by name: the one place where the entries of the areas (`questions-<area>.ts`) come together. */
import type { Question } from './questions.ts'
import { ALERT_QUESTIONS } from './questions-alerts.ts'
import { ANOMALY_QUESTIONS } from './questions-anomalies.ts'
import { CALL_QUESTIONS } from './questions-calls.ts'
import { CONTEXT_QUESTIONS } from './questions-context.ts'
import { EVENT_QUESTIONS } from './questions-events.ts'
import { HEALTH_QUESTIONS } from './questions-health.ts'
import { MONEY_QUESTIONS } from './questions-money.ts'
import { POLICY_QUESTIONS } from './questions-policy.ts'
import { RUN_QUESTIONS } from './questions-runs.ts'

/** Areas, in any order. A name may be taken once. */
const AREAS: readonly Readonly<Record<string, Question>>[] = [
  ALERT_QUESTIONS,
  ANOMALY_QUESTIONS,
  CALL_QUESTIONS,
  CONTEXT_QUESTIONS,
  EVENT_QUESTIONS,
  HEALTH_QUESTIONS,
  MONEY_QUESTIONS,
  POLICY_QUESTIONS,
  RUN_QUESTIONS,
]

function join(): Record<string, Question> {
  const all: Record<string, Question> = {}
  for (const area of AREAS)
    for (const [name, question] of Object.entries(area)) {
      if (Object.hasOwn(all, name)) throw new Error(`two questions are called ${name}`)
      all[name] = question
    }
  return all
}

export const QUESTIONS: Readonly<Record<string, Question>> = join()
