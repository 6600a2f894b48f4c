/**
 * What is wrong with a config, in words: for each finding of the YAML parser or the schema a sentence and what to write
 * instead. Values are never shown: they may be secrets.
 */
import type { YAMLParseError } from 'yaml'
import type { z } from 'zod'
import { configSchema } from './schema.ts'

export type Issue = z.core.$ZodIssue

/** The library's text for a union that says none of its own. */
const UNTOLD = 'Invalid input'

/** One issue per unknown key, and the branch of a union that was meant. */
export function flatten(issues: readonly Issue[]): Issue[] {
  return issues.flatMap((issue): Issue[] => {
    if (issue.code === 'invalid_union') {
      const meant = branchMeant(issue)
      if (meant) return flatten(meant.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })))
    }
    if (issue.code === 'unrecognized_keys') return issue.keys.map((k) => ({ ...issue, keys: [k] }))
    if (issue.code === 'invalid_key')
      return issue.issues.map((inner) => ({ ...inner, path: issue.path }) as Issue)
    return [issue]
  })
}

/** The findings of the branch whose kind of value stands there, if there is one. */
function branchMeant({ errors }: Extract<Issue, { code: 'invalid_union' }>): Issue[] | undefined {
  const isOfKind = (branch: readonly Issue[]): boolean =>
    branch.every(({ code, path }) => path.length > 0 || code === 'unrecognized_keys')
  const meant = errors.filter((branch) => branch.length > 0 && isOfKind(branch))
  return meant.length === 1 ? meant[0] : undefined
}

export function explainYaml({ code, message }: YAMLParseError): { message: string; fix: string } {
  switch (code) {
    case 'MULTIPLE_DOCS':
      return { message: 'a second document begins here', fix: 'keep one document: remove the line ---' }
    case 'TAB_AS_INDENT':
      return { message: 'not valid YAML: a tab indents this line', fix: 'indent with spaces' }
    default:
      return {
        message: `not valid YAML: ${message.split('\n')[0]}`,
        fix: 'check indentation, quotes and colons on this line',
      }
  }
}

/** What a value is, in words of the file. */
const kindOf = (input: unknown): string =>
  input === null
    ? 'nothing'
    : Array.isArray(input)
      ? 'a list'
      : typeof input === 'object'
        ? 'a mapping'
        : typeof input === 'string'
          ? 'a text'
          : typeof input === 'boolean'
            ? 'true or false'
            : 'a number'

/** A wrong type, by what should and what does stand there. */
function explainType(expected: string, input: unknown): { message: string; fix: string } {
  const wanted = article(expected)
  if (input === undefined) return { message: 'is missing', fix: `write ${wanted}` }
  if (input === null)
    return { message: `is empty; it takes ${wanted}`, fix: `write ${wanted}, or remove the line` }
  // The value itself is not shown: it may be a secret.
  if (expected === 'string' && typeof input !== 'object')
    return { message: `takes a text, but to YAML this is ${kindOf(input)}`, fix: 'put it in quotes' }
  if (expected === 'int' && typeof input === 'number')
    return { message: 'is not a whole number', fix: 'write a whole number' }
  return { message: `takes ${wanted}, but this is ${kindOf(input)}`, fix: `write ${wanted}` }
}

/** A size that is not allowed; for texts and lists the size is their length. */
function explainSize(issue: Extract<Issue, { code: 'too_small' | 'too_big' }>): {
  message: string
  fix: string
} {
  const bound = String(issue.code === 'too_small' ? issue.minimum : issue.maximum)
  const isSmall = issue.code === 'too_small'
  const more = isSmall ? 'or more' : 'or fewer'
  if (issue.origin === 'string')
    return isSmall && bound === '1'
      ? { message: 'is empty', fix: 'write a text' }
      : { message: isSmall ? 'is too short' : 'is too long', fix: `write ${bound} characters ${more}` }
  if (issue.origin === 'array')
    return isSmall && bound === '1'
      ? { message: 'is an empty list', fix: 'write at least one entry' }
      : {
          message: isSmall ? 'has too few entries' : 'has too many entries',
          fix: `write ${bound} entries ${more}`,
        }
  return isSmall
    ? { message: 'is too small', fix: `write ${bound} or more` }
    : { message: 'is too large', fix: `write ${bound} or less` }
}

