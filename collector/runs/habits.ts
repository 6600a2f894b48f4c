/** What an agent did again: loops, retries, and the arguments that failed. Pure; steps in the order they began. */
import { endOf, nameOf, type Step } from './step.ts'

/** The same call with the same arguments so often is a loop; twice may be care. */
export const LOOP_MIN = 3
/** A and B in turn, so often each. */
const TURNS_MIN = 2

export type Loop = {
  /** One name, or the two that take turns. */
  names: string[]
  /** Indexes of steps. */
  steps: number[]
  /** How often the call, or the pair, was made. */
  times: number
  /**
   * Whether every answer was the same to the byte: nothing can have been learned. The hash is of the whole answer, request id
   * included, so false says little: a client that counts its requests never gets the same answer twice.
   */
  isResultSame: boolean
}
export type Retry = {
  name: string
  /** Indexes of the step that failed and of the one that tried again. */
  failed: number
  again: number
  isSameArguments: boolean
  isSuccess: boolean
}
export type FailingArguments = {
  name: string
  error_type: string
  error_fingerprint: string
  error_message: string
  arguments_hash: string
  arguments: string | null
  times: number
  steps: number[]
}

/** '' for what cannot be compared. */
const keyOf = (step: Step): string =>
  step.arguments_hash === '' ? '' : `${step.method}\n${nameOf(step)}\n${step.arguments_hash}`

function isOneResult(steps: readonly Step[], of: readonly number[]): boolean {
  const hash = steps[of[0]!]!.result_hash
  return hash !== '' && of.every((i) => steps[i]!.result_hash === hash)
}

/** The same call with the same arguments, at least LOOP_MIN times, wherever in the run. */
function repeats(steps: readonly Step[]): Loop[] {
  const by = new Map<string, number[]>()
  steps.forEach((step, i) => {
    const key = keyOf(step)
    if (key !== '') by.set(key, [...(by.get(key) ?? []), i])
  })
  return [...by.values()]
    .filter((of) => of.length >= LOOP_MIN)
    .map((of) => ({
      names: [nameOf(steps[of[0]!]!)],
      steps: of,
      times: of.length,
      isResultSame: isOneResult(steps, of),
    }))
}

/** A B A B: two different calls in turn, each with its own arguments. */
function turns(steps: readonly Step[]): Loop[] {
  const keys = steps.map(keyOf)
  const found: Loop[] = []
  for (let at = 0; at + 3 < keys.length; ) {
    const [a, b] = [keys[at]!, keys[at + 1]!]
    let end = at + 2
    if (a !== '' && b !== '' && a !== b) while (end < keys.length && keys[end] === keys[end - 2]) end++
    const times = Math.floor((end - at) / 2)
    if (times >= TURNS_MIN) {
      const of = Array.from({ length: times * 2 }, (_, i) => at + i)
      const every = (first: number): number[] => of.filter((i) => (i - at) % 2 === first)
      found.push({
        names: [nameOf(steps[at]!), nameOf(steps[at + 1]!)],
        steps: of,
        times,
        isResultSame: isOneResult(steps, every(0)) && isOneResult(steps, every(1)),
      })
      at = end - 1
    } else at++
  }
  return found
}

/** In the order they began. */
export const loops = (steps: readonly Step[]): Loop[] =>
  [...repeats(steps), ...turns(steps)].sort(
    (a, b) => a.steps[0]! - b.steps[0]! || a.names.length - b.names.length,
  )

/** The next step with the same server and tool that began after a failed one had ended. */
export function retries(steps: readonly Step[]): Retry[] {
  const found: Retry[] = []
  steps.forEach((step, failed) => {
    if (!step.failed) return
    const again = steps.findIndex(
      (next, i) =>
        i > failed &&
        next.start_us >= endOf(step) &&
        next.method === step.method &&
        nameOf(next) === nameOf(step),
    )
    if (again < 0) return
    const next = steps[again]!
    found.push({
      name: nameOf(step),
      failed,
      again,
      isSameArguments: step.arguments_hash !== '' && next.arguments_hash === step.arguments_hash,
      isSuccess: !next.failed,
    })
  })
  return found
}

/** Failures by what was called, cause and arguments; the most frequent first. */
export function failingArguments(steps: readonly Step[]): FailingArguments[] {
  const by = new Map<string, FailingArguments>()
  steps.forEach((step, i) => {
    if (!step.failed) return
    const { error_type, error_fingerprint, error_message, arguments_hash } = step
    const key = `${step.method}\n${nameOf(step)}\n${error_fingerprint}\n${arguments_hash}`
    const known = by.get(key)
    if (known) {
      known.times++
      known.steps.push(i)
      known.arguments ??= step.arguments
    } else
      by.set(key, {
        name: nameOf(step),
        error_type,
        error_fingerprint,
        error_message,
        arguments_hash,
        arguments: step.arguments,
        times: 1,
        steps: [i],
      })
  })
  return [...by.values()].sort((a, b) => b.times - a.times || a.steps[0]! - b.steps[0]!)
}
