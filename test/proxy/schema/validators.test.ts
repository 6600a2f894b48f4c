import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { RE2JS } from 're2js'
import { describe, expect, test, vi } from 'vitest'
import { type Validator, Validators } from '../../../proxy/schema/validators.ts'

let count = 0
const validators = new Validators()
const of = (schema: unknown): Validator => validators.of(`s${count++}`, `h${count}`, schema)
const check = (schema: unknown, value: unknown) => of(schema).check(value, JSON.stringify(value).length)
/** What is told of a value that does not fit: path and expectation. */
function wrong(schema: unknown, value: unknown): [string, string][] {
  const validator = of(schema)
  expect(validator.fault).toBe('')
  const verdict = validator.check(value, JSON.stringify(value).length)
  return verdict.fits ? [] : verdict.misfit.wrong.map(({ path, expected }) => [path, expected])
}
const DRAFT_07 = 'http://json-schema.org/draft-07/schema#'
const DRAFT_2020 = 'https://json-schema.org/draft/2020-12/schema'
const COSTLY = [['', 'must be smaller or simpler: it takes too much work to check']]

describe('what does not fit is told with its place and what was expected', () => {
  const transfer = {
    type: 'object',
    properties: {
      to: { type: 'string', pattern: '^[A-Z]{2}[0-9]{2,30}$' },
      amount: { type: 'number', exclusiveMinimum: 0, maximum: 1000 },
      currency: { enum: ['EUR', 'CHF'] },
      lines: { type: 'array', items: { type: 'object', required: ['text'] }, minItems: 1, uniqueItems: true },
    },
    required: ['to', 'amount'],
    additionalProperties: false,
  }
  test.each<[unknown, [string, string][]]>([
    [{ to: 'DE12', amount: 5 }, []],
    [
      {},
      [
        ['', 'the property "to" is required'],
        ['', 'the property "amount" is required'],
      ],
    ],
    [{ to: 'DE12', amount: '5' }, [['/amount', 'must be number']]],
    [{ to: 'DE12', amount: 5000 }, [['/amount', 'must be <= 1000']]],
    [{ to: 'x', amount: 1 }, [['/to', 'must match the pattern "^[A-Z]{2}[0-9]{2,30}$"']]],
    [{ to: 'DE12', amount: 1, currency: 'USD' }, [['/currency', 'must be one of ["EUR","CHF"]']]],
    [{ to: 'DE12', amount: 1, 'a/b~c': 1 }, [['/a~1b~0c', 'must not be there']]],
    [{ to: 'DE12', amount: 1, lines: [] }, [['/lines', 'must NOT have fewer than 1 items']]],
    [{ to: 'DE12', amount: 1, lines: [{ text: 1 }, {}] }, [['/lines/1', 'the property "text" is required']]],
    [
      {
        to: 'DE12',
        amount: 1,
        lines: [
          { text: 1, a: 2 },
          { a: 2, text: 1 },
        ],
      },
      [['/lines', 'must not hold the same item twice']],
    ],
    ['no object', [['', 'must be object']]],
    [null, [['', 'must be object']]],
  ])('%j', (value, expected) => expect(wrong(transfer, value)).toEqual(expected))
})

test('the dialect is the one the schema names: 2020-12, draft-07, or whichever of them it is written in', () => {
  const tuple07 = { items: [{ type: 'number' }], additionalItems: false }
  const tuple2020 = { prefixItems: [{ type: 'number' }], items: false }
  expect(wrong({ $schema: DRAFT_07, ...tuple07 }, ['x'])).toEqual([['/0', 'must be number']])
  expect(wrong({ ...tuple07 }, ['x'])).toEqual([['/0', 'must be number']])
  expect(wrong({ $schema: DRAFT_2020, ...tuple2020 }, ['x'])).toEqual([['/0', 'must be number']])
  expect(wrong(tuple2020, [1, 2])).toEqual([['', 'does not fit `items`']])
  expect(of({ $schema: DRAFT_2020, ...tuple07 }).fault).toMatch(/no valid schema/)
  expect(
    wrong({ $defs: { a: { type: 'string' } }, properties: { x: { $ref: '#/$defs/a' } } }, { x: 1 }),
  ).toEqual([['/x', 'must be string']])
  expect(of({ $schema: 'https://json-schema.org/draft/2019-09/schema' }).fault).toMatch(/neither draft/)
  expect(of({ $schema: 5 }).fault).toMatch(/neither draft/)
})

test('what cannot be used judges nothing, and says why', () => {
  for (const [schema, why] of [
    [{ type: 'objekt' }, /no valid schema/],
    ['object', /no valid schema|not a schema/],
    [{ properties: { a: 5 } }, /not a schema|no valid schema/],
    [{ $ref: '#/$defs/nowhere' }, /resolve/],
    [{ $dynamicRef: '#a' }, /dynamicRef/],
  ] as const) {
    const validator = of(schema)
    expect(validator.fault).toMatch(why)
    expect(validator.check({ anything: 1 }, 16)).toEqual({ fits: true })
  }
})

