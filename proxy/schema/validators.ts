/**
 * Checks values against schemas of servers. Compiled once per schema, by its hash; each in an instance of its own, so that
 * no schema can refer to another, and nothing is ever fetched. A schema that cannot be used is remembered with the reason:
 * it is not tried again, and what it would have judged is not judged. Only owner of ajv and re2js in the proxy's path.
 * Invariant: compiling and checking are bounded in work, and what is remembered is bounded.
 */
import type { ErrorObject, KeywordCxt, Options, ValidateFunction } from 'ajv'
import { _, Ajv } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { checkDataTypes, DataType } from 'ajv/dist/compile/validate/dataType.js'
import { canonicalText, isRecord } from '../mcp/json.ts'
import { Budget, Spent } from './budget.ts'
import { explain, type Misfit } from './explain.ts'
import { type Pattern, SchemaPatterns } from './pattern.ts'
import { type Prepared, prepare, TOLL, TYPE, Unusable } from './prepare.ts'

const VALIDATORS_MAX = 2_000
/**
 * Compiling blocks the worker: a server that changes its schemas all the time is left unchecked in between. Counted in
 * subschemas and not in time, which others can make long.
 */
const COMPILED_MAX = 20_000
const COMPILE_WINDOW_MS = 60_000
/** What a schema costs beside its subschemas. */
const BASE_COST = 10
/** A second look, for all that is wrong and not only the first thing. */
const EXPLAIN_STEPS = 20_000

/** A value is judged, or it takes too much work to judge it. */
export type Verdict = { readonly fits: true } | { readonly fits: false; readonly misfit: Misfit }
export const FITS: Verdict = { fits: true }

const TOO_COSTLY: Misfit = {
  wrong: [{ path: '', expected: 'must be smaller or simpler: it takes too much work to check' }],
  record: '/: too costly to check',
}

export type Validator = {
  /** '' when the schema is used; else why it is not. */
  readonly fault: string
  /** Patterns of it that are not checked, and why. */
  readonly skipped: readonly string[]
  /** `chars`: length of the value as JSON text. Never throws. */
  check(value: unknown, chars: number): Verdict
}

type Dialect = '2020' | '07'
const DIALECTS: Readonly<Record<string, Dialect>> = {
  'json-schema.org/draft/2020-12/schema': '2020',
  'json-schema.org/draft-07/schema': '07',
}

