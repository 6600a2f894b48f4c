/**
 * How often, how many at once, how much: takes what a call needs of its limits, or refuses it. In the list only when there
 * are limits. Answers in the same tick when this worker holds enough.
 */
import type { LimitKind } from '../../config/limit-book.ts'
import type { ErrorCode } from '../../event/error-table.ts'
import type { Refusal } from '../../limits/bank.ts'
import type { Line, Plan } from '../../limits/select.ts'
import { hasEnd, NO_PLAN } from '../../limits/select.ts'
import { amountText, inWords } from '../../limits/words.ts'
import type { Call } from '../call.ts'
import { decide, noteShadow } from '../decision.ts'
import { WeirError } from '../errors.ts'
import type { Hold, Purses } from '../limits/purses.ts'
import type { Spending } from '../limits/spending.ts'
import type { Stage } from '../pipeline.ts'
import type { Metrics } from '../telemetry/metrics.ts'

const CODES: Record<LimitKind, ErrorCode> = {
  rate: 'rate_limited',
  concurrency: 'concurrency_limited',
  quota: 'quota_exhausted',
  spend: 'budget_exhausted',
}

export type ThrottleSurroundings = {
  planOf: (call: Call) => Plan
  purses: Purses
  spending: Spending
  /** Takes the numbers that prices name from the arguments; null when no price does. */
  metering: Stage | null
  metrics: Metrics
}

export function throttle(around: ThrottleSurroundings): Stage {
  const { planOf, purses, spending, metering, metrics } = around

  const take = (call: Call, plan: Plan): void | Promise<void> => {
    let expected = 0
    if (plan.hasSpend) {
      void metering?.before(call)
      expected = spending.expected(call)
    }
    const unitsOf = (line: Line): number => (line.entry.kind === 'spend' ? expected : 1)
    const costs = (line: Line): boolean => unitsOf(line) > 0
    const missing: Line[] = []
    const here: Line[] = []
    for (const line of plan.enforced) {
      if (!costs(line)) continue
      if (purses.takeFree(line, unitsOf(line))) here.push(line)
      else missing.push(line)
    }
    const putBack = (): void => {
      for (const one of here) purses.putBack(one, unitsOf(one))
    }
    for (const line of missing) {
      const dry = purses.dry(line, unitsOf(line))
      if (!dry) continue
      putBack()
      throw refused(call, line, dry, metrics)
    }
    /** What is watched takes only after everything else let the call pass. */
    const watched = plan.shadow.filter(
      (line) => costs(line) && (missing.length > 0 || !purses.takeFree(line, unitsOf(line))),
    )
    const pass = (notHeld: readonly Line[]): void => {
      if (plan.hasEnd) hold(call, plan, unitsOf, notHeld)
      decide(call, 'allow', 'default', 'within its limits')
      // The client went while it waited: nobody will tell the end of this call again.
      if (call.isRecorded) letGo(call, purses, 0)
    }
    if (missing.length === 0 && watched.length === 0) return pass(watched)
    return purses.ask(missing, watched, unitsOf).then(
      (answer) => {
        if (answer.refusal || answer.isAway) putBack()
        if (answer.refusal) throw refused(call, missing[answer.refusal.at]!, answer.refusal, metrics)
        if (answer.isAway) throw away(call, missing[0]!)
        const missed = watched.filter((_line, i) => answer.shadow[i] === null)
        for (const { entry } of missed) {
          noteShadow(call, entry.name)
          metrics.add('weir_limit_refusals_total', 1, [entry.name, entry.kind, 'shadow'])
        }
        pass(missed)
      },
      () => {
        if (missing.length === 0) return pass(watched)
        putBack()
        throw away(call, missing[0]!)
      },
    )
  }

  /** The usual case, without a thing allocated: one call of each limit, all of it here. */
  const takeHere = ({ enforced }: Plan): boolean => {
    for (let i = 0; i < enforced.length; i++) {
      if (purses.takeFree(enforced[i]!, 1)) continue
      while (--i >= 0) purses.putBack(enforced[i]!, 1)
      return false
    }
    return true
  }

  return {
    name: 'throttle',
    why: 'limits are named by server and tool; what is refused here has cost nothing yet',
    needs: 'target',
    before(call) {
      if (call.kind !== 'request') return
      const plan = planOf(call)
      if (plan === NO_PLAN) return
      if (plan.isPlain && takeHere(plan)) decide(call, 'allow', 'default', 'within its limits', null)
      else return take(call, plan)
    },
  }
}

function hold(call: Call, plan: Plan, unitsOf: (line: Line) => number, notHeld: readonly Line[]): void {
  const taken_ms = Date.now()
  const holds: Hold[] = []
  for (const lines of [plan.enforced, plan.shadow])
    for (const line of lines)
      if (hasEnd(line.entry) && unitsOf(line) > 0 && !notHeld.includes(line))
        holds.push({ line, units: unitsOf(line), taken_ms })
  if (holds.length > 0) call.holds = holds
}

/** Gives back what a call held. `cost_nano`: what it has cost. */
export function letGo(call: Call, purses: Purses, cost_nano: number): void {
  const { holds } = call
  if (holds === null) return
  call.holds = null
  for (const { line, units, taken_ms } of holds)
    if (line.entry.kind === 'spend') purses.spent(line, units, cost_nano, taken_ms)
    else purses.release(line, taken_ms)
}

function refused(call: Call, { entry, key }: Line, refusal: Refusal, metrics: Metrics): WeirError {
  const { kind, name } = entry
  const allowed = inWords(entry)
  const resets_at = new Date(Date.now() + refusal.retry_ms).toISOString()
  const taken = amountText(kind, refusal.taken)
  metrics.add('weir_limit_refusals_total', 1, [name, kind, 'enforce'])
  decide(call, 'limit', name, `more than ${allowed}`, {
    limit: kind,
    taken,
    of: amountText(kind, refusal.capacity),
    resets_at,
  })
  const values = key.split('\n').slice(1)
  const per = Object.fromEntries(entry.per.map((what, i) => [what, values[i] ?? '']))
  return new WeirError(CODES[kind], `${name}: more than ${allowed}`, {
    data: {
      limit: { name, kind, allowed, ...(entry.per.length > 0 ? { per } : {}) },
      taken,
      resets_at,
      retry_after_ms: refusal.retry_ms,
    },
  })
}

function away(call: Call, { entry }: Line): WeirError {
  decide(call, 'limit', entry.name, 'its count could not be asked for', { limit: entry.kind })
  return new WeirError('limits_unavailable', entry.name, {
    data: { limit: { name: entry.name, kind: entry.kind }, retry_after_ms: 1_000 },
  })
}
