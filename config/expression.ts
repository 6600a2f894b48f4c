/**
 * The `when` of a rule: CEL (Common Expression Language), checked and compiled when the config loads. What it may name and call is
 * listed here and in rule-functions.ts; everything else is refused then, with what to write instead.
 * A condition is a tree of and, or and not over CEL expressions, so that parts of it can be settled before the rest is known, and
 * so that one can ask what it says when the arguments are not known. As in CEL, `false && error` is false and `true || error` true.
 * Invariant: nothing that is said of a failure holds a value of an argument.
 */
import { type ASTNode, Environment } from '@marcbachmann/cel-js'
import { isNode } from './cel.ts'
import {
  AnnotationFacts,
  CallerFacts,
  ClientFacts,
  type Facts,
  PromptFacts,
  ResourceFacts,
  ToolFacts,
} from './rule-facts.ts'
import {
  addFunctions,
  COUNTED,
  compileRegex,
  FUNCTIONS,
  isPurseEmpty,
  isVersion,
  LITERAL_ONLY,
  LOOPS,
  METHODS,
  pay,
  setStep,
  WorkExceeded,
} from './rule-functions.ts'
import { isZone } from './zone-clock.ts'

/** Something is wrong with the text of a condition; the message says what and what to write instead. */
export class ExpressionError extends Error {}

export const EXPRESSION_MAX_CHARS = 4_000
const NODES_MAX = 300
const DEPTH_MAX = 40
/** Comprehensions within comprehensions. */
const NESTING_MAX = 2
const LITERAL_LIST_MAX = 200
/** Bytes of arguments for which one look at them counts as one unit of work. */
const ARGUMENT_BYTES_A_UNIT = 4_096

/** What a condition may depend on, as far as it is of use to know it apart. */
export type Variable =
  | 'caller'
  | 'server'
  | 'method'
  | 'tool'
  | 'annotations'
  | 'prompt'
  | 'resource'
  | 'args'
  | 'client'
  | 'now'
export type Unknown = ReadonlySet<Variable>

type Leaf = {
  readonly op: 'leaf'
  readonly text: string
  readonly uses: Unknown
  /** Names of the arguments it looks at, for the record. */
  readonly args: readonly string[]
  /** How often it looks at the arguments, and how many nodes it has. */
  readonly looks: number
  readonly nodes: number
  readonly run: (facts: Facts) => unknown
}
export type Condition =
  | Leaf
  | { readonly op: 'value'; readonly value: boolean }
  | { readonly op: 'not'; readonly of: Condition }
  | { readonly op: 'and' | 'or'; readonly of: readonly Condition[] }

/** Why a condition has no answer: a word, and the part of the rule that failed. */
export class Failure {
  readonly why: string
  readonly text: string
  constructor(why: string, text: string) {
    this.why = why
    this.text = text
  }
}
/** `null`: it depends on what is not known. */
export type Answer = boolean | null | Failure

const STRINGS = 'string'
function makeEnvironment(): Environment {
  const environment = new Environment({
    unlistedVariablesAreDyn: false,
    homogeneousAggregateLiterals: false,
    limits: {
      maxAstNodes: NODES_MAX,
      maxDepth: DEPTH_MAX,
      maxListElements: LITERAL_LIST_MAX,
      maxMapEntries: 50,
      maxCallArguments: 4,
    },
  })
  addFunctions(environment)
  const bool = { read_only: 'bool', destructive: 'bool', idempotent: 'bool', open_world: 'bool' }
  environment.registerType('Annotations', { ctor: AnnotationFacts, fields: bool })
  environment.registerType('Caller', {
    ctor: CallerFacts,
    fields: {
      name: STRINGS,
      team: STRINGS,
      project: STRINGS,
      principal: STRINGS,
      auth_method: STRINGS,
      roles: 'list<string>',
      tags: 'map<string, string>',
    },
  })
  environment.registerType('Tool', {
    ctor: ToolFacts,
    fields: { server: STRINGS, name: STRINGS, annotations: 'Annotations' },
  })
  environment.registerType('Prompt', { ctor: PromptFacts, fields: { server: STRINGS, name: STRINGS } })
  environment.registerType('Resource', { ctor: ResourceFacts, fields: { server: STRINGS, uri: STRINGS } })
  environment.registerType('Client', { ctor: ClientFacts, fields: { name: STRINGS, version: STRINGS } })
  return environment
    .registerVariable('caller', 'Caller')
    .registerVariable('server', 'string')
    .registerVariable('method', 'string')
    .registerVariable('tool', 'Tool')
    .registerVariable('prompt', 'Prompt')
    .registerVariable('resource', 'Resource')
    .registerVariable('args', 'map<string, dyn>')
    .registerVariable('client', 'Client')
    .registerVariable('now', 'google.protobuf.Timestamp')
}
const ENVIRONMENT = makeEnvironment()
export const VARIABLES = [
  'caller',
  'server',
  'method',
  'tool',
  'prompt',
  'resource',
  'args',
  'client',
  'now',
] as const