test('each pattern of a schema is judged by itself', () => {
  const schema = {
    properties: { a: { type: 'string', pattern: '^a+$' }, b: { type: 'string', pattern: '^b+$' } },
    patternProperties: { '^x_': { type: 'number' }, '^y_': { type: 'string', pattern: '^c+$' } },
    additionalProperties: false,
  }
  expect(wrong(schema, { a: 'aa', b: 'bb', x_1: 1, y_1: 'cc' })).toEqual([])
  expect(
    wrong(schema, { a: 'bb', b: 'aa', x_1: 'cc', y_1: 'aa', z: 1 })
      .map(([path]) => path)
      .sort(),
  ).toEqual(['/a', '/b', '/x_1', '/y_1', '/z'])
})

test('the toll changes no judgement: what ajv by itself takes and refuses, this takes and refuses', () => {
  const schemas: object[] = [
    {},
    { type: 'object' },
    { type: ['object', 'null'], required: ['a'] },
    { properties: { a: { type: 'integer', minimum: 2 } }, additionalProperties: false },
    { properties: { a: true, b: false } },
    { anyOf: [{ required: ['a'] }, { type: 'array', minItems: 2 }] },
    { oneOf: [{ type: 'number' }, { multipleOf: 2 }] },
    { not: { type: 'string' } },
    JSON.parse('{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"maxProperties":0}}'),
    { allOf: [{ properties: { a: {} } }, { properties: { b: {} } }], unevaluatedProperties: false },
    {
      prefixItems: [{ type: 'number' }],
      items: { type: 'string' },
      contains: { const: 'x' },
      maxContains: 1,
    },
    { prefixItems: [{ type: 'number' }], unevaluatedItems: false },
    { uniqueItems: true },
    { enum: [1, 'x', null, { a: 1 }, [1, 2]] },
    { const: { a: 1 } },
    {
      $defs: { t: { type: 'object', properties: { a: { $ref: '#/$defs/t' } }, additionalProperties: false } },
      $ref: '#/$defs/t',
    },
    { $defs: { n: { $anchor: 'n', type: 'number' } }, properties: { a: { $ref: '#n' } } },
    {
      $id: 'https://x.example/s',
      properties: { a: { $ref: '/s#/$defs/t' } },
      $defs: { t: { type: 'string' } },
    },
    { properties: { a: { $ref: '#/properties/b' }, b: { type: 'string' } } },
    { patternProperties: { '^a': { type: 'number' } }, propertyNames: { maxLength: 1 } },
    { dependentRequired: { a: ['b'] }, dependentSchemas: { b: { minProperties: 2 } } },
    { minLength: 2, maxLength: 3, pattern: '^x' },
    { exclusiveMinimum: 1, exclusiveMaximum: 3 },
  ]
  const values: unknown[] = [
    null,
    true,
    0,
    1,
    2,
    2.5,
    '',
    'x',
    'xx',
    'xxxx',
    '\u{1F600}\u{1F600}',
    [],
    [1],
    [1, 'x'],
    [1, 'x', 'x'],
    ['x'],
    [1, 2],
    {},
    { a: 1 },
    { a: 2 },
    { a: 'x' },
    { b: 'x' },
    { a: 1, b: 2 },
    { a: { a: {} } },
    { a: { c: 1 } },
    { aa: 1 },
    [
      { a: 1, b: 2 },
      { b: 2, a: 1 },
    ],
  ]
  for (const schema of schemas) {
    const ajv = new Ajv2020({ strict: false, validateFormats: false })
    const oracle = ajv.compile(schema)
    for (const value of values)
      expect(check(schema, value).fits, `${JSON.stringify(schema)} of ${JSON.stringify(value)}`).toBe(
        oracle(value),
      )
  }
})

test('a schema is compiled once, by its hash', () => {
  const own = new Validators()
  const first = own.of('bank', 'h', { type: 'object' })
  expect(own.of('other', 'h', { type: 'object' })).toBe(first)
  expect(own.size).toBe(1)
})

