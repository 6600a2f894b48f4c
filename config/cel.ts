/** What everything written in CEL shares: its nodes, and its numbers. */
import type { ASTNode, Environment } from '@marcbachmann/cel-js'

const OPERATORS: Record<string, (a: number, b: number) => number | boolean> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '==': (a, b) => a === b,
}

/** CEL keeps integers and doubles apart; JSON does not. With this `args.pages * 2` and `0.01 + 2` mean something. */
export function mixNumbers(environment: Environment): void {
  for (const [sign, work] of Object.entries(OPERATORS)) {
    const mixed = (a: unknown, b: unknown): unknown => work(Number(a), Number(b))
    environment.registerOperator(`int ${sign} double${sign === '==' ? ': bool' : ''}`, mixed)
    // Equality of the other order comes with it.
    if (sign !== '==') environment.registerOperator(`double ${sign} int`, mixed)
  }
}

/** Whether something among the arguments of a node is a node itself. */
export const isNode = (value: unknown): value is ASTNode =>
  typeof value === 'object' && value !== null && 'op' in value && 'range' in value
