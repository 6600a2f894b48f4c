/**
 * Looks at all rules once. Rules that ask the same share one question; one that cannot be answered says so and harms no other.
 * Knows nothing of states: it says what is seen now.
 */
import type { Rule, ThresholdRule } from '../../../config/alert-rules.ts'
import { HEALTH_FIGURES } from '../../../config/alert-rules.ts'
import type { Sample } from './alert.ts'
import { anomalySamples, budgetSamples } from './findings.ts'
import { healthSamples } from './health.ts'
import type { Look, Once } from './look.ts'
import { burnSamples } from './objectives.ts'
import { thresholdSamples } from './thresholds.ts'

/** `failed`: its alerts stay as they are. */
export type Evaluation = {
  readonly rule: Rule
  readonly state: 'ok' | 'failed'
  readonly detail: string
  readonly samples: readonly Sample[]
}

/** Most alerts of one rule; the worst stay. */
export const SERIES_MAX = 500

function openOnce(): Once {
  const asked = new Map<string, Promise<unknown>>()
  return <T>(key: string, ask: () => Promise<T>): Promise<T> => {
    const before = asked.get(key) as Promise<T> | undefined
    if (before) return before
    const answer = ask()
    asked.set(key, answer)
    return answer
  }
}

const isHealth = (rule: ThresholdRule): boolean => HEALTH_FIGURES.includes(rule.figure)

async function samplesOf(rule: Rule, look: Look, once: Once): Promise<Sample[]> {
  switch (rule.kind) {
    case 'threshold':
      return isHealth(rule) ? healthSamples(rule, look, once) : thresholdSamples(rule, look, once)
    case 'anomaly':
      return anomalySamples(rule, look, once)
    case 'budget':
      return budgetSamples(rule, look, once)
    case 'slo':
      return burnSamples(rule, look)
  }
}

/** Looks at one rule after the other: alerts must not take the store from those who write. */
export async function evaluate(
  rules: readonly Rule[],
  look: Look,
  reasonOf: (error: unknown) => string,
): Promise<Evaluation[]> {
  const once = openOnce()
  const evaluations: Evaluation[] = []
  for (const rule of rules)
    try {
      const samples = await samplesOf(rule, look, once)
      const bad = samples.filter((sample) => sample.seen !== 'good').length
      const detail = bad > SERIES_MAX ? `${bad} series are bad; the first ${SERIES_MAX} are alerts` : ''
      evaluations.push({ rule, state: 'ok', detail, samples: bad > SERIES_MAX ? worst(samples) : samples })
    } catch (error) {
      evaluations.push({ rule, state: 'failed', detail: reasonOf(error), samples: [] })
    }
  return evaluations
}

/** The same ones each time, whatever order the store answers in. */
function worst(samples: readonly Sample[]): Sample[] {
  const key = (sample: Sample): string => JSON.stringify(sample.labels)
  const bad = samples.filter((sample) => sample.seen !== 'good').sort((a, b) => (key(a) < key(b) ? -1 : 1))
  return [...samples.filter((sample) => sample.seen === 'good'), ...bad.slice(0, SERIES_MAX)]
}
