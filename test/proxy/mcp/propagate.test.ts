import { describe, expect, test } from 'vitest'
import type { Message } from '../../../proxy/call.ts'
import { contextHeaders, withTraceparent } from '../../../proxy/mcp/propagate.ts'

const OURS = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const write = (text: string, tracestate = ''): string =>
  withTraceparent(text, JSON.parse(text) as Message, OURS, tracestate)
const T = `"traceparent":"${OURS}"`

describe('trace context in a message', () => {
  const TABLE: [name: string, before: string, after: string][] = [
    [
      'no params',
      '{"jsonrpc":"2.0","id":1,"method":"x"}',
      `{"params":{"_meta":{${T}}},"jsonrpc":"2.0","id":1,"method":"x"}`,
    ],
    ['an empty object', '{ }', `{"params":{"_meta":{${T}}} }`],
    ['empty params', '{"id":1,"params":{}}', `{"id":1,"params":{"_meta":{${T}}}}`],
    ['params', '{"id":1,"params":{"a":1}}', `{"id":1,"params":{"_meta":{${T}},"a":1}}`],
    [
      'params first, with whitespace',
      ' { "params" : { "a" : 1 } , "id":1}',
      ` { "params" : {"_meta":{${T}}, "a" : 1 } , "id":1}`,
    ],
    ['an empty _meta', '{"params":{"_meta":{}}}', `{"params":{"_meta":{${T}}}}`],
    [
      'a _meta',
      '{"params":{"a":{"_meta":{}},"_meta":{"b":1}}}',
      `{"params":{"a":{"_meta":{}},"_meta":{${T},"b":1}}}`,
    ],
    [
      'a traceparent',
      '{"params":{"_meta":{"b":1,"traceparent":"old","c":2}}}',
      `{"params":{"_meta":{"b":1,${T},"c":2}}}`,
    ],
    [
      'a traceparent that is no text',
      '{"params":{"_meta":{"traceparent":{"x":[1]}}}}',
      `{"params":{"_meta":{${T}}}}`,
    ],
    [
      'params twice: the last one counts',
      '{"id":1,"params":{"a":1},"params":{"b":2}}',
      `{"id":1,"params":{"a":1},"params":{"_meta":{${T}},"b":2}}`,
    ],
    ['an escaped key', '{"\\u0070arams":{"a":1}}', `{"\\u0070arams":{"_meta":{${T}},"a":1}}`],
    ['params within params', '{"params":{"params":{}}}', `{"params":{"_meta":{${T}},"params":{}}}`],
  ]
  for (const [name, before, after] of TABLE)
    test(name, () => {
      expect(write(before)).toBe(after)
      expect((JSON.parse(after) as { params: { _meta: object } }).params._meta).toMatchObject({
        traceparent: OURS,
      })
    })
  for (const text of [
    '{"params":[1]}',
    '{"params":null}',
    '{"params":"x"}',
    '{"params":{"_meta":null}}',
    '{"params":{"_meta":[]}}',
    '{"params":{"_meta":7}}',
  ])
    test(`${text} stays`, () => expect(write(text)).toBe(text))
})

describe('tracestate in a message', () => {
  test('is written beside our traceparent', () => {
    expect(write('{"params":{}}', 'v=1')).toBe(`{"params":{"_meta":{${T},"tracestate":"v=1"}}}`)
    expect(JSON.parse(write('{"params":{"_meta":{"a":1}}}', 'v=1'))).toEqual({
      params: { _meta: { a: 1, traceparent: OURS, tracestate: 'v=1' } },
    })
  })
  test('that stays what it was is not touched', () => {
    expect(write('{"params":{"_meta":{"tracestate" : "v=1"}}}', 'v=1')).toBe(
      `{"params":{"_meta":{${T},"tracestate" : "v=1"}}}`,
    )
  })
  test('of another trace does not stay with ours', () => {
    expect(JSON.parse(write('{"params":{"_meta":{"traceparent":"x","tracestate":"v=1"}}}'))).toEqual({
      params: { _meta: { traceparent: OURS, tracestate: '' } },
    })
  })
})

describe('trace context as headers', () => {
  const TABLE: [name: string, meta: unknown, headers: object][] = [
    ['no _meta', undefined, {}],
    ['null', null, {}],
    ['a text', 'traceparent', {}],
    ['a traceparent', { traceparent: OURS, other: 1 }, { traceparent: OURS }],
    ['a tracestate too', { traceparent: OURS, tracestate: 'a=1' }, { traceparent: OURS, tracestate: 'a=1' }],
    ['a tracestate alone', { tracestate: 'a=1' }, {}],
    ['no text', { traceparent: 1, tracestate: 'a=1' }, {}],
    ['what no header may hold', { traceparent: `${OURS}\r\nx: y` }, {}],
    ['a state that no header may hold', { traceparent: OURS, tracestate: 'a=\n' }, { traceparent: OURS }],
  ]
  for (const [name, meta, headers] of TABLE)
    test(name, () => {
      expect(contextHeaders(meta)).toEqual(headers)
    })
})