const reasonOf = (error: unknown): string => (error as Error).message.split('\n')[0]!.slice(0, 200)

/** The nodes right below a node, those of lists and maps too. */
function below(node: ASTNode): ASTNode[] {
  const found: ASTNode[] = []
  const walk = (value: unknown): void => {
    if (isNode(value)) found.push(value)
    else if (Array.isArray(value)) for (const inner of value) walk(inner)
  }
  walk(node.args)
  return found
}

/** Compiles the text of a condition. Throws ExpressionError. */
export function compileExpression(text: string): Condition {
  if (text.length > EXPRESSION_MAX_CHARS)
    throw new ExpressionError(
      `is longer than ${EXPRESSION_MAX_CHARS} characters, for example split it into several rules`,
    )
  let ast: ASTNode
  try {
    ast = ENVIRONMENT.parse(text).ast
  } catch (error) {
    throw new ExpressionError(
      `is not a condition (${reasonOf(error)}), for example tool.name == 'transfer' && args.amount > 1000`,
    )
  }
  // Checked whole first: what is wrong is told of the whole text.
  leafOf(text)
  return treeOf(text, ast)
}

function treeOf(text: string, node: ASTNode): Condition {
  if (node.op === '&&' || node.op === '||') {
    const op = node.op === '&&' ? 'and' : 'or'
    const of = (node.args as [ASTNode, ASTNode]).flatMap((side) => {
      const part = treeOf(text, side)
      return part.op === op ? part.of : [part]
    })
    return { op, of }
  }
  if (node.op === '!_') return { op: 'not', of: treeOf(text, node.args as ASTNode) }
  return leafOf(text.slice(node.range.start, node.range.end))
}

/** `named`: where only the name or server of the tool is asked for. */
type Found = { uses: Set<Variable>; args: Set<string>; named: Set<ASTNode>; looks: number; nodes: number }

/** A CEL expression with its functions put in the place of the library's. Throws ExpressionError. */
function leafOf(text: string): Leaf {
  const program = ENVIRONMENT.parse(text)
  const found: Found = { uses: new Set(), args: new Set(), named: new Set(), looks: 0, nodes: 0 }
  prepare(program.ast, found, 0)
  const checked = program.check()
  if (!checked.valid)
    throw new ExpressionError(
      `cannot be judged (${publicName(reasonOf(checked.error))}), for example ${EXAMPLE}`,
    )
  if (checked.type !== 'bool' && checked.type !== 'dyn')
    throw new ExpressionError(`gives ${checked.type} instead of true or false, for example ${EXAMPLE}`)
  const { uses, looks, nodes } = found
  return {
    op: 'leaf',
    text,
    uses,
    args: [...found.args],
    looks,
    nodes,
    run: program as unknown as Leaf['run'],
  }
}
const EXAMPLE =
  "args.amount > 1000, tool.name.startsWith('get_'), 'analyst' in caller.roles or now.hour('Europe/Berlin') < 18"

/** Names in messages of the library are those that rules use. */
const publicName = (message: string): string => {
  const ours = Object.entries({ ...METHODS, ...FUNCTIONS })
  return message.replaceAll(/\bweir[A-Z]\w*/g, (name) => ours.find(([, real]) => real === name)?.[0] ?? name)
}

