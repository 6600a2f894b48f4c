/**
 * Rules compiled, and what they say of a call. Deny wins; once an enforced allow exists, what none lets pass is refused; what cannot
 * be judged is refused. Narrowed in two steps, to a caller and to a target, with every part of a condition settled that can be:
 * what is left to ask for a call is only what depends on its arguments, its client or the time.
 * Pure; used by the proxy for calls under way and by the command line for calls of the past.
 */

import { ask, Failure, type Unknown, uses, type Variable } from './expression.ts'
import { fits } from './glob.ts'
import {
  ANNOTATIONS,
  anyFits,
  compileRule,
  concerns,
  factsOf,
  isAbout,
  mayFit,
  NO_TARGET,
  NOTHING,
  narrowed,
  type Particulars,
  REASON_CHARS,
  type Rule,
  type Target,
} from './rule.ts'
import type { CallerFacts, Facts } from './rule-facts.ts'
import { fillPurse, WORK_MAX } from './rule-functions.ts'
import type { RuleConfig } from './rules.ts'

/** `unknown`: it depends on what is not known. */
export type Judgement = {
  readonly verdict: 'allow' | 'deny' | 'unknown'
  readonly rule: string
  readonly reason: string
  readonly facts: Readonly<Record<string, string>> | null
  /** Rules in shadow mode that would have refused. */
  readonly shadow: readonly string[]
}

/** Of a server nobody has named a tool of: all that is more special than the server. */
const BEYOND_SERVER: Unknown = new Set<Variable>([
  'method',
  'tool',
  'annotations',
  'prompt',
  'resource',
  'args',
  'client',
])
const BEYOND_SERVER_AND_TIME: Unknown = new Set<Variable>([...BEYOND_SERVER, 'now'])
/** Of a prompt that nobody has named. It has no annotations, and the name of no tool. */
const BEYOND_PROMPT: Unknown = new Set<Variable>(['method', 'prompt', 'args', 'client', 'now'])
/** Still open once the caller is known, and once the target is known too. */
const BEYOND_CALLER: Unknown = new Set<Variable>([...BEYOND_SERVER_AND_TIME, 'server'])
const BEYOND_TARGET: Unknown = new Set<Variable>(['args', 'client', 'now'])
const TIME: Unknown = new Set<Variable>(['now'])
const BEYOND_TEMPLATE: Unknown = new Set<Variable>(['resource', 'args'])

export class RuleSet {
  readonly #rules: readonly Rule[]
  /** Whether any condition asks for annotations. */
  readonly usesAnnotations: boolean

  constructor(given: readonly RuleConfig[]) {
    this.#rules = given.map(compileRule)
    this.usesAnnotations = this.#rules.some(({ condition }) => uses(condition, ANNOTATIONS))
  }

  get size(): number {
    return this.#rules.length
  }

  /** The rules as far as they concern a caller. `scope`: patterns `server/name` its credential is limited to. */
  forCaller(caller: CallerFacts, scope: readonly string[] | null): CallerRules {
    const hasAllow = this.#rules.some((rule) => rule.isAllow && !rule.isShadow)
    const hasShadowAllow = this.#rules.some((rule) => rule.isAllow && rule.isShadow)
    fillPurse(WORK_MAX)
    const own = this.#rules.filter((rule) => isAbout(rule, caller))
    return new CallerRules(caller, scope, narrowed(own, factsOf(caller, null, NOTHING), BEYOND_CALLER), {
      hasAllow,
      hasShadowAllow,
    })
  }

  /** What each rule says of a call, for people. */
  explain(
    caller: CallerFacts,
    target: Target,
    particulars: Particulars,
    unknown: Unknown | null,
  ): Explained[] {
    const facts = factsOf(caller, target, particulars)
    return this.#rules.map((rule) => {
      const about = {
        rule: rule.name,
        effect: rule.isAllow ? 'allow' : 'deny',
        mode: rule.isShadow ? 'shadow' : 'enforce',
      } as const
      if (!isAbout(rule, caller)) return { ...about, applies: 'no', why: 'it is about other callers' }
      if (!concerns(rule, target))
        return { ...about, applies: 'no', why: `it is about other ${target.kind}s` }
      fillPurse(WORK_MAX)
      const answer = ask(rule.condition, facts, unknown)
      const text = rule.text || 'it always applies'
      if (answer instanceof Failure)
        return { ...about, applies: 'failed', why: `${answer.why}: ${answer.text}` }
      return { ...about, applies: answer === null ? 'unknown' : answer ? 'yes' : 'no', why: text }
    })
  }
}
export type Explained = {
  rule: string
  effect: 'allow' | 'deny'
  mode: 'enforce' | 'shadow'
  applies: 'yes' | 'no' | 'failed' | 'unknown'
  why: string
}

type Defaults = { readonly hasAllow: boolean; readonly hasShadowAllow: boolean }
type Scope = readonly { readonly server: readonly string[]; readonly name: readonly string[] }[] | null