/** Null for a dialect we do not know. A schema that names none is 2020-12 (MCP 2025-11-25); older servers wrote draft-07. */
function dialectsOf(schema: unknown): readonly Dialect[] | null {
  const named = isRecord(schema) ? schema.$schema : undefined
  if (named === undefined) return ['2020', '07']
  const known = typeof named === 'string' && DIALECTS[named.replace(/^https?:\/\//, '').replace(/#$/, '')]
  return known ? [known] : null
}

const unusable = (fault: string): Validator => ({ fault, skipped: [], check: () => FITS })

export class Validators {
  /** What was said once of schemas, by whoever uses them. */
  readonly told = new Set<string>()
  readonly #budget = new Budget()
  readonly #known = new Map<string, Validator>()
  readonly #now: () => number
  /** Subschemas compiled for each server in the current window. */
  readonly #compiled = new Map<string, number>()
  #window_ms = Number.NEGATIVE_INFINITY
  /** Judge schemas by their own schema; hold nothing of them. Made with the first use: it takes some 50 ms. */
  #judges: Record<Dialect, ValidateFunction> | null = null

  /** `now`: milliseconds, monotonic. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  get size(): number {
    return this.#known.size
  }

  /** The validator of a schema, by its hash. `server`: whose schema it is. */
  of(server: string, hash: string, schema: unknown): Validator {
    const known = this.#known.get(hash)
    if (known) return known
    const now_ms = this.#now()
    if (now_ms - this.#window_ms >= COMPILE_WINDOW_MS) {
      this.#window_ms = now_ms
      this.#compiled.clear()
    }
    const compiled = this.#compiled.get(server) ?? 0
    // Not remembered: it is tried again later.
    if (compiled >= COMPILED_MAX) return unusable('its server has too many new schemas at once')
    const { validator, subschemas } = this.#make(schema)
    this.#compiled.set(server, compiled + BASE_COST + subschemas)
    if (this.#known.size >= VALIDATORS_MAX) this.#known.delete(this.#known.keys().next().value!)
    this.#known.set(hash, validator)
    return validator
  }

  /** Does ahead of time what the first schema would have to wait for. */
  makeReady(): void {
    this.#judges ??= {
      '2020': new Ajv2020(JUDGE).getSchema(META['2020'])!,
      '07': new Ajv(JUDGE).getSchema(META['07'])!,
    }
  }

  #make(schema: unknown): { validator: Validator; subschemas: number } {
    const dialects = dialectsOf(schema)
    if (!dialects)
      return { validator: unusable('its $schema is neither draft 2020-12 nor draft-07'), subschemas: 0 }
    let fault = ''
    let subschemas = 0
    const patterns = new SchemaPatterns(this.#budget)
    for (const dialect of dialects)
      try {
        const prepared = prepare(schema, (source) => patterns.add(source))
        subschemas += prepared.tolled.size
        const validator = this.#validator(schema, dialect, prepared, patterns.known)
        return { validator, subschemas: subschemas + patterns.cost }
      } catch (error) {
        fault ||= error instanceof Unusable ? error.message : cannot(error)
      }
    return { validator: unusable(fault), subschemas: subschemas + patterns.cost }
  }

  #validator(
    schema: unknown,
    dialect: Dialect,
    prepared: Prepared,
    patterns: ReadonlyMap<string, Pattern>,
  ): Validator {
    this.makeReady()
    const isSchema = this.#judges![dialect]
    if (!isSchema(schema)) {
      const [error] = isSchema.errors ?? []
      throw new Unusable(`it is no valid schema: ${error?.instancePath} ${error?.message}`.slice(0, 200))
    }
    const budget = this.#budget
    const compile = (allErrors: boolean): ValidateFunction =>
      makeAjv(dialect, prepared, patterns, budget, allErrors).compile(prepared.schema)
    const first = compile(false)
    let all: ValidateFunction | null = null
    const rest = (value: unknown, chars: number): readonly ErrorObject[] | null => {
      try {
        all ??= compile(true)
        budget.begin(chars, EXPLAIN_STEPS)
        all(value)
        return all.errors ?? null
      } catch {
        return null
      }
    }
    return {
      fault: '',
      skipped: prepared.skipped,
      check(value, chars) {
        try {
          budget.begin(chars)
          if (first(value)) return FITS
        } catch (error) {
          if (error instanceof Spent || error instanceof RangeError)
            return { fits: false, misfit: TOO_COSTLY }
          throw error
        }
        const errors = first.errors ?? []
        return { fits: false, misfit: explain(rest(value, chars) ?? errors, prepared.names) }
      },
    }
  }
}

const META: Record<Dialect, string> = {
  '2020': 'https://json-schema.org/draft/2020-12/schema',
  '07': 'http://json-schema.org/draft-07/schema',
}
const JUDGE: Options = { strict: false, logger: false, validateFormats: false }

/** Of an error of ajv or of the engine: what it says may hold parts of the schema, never of a value. */
const cannot = (error: unknown): string =>
  `it cannot be compiled: ${(error instanceof Error ? error.message : String(error)).slice(0, 200)}`

/** An instance for one schema: it knows no other, not even the schema of schemas. */
function makeAjv(
  dialect: Dialect,
  { tolled }: Prepared,
  patterns: ReadonlyMap<string, Pattern>,
  budget: Budget,
  allErrors: boolean,
): Ajv {
  const regExp = Object.assign(
    (source: string): Pattern => {
      const pattern = patterns.get(source)
      if (!pattern) throw new Unusable('a pattern was not expected')
      return pattern
    },
    { code: 'regExp' },
  )
  const options: Options = {
    strict: false,
    meta: false,
    validateSchema: false,
    validateFormats: false,
    // What is inlined would multiply; as functions they are compiled once.
    inlineRefs: false,
    unicodeRegExp: false,
    ownProperties: true,
    allErrors,
    logger: false,
    code: {
      // Takes a time that grows with the square of the schema.
      optimize: false,
      regExp,
      process(code, compiled) {
        if (compiled && !tolled.has(compiled.schema) && typeof compiled.schema !== 'boolean')
          throw new Unusable('a $ref leads to a place that holds no schema')
        return code
      },
    },
  }
  const ajv = dialect === '2020' ? new Ajv2020(options) : new Ajv(options)
  ajv.addKeyword({
    keyword: TOLL,
    before: '$ref',
    schemaType: 'number',
    code({ gen, data, schema }: KeywordCxt) {
      const payee = gen.scopeValue('obj', { ref: budget })
      gen.code(_`${payee}.pay(${schema}, ${data})`)
    },
  })
  ajv.addKeyword({
    keyword: TYPE,
    before: '$ref',
    schemaType: 'array',
    code(context: KeywordCxt) {
      context.fail(checkDataTypes(context.schema, context.data, false, DataType.Wrong))
    },
    error: { message: 'is of another type', params: ({ schemaValue }) => _`{type: ${schemaValue}}` },
  })
  // Ajv compares each item with each other one.
  ajv.removeKeyword('uniqueItems')
  ajv.addKeyword({
    keyword: 'uniqueItems',
    type: 'array',
    schemaType: 'boolean',
    validate: (wanted: boolean, items: unknown[]) => !wanted || areUnique(items, budget),
  })
  return ajv
}

function areUnique(items: readonly unknown[], budget: Budget): boolean {
  const seen = new Set<string>()
  for (const item of items) {
    const text = canonicalText(item)
    budget.pay(1, text)
    if (seen.has(text)) return false
    seen.add(text)
  }
  return true
}
