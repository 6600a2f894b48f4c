/**
 * Regular expressions of schemas, run by RE2: linear in the text whatever the expression, so no client can make one run
 * for ever. Expressions are JavaScript's (JSON Schema asks for ECMA-262) and translated; those that need backtracking
 * (look-around, back references) are not supported.
 */
import { RE2JS } from 're2js'
import type { Budget } from './budget.ts'

const PATTERN_MAX_CHARS = 1_000
/** States of the compiled expression: each may be visited for each character, and takes some 5 us to compile. */
const STATES_MAX = 2_000
/** Of all expressions of a schema together. */
const SCHEMA_STATES_MAX = 20_000
/** States that take as long to compile as a subschema. */
const STATES_A_SUBSCHEMA = 50
const TOO_LARGE = new Error(`more than ${STATES_MAX} states`)
/** Measured: 2,500 states over 30,000 characters took 0.3 s, that is 4 ns a state and character; few states take 50 ns. */
const STATES_A_STEP = 50
/** RE2 drops the backslash of what it does not know, and would look for another text. */
const BACK_REFERENCE = /(?:^|[^\\])(?:\\\\)*\\(?:k<|[1-9])/

export type Pattern = {
  test(text: string): boolean
  /** Its source: ajv tells patterns apart by it. */
  toString(): string
}

/**
 * About how many states an expression of RE2 will have, seen from its text alone: a repetition multiplies what it repeats, and a text of
 * 1,000 characters can stand for a million states, which take seconds to make.
 */
function statesOf(source: string): number {
  const open = [0]
  let last = 0
  const add = (states: number): void => {
    open[open.length - 1]! += states
  }
  for (let i = 0; i < source.length; i++) {
    const piece = PIECE.exec(source.slice(i))![0]
    i += piece.length - 1
    const times = /^\{(\d+)(?:,(\d*))?\}$/.exec(piece)
    if (piece[0] === '(') open.push(0)
    else if (times) {
      const more = last * (Math.max(1, Number(times[1]), Number(times[2] ?? 0)) - 1)
      add(more)
      last += more
    } else {
      last = piece === ')' && open.length > 1 ? open.pop()! : 1
      add(last)
    }
  }
  return open.reduce((sum, states) => sum + states, 0)
}
/** An escape, the head of a group, a class, a repetition, or one character. */
const PIECE =
  /^(?:\\[pPx]\{[^}]*\}|\\.|\((?:\?(?:[a-zA-Z-]*:|P?<\w+>))?|\[\^?\]?(?:\\.|[^\]\\])*\]|\{\d+(?:,\d*)?\}|.)/s

/** The expressions of one schema, each compiled once, and bounded together. */
export class SchemaPatterns {
  readonly known = new Map<string, Pattern>()
  readonly #budget: Budget
  #states = 0

  constructor(budget: Budget) {
    this.#budget = budget
  }

  /** What compiling them has cost, in subschemas; also those that could not be used. */
  get cost(): number {
    return Math.ceil(this.#states / STATES_A_SUBSCHEMA)
  }

  /** Throws when the expression cannot be used. */
  add(source: string): void {
    if (this.known.has(source)) return
    if (source.length > PATTERN_MAX_CHARS) throw new Error(`longer than ${PATTERN_MAX_CHARS} characters`)
    if (BACK_REFERENCE.test(source)) throw new Error('back references are not supported')
    const text = RE2JS.translateRegExp(source)
    const expected = statesOf(text)
    if (expected > STATES_MAX) throw TOO_LARGE
    if (this.#states + expected > SCHEMA_STATES_MAX)
      throw new Error(`the patterns of its schema have more than ${SCHEMA_STATES_MAX} states together`)
    this.#states += expected
    const compiled = RE2JS.compile(text)
    const states = compiled.programSize()
    if (states > STATES_MAX) throw TOO_LARGE
    const budget = this.#budget
    this.known.set(source, {
      test(given) {
        budget.spend(1 + given.length * (0.2 + states / STATES_A_STEP))
        return compiled.test(given)
      },
      toString: () => source,
    })
  }
}
