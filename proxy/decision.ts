/** What policy says of a call, as the stages note it and `record.ts` writes it. Knows no rule and no limit. */
import type { Verdict } from '../event/decision-fields.ts'
import type { Call } from './call.ts'

export type Decision = {
  verdict: Verdict
  /** Name of the rule, limit, budget or scope that decided; `default` when none did. */
  rule: string
  /** Why, in words. Never a value of an argument: it goes into the event. */
  reason: string
  /** What it saw that no other field of the event says. Of arguments only their names. */
  facts: Record<string, string>
  /** Names of what is in shadow mode and would have refused. */
  shadow: string[]
}

function decisionOf(call: Call): Decision {
  call.decision ??= { verdict: 'none', rule: '', reason: '', facts: {}, shadow: [] }
  return call.decision
}

/** Notes a verdict. A refusal stands over an allow; the first refusal stands. */
export function decide(
  call: Call,
  verdict: Exclude<Verdict, 'none'>,
  rule: string,
  reason: string,
  facts: Record<string, string> | null = null,
): void {
  const decision = decisionOf(call)
  if (facts) Object.assign(decision.facts, facts)
  if (decision.verdict !== 'none' && decision.verdict !== 'allow') return
  if (decision.verdict === 'allow' && verdict === 'allow') return
  decision.verdict = verdict
  decision.rule = rule
  decision.reason = reason
}

/** Notes that something in shadow mode would have refused the call. */
export function noteShadow(call: Call, rule: string): void {
  const { shadow } = decisionOf(call)
  if (!shadow.includes(rule)) shadow.push(rule)
}