/** Whether a server may be used, and the rules that depend on the time and may change that. */
type Reach = { readonly isAllowed: boolean; readonly timed: readonly Rule[] }
const NO_REACH: Reach = { isAllowed: false, timed: [] }

export class CallerRules {
  readonly #caller: CallerFacts
  readonly #scope: Scope
  readonly #rules: readonly Rule[]
  readonly #defaults: Defaults
  /** By server: the config names them. */
  readonly #reach = new Map<string, Reach>()
  /** By server. */
  readonly #promptRefusals = new Map<string, boolean>()

  constructor(
    caller: CallerFacts,
    scope: readonly string[] | null,
    rules: readonly Rule[],
    defaults: Defaults,
  ) {
    this.#caller = caller
    this.#rules = rules
    this.#defaults = defaults
    this.#scope =
      scope?.map((pattern) => {
        const slash = pattern.indexOf('/')
        const server = slash < 0 ? pattern : pattern.slice(0, slash)
        return { server: server.split('*'), name: (slash < 0 ? '*' : pattern.slice(slash + 1)).split('*') }
      }) ?? null
  }

  get caller(): CallerFacts {
    return this.#caller
  }

  /** Whether nothing here could ever refuse a call to the server. */
  isFree(server: string): boolean {
    if (this.#scope !== null || this.#defaults.hasAllow || this.#defaults.hasShadowAllow) return false
    return !this.#rules.some((rule) => anyFits(rule.servers, server))
  }

  /** Whether a prompt of the server could be refused, as far as one can tell without knowing which. */
  mayRefusePrompts(server: string): boolean {
    let found = this.#promptRefusals.get(server)
    if (found === undefined) {
      found = this.#mayRefusePrompts(server)
      this.#promptRefusals.set(server, found)
    }
    return found
  }

  #mayRefusePrompts(server: string): boolean {
    if (this.#scope !== null || this.#defaults.hasAllow) return true
    const facts = factsOf(this.#caller, { ...NO_TARGET, kind: 'prompt', server }, NOTHING)
    return this.#rules.some((rule) => {
      const isAbout = rule.isOfAll || rule.prompts !== null
      if (rule.isAllow || rule.isShadow || !isAbout || !anyFits(rule.servers, server)) return false
      fillPurse(WORK_MAX)
      return ask(rule.condition, facts, BEYOND_PROMPT) !== false
    })
  }

