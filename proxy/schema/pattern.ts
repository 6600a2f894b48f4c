/**
 * Regular expressions of schemas, run by RE2: linear in the text whatever the expression, so no client can make one run
 * for ever. Expressions are JavaScript's (JSON Schema asks for ECMA-262) and translated; those that need backtracking
 * (look-around, back references) are not supported.
 */
import { RE2JS } from 're2js'
import type { Budget } from './budget.ts'

const PATTERN_MAX_CHARS = 1_000
/** States of the compiled expression: each may be visited for each character. */
const STATES_MAX = 2_000
/** Measured: 2,500 states over 30,000 characters took 0.3 s, that is 4 ns a state and character; few states take 50 ns. */
const STATES_A_STEP = 50
/** RE2 drops the backslash of what it does not know, and would look for another text. */
const BACK_REFERENCE = /(?:^|[^\\])(?:\\\\)*\\(?:k<|[1-9])/

export type Pattern = {
  test(text: string): boolean
  /** Its source: ajv tells patterns apart by it. */
  toString(): string
}

/** Throws when the expression is not supported, or too large. */
export function compilePattern(source: string, budget: Budget): Pattern {
  if (source.length > PATTERN_MAX_CHARS) throw new Error(`longer than ${PATTERN_MAX_CHARS} characters`)
  if (BACK_REFERENCE.test(source)) throw new Error('back references are not supported')
  const compiled = RE2JS.compile(RE2JS.translateRegExp(source))
  const states = compiled.programSize()
  if (states > STATES_MAX) throw new Error(`more than ${STATES_MAX} states`)
  return {
    test(text) {
      budget.spend(1 + text.length * (0.2 + states / STATES_A_STEP))
      return compiled.test(text)
    },
    toString: () => source,
  }
}
