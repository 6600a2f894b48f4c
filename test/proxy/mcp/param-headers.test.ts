import { describe, expect, test } from 'vitest'
import { decodeHeaderValue, paramHeadersOf, paramProblem } from '../../../proxy/mcp/param-headers.ts'

describe('decodeHeaderValue', () => {
  test.each([
    ['plain text', 'us-east', 'us-east'],
    ['base64 of UTF-8', '=?base64?ZsO8cg==?=', 'für'],
    ['an empty payload', '=?base64??=', ''],
    ['a wrapped sentinel', `=?base64?${Buffer.from('=?base64?x?=').toString('base64')}?=`, '=?base64?x?='],
    ['half a sentinel', '=?base64?ZsO8', '=?base64?ZsO8'],
    ['base64 that is not canonical', '=?base64?ZsO8c?=', null],
    ['base64url', '=?base64?-_-_?=', null],
    ['bytes that are not UTF-8', '=?base64?//79?=', null],
  ])('%s', (_name, value, expected) => {
    expect(decodeHeaderValue(value)).toBe(expected)
  })
})

describe('paramHeadersOf', () => {
  const schema = (properties: object): object => ({ type: 'object', properties })

  test('finds marks at any depth of properties', () => {
    const where = { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } }
    expect(paramHeadersOf(schema({ where, n: { type: 'integer', 'x-mcp-header': 'N' } }))).toEqual([
      { header: 'mcp-param-region', path: ['where', 'region'], numeric: false },
      { header: 'mcp-param-n', path: ['n'], numeric: true },
    ])
  })

  test.each([
    ['a name that is no token', { a: { type: 'string', 'x-mcp-header': 'a b' } }],
    ['an empty name', { a: { type: 'string', 'x-mcp-header': '' } }],
    ['an object', { a: { type: 'object', 'x-mcp-header': 'A' } }],
    ['a property without a type', { a: { 'x-mcp-header': 'A' } }],
    ['an array item', { a: { type: 'array', items: { type: 'string', 'x-mcp-header': 'A' } } }],
  ])('ignores %s', (_name, properties) => {
    expect(paramHeadersOf(schema(properties))).toEqual([])
  })

  test('takes the first of two marks of one name', () => {
    const two = { a: { type: 'string', 'x-mcp-header': 'X' }, b: { type: 'string', 'x-mcp-header': 'x' } }
    expect(paramHeadersOf(schema(two)).map((p) => p.path)).toEqual([['a']])
  })

  test('compiles a schema once', () => {
    const once = schema({ a: { type: 'string', 'x-mcp-header': 'A' } })
    expect(paramHeadersOf(once)).toBe(paramHeadersOf(once))
  })

  test('survives what is no schema and what is too deep', () => {
    for (const nothing of [undefined, null, 1, 'x', []]) expect(paramHeadersOf(nothing)).toEqual([])
    let deep: object = { type: 'string', 'x-mcp-header': 'Deep' }
    for (let i = 0; i < 5000; i++) deep = { properties: { a: deep } }
    expect(paramHeadersOf(deep)).toEqual([])
  })
})

describe('paramProblem', () => {
  const text = { header: 'h', path: ['a'], numeric: false }
  const number = { header: 'h', path: ['a'], numeric: true }
  const nested = { header: 'h', path: ['a', 'b'], numeric: false }
  test.each([
    ['equal text', text, { a: 'x' }, 'x', null],
    ['equal booleans', text, { a: true }, 'true', null],
    ['equal numbers', number, { a: 42 }, '42', null],
    ['equal numbers, spelled differently', number, { a: 42 }, '42.0', null],
    ['a number in hex', number, { a: 42 }, '0x2a', 'different'],
    ['other text', text, { a: 'x' }, 'y', 'different'],
    ['other case', text, { a: 'x' }, 'X', 'different'],
    ['a missing header', text, { a: 'x' }, undefined, 'missing'],
    ['a missing header of an empty text', text, { a: '' }, undefined, 'missing'],
    ['no argument', text, {}, 'y', null],
    ['a null argument', text, { a: null }, undefined, null],
    ['no arguments at all', text, undefined, undefined, null],
    ['an argument of Object.prototype', { ...text, path: ['constructor'] }, {}, undefined, null],
    ['an unsafe integer', number, { a: 2 ** 60 }, undefined, null],
    ['a bad sentinel', text, { a: 'x' }, '=?base64?%?=', 'undecodable'],
    ['an encoded equal', text, { a: 'für' }, '=?base64?ZsO8cg==?=', null],
    ['a nested argument', nested, { a: { b: 'x' } }, 'y', 'different'],
    ['a nested argument under text', nested, { a: 'x' }, undefined, null],
  ])('%s', (_name, param, args, header, expected) => {
    expect(paramProblem(param, args, header)).toBe(expected)
  })
})
