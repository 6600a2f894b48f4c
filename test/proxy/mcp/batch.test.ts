import { expect, test } from 'vitest'
import { elementsOf } from '../../../proxy/mcp/batch.ts'

test.each([
  ['two messages', '[{"id":1},{"id":2}]', ['{"id":1}', '{"id":2}']],
  ['whitespace between and around', ' [ {"a" : 1 }\n,\t[1, 2] ] ', ['{"a" : 1 }', '[1, 2]']],
  ['brackets, commas and quotes in strings', '[{"a":"],{\\"["},"x,y"]', ['{"a":"],{\\"["}', '"x,y"']],
  ['strings that end in backslashes', '["a\\\\",{"b":"\\\\"}]', ['"a\\\\"', '{"b":"\\\\"}']],
  [
    'big integers and escapes',
    '[12345678901234567890123,"\\u00e9"]',
    ['12345678901234567890123', '"\\u00e9"'],
  ],
  ['nothing', '[]', []],
  ['nothing but space', '[ \n ]', []],
])('splits %s', (_name, text, expected) => {
  expect(elementsOf(text)).toEqual(expected)
  expect(elementsOf(text).map((element) => JSON.parse(element))).toEqual(JSON.parse(text))
})
