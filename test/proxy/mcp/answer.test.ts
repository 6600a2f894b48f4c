import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { Call } from '../../../proxy/call.ts'
import { ErrorScan, isResponse, isResponseHead, readAnswer } from '../../../proxy/mcp/answer.ts'

const makeCall = (method = 'tools/call'): Call => {
  const call = new Call(
    {} as IncomingMessage,
    {} as ServerResponse,
    { path: '/mcp', server: '' },
    0,
    '',
    false,
  )
  call.kind = 'request'
  call.method = method
  return call
}
const read = (text: string, method?: string): Call => {
  const call = makeCall(method)
  expect(readAnswer(call, text)).toBe(true)
  return call
}
const result = (inner: string): string => `{"jsonrpc":"2.0","id":1,"result":${inner}}`

describe('the outcome of an answer', () => {
  const TABLE: [text: string, outcome: string, owner: string, error_type: string][] = [
    [result('{}'), 'ok', 'none', ''],
    [result('{"isError":false}'), 'ok', 'none', ''],
    [result('{"isError":"true"}'), 'ok', 'none', ''],
    [result('{"isError":true}'), 'tool_error', 'upstream', 'tool_error'],
    [result('{"structuredContent":{"isError":true}}'), 'ok', 'none', ''],
    [result('{"resultType":"complete"}'), 'ok', 'none', ''],
    [result('{"resultType":"input_required"}'), 'input_required', 'none', ''],
    [result('{"resultType":"task"}'), 'ok', 'none', ''],
    ['{"id":1,"error":{"code":-32601,"message":"m"}}', 'rpc_error', 'client', '-32601'],
    ['{"id":1,"error":{"code":-32700}}', 'rpc_error', 'client', '-32700'],
    ['{"id":1,"error":{"code":-32002}}', 'rpc_error', 'client', '-32002'],
    ['{"id":1,"error":{"code":-32021}}', 'rpc_error', 'client', '-32021'],
    ['{"id":1,"error":{"code":-32603}}', 'rpc_error', 'upstream', '-32603'],
    ['{"id":1,"error":{"code":1e300}}', 'rpc_error', 'upstream', '0'],
    ['{"id":1,"error":{"code":"x"}}', 'rpc_error', 'upstream', '0'],
    ['{"id":1,"error":null}', 'rpc_error', 'upstream', '0'],
    ['{"id":1,"result":"text"}', 'ok', 'none', ''],
  ]
  for (const [text, outcome, owner, error_type] of TABLE)
    test(text, () => expect(read(text)).toMatchObject({ outcome, owner, error_type }))

  test('what is no answer is told', () => {
    for (const text of ['', '{', '[]', '7', 'null', '{"id":1}', '{"id":1,"result":null}x'])
      expect(readAnswer(makeCall(), text), text).toBe(false)
  })
  test('the first failure stands', () => {
    const call = makeCall()
    call.fail('timeout', 'upstream', 'upstream_timeout', '')
    readAnswer(call, result('{"isError":true}'))
    expect(call.outcome).toBe('timeout')
  })
  test('the text of a tool error is its message', () => {
    expect(
      read(
        result(
          '{"isError":true,"content":[{"type":"image"},{"type":"text","text":"no such row"},{"type":"text","text":"more"}]}',
        ),
      ).error_message,
    ).toBe('no such row')
  })
})

describe('what is counted', () => {
  test('content by kind, and the bytes of its text', () => {
    const call = read(
      result(
        '{"content":[{"type":"text","text":"é😀"},{"type":"image"},{"type":"audio"},{"type":"resource"},{"type":"resource_link"},{"type":"new"},null,7],"structuredContent":[]}',
      ),
    )
    expect(call).toMatchObject({
      content_text: 1,
      content_image: 1,
      content_audio: 1,
      content_resource: 2,
      content_structured: true,
      text_bytes_out: 6,
    })
  })
  test('entries of lists, however large', () => {
    const tools = Array.from({ length: 2000 }, (_, i) => ({ name: `tool-${i}`, description: 'x'.repeat(50) }))
    expect(read(result(JSON.stringify({ tools })), 'tools/list')).toMatchObject({
      list_items: 2000,
      result_read: 'parsed',
    })
    expect(read(result(JSON.stringify({ tools })), 'tools/call').list_items).toBe(0)
    for (const key of ['prompts', 'resources', 'resourceTemplates'])
      expect(read(result(`{"${key}":[1,2,3]}`), 'x/list').list_items).toBe(3)
  })
})