/** Refuses what a rule may not call, puts our functions in place, and notes what the expression depends on. */
function prepare(node: ASTNode, found: Found, nesting: number): void {
  found.nodes++
  noteUse(node, found)
  let inside = nesting
  if (node.op === 'call' || node.op === 'rcall') {
    const [name, ...rest] = node.args as [string, ...unknown[]]
    const known = node.op === 'call' ? FUNCTIONS : METHODS
    if (!Object.hasOwn(known, name))
      throw new ExpressionError(
        `calls ${name}, which rules do not have, for example one of ${Object.keys(known).join(', ')}`,
      )
    if (LITERAL_ONLY.has(name)) checkLiteral(name, (node.op === 'rcall' ? rest[1] : rest[0]) as ASTNode[])
    if (LOOPS.has(name)) {
      if (++inside > NESTING_MAX)
        throw new ExpressionError(
          `goes through lists ${inside} levels deep, for example at most ${NESTING_MAX}`,
        )
      countRange(node)
    }
    ;(node.args as unknown[])[0] = known[name]!
  }
  for (const inner of below(node)) prepare(inner, found, inside)
}

/** The range of a comprehension is counted before it is gone through: its place is taken by a call that does. */
function countRange(node: ASTNode): void {
  const meta = (node as unknown as { meta: { alternate?: { args: { iterable: unknown } } } }).meta
  const loop = meta.alternate?.args
  if (!loop)
    throw new ExpressionError(
      'goes through something that is no list, for example args.tags.exists(t, t == "x")',
    )
  const call = ENVIRONMENT.parse(`${COUNTED}(args)`).ast
  ;(call.args as unknown as [string, unknown[]])[1][0] = loop.iterable
  loop.iterable = call
}

function checkLiteral(name: string, args: readonly ASTNode[]): void {
  const [first] = args
  const value = first?.op === 'value' && typeof first.args === 'string' ? first.args : null
  const refuse = (why: string): never => {
    throw new ExpressionError(`${why}`)
  }
  switch (name) {
    case 'matches': {
      if (value === null)
        return refuse("matches takes a pattern that is written out, for example args.iban.matches('^DE')")
      try {
        compileRegex(value)
      } catch (error) {
        return refuse(
          `the pattern '${value.slice(0, 40)}' ${(error as Error).message}, for example '^DE[0-9]{20}$'`,
        )
      }
      return
    }
    case 'atLeast':
      if (value === null || !isVersion(value))
        refuse("atLeast takes a version that is written out, for example client.version.atLeast('1.4')")
      return
    case 'duration':
      if (value === null || value.length > 40)
        refuse("duration takes a text that is written out, for example duration('24h')")
      return
    default:
      if (value === null)
        refuse(`${name} needs a time zone that is written out, for example now.${name}('Europe/Berlin')`)
      else if (!isZone(value))
        refuse(`there is no time zone '${value.slice(0, 40)}', for example now.${name}('Europe/Berlin')`)
  }
}

function noteUse(node: ASTNode, found: Found): void {
  if (node.op === 'id') {
    const name = String(node.args)
    if ((VARIABLES as readonly string[]).includes(name)) found.uses.add(name as Variable)
    if (name === 'args') found.looks++
    // In whatever way the rest of it is looked at: they are what the server lists.
    if (name === 'tool' && !found.named.has(node)) found.uses.add('annotations')
    return
  }
  if (node.op !== '.' && node.op !== '[]') return
  const [of, step] = node.args as [ASTNode, unknown]
  if (of.op === 'id' && of.args === 'tool' && (step === 'name' || step === 'server')) found.named.add(of)
  if (of.op === 'id' && of.args === 'args') {
    const name =
      typeof step === 'string' ? step : isNode(step) && step.op === 'value' ? String(step.args) : '[…]'
    found.args.add(name.slice(0, 64))
  }
}