export function explain(issue: Issue): { message: string; fix: string } {
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(issue.path)
    const near = nearest(issue.keys[0]!, known)
    return {
      message: 'there is no such setting',
      fix: near
        ? `did you mean \`${near}\`?`
        : known.length > 0
          ? `known here: ${known.join(', ')}`
          : 'remove it',
    }
  }
  if (issue.code === 'invalid_type') return explainType(issue.expected, issue.input)
  if (issue.code === 'invalid_value')
    return { message: 'is not one of the possible values', fix: `write one of: ${issue.values.join(', ')}` }
  if (issue.code === 'too_small' || issue.code === 'too_big') return explainSize(issue)
  if (issue.code === 'invalid_union' && issue.message === UNTOLD)
    return { message: 'has the wrong form', fix: unionForms(issue) }
  const [message, fix] = issue.message.split(/, (?=for example )/)
  return {
    message: message ?? issue.message,
    fix: fix ? fix.replace('for example', 'write something like') : 'see docs/config.md',
  }
}

const article = (type: string): string =>
  ({
    object: 'a mapping (name: value)',
    record: 'a mapping (name: value)',
    array: 'a list ([a, b])',
    string: 'a text',
    number: 'a number',
    int: 'a whole number',
    boolean: 'true or false',
    date: 'a day (2027-01-31)',
    datetime: 'a moment with its zone (2027-01-31T12:00:00Z)',
  })[type] ?? type

const unionForms = (issue: Extract<Issue, { code: 'invalid_union' }>): string =>
  `write ${[...new Set(issue.errors.flat().map((e) => article(e.code === 'invalid_type' ? e.expected : e.code === 'invalid_format' ? e.format : e.message)))].join(', or ')}`

/** The keys the schema knows at a path, for suggestions. */
function keysAt(path: readonly PropertyKey[]): string[] {
  let schema: unknown = configSchema
  for (const step of path) {
    schema = unwrap(schema, typeof step === 'number' ? 'array' : 'object')
    const def = (
      schema as {
        def?: { type: string; shape?: Record<string, unknown>; valueType?: unknown; element?: unknown }
      }
    ).def
    schema =
      def?.type === 'object'
        ? def.shape?.[String(step)]
        : def?.type === 'record'
          ? def.valueType
          : def?.type === 'array'
            ? def.element
            : undefined
    if (!schema) return []
  }
  const def = (unwrap(schema, 'object') as { def?: { shape?: Record<string, unknown> } }).def
  return Object.keys(def?.shape ?? {})
}

type Wrapped = { def?: { type?: string; innerType?: unknown; in?: unknown; options?: readonly unknown[] } }

/** What a schema is below its wrappings; of a union the option of this type. */
function unwrap(schema: unknown, type: 'array' | 'object'): unknown {
  let inner = schema as Wrapped
  for (;;) {
    const below = inner?.def?.innerType ?? inner?.def?.in
    if (below) inner = below as Wrapped
    else if (inner?.def?.options)
      inner = (inner.def.options.find((option) => (option as Wrapped).def?.type === type) ?? {}) as Wrapped
    else return inner
  }
}

function nearest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  // Short words are near to everything.
  let bestDistance = (word.length < 4 ? 1 : Math.max(2, Math.floor(word.length / 3))) + 1
  for (const candidate of known) {
    const d = distance(word.toLowerCase(), candidate)
    if (d < bestDistance) [best, bestDistance] = [candidate, d]
  }
  return best
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1))
    row = next
  }
  return row[b.length]!
}
