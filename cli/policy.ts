/** `weir policy`: what rules, limits and budgets do, tried on calls of the past or explained for one that might come. */
import { explain } from './policy/explain.ts'
import { test } from './policy/test.ts'
import { CliError, type Verb } from './verb.ts'

const USAGE = `usage: weir policy test     which calls of the past the rules would have refused, and the money saved
       weir policy explain  what each rule says of a call, and which decides

  weir policy test --help, weir policy explain --help for their options`

export const verb: Verb = async ([name, ...rest]) => {
  if (name === 'test') return test(rest)
  if (name === 'explain') return explain(rest)
  if (name === '--help' || name === '-h') {
    process.stdout.write(`${USAGE}\n`)
    return 0
  }
  throw new CliError(USAGE, '', 2)
}
