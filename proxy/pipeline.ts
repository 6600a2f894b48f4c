/**
 * The stages of a call as data: their order, and why each stands where it stands. An endpoint's stages are chosen once,
 * when the config loads; a stage that is off is not in the list. The first thrown WeirError is the answer.
 */
import type { Call } from './call.ts'

export type StageName =
  | 'admit'
  | 'identify'
  | 'reach'
  | 'understand'
  | 'trace'
  | 'disambiguate'
  | 'authorize'
  | 'entitle'
  | 'throttle'
  | 'validate'
  | 'meter'
  | 'intend'

export type Stage = {
  readonly name: StageName
  /** Why it stands at this place in the order. */
  readonly why: string
  /** `head`: runs before the body is read. `params`: needs the parsed message. `target`: needs to know which server and tool. */
  readonly needs: 'head' | 'params' | 'target'
  /** Lets the call pass, or throws a WeirError. Returns a promise only when it truly waits. */
  before(call: Call): void | Promise<void>
}

/**
 * Runs stages in order. Returns nothing when all were synchronous, so the caller can go on in the same tick:
 * awaiting plain values would cost more than all stages together.
 */
export function runStages(stages: readonly Stage[], call: Call, from = 0): void | Promise<void> {
  for (let i = from; i < stages.length; i++) {
    const waiting = stages[i]!.before(call)
    if (waiting) return waiting.then(() => runStages(stages, call, i + 1))
  }
}