/** Why CEL gave no answer, in our words: its own may hold values. */
const REASONS: Readonly<Record<string, string>> = {
  no_such_key: 'something it asks for is missing',
  no_such_overload: 'something it compares has another type',
  no_matching_overload: 'something it looks at has another type',
  invalid_logical_operand: 'something it asks for is neither true nor false',
  index_out_of_range: 'a list is shorter than it asks for',
  cannot_index_type: 'something it looks into is no object',
}

function runLeaf(leaf: Leaf, facts: Facts): Answer {
  try {
    if (facts.args === null && leaf.looks > 0) return new Failure('the arguments are no object', leaf.text)
    const step = 1 + leaf.nodes / 4 + (leaf.looks * facts.args_bytes) / ARGUMENT_BYTES_A_UNIT
    setStep(step)
    pay(step)
    const answer = leaf.run(facts)
    // Within a comprehension an empty purse is an error like any other, which a later element may outweigh.
    if (isPurseEmpty()) return new Failure('it takes too much work', leaf.text)
    if (typeof answer !== 'boolean') return new Failure('it is neither true nor false', leaf.text)
    return answer
  } catch (error) {
    if (error instanceof WorkExceeded || isPurseEmpty())
      return new Failure('it takes too much work', leaf.text)
    const code = (error as { code?: unknown }).code
    return new Failure((typeof code === 'string' && REASONS[code]) || 'it cannot be judged', leaf.text)
  }
}

/** What a condition says. `unknown`: what is not known; the answer is null where it depends on that. */
export function ask(condition: Condition, facts: Facts, unknown: Unknown | null = null): Answer {
  switch (condition.op) {
    case 'value':
      return condition.value
    case 'leaf':
      return unknown !== null && dependsOn(condition, unknown) ? null : runLeaf(condition, facts)
    case 'not': {
      const answer = ask(condition.of, facts, unknown)
      return typeof answer === 'boolean' ? !answer : answer
    }
    default: {
      const absorbing = condition.op === 'or'
      let last: Answer = !absorbing
      for (const part of condition.of) {
        const answer = ask(part, facts, unknown)
        if (answer === absorbing) return absorbing
        // What is not known outweighs a failure: it may turn out to be the absorbing one.
        if (answer === null || (answer instanceof Failure && last !== null)) last = answer
      }
      return last
    }
  }
}

const dependsOn = (leaf: Leaf, unknown: Unknown): boolean => {
  for (const variable of leaf.uses) if (unknown.has(variable)) return true
  return false
}

/** Whether any part of a condition depends on one of these. */
export function uses(condition: Condition, variables: Unknown): boolean {
  if (condition.op === 'leaf') return dependsOn(condition, variables)
  if (condition.op === 'not') return uses(condition.of, variables)
  return condition.op !== 'value' && condition.of.some((part) => uses(part, variables))
}

/** Names of the arguments that a condition looks at. */
export function argumentsOf(condition: Condition): string[] {
  if (condition.op === 'leaf') return [...condition.args]
  if (condition.op === 'not') return argumentsOf(condition.of)
  return condition.op === 'value' ? [] : [...new Set(condition.of.flatMap(argumentsOf))]
}

/** The condition with everything settled that does not depend on `open`. What fails now stays, to fail when it is asked. */
export function settle(condition: Condition, facts: Facts, open: Unknown): Condition {
  switch (condition.op) {
    case 'value':
      return condition
    case 'leaf': {
      if (dependsOn(condition, open)) return condition
      const answer = runLeaf(condition, facts)
      return typeof answer === 'boolean' ? { op: 'value', value: answer } : condition
    }
    case 'not': {
      const of = settle(condition.of, facts, open)
      return of.op === 'value' ? { op: 'value', value: !of.value } : { op: 'not', of }
    }
    default: {
      const absorbing = condition.op === 'or'
      const rest: Condition[] = []
      for (const part of condition.of) {
        const settled = settle(part, facts, open)
        if (settled.op !== 'value') rest.push(settled)
        else if (settled.value === absorbing) return settled
      }
      if (rest.length === 0) return { op: 'value', value: !absorbing }
      return rest.length === 1 ? rest[0]! : { op: condition.op, of: rest }
    }
  }
}
