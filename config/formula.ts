/**
 * Price formulas: CEL (Common Expression Language) over the sizes of a call and numbers from its arguments, result in USD.
 * What a formula takes from the arguments becomes **meters**: `args.pages` → meter `pages` (a number), `size(args.text)` →
 * meter `size(text)` (length of a text or list). They are all that leaves the proxy of an argument.
 * Knows nothing of prices; the same formula and inputs give the same double everywhere.
 */
import { type ASTNode, Environment } from '@marcbachmann/cel-js'
import { isNode, mixNumbers } from './cel.ts'

/** What a formula may name besides `args.…`. */
export const FORMULA_VARIABLES = [
  'tokens_in',
  'tokens_out',
  'request_bytes',
  'response_bytes',
  'seconds',
] as const
type Variable = (typeof FORMULA_VARIABLES)[number]
export type FormulaInputs = Readonly<Record<Variable, number>>

/** A number to take from the arguments. `path` leads to it; `isSize`: its length is meant. */
export type Meter = { readonly name: string; readonly path: readonly string[]; readonly isSize: boolean }

export type Formula = {
  readonly meters: readonly Meter[]
  /** US dollars. Throws when a meter is missing or the result is no amount. */
  run(inputs: FormulaInputs, meters: Readonly<Record<string, number>>): number
}

/** Something is wrong with the text of a formula; the message says what and what to write instead. */
export class FormulaError extends Error {}

const PATH_MAX = 8
const FORMULA_NODES_MAX = 500

function makeEnvironment(): Environment {
  const environment = new Environment({
    unlistedVariablesAreDyn: false,
    limits: { maxAstNodes: FORMULA_NODES_MAX },
  })
  mixNumbers(environment)
  for (const [name, work] of Object.entries({ ceil: Math.ceil, floor: Math.floor, round: Math.round })) {
    environment.registerFunction(`${name}(double): double`, (x: number) => work(x))
    environment.registerFunction(`${name}(int): double`, (x: bigint) => Number(x))
  }
  for (const [name, work] of Object.entries({ min: Math.min, max: Math.max }))
    for (const a of ['int', 'double'])
      for (const b of ['int', 'double'])
        environment.registerFunction(`${name}(${a}, ${b}): double`, (x: unknown, y: unknown) =>
          work(Number(x), Number(y)),
        )
  for (const name of FORMULA_VARIABLES) environment.registerVariable(name, 'double')
  return environment
}
const BASE = makeEnvironment()
/** Reads the shape of a formula only: `args` stands for anything. */
const SHAPE = BASE.clone().registerVariable('args', 'map')

/** The path of `args.a.b` or `args["a"]`; null for anything else. */
function pathOf(node: ASTNode): string[] | null {
  if (node.op === 'id') return node.args === 'args' ? [] : null
  if (node.op !== '.' && node.op !== '[]') return null
  const [of, step] = node.args
  const before = pathOf(of)
  if (!before) return null
  if (typeof step === 'string') return [...before, step]
  return step.op === 'value' && typeof step.args === 'string' ? [...before, step.args] : null
}

type Found = { start: number; end: number; path: string[]; use: 'number' | 'size' | 'has' | 'whole' }

/** Every use of the arguments, outermost first. Throws FormulaError for one that is no number. */
function usesOf(node: ASTNode, found: Found[]): void {
  const take = (path: string[] | null, use: Found['use']): boolean => {
    if (!path || path.length === 0) return false
    if (path.length > PATH_MAX)
      throw new FormulaError(`args.${path.join('.')} is nested too deeply, for example args.pages`)
    // The name of a meter has to say which value it is.
    if (path.some((step) => /[.()]/.test(step)))
      throw new FormulaError('names an argument with ".", "(" or ")" in it, for example args.pages')
    found.push({ start: node.range.start, end: node.range.end, path, use })
    return true
  }
  if (node.op === 'call' && node.args[1].length === 1 && ['size', 'has'].includes(node.args[0])) {
    if (take(pathOf(node.args[1][0]!), node.args[0] as 'size' | 'has')) return
  } else if (node.op === 'rcall' && node.args[0] === 'size') {
    if (take(pathOf(node.args[1]), 'size')) return
  } else if (node.op === '.' || node.op === '[]') {
    if (take(pathOf(node), 'number')) return
  } else if (node.op === 'value' && typeof node.args === 'bigint') {
    // A whole number stands for a fraction too: `x > 3 ? 1 : 0.5`.
    found.push({ start: node.range.start, end: node.range.end, path: [`${node.args}.0`], use: 'whole' })
  } else if (node.op === 'id' && node.args === 'args')
    throw new FormulaError('takes all of `args`, for example args.pages or size(args.text)')
  const walk = (value: unknown): void => {
    if (isNode(value)) usesOf(value, found)
    else if (Array.isArray(value)) for (const inner of value) walk(inner)
  }
  walk(node.args)
}