  /** Whether any call to the server may be let pass, as far as one can tell without knowing which. */
  reaches(server: string, particulars: Particulars): boolean {
    let found = this.#reach.get(server)
    if (!found) {
      found = this.#reachOf(server)
      this.#reach.set(server, found)
    }
    const { timed, isAllowed } = found
    if (timed.length === 0) return isAllowed
    const facts = factsOf(this.#caller, { ...NO_TARGET, server }, particulars)
    fillPurse(WORK_MAX)
    let mayPass = isAllowed
    for (const { isAllow, condition } of timed) {
      const answer = ask(condition, facts, BEYOND_SERVER)
      if (isAllow) mayPass ||= mayBeTrue(answer)
      else if (mustRefuse(answer)) return false
    }
    return mayPass
  }

  #reachOf(server: string): Reach {
    if (this.#scope !== null && !this.#scope.some((one) => fits(one.server, server))) return NO_REACH
    const facts = factsOf(this.#caller, { ...NO_TARGET, server }, NOTHING)
    fillPurse(WORK_MAX)
    let isAllowed = !this.#defaults.hasAllow
    const timed: Rule[] = []
    for (const rule of this.#rules) {
      if (rule.isShadow || !anyFits(rule.servers, server)) continue
      const answer = ask(rule.condition, facts, BEYOND_SERVER_AND_TIME)
      if (!rule.isAllow && rule.isOfAll && mustRefuse(answer)) return NO_REACH
      if (answer === null && uses(rule.condition, TIME)) {
        if (rule.isAllow || rule.isOfAll) timed.push(rule)
      } else if (rule.isAllow) isAllowed ||= mayBeTrue(answer)
    }
    return { isAllowed, timed }
  }

  /** `later`: what is not settled now, because it is not known of the target. */
  forTarget(target: Target, later: Unknown | null = null): TargetRules {
    const { kind, server, name } = target
    // A method of which nothing is known has no name: it takes a scope of the whole server.
    const isTemplate = kind === 'template'
    const isInScope =
      this.#scope === null ||
      this.#scope.some(
        (one) => fits(one.server, server) && (isTemplate ? mayFit(one.name, name) : fits(one.name, name)),
      )
    if (!isInScope) return new TargetRules(this.#caller, target, OUT_OF_SCOPE, [], this.#defaults)
    const own = this.#rules.filter((rule) => concerns(rule, target))
    const open =
      isTemplate || later ? new Set([...BEYOND_TARGET, ...(later ?? BEYOND_TEMPLATE)]) : BEYOND_TARGET
    fillPurse(WORK_MAX)
    return new TargetRules(
      this.#caller,
      target,
      null,
      narrowed(own, factsOf(this.#caller, target, NOTHING), open),
      this.#defaults,
    )
  }
}

const mayBeTrue = (answer: ReturnType<typeof ask>): boolean => answer === true || answer === null
const mustRefuse = (answer: ReturnType<typeof ask>): boolean => answer === true || answer instanceof Failure

/** Whose purse is open: of the rules that decide, or of those in shadow mode. */
type Purse = 'enforce' | 'shadow' | null
function refilled(purse: Purse, { isShadow }: Rule): Purse {
  const wanted = isShadow ? 'shadow' : 'enforce'
  if (purse !== wanted) fillPurse(WORK_MAX)
  return wanted
}

const NO_NAMES: readonly string[] = []
const OUT_OF_SCOPE: Judgement = {
  verdict: 'deny',
  rule: 'scope',
  reason: 'outside of what the credential is limited to',
  facts: null,
  shadow: NO_NAMES,
}
const FREE: Judgement = {
  verdict: 'allow',
  rule: 'default',
  reason: 'no rule forbids it',
  facts: null,
  shadow: NO_NAMES,
}
const failureText = ({ why, text }: Failure): string => `${why} (${text.slice(0, REASON_CHARS)})`

export class TargetRules {
  readonly #caller: CallerFacts
  readonly #target: Target
  readonly #denies: readonly Rule[]
  readonly #allows: readonly Rule[]
  readonly #defaults: Defaults
  /** The judgement of every call, where nothing depends on the call. */
  readonly constant: Judgement | null

  constructor(
    caller: CallerFacts,
    target: Target,
    given: Judgement | null,
    rules: readonly Rule[],
    defaults: Defaults,
  ) {
    this.#caller = caller
    this.#target = target
    this.#defaults = defaults
    // Those in shadow mode last, and with a purse of their own: they decide nothing, by their cost either.
    const ordered = rules.toSorted((a, b) => Number(a.isShadow) - Number(b.isShadow))
    this.#denies = ordered.filter((rule) => !rule.isAllow)
    this.#allows = ordered.filter((rule) => rule.isAllow)
    const isSettled = rules.every(({ condition }) => condition.op === 'value')
    this.constant = given ?? (isSettled ? this.judge(NOTHING) : null)
  }

  /** What the rules say. `unknown`: what is not known of the call. */
  judge(particulars: Particulars, unknown: Unknown | null = null): Judgement {
    if (this.constant) return this.constant
    const facts = factsOf(this.#caller, this.#target, particulars)
    const open =
      this.#target.kind === 'template' ? new Set([...(unknown ?? []), ...BEYOND_TEMPLATE]) : unknown
    const shadow: string[] = []
    const denied = this.#deny(facts, open, shadow)
    const allowed = this.#allow(facts, open, shadow)
    const found =
      denied?.verdict === 'deny' ? denied : allowed.verdict === 'deny' ? allowed : (denied ?? allowed)
    return shadow.length > 0 ? { ...found, shadow } : found
  }

  #deny(facts: Facts, unknown: Unknown | null, shadow: string[]): Judgement | null {
    let found: Judgement | null = null
    let purse: Purse = null
    for (const rule of this.#denies) {
      purse = refilled(purse, rule)
      if (found?.verdict === 'deny' && !rule.isShadow) continue
      const answer = ask(rule.condition, facts, unknown)
      if (answer === false) continue
      if (answer === null) {
        if (!rule.isShadow) found ??= said('unknown', rule, 'it depends on what is not known')
      } else if (rule.isShadow) shadow.push(rule.name)
      else {
        const why =
          answer instanceof Failure
            ? `cannot be judged, and is refused: ${failureText(answer)}`
            : `forbidden${rule.text && ` when ${rule.text}`}`
        found = said('deny', rule, why)
      }
    }
    return found
  }

  #allow(facts: Facts, unknown: Unknown | null, shadow: string[]): Judgement {
    let found: Judgement | null = null
    let isShadowAllowed = false
    let failed = ''
    let purse: Purse = null
    for (const rule of this.#allows) {
      purse = refilled(purse, rule)
      if (found?.verdict === 'allow') break
      const answer = ask(rule.condition, facts, unknown)
      if (answer instanceof Failure) failed ||= `; ${rule.name}: ${failureText(answer)}`
      else if (answer !== false && rule.isShadow) isShadowAllowed = true
      else if (answer === true) found = said('allow', rule, `allowed${rule.text && ` when ${rule.text}`}`)
      else if (answer === null) found ??= said('unknown', rule, 'it depends on what is not known')
    }
    if (this.#defaults.hasShadowAllow && !isShadowAllowed && !found) shadow.push('default')
    if (found) return found
    if (!this.#defaults.hasAllow) return FREE
    return {
      verdict: 'deny',
      rule: 'default',
      reason: `no rule allows it${failed}`,
      facts: null,
      shadow: NO_NAMES,
    }
  }
}

const said = (verdict: Judgement['verdict'], rule: Rule, reason: string): Judgement => ({
  verdict,
  rule: rule.name,
  reason,
  facts: rule.facts,
  shadow: NO_NAMES,
})
