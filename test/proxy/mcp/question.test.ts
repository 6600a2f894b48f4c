/** What of a server's messages is a question: nothing else is parsed, nothing that asks is missed. */
import { describe, expect, test } from 'vitest'
import { hear, hearEnds, inputRequests } from '../../../proxy/mcp/question.ts'

const ASKED = { what: 'asked', id: '7', method: 'roots/list' }

describe('a message in a stream', () => {
  const TABLE: Record<string, [json: string, found: unknown]> = {
    'a request': ['{"jsonrpc":"2.0","id":7,"method":"roots/list"}', { ...ASKED, params: '' }],
    'a request with its id last': ['{"method":"roots/list","params":{},"jsonrpc":"2.0","id":7}', ASKED],
    'a request with spaces': ['{ "jsonrpc" : "2.0" , "id" : 7 , "method" : "roots/list" }', ASKED],
    'a text as id': ['{"jsonrpc":"2.0","id":"7","method":"ping"}', { what: 'asked', id: '"7"' }],
    'a withdrawal': [
      '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}',
      { what: 'withdrawn', id: '7' },
    ],
    'a withdrawal of nothing': ['{"jsonrpc":"2.0","method":"notifications/cancelled"}', null],
    'a log message that names an id': [
      '{"jsonrpc":"2.0","method":"notifications/message","params":{"id":7}}',
      null,
    ],
    'a notification of another kind': ['{"jsonrpc":"2.0","method":"other","params":{"id":7}}', null],
    'a response': ['{"jsonrpc":"2.0","id":7,"result":{"method":"x"}}', null],
    'no object': ['null', null],
    'not JSON': ['{"method":"x","id"', null],
    'an id that is none': ['{"method":"x","id":{}}', null],
  }
  for (const [name, [json, found]] of Object.entries(TABLE))
    test(name, () => {
      if (found === null) expect(hear(json)).toBeNull()
      else expect(hear(json)).toMatchObject(found as object)
    })
})

describe('an event too large to be held', () => {
  const big = `"params":{"messages":[{"id":1,"text":"${'x'.repeat(3000)}"}]}`
  const TABLE: Record<string, [json: string, id: string | null]> = {
    'id before the method': [`{"jsonrpc":"2.0","id":7,"method":"roots/list",${big}}`, '7'],
    'id after the method': [`{"method":"roots/list","id":7,${big}}`, '7'],
    'id at the end': [`{"method":"roots/list",${big},"jsonrpc":"2.0","id":7}`, '7'],
    'id before the version at the end': [`{"method":"roots/list",${big},"id":7,"jsonrpc":"2.0"}`, '7'],
    'a notification': [`{"jsonrpc":"2.0","method":"notifications/message",${big}}`, null],
    'a notification whose params end with an id': [
      `{"jsonrpc":"2.0","method":"notifications/message","params":{"text":"${'x'.repeat(3000)}","id":7}}`,
      null,
    ],
  }
  for (const [name, [json, id]] of Object.entries(TABLE))
    test(name, () => {
      const bytes = Buffer.from(`event: message\ndata: ${json}\n\n`)
      const found = hearEnds(bytes.subarray(0, 1024), bytes.subarray(-1024), bytes.length)
      expect(found?.id ?? null).toBe(id)
      if (found) expect(found).toMatchObject({ method: 'roots/list', bytes: bytes.length })
    })
})

test('every input of an input_required result is a question, whatever it holds', () => {
  const inputRequests_ = { a: { method: 'elicitation/create', params: { message: 'm' } }, b: null, c: {} }
  const result = { resultType: 'input_required', inputRequests: inputRequests_ }
  expect(inputRequests(JSON.stringify({ jsonrpc: '2.0', id: 1, result }))).toMatchObject([
    { id: '"a"', method: 'elicitation/create', params: '{"message":"m"}' },
    { id: '"b"', method: '' },
    { id: '"c"', method: '' },
  ])
  expect(inputRequests('{"result":{"resultType":"input_required","requestState":"s"}}')).toEqual([])
  expect(inputRequests('{')).toEqual([])
})
