/**
 * Makes a server's schema safe to compile: a copy within bounds, of the keywords we know, with a toll in every subschema
 * (budget.ts). What only describes is left out, and what cannot be checked in bounded time too, and said so. Pure.
 * Invariant: nothing outside the copy can be reached from it; `$ref` to anywhere else finds nothing.
 */
import { isRecord } from '../mcp/json.ts'

/** Keyword by which every subschema pays, before anything of it is looked at. */
export const TOLL = 'x-weir-toll'
/** Takes the place of `type`, which ajv would look at first: what fails by its type would not have paid. */
export const TYPE = 'x-weir-type'

/** Compiling takes about 0.3 ms a subschema, on the path of the first call. */
const SUBSCHEMAS_MAX = 1_000
const DEPTH_MAX = 64
/** What one subschema compares with: entries of enum, names of properties. */
const COMPARED_A_STEP = 8

const ONE = new Set([
  'additionalItems',
  'additionalProperties',
  'contains',
  'else',
  'if',
  'items',
  'not',
  'propertyNames',
  'then',
  'unevaluatedItems',
  'unevaluatedProperties',
])
const MANY = new Set(['allOf', 'anyOf', 'items', 'oneOf', 'prefixItems'])
const NAMED = new Set([
  '$defs',
  'definitions',
  'dependencies',
  'dependentSchemas',
  'patternProperties',
  'properties',
])
const PLAIN = new Set([
  '$anchor',
  '$id',
  '$ref',
  'const',
  'dependentRequired',
  'enum',
  'exclusiveMaximum',
  'exclusiveMinimum',
  'maxContains',
  'maxItems',
  'maxLength',
  'maxProperties',
  'maximum',
  'minContains',
  'minItems',
  'minLength',
  'minProperties',
  'minimum',
  'multipleOf',
  'pattern',
  'required',
  'uniqueItems',
])

export type Prepared = {
  readonly schema: Record<string, unknown> | boolean
  /** Every subschema of the copy that pays its toll. */
  readonly tolled: ReadonlySet<unknown>
  /** Names the schema itself gives to properties: those may be told of, others are the client's. */
  readonly names: ReadonlySet<string>
  /** Why a pattern is not checked, per pattern. */
  readonly skipped: readonly string[]
}

/** Why a schema is not used at all. */
export class Unusable extends Error {}

/** `check`: throws for an expression that cannot be used. Throws Unusable. */
export function prepare(schema: unknown, check: (pattern: string) => void): Prepared {
  const tolled = new Set<unknown>()
  const names = new Set<string>()
  const skipped: string[] = []

  const isUsable = (pattern: string): boolean => {
    try {
      check(pattern)
      return true
    } catch (error) {
      if (skipped.length < 10) skipped.push((error as Error).message.slice(0, 200))
      return false
    }
  }
  const many = (list: readonly unknown[], depth: number): unknown[] => list.map((one) => copy(one, depth))
  const named = (key: string, map: Record<string, unknown>, depth: number): Record<string, unknown> => {
    // No prototype: `__proto__` is a name like any other.
    const out: Record<string, unknown> = Object.create(null)
    for (const [name, value] of Object.entries(map)) {
      if (key === 'properties') names.add(name)
      if (key === 'patternProperties' && !isUsable(name))
        throw new Unusable(`a pattern of patternProperties cannot be checked: ${skipped.at(-1)}`)
      out[name] = Array.isArray(value) ? value : copy(value, depth)
    }
    return out
  }

  const copy = (value: unknown, depth: number): Record<string, unknown> | boolean => {
    if (typeof value === 'boolean') return value
    if (!isRecord(value)) throw new Unusable('it is not a schema: an object, true or false')
    if (depth > DEPTH_MAX) throw new Unusable(`it is nested deeper than ${DEPTH_MAX}`)
    if (tolled.size >= SUBSCHEMAS_MAX) throw new Unusable(`it has more than ${SUBSCHEMAS_MAX} subschemas`)
    if ('$dynamicRef' in value) throw new Unusable('it has a $dynamicRef, which is not supported')
    const out: Record<string, unknown> = {}
    tolled.add(out)
    let compared = 0
    for (const [key, inner] of Object.entries(value)) {
      if (NAMED.has(key) && isRecord(inner)) {
        out[key] = named(key, inner, depth + 1)
        if (key !== '$defs' && key !== 'definitions') compared += Object.keys(inner).length
      } else if (MANY.has(key) && Array.isArray(inner)) out[key] = many(inner, depth + 1)
      else if (ONE.has(key)) out[key] = copy(inner, depth + 1)
      else if (key === 'type') out[TYPE] = [inner].flat()
      else if (key === 'pattern' && typeof inner === 'string' && !isUsable(inner)) continue
      else if (PLAIN.has(key) || NAMED.has(key) || MANY.has(key)) {
        out[key] = inner
        if (Array.isArray(inner)) compared += inner.length
      }
    }
    out[TOLL] = 1 + Math.floor(compared / COMPARED_A_STEP)
    return out
  }
  return { schema: copy(schema, 0), tolled, names, skipped }
}
