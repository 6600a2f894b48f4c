/** CEL keeps integers and doubles apart; JSON does not. With this `args.pages * 2` and `0.01 + 2` mean something. */
import type { Environment } from '@marcbachmann/cel-js'

const OPERATORS: Record<string, (a: number, b: number) => number | boolean> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '==': (a, b) => a === b,
}

export function mixNumbers(environment: Environment): void {
  for (const [sign, work] of Object.entries(OPERATORS)) {
    const mixed = (a: unknown, b: unknown): unknown => work(Number(a), Number(b))
    environment.registerOperator(`int ${sign} double${sign === '==' ? ': bool' : ''}`, mixed)
    // Equality of the other order comes with it.
    if (sign !== '==') environment.registerOperator(`double ${sign} int`, mixed)
  }
}