describe('nothing of a value is written into the record', () => {
  test('neither values nor names that the schema does not know', () => {
    const schema = {
      type: 'object',
      properties: { amount: { type: 'number' }, by_mail: { additionalProperties: { type: 'number' } } },
      additionalProperties: false,
      propertyNames: { maxLength: 30 },
    }
    const secret = 'hunter2@example.com'
    for (const value of [
      { amount: secret },
      { [secret]: 1 },
      { by_mail: { [secret]: secret } },
      { [secret.repeat(3)]: 1 },
    ]) {
      const verdict = check(schema, value)
      expect(verdict.fits).toBe(false)
      if (!verdict.fits) expect(verdict.misfit.record).not.toContain('hunter2')
    }
    const verdict = check(schema, { by_mail: { [secret]: secret } })
    expect(verdict).toMatchObject({ misfit: { record: '/by_mail/*: type' } })
  })

  test('values are not told to the client either: it has them', () => {
    expect(
      JSON.stringify(wrong({ properties: { a: { type: 'number', enum: [1] } } }, { a: 'hunter2' })),
    ).not.toContain('hunter2')
  })
})

describe('security', () => {
  test('a $ref over the network is never fetched, nor is one to a file', async () => {
    let asked = 0
    const server = createServer((_req, res) => {
      asked++
      res.end('{}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/schema.json`
    for (const schema of [
      { $ref: url },
      { properties: { a: { $ref: `${url}#/definitions/a` } } },
      { $id: url, $ref: 'other.json' },
      { $schema: url },
      { $ref: 'file:///etc/passwd' },
      { $schema: DRAFT_07, allOf: [{ $ref: url }] },
    ])
      expect(of(schema).fault).not.toBe('')
    // A fetch that was begun would have come by the time another one is answered.
    await (await fetch(url)).text()
    server.close()
    expect(asked).toBe(1)
  })

  test('no schema reaches what another server has sent, by whatever id', () => {
    validators.of('a', 'id1', {
      $id: 'https://bank.example/secret',
      type: 'object',
      $defs: { x: { const: 1 } },
    })
    expect(validators.of('b', 'id2', { $ref: 'https://bank.example/secret' }).fault).toMatch(/resolve/)
    expect(validators.of('c', 'id3', { $id: 'https://bank.example/secret', type: 'string' }).fault).toBe('')
  })

  test('a regular expression that backtracks for ever elsewhere is linear here', () => {
    for (const pattern of ['^(a+)+$', '^(a|a)*$', '^(a|aa)+$', '(x+x+)+y'])
      expect(check({ type: 'string', pattern }, `${'a'.repeat(20_000)}!`).fits).toBe(false)
  })

  test('what needs backtracking is not checked, and said so; the rest of the schema is', () => {
    for (const pattern of [
      '(?=x)y',
      '(a)\\1',
      '(?<n>a)\\k<n>',
      '(?<!x)y',
      '(',
      'a'.repeat(2000),
      '(a{900}){900}',
    ]) {
      const validator = of({ properties: { a: { type: 'string', pattern } } })
      expect(validator.skipped, pattern).toHaveLength(1)
      expect(validator.check({ a: 'zzz' }, 9).fits).toBe(true)
      expect(validator.check({ a: 5 }, 9).fits).toBe(false)
      expect(of({ patternProperties: { [pattern]: {} } }).fault).toMatch(/patternProperties/)
    }
  })

  test('an expression that stands for too many states is known by its text, and not compiled', () => {
    const compile = vi.spyOn(RE2JS, 'compile')
    for (const pattern of [
      `(?:${'a'.repeat(980)}){1000}`,
      '(?:(a{10}){30}b{9}[)]){3,9}',
      'x(\\p{L}|b){1,999}',
    ])
      expect(of({ type: 'string', pattern }).skipped, pattern).toEqual(['more than 2000 states'])
    expect(compile).not.toHaveBeenCalled()
    expect(of({ type: 'string', pattern: '^\\x{41}[{]{2}\\{900}[a-z]{1,900}$' }).skipped).toEqual([])
    expect(compile).toHaveBeenCalledOnce()
    compile.mockRestore()
  })

  test('many expressions that are each small enough are bounded together', () => {
    const patterns = Array.from({ length: 40 }, (_, i) => `^[a-z]{1,900}${i}$`)
    const { skipped, fault } = of({
      properties: Object.fromEntries(patterns.map((pattern, i) => [`p${i}`, { pattern }])),
    })
    expect(fault).toBe('')
    expect(skipped).not.toHaveLength(0)
    expect(skipped[0]).toContain('20000 states together')
    const { skipped: ofOne } = of({
      properties: { a: { pattern: patterns[0] }, b: { pattern: patterns[0] } },
    })
    expect(ofOne).toEqual([])
  })

  test('a long text against a large expression is given up, not waited for', () => {
    const schema = { type: 'string', pattern: '^(a?){300}a{300}$' }
    expect(wrong(schema, 'a'.repeat(400))).toEqual([])
    expect(wrong(schema, 'a'.repeat(1_000_000))).toEqual(COSTLY)
  })

  test('a schema that explodes when it is followed is given up, not followed', () => {
    const $defs: Record<string, object> = { d60: { type: 'string' } }
    for (let i = 0; i < 60; i++)
      $defs[`d${i}`] = { anyOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] }
    expect(wrong({ $ref: '#/$defs/d0', $defs }, {})).toEqual(COSTLY)
    expect(wrong({ allOf: [{ $ref: '#' }] }, {})).toEqual(COSTLY)
  })

  test('a place that is no schema cannot be referred to: what stands there has not been looked at', () => {
    for (const $ref of ['#/examples/0', '#/x-hidden', '#hidden'])
      expect(
        of({ $ref, examples: [{ type: 'string' }], 'x-hidden': { $anchor: 'hidden', type: 'string' } }).fault,
      ).not.toBe('')
  })

  test('a schema too large or too deep to be compiled in time is not compiled', () => {
    const wide = { properties: Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`p${i}`, {}])) }
    expect(of(wide).fault).toMatch(/more than 1000 subschemas/)
    let deep: object = { type: 'string' }
    for (let i = 0; i < 5_000; i++) deep = { not: deep }
    expect(of(deep).fault).toMatch(/nested deeper/)
  })

  test('a server that changes its schemas all the time is not compiled for all the time', () => {
    let now = 0
    const bounded = new Validators(() => now)
    const schema = (i: number) => ({
      properties: Object.fromEntries(
        Array.from({ length: 400 }, (_, k) => [`p${k}_${i}`, { $ref: '#/nowhere' }]),
      ),
    })
    const faults = Array.from({ length: 60 }, (_, i) => bounded.of('busy', `h${i}`, schema(i)).fault)
    expect(faults[0]).toMatch(/resolve/)
    expect(faults.at(-1)).toMatch(/too many new schemas/)
    expect(bounded.of('other', 'o', { type: 'object' }).fault).toBe('')
    now += 60_000
    expect(bounded.of('busy', 'later', { minProperties: 7 }).fault).toBe('')
  })

  test('arguments as large as they may be are judged or given up', () => {
    const list = { type: 'object', properties: { a: { type: 'array', items: { type: 'number' } } } }
    expect(check(list, { a: Array.from({ length: 20_000 }, (_, i) => i) }).fits).toBe(true)
    expect(wrong(list, { a: Array.from({ length: 500_000 }, (_, i) => i) })).toEqual(COSTLY)
    const unique = { properties: { a: { uniqueItems: true } } }
    expect(wrong(unique, { a: Array.from({ length: 300_000 }, (_, i) => ({ i })) })).toEqual(COSTLY)
    const text = { properties: { a: { anyOf: Array.from({ length: 50 }, (_, i) => ({ maxLength: i })) } } }
    expect(wrong(text, { a: 'x'.repeat(4_000_000) })).toEqual(COSTLY)
  })

  test('arguments nested as deep as JSON allows are judged or given up', () => {
    const tree = { type: 'object', properties: { next: { $ref: '#' } }, additionalProperties: false }
    const nested = (depth: number): unknown => JSON.parse(`${'{"next":'.repeat(depth)}{}${'}'.repeat(depth)}`)
    const validator = of(tree)
    expect(validator.check(nested(500), 5_000).fits).toBe(true)
    expect(validator.check(nested(100_000), 1_000_000).fits).toBe(false)
  })

  test('text of a schema is never run', () => {
    const evil = `');globalThis.pwned=1;//"\\\`\${globalThis.pwned=1}\u2028`
    const schemas = [
      { required: [evil] },
      { properties: { [evil]: { const: evil } } },
      { enum: [evil, { [evil]: evil }] },
      { pattern: evil },
      { patternProperties: { [evil]: { type: 'string' } } },
      { $id: evil, $anchor: evil },
      { $defs: { [evil]: { type: 'string' } }, $ref: `#/$defs/${evil}` },
      { dependentRequired: { [evil]: [evil] } },
      { maximum: evil, multipleOf: { valueOf: evil } },
      { type: evil, $async: true, $comment: evil, default: evil, [evil]: evil },
    ]
    for (const schema of schemas) {
      const validator = of(schema)
      validator.check({ [evil]: evil, a: 1 }, 100)
      validator.check({}, 2)
    }
    expect((globalThis as { pwned?: number }).pwned).toBeUndefined()
  })

  test('names of prototypes are names like any other', () => {
    const schema = JSON.parse(
      '{"type":"object","properties":{"constructor":{"type":"number"}},"required":["toString"],"additionalProperties":false}',
    )
    expect(wrong(schema, {})).toEqual([['', 'the property "toString" is required']])
    expect(wrong(schema, JSON.parse('{"toString":1,"constructor":"x"}')).map(([path]) => path)).toEqual([
      '/toString',
      '/constructor',
    ])
    check(schema, JSON.parse('{"__proto__":{"polluted":1}}'))
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
  })
})