const reasonOf = (error: unknown): string => (error as Error).message.split('\n')[0]!.slice(0, 200)
const nameOf = (path: readonly string[], isSize: boolean): string =>
  isSize ? `size(${path.join('.')})` : path.join('.')

/** Throws FormulaError. */
export function compileFormula(text: string): Formula {
  let ast: ASTNode
  try {
    ast = SHAPE.parse(text).ast
  } catch (error) {
    throw new FormulaError(`is not a formula (${reasonOf(error)}), for example 0.01 + 0.002 * args.pages`)
  }
  const found: Found[] = []
  usesOf(ast, found)
  const uses = found.filter(({ use }) => use !== 'whole')
  const meters = new Map<string, Meter>()
  for (const { path, use } of uses) {
    const isSize = use === 'size'
    if (use !== 'has') meters.set(nameOf(path, isSize), { name: nameOf(path, isSize), path, isSize })
  }
  for (const { path, use } of uses)
    if (use === 'has' && !meters.has(nameOf(path, true)))
      meters.set(nameOf(path, false), { name: nameOf(path, false), path, isSize: false })
  const names = [...meters.keys()]
  // Arguments become plain variables with types, so that the whole formula is checked before any call.
  let rewritten = text
  for (const { start, end, path, use } of found.toSorted((a, b) => b.start - a.start)) {
    const at = names.indexOf(nameOf(path, use === 'size'))
    const other = names.indexOf(nameOf(path, true))
    const word = use === 'whole' ? path[0]! : use === 'has' ? `has_${at >= 0 ? at : other}` : `meter_${at}`
    rewritten = `${rewritten.slice(0, start)}${word}${rewritten.slice(end)}`
  }
  const environment = BASE.clone()
  names.forEach((_, i) => {
    environment.registerVariable(`meter_${i}`, 'double').registerVariable(`has_${i}`, 'bool')
  })
  const program = environment.parse(rewritten)
  const checked = program.check()
  if (!checked.valid) {
    const reason = reasonOf(checked.error).replaceAll(
      /\b(?:meter|has)_(\d+)\b/g,
      (_, i) => `args.${names[i]}`,
    )
    throw new FormulaError(
      `cannot be computed (${reason}), for example one of args.<name>, size(args.<name>), ${FORMULA_VARIABLES.join(', ')}`,
    )
  }
  if (checked.type !== 'double' && checked.type !== 'int')
    throw new FormulaError(
      `gives ${checked.type} instead of a number of US dollars, for example 0.002 * args.pages`,
    )
  return { meters: [...meters.values()], run: runner(program, names) }
}

function runner(
  program: (context: Record<string, unknown>) => unknown,
  names: readonly string[],
): Formula['run'] {
  return (inputs, meters) => {
    const context: Record<string, unknown> = { ...inputs }
    for (let i = 0; i < names.length; i++) {
      const value = meters[names[i]!]
      context[`has_${i}`] = value !== undefined
      // A name that is missing makes only those branches fail that use it.
      if (value !== undefined) context[`meter_${i}`] = value
    }
    const usd = Number(program(context))
    if (!Number.isFinite(usd) || usd < 0) throw new RangeError('the formula gives no amount')
    return usd
  }
}
