import { expect, test } from 'vitest'
import { batchFault, elementsOf } from '../../../proxy/mcp/batch.ts'

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

const LIST = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
const MODERN = { ...LIST, params: { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } } }
const INITIALIZE = { ...LIST, method: 'initialize' }

test.each([
  ['fits', [LIST, { jsonrpc: '2.0', id: 's', result: {} }], '2025-03-26', null],
  ['fits without a version', [LIST], '', null],
  ['fits the oldest', [LIST], '2024-10-07', null],
  ['is empty, whatever the version', [], '2026-07-28', ['batch_empty', -1]],
  ['is too new', [LIST], '2025-06-18', ['batch_unsupported', -1]],
  ['is too large', [LIST, LIST, LIST], '', ['batch_too_large', -1]],
  ['is modern, though something is broken', [7, MODERN], '', ['batch_unsupported', 1]],
  ['is broken, though it holds initialize', [INITIALIZE, null], '', ['batch_element', 1]],
  ['holds initialize', [LIST, INITIALIZE], '', ['batch_initialize', 1]],
])('a batch that %s', (_name, batch, version, fault) => {
  const found = batchFault(batch, version, 2)
  expect(found && [found.code, found.index]).toEqual(fault)
})
