/**
 * Where the time of a run went. Pure. The critical path: from the end of the run backwards, always the step that ended last
 * before the step after it began; shortening any other step would not have ended the run sooner. Between its steps the
 * agent was thinking, as far as Weir can see.
 */
import { endOf, type ForeignSpan, nameOf, type Step } from './step.ts'

type Timed = { start_us: number; duration_us: number }
export type PathShare = { name: string; steps: number; us: number }
export type CriticalPath = {
  /** Indexes of steps, in order of time. */
  steps: number[]
  /** In those steps. */
  busy_us: number
  /** Between them: the agent's own time. */
  idle_us: number
  /** Of idle_us, while a span of somebody else ran that holds no step: a model's answer, for example. */
  idle_traced_us: number
  /** Of busy_us, by server and tool; the most first. */
  by_name: PathShare[]
}

/** Indexes of the steps that determine the end of the run. */
export function criticalSteps(steps: readonly Timed[]): number[] {
  const order = steps
    .map((_, i) => i)
    .sort((a, b) => endOf(steps[b]!) - endOf(steps[a]!) || steps[a]!.start_us - steps[b]!.start_us)
  const path: number[] = []
  let before = Number.POSITIVE_INFINITY
  for (const i of order) {
    if (endOf(steps[i]!) > before) continue
    path.push(i)
    before = steps[i]!.start_us
  }
  return path.reverse()
}

type Interval = readonly [from: number, to: number]

/** Intervals that overlap or touch are joined; in order. */
function union(intervals: readonly Interval[]): Interval[] {
  const joined: [number, number][] = []
  for (const [from, to] of [...intervals].sort((a, b) => a[0] - b[0])) {
    const last = joined.at(-1)
    if (last && from <= last[1]) last[1] = Math.max(last[1], to)
    else joined.push([from, to])
  }
  return joined
}

const lengthOf = (intervals: readonly Interval[]): number =>
  intervals.reduce((sum, [from, to]) => sum + to - from, 0)

function overlap(a: readonly Interval[], b: readonly Interval[]): number {
  let total = 0
  for (const [from, to] of a)
    for (const [start, end] of b) total += Math.max(0, Math.min(to, end) - Math.max(from, start))
  return total
}

export function criticalPath(steps: readonly Step[], foreign: readonly ForeignSpan[]): CriticalPath {
  const path = criticalSteps(steps)
  const gaps: Interval[] = path.slice(1).map((i, at) => [endOf(steps[path[at]!]!), steps[i]!.start_us])
  // A span around steps is the agent's task itself, and says nothing of what it did between them.
  const within = foreign
    .filter((span) => !steps.some((s) => s.start_us >= span.start_us && endOf(s) <= endOf(span)))
    .map((span): Interval => [span.start_us, endOf(span)])
  const shares = new Map<string, PathShare>()
  for (const i of path) {
    const step = steps[i]!
    const share = shares.get(nameOf(step)) ?? { name: nameOf(step), steps: 0, us: 0 }
    share.steps++
    share.us += step.duration_us
    shares.set(share.name, share)
  }
  return {
    steps: path,
    busy_us: path.reduce((sum, i) => sum + steps[i]!.duration_us, 0),
    idle_us: lengthOf(gaps),
    idle_traced_us: overlap(gaps, union(within)),
    by_name: [...shares.values()].sort((a, b) => b.us - a.us || (a.name < b.name ? -1 : 1)),
  }
}

/** `max`: most steps at one moment; `mean`: steps at once while there was any; 0 and 0 without steps. */
export function parallelism(steps: readonly Timed[]): { max: number; mean: number } {
  const edges = steps.flatMap((s) => [
    { at: s.start_us, step: 1 },
    // One that takes no time still was there.
    { at: endOf(s) + (s.duration_us === 0 ? 1 : 0), step: -1 },
  ])
  edges.sort((a, b) => a.at - b.at || a.step - b.step)
  let open = 0
  let max = 0
  for (const { step } of edges) {
    open += step
    max = Math.max(max, open)
  }
  const busy_us = lengthOf(union(steps.map((s) => [s.start_us, endOf(s)])))
  const sum_us = steps.reduce((sum, s) => sum + s.duration_us, 0)
  return { max, mean: busy_us === 0 ? Math.min(1, steps.length) : sum_us / busy_us }
}