describe('large answers', () => {
  const filler = 'x'.repeat(20_000)
  test('without a sign of an error are only searched', () => {
    expect(read(result(`{"content":[{"type":"text","text":"${filler}"}]}`))).toMatchObject({
      outcome: 'ok',
      result_read: 'scanned',
      content_text: 0,
    })
  })
  test('with one are parsed', () => {
    expect(read(result(`{"content":[{"type":"text","text":"${filler}"}],"isError":true}`))).toMatchObject({
      outcome: 'tool_error',
      result_read: 'parsed',
    })
    expect(
      read(result(`{"content":[{"type":"text","text":"${filler}"}],"is\\u0045rror":true}`)),
    ).toMatchObject({ outcome: 'tool_error', result_read: 'parsed' })
    expect(read(result(`{"content":[{"type":"text","text":"${filler} \\"isError\\": true"}]}`)).outcome).toBe(
      'ok',
    )
    expect(read(`{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"${filler}"}}`).outcome).toBe(
      'rpc_error',
    )
  })
})

describe('a scan', () => {
  const scan = (text: string, at: readonly number[]): ErrorScan => {
    const bytes = Buffer.from(text)
    const found = new ErrorScan()
    let from = 0
    for (const end of [...at, bytes.length]) {
      found.push(bytes.subarray(from, end))
      from = end
    }
    return found
  }
  const TABLE: [text: string, tool: boolean, rpc: boolean][] = [
    [result('{"content":[],"isError" : true}'), true, false],
    [result('{"content":[],"isError":false}'), false, false],
    [result('{"content":[{"text":"\\"isError\\":true"}]}'), false, false],
    ['{"jsonrpc":"2.0","id":"a","error":{"code":1}}', false, true],
    [' {\n"id" : -1 , "error" : {}}', false, true],
    ['event: message\nid: 4\ndata: {"jsonrpc":"2.0","id":1,"error":{}}', false, true],
    ['{"jsonrpc":"2.0","id":1,"result":{"error":{}}}', false, false],
  ]
  for (const [text, tool, rpc] of TABLE)
    test(`finds the same however ${text.slice(0, 40)} is cut`, () => {
      for (let i = 0; i <= text.length; i++) {
        const found = scan(text, [i])
        expect([found.hasToolError, found.hasRpcError], `cut at ${i}`).toEqual([tool, rpc])
      }
      const each = scan(
        text,
        Array.from({ length: text.length }, (_, i) => i),
      )
      expect([each.hasToolError, each.hasRpcError]).toEqual([tool, rpc])
    })
})

describe('whether a message is a response', () => {
  const TABLE: [text: string, is: boolean][] = [
    ['{"jsonrpc":"2.0","id":1,"result":{}}', true],
    ['{"result":{},"id":1}', true],
    ['{"id":"a\\"b","error":{}}', true],
    ['{"x":{"a":1},"result":{}}', true],
    ['{"jsonrpc":"2.0","method":"x","params":{"result":1}}', false],
    ['{"id":1,"method":"sampling/createMessage","params":{"error":1}}', false],
    ['{"method":"x","result":{}}', false],
    ['{"id":1}', false],
    ['"result"', false],
    ['not "result"', false],
  ]
  for (const [text, is] of TABLE) test(text, () => expect(isResponse(text)).toBe(is))

  test('is told by the head of a frame alone', () => {
    const head = (json: string): Buffer => Buffer.from(`event: message\nid: 1\ndata: ${json}`)
    expect(isResponseHead(head('{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"method":"x"'))).toBe(
      true,
    )
    expect(isResponseHead(head('{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"'))).toBe(
      false,
    )
    expect(
      isResponseHead(head('{"jsonrpc":"2.0","id":4,"method":"sampling/createMessage","params":{"result":1')),
    ).toBe(false)
    expect(isResponseHead(Buffer.from(': a very long comment'))).toBe(false)
  })
})
