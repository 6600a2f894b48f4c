import { describe, expect, test } from 'vitest'
import { insertMember, locate, replaceValue, setValue } from '../../../proxy/mcp/splice.ts'

const valueAt = (text: string, path: string[]): string | null => {
  const span = locate(text, path)
  return span && text.slice(span.start, span.end)
}

describe('locate', () => {
  test.each([
    ['a number', '{"id":1}', ['id'], '1'],
    ['a number no double can hold', '{"id":12345678901234567890123}', ['id'], '12345678901234567890123'],
    ['a string with escapes', '{"id":"a\\u0062\\"}"}', ['id'], '"a\\u0062\\"}"'],
    ['whitespace around everything', ' {\n\t"a" : {\r\n "id" :  true \n} } ', ['a', 'id'], 'true'],
    ['the last of duplicate keys', '{"id":1,"id":2}', ['id'], '2'],
    ['a key spelled with escapes', '{"\\u0069d":3}', ['id'], '3'],
    ['a key that ends in a backslash', '{"a\\\\":1,"id":2}', ['id'], '2'],
    ['a value behind brackets in strings', '{"a":"}]{[,","b":[{"id":9}],"id":4}', ['id'], '4'],
    ['an object', '{"a":{"b":[1,{"c":"]"}]},"z":0}', ['a'], '{"b":[1,{"c":"]"}]}'],
    ['an empty array', '{"a":[],"b":1}', ['a'], '[]'],
    ['a last value without space', '{"a":null}', ['a'], 'null'],
    ['a negative exponent', '{"a":-1.5e-9 ,"b":1}', ['a'], '-1.5e-9'],
    ['keys of Object.prototype', '{"constructor":{"__proto__":5}}', ['constructor', '__proto__'], '5'],
  ])('finds %s', (_name, text, path, expected) => {
    expect(valueAt(text, path)).toBe(expected)
  })

  test.each([
    ['a missing key', '{"a":1}', ['id']],
    ['a key only inside another object', '{"a":{"id":1}}', ['id']],
    ['a key only inside a string', '{"a":"\\"id\\":1"}', ['id']],
    ['a path through a number', '{"a":1}', ['a', 'b']],
    ['a path through an array', '{"a":[{"b":1}]}', ['a', 'b']],
    ['a key the last duplicate does not have', '{"a":{"b":1},"a":{}}', ['a', 'b']],
    ['an array as root', '[{"id":1}]', ['id']],
    ['an empty object', '{ }', ['id']],
  ])('does not find %s', (_name, text, path) => {
    expect(locate(text, path)).toBeNull()
  })
})

describe('replaceValue', () => {
  test('changes nothing but the value', () => {
    const text = '{ "big":9007199254740993 , "id" : 7,\t"x":1e400,"dup":1,"dup":2,"u":"\\u00e9é" }'
    expect(replaceValue(text, ['id'], '"seven"')).toBe(text.replace(' 7,', ' "seven",'))
  })

  test('leaves a text without the value alone', () => {
    expect(replaceValue('{"a":1}', ['params', 'id'], '2')).toBe('{"a":1}')
  })

  test('does not read $ in the new value as a pattern', () => {
    expect(replaceValue('{"id":1}', ['id'], '"$&$1"')).toBe('{"id":"$&$1"}')
  })
})

describe('setValue', () => {
  test.each([
    ['replaces what is there', '{"a":{"b":1}}', ['a', 'b'], '{"a":{"b":0}}'],
    ['adds a key to an object', '{"a":{"c":1}}', ['a', 'b'], '{"a":{"b":0,"c":1}}'],
    ['adds a key to an empty object', '{"a":{ }}', ['a', 'b'], '{"a":{"b":0 }}'],
    ['makes the objects on the way', '{}', ['a', 'b', 'c'], '{"a":{"b":{"c":0}}}'],
    ['replaces what is no object on the way', '{"a":null,"z":1}', ['a', 'b'], '{"a":{"b":0},"z":1}'],
    ['quotes keys', '{}', ['a"b'], '{"a\\"b":0}'],
    ['works behind leading whitespace', '\n {"z":1}', ['a'], '\n {"a":0,"z":1}'],
  ])('%s', (_name, text, path, expected) => {
    const result = setValue(text, path, '0')
    expect(result).toBe(expected)
    expect(valueAt(result, path)).toBe('0')
  })
})

test('insertMember puts the member first', () => {
  expect(insertMember('{"b":1}', 0, 'a', '{}')).toBe('{"a":{},"b":1}')
})

test('any replacement of any value of a random document parses to the same as on the parsed document', () => {
  let seed = 42
  const random = (n: number): number => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return seed % n
  }
  const words = ['a', 'id', 'a"b', 'é', '\\', '{', '],', '__proto_', '']
  const make = (depth: number): unknown => {
    const kind = random(depth > 3 ? 4 : 6)
    if (kind === 0) return random(1000) - 500
    if (kind === 1) return words[random(words.length)]
    if (kind === 2) return random(2) === 0
    if (kind === 3) return null
    if (kind === 4) return Array.from({ length: random(4) }, () => make(depth + 1))
    return Object.fromEntries(
      Array.from({ length: random(5) }, () => [words[random(words.length)], make(depth + 1)]),
    )
  }
  const paths = (value: unknown, path: string[] = []): string[][] =>
    value === null || typeof value !== 'object' || Array.isArray(value)
      ? []
      : Object.entries(value).flatMap(([key, inner]) => [[...path, key], ...paths(inner, [...path, key])])
  for (let round = 0; round < 300; round++) {
    const root = { r: make(0), id: make(1) }
    const text = JSON.stringify(root, null, random(3))
    for (const path of paths(root)) {
      const copy = structuredClone(root) as Record<string, unknown>
      const parent = path.slice(0, -1).reduce((o, key) => o[key] as Record<string, unknown>, copy)
      parent[path.at(-1)!] = 'new'
      expect(JSON.parse(replaceValue(text, path, '"new"'))).toEqual(copy)
    }
  }
})
