/** All that is said of one run, from its steps and the spans of others. Pure: the same run always gives the same answer. */
import { type FailingArguments, failingArguments, type Loop, loops, type Retry, retries } from './habits.ts'
import { endOf, type ForeignSpan, type Step } from './step.ts'
import { type CriticalPath, criticalPath, parallelism } from './time.ts'
import { depthsOf, type Item, waterfallOf } from './waterfall.ts'

export type RunStep = Step & { depth: number; isCritical: boolean }
export type RunAnalysis = {
  started_us: number
  /** From the first byte of the first step to the end of the last. */
  duration_us: number
  /** In the order they began. */
  steps: RunStep[]
  path: CriticalPath
  parallelism: { max: number; mean: number }
  loops: Loop[]
  retries: Retry[]
  failing: FailingArguments[]
  outcomes: Record<string, number>
  failed: number
  tokens_in: number
  tokens_out: number
  cost_nano: number
  /** Steps whose cost is not known: it is not zero. */
  unpriced: number
  items: Item[]
}

/** Questions of servers are no steps: leave them out before. */
export function analyseRun(given: readonly Step[], foreign: readonly ForeignSpan[]): RunAnalysis {
  const steps = [...given].sort((a, b) => a.start_us - b.start_us || (a.event_id < b.event_id ? -1 : 1))
  const items = waterfallOf(steps, foreign)
  const depths = depthsOf(items, steps.length)
  const path = criticalPath(steps, foreign)
  const critical = new Set(path.steps)
  const sum = (pick: (step: Step) => number): number => steps.reduce((total, step) => total + pick(step), 0)
  const outcomes: Record<string, number> = {}
  for (const { outcome } of steps) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  const started_us = steps[0]?.start_us ?? 0
  return {
    started_us,
    duration_us: steps.reduce((end, step) => Math.max(end, endOf(step)), started_us) - started_us,
    steps: steps.map((step, i) => ({ ...step, depth: depths[i]!, isCritical: critical.has(i) })),
    path,
    parallelism: parallelism(steps),
    loops: loops(steps),
    retries: retries(steps),
    failing: failingArguments(steps),
    outcomes,
    failed: steps.filter((step) => step.failed).length,
    tokens_in: sum((step) => step.tokens_in),
    tokens_out: sum((step) => step.tokens_out),
    cost_nano: sum((step) => step.cost_nano),
    unpriced: steps.filter((step) => step.cost_source === 'unpriced').length,
    items,
  }
}
