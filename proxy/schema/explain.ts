/**
 * What is wrong with a value, in two voices: for the model that sent it (where, and what was expected there), and for the
 * record, which must hold nothing of the value: not even names that the schema does not know. Pure.
 */
import type { ErrorObject } from 'ajv'
import { TYPE } from './prepare.ts'

const TOLD_MAX = 5
const TEXT_MAX_CHARS = 300

/** One thing that is wrong. `path` is a JSON Pointer into the value, '' for all of it. */
export type Wrong = { readonly path: string; readonly expected: string }

/** `record`: may go into the event and the log. */
export type Misfit = { readonly wrong: readonly Wrong[]; readonly record: string }

const cut = (text: string): string =>
  text.length > TEXT_MAX_CHARS ? `${text.slice(0, TEXT_MAX_CHARS)}…` : text
const written = (value: unknown): string => cut(JSON.stringify(value) ?? '')

const NUMBER = /^(?:maximum|minimum|exclusiveM(?:ax|in)imum|multipleOf|(?:min|max)[A-Z]\w+)$/

/** Only what the schema says, never what the value is. */
function expectation({ keyword, params, message = '' }: ErrorObject): string {
  switch (keyword) {
    case 'required':
      return `the property ${written(params.missingProperty)} is required`
    case 'dependentRequired':
    case 'dependencies':
      return `the property ${written(params.missingProperty)} is required here`
    case 'additionalProperties':
    case 'unevaluatedProperties':
    case 'false schema':
      return 'must not be there'
    case 'propertyNames':
      return 'the name of a property does not fit'
    case 'enum':
      return `must be one of ${written(params.allowedValues)}`
    case 'const':
      return `must be ${written(params.allowedValue)}`
    case TYPE:
      return `must be ${(params.type as string[]).join(' or ')}`
    case 'pattern':
      return `must match the pattern ${written(params.pattern)}`
    case 'anyOf':
      return 'must fit one of the alternatives'
    case 'oneOf':
      return 'must fit exactly one of the alternatives'
    case 'not':
      return 'must not fit the schema given in `not`'
    case 'uniqueItems':
      return 'must not hold the same item twice'
    default:
      return NUMBER.test(keyword) ? cut(message) : `does not fit \`${keyword}\``
  }
}

/** A property that must not be there is named by its own path. */
function pathOf({ instancePath, params, keyword }: ErrorObject): string {
  const own =
    keyword === 'additionalProperties'
      ? params.additionalProperty
      : keyword === 'unevaluatedProperties'
        ? params.unevaluatedProperty
        : undefined
  const path = own === undefined ? instancePath : `${instancePath}/${escaped(String(own))}`
  return cut(path)
}

const escaped = (name: string): string => name.replace(/~/g, '~0').replace(/\//g, '~1')
const unescaped = (name: string): string => name.replace(/~1/g, '/').replace(/~0/g, '~')

/** The path with `*` in place of what only the value knows. */
const recordPath = (path: string, names: ReadonlySet<string>): string =>
  path
    .split('/')
    .map((part) => (part === '' || names.has(unescaped(part)) ? part : '*'))
    .join('/')

/** Of what ajv found; of alternatives that all failed, the failures inside them say more than the alternative itself. */
export function explain(errors: readonly ErrorObject[], names: ReadonlySet<string>): Misfit {
  const wrong: Wrong[] = []
  const record: string[] = []
  const seen = new Set<string>()
  for (const error of errors) {
    const path = pathOf(error)
    const expected = expectation(error)
    const key = `${path}\n${expected}`
    if (seen.has(key)) continue
    seen.add(key)
    wrong.push({ path, expected })
    record.push(`${recordPath(path, names) || '/'}: ${error.keyword === TYPE ? 'type' : error.keyword}`)
    if (wrong.length >= TOLD_MAX) break
  }
  return { wrong, record: [...new Set(record)].join(', ') }
}

/** One line each. */
export const listed = (wrong: readonly Wrong[]): string =>
  wrong.map(({ path, expected }) => `- ${path === '' ? 'the whole' : path}: ${expected}`).join('\n')
