/**
 * One rule compiled: whom and what it is about by its patterns, and its condition; and the facts of a call as its condition sees them.
 * Pure.
 */
import {
  argumentsOf,
  type Condition,
  compileExpression,
  settle,
  type Unknown,
  uses,
  type Variable,
} from './expression.ts'
import { fits } from './glob.ts'
import {
  type AnnotationFacts,
  type CallerFacts,
  type Facts,
  NO_CLIENT,
  NO_PROMPT,
  NO_RESOURCE,
  NO_TOOL,
  PromptFacts,
  ResourceFacts,
  ToolFacts,
  UNANNOTATED,
} from './rule-facts.ts'
import { nameOf, type RuleConfig } from './rules.ts'

export type Kind = 'tool' | 'prompt' | 'resource' | 'template' | 'other'
/** What a call is about. `name`: of a tool or prompt as its server has it; URI of a resource; '' for anything else. */
export type Target = {
  readonly kind: Kind
  readonly method: string
  readonly server: string
  readonly name: string
  readonly annotations: AnnotationFacts
}
/** What of a call only the call itself can tell. */
export type Particulars = Pick<Facts, 'args' | 'args_bytes' | 'client' | 'now'>

export type Patterns = readonly (readonly string[])[] | null
export type Rule = {
  readonly name: string
  readonly isAllow: boolean
  readonly isShadow: boolean
  readonly text: string
  readonly condition: Condition
  readonly servers: Patterns
  readonly tools: Patterns
  readonly prompts: Patterns
  readonly resources: Patterns
  /** Of whatever its servers have: it names no tools, prompts or resources. */
  readonly isOfAll: boolean
  readonly callers: Patterns
  readonly teams: Patterns
  readonly roles: Patterns
  readonly facts: Readonly<Record<string, string>> | null
}

export const REASON_CHARS = 200
const ALWAYS: Condition = { op: 'value', value: true }
export const ANNOTATIONS: Unknown = new Set<Variable>(['annotations'])

const cut = (given: readonly string[] | undefined): Patterns =>
  given?.map((pattern) => pattern.split('*')) ?? null
export const anyFits = (patterns: Patterns, text: string): boolean =>
  patterns === null || patterns.some((one) => fits(one, text))

/** Whether a URI that fits the pattern may come of a template: as far as their fixed beginnings tell. */
export function mayFit(pattern: readonly string[], template: string): boolean {
  const brace = template.indexOf('{')
  if (brace < 0) return fits(pattern, template)
  const start = template.slice(0, brace)
  const wanted = pattern[0]!
  return wanted.startsWith(start) || (pattern.length > 1 && start.startsWith(wanted))
}

export function compileRule(given: RuleConfig): Rule {
  const condition = given.when === undefined ? ALWAYS : compileExpression(given.when)
  const names = argumentsOf(condition)
  const facts = {
    ...(names.length > 0 && { arguments: names.join(', ').slice(0, REASON_CHARS) }),
    ...(uses(condition, ANNOTATIONS) && { annotations: 'as the server lists them' }),
  }
  return {
    name: nameOf(given),
    isAllow: given.allow !== undefined,
    isShadow: given.mode === 'shadow',
    text: (given.when ?? '').replaceAll(/\s+/g, ' ').slice(0, REASON_CHARS),
    condition,
    servers: cut(given.servers),
    tools: cut(given.tools),
    prompts: cut(given.prompts),
    resources: cut(given.resources),
    isOfAll: given.tools === undefined && given.prompts === undefined && given.resources === undefined,
    callers: cut(given.callers),
    teams: cut(given.teams),
    roles: cut(given.roles),
    facts: Object.keys(facts).length > 0 ? facts : null,
  }
}

/** Whether a rule is about this caller, by its patterns. */
export const isAbout = (rule: Rule, caller: CallerFacts): boolean =>
  anyFits(rule.callers, caller.name) &&
  anyFits(rule.teams, caller.team) &&
  (rule.roles === null || caller.roles.some((role) => anyFits(rule.roles, role)))

/** Whether a rule may be about something of a kind that is no tool. */
export const isOfKind = (rule: Rule, kind: Kind): boolean =>
  rule.isOfAll || (kind === 'prompt' ? rule.prompts !== null : kind !== 'other' && rule.resources !== null)

/** Whether a rule is about this target, by its patterns. */
export function concerns(rule: Rule, { kind, server, name }: Target): boolean {
  if (!anyFits(rule.servers, server)) return false
  if (rule.isOfAll) return true
  switch (kind) {
    case 'tool':
      return rule.tools !== null && anyFits(rule.tools, name)
    case 'prompt':
      return rule.prompts !== null && anyFits(rule.prompts, name)
    case 'resource':
      return rule.resources !== null && anyFits(rule.resources, name)
    case 'template':
      return rule.resources?.some((one) => mayFit(one, name)) ?? false
    case 'other':
      return false
  }
}

export const NOTHING: Particulars = { args: {}, args_bytes: 0, client: NO_CLIENT, now: new Date(0) }

export function factsOf(caller: CallerFacts, target: Target | null, particulars: Particulars): Facts {
  const { kind, method, server, name, annotations } = target ?? NO_TARGET
  const isResource = kind === 'resource' || kind === 'template'
  return {
    caller,
    server,
    method,
    tool: kind === 'tool' ? new ToolFacts(server, name, annotations) : NO_TOOL,
    prompt: kind === 'prompt' ? new PromptFacts(server, name) : NO_PROMPT,
    resource: isResource ? new ResourceFacts(server, name) : NO_RESOURCE,
    args: particulars.args,
    args_bytes: particulars.args_bytes,
    client: particulars.client,
    now: particulars.now,
  }
}
export const NO_TARGET: Target = { kind: 'other', method: '', server: '', name: '', annotations: UNANNOTATED }

/** The rules with what is settled now; those that can no longer apply fall out. */
export function narrowed(rules: readonly Rule[], facts: Facts, open: Unknown): Rule[] {
  return rules.flatMap((rule) => {
    if (rule.condition.op === 'value') return rule.condition.value ? [rule] : []
    const condition = settle(rule.condition, facts, open)
    if (condition.op === 'value' && !condition.value) return []
    return [condition === rule.condition ? rule : { ...rule, condition }]
  })
}
