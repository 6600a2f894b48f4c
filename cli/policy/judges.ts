/**
 * What would have decided about calls of the past: a judge is told of every call in the order in which they came, and says what it
 * would have refused. Rules are one kind; whatever else refuses calls (limits, budgets) can be another.
 */

import type { PastCall } from '../../collector/queries/past-calls.ts'
import type { Unknown, Variable } from '../../config/expression.ts'
import type { Kind, Particulars, Target } from '../../config/rule.ts'
import { AnnotationFacts, CallerFacts, ClientFacts, UNANNOTATED } from '../../config/rule-facts.ts'
import type { RuleConfig } from '../../config/rules.ts'
import { type CallerRules, RuleSet, type TargetRules } from '../../config/ruleset.ts'

/** `unknown`: it cannot be told, for `reason`. */
export type Finding = {
  readonly verdict: 'refused' | 'unknown'
  readonly by: string
  readonly reason: string
}

export type Judge = {
  /** What it is made of, in words: `3 rules`. */
  readonly about: string
  /** Null: the call would have passed. Called once for each call, oldest first. */
  judge(call: PastCall): Finding | null
}

const KINDS: Readonly<Record<string, Kind>> = {
  'tools/call': 'tool',
  'prompts/get': 'prompt',
  'resources/read': 'resource',
  'resources/subscribe': 'resource',
}

const ARGUMENTS: readonly Variable[] = ['args']
const ANNOTATIONS: readonly Variable[] = ['annotations']

/** What was kept of the arguments; null when that is not all of them. */
function argumentsOf({ arguments_bytes, arguments: text }: PastCall): Record<string, unknown> | null {
  if (arguments_bytes === 0) return {}
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null
  } catch {
    // Cut, or not kept at all.
    return null
  }
}

/** Rules as if every one of them were enforced. */
export class RuleJudge implements Judge {
  readonly about: string
  readonly #rules: RuleSet
  readonly #needsAllHints: boolean
  readonly #callers = new Map<string, CallerRules>()
  readonly #targets = new Map<string, TargetRules>()

  constructor(rules: readonly RuleConfig[]) {
    const shadows = rules.filter(({ mode }) => mode === 'shadow').length
    this.about = `${rules.length} rule${rules.length === 1 ? '' : 's'}${shadows > 0 ? ` (${shadows} in shadow mode, taken as enforced)` : ''}`
    this.#rules = new RuleSet(rules.map((rule) => ({ ...rule, mode: 'enforce' as const })))
    // Only two of the hints are kept with a tool's definition.
    this.#needsAllHints = rules.some(({ when }) => /idempotent|open_world/.test(when ?? ''))
  }

  judge(call: PastCall): Finding | null {
    const kind = KINDS[call.method]
    if (kind === undefined) return null
    const args = argumentsOf(call)
    const isHinted = kind !== 'tool' || (call.is_defined === 1 && !this.#needsAllHints)
    const unknown: Unknown = new Set([...(args === null ? ARGUMENTS : []), ...(isHinted ? [] : ANNOTATIONS)])
    const particulars: Particulars = {
      args: args ?? {},
      args_bytes: call.arguments_bytes,
      client: new ClientFacts(call.client_name, call.client_version),
      now: new Date(call.ts_us / 1000),
    }
    // Rules that wait for hints which nobody knows are asked anew; the others are settled once for a caller and a target.
    const { verdict, rule, reason } = this.#of(call, kind, isHinted).judge(particulars, unknown)
    if (verdict === 'allow') return null
    if (verdict === 'deny') return { verdict: 'refused', by: rule, reason }
    return {
      verdict: 'unknown',
      by: rule,
      reason: args === null ? 'its arguments are not kept' : 'the definition of its tool is not kept',
    }
  }

  #of(call: PastCall, kind: Kind, isHinted: boolean): TargetRules {
    const { caller: name, team, project, principal, auth_method, roles, tags } = call
    const who = JSON.stringify([name, team, project, principal, auth_method, roles, tags])
    let rules = this.#callers.get(who)
    if (!rules) {
      rules = this.#rules.forCaller(
        new CallerFacts({ name, team, project, principal, auth_method, roles, tags }),
        null,
      )
      this.#callers.set(who, rules)
    }
    const target: Target = {
      kind,
      method: call.method,
      server: call.server,
      name: kind === 'resource' ? call.target : call.tool,
      annotations: isHinted && kind === 'tool' ? hintsOf(call) : UNANNOTATED,
    }
    const key = JSON.stringify([who, target, isHinted])
    let found = this.#targets.get(key)
    if (!found) {
      found = rules.forTarget(target, isHinted ? null : new Set(ANNOTATIONS))
      if (this.#targets.size > 100_000) this.#targets.clear()
      this.#targets.set(key, found)
    }
    return found
  }
}

const hintsOf = ({ read_only, destructive }: PastCall): AnnotationFacts =>
  new AnnotationFacts({ readOnlyHint: read_only === 1, destructiveHint: destructive === 1 })
