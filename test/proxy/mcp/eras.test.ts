/** The words of one era in those of the other. */
import { describe, expect, test } from 'vitest'
import {
  initializeResult,
  legacyAnswer,
  legacyQuestion,
  modernCapabilities,
  modernRequest,
} from '../../../proxy/mcp/downgrade.ts'
import { removeValue } from '../../../proxy/mcp/splice.ts'
import { inputRequest, introduction, legacyRequest, modernAnswer } from '../../../proxy/mcp/upgrade.ts'

const answer = (
  result: object,
  method: string,
  version = '2025-11-25',
  tool = 't',
  wrapped = new Set<unknown>(),
) => {
  const message = { jsonrpc: '2.0', id: 1, result }
  const text = legacyAnswer(JSON.stringify(message), message, { method, tool }, version, wrapped)
  return JSON.parse(text).result
}

describe('removeValue', () => {
  test.each([
    ['{"a":1,"b":2}', ['a'], '{"b":2}'],
    ['{"a":1,"b":2}', ['b'], '{"a":1}'],
    ['{ "a" : 1 }', ['a'], '{  }'],
    ['{"x":{"a\\"":1, "a":{"a":3} , "c":[1,2]}}', ['x', 'a'], '{"x":{"a\\"":1, "c":[1,2]}}'],
    ['{"a":1,"a":2,"b":3}', ['a'], '{"b":3}'],
    ['{"b":1}', ['a'], '{"b":1}'],
  ])('%s without %s', (text, path, rest) => {
    expect(removeValue(text, path)).toBe(rest)
    JSON.parse(rest)
  })
})

describe('towards a legacy server', () => {
  test('the introduction leaves out what its era does not know', () => {
    const meta = {
      'io.modelcontextprotocol/clientCapabilities': {
        roots: { listChanged: true },
        sampling: { tools: {} },
        extensions: { 'io.modelcontextprotocol/tasks': {} },
      },
      'io.modelcontextprotocol/clientInfo': { name: 'c', version: '2' },
    }
    expect(JSON.parse(introduction('2025-11-25', meta)).params).toEqual({
      protocolVersion: '2025-11-25',
      capabilities: { roots: {}, sampling: { tools: {} } },
      clientInfo: { name: 'c', version: '2' },
    })
  })

  test('a request keeps big numbers and unknown members to the byte', () => {
    const text =
      '{"jsonrpc":"2.0","id":1,"params":{"n":12345678901234567890, "requestState":"s","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","x":1}}}'
    expect(legacyRequest(text)).toBe(
      '{"jsonrpc":"2.0","id":1,"params":{"n":12345678901234567890, "_meta":{"x":1}}}',
    )
  })
})

describe('from a legacy server', () => {
  const modern = (result: object, method: string) => {
    const message = { jsonrpc: '2.0', id: 1, result }
    return JSON.parse(modernAnswer(JSON.stringify(message), message, method, '{"name":"s"}')).result
  }
  test('lists get cache hints, and tools lose execution', () => {
    expect(modern({ tools: [{ name: 'a', execution: { taskSupport: 'optional' } }] }, 'tools/list')).toEqual({
      resultType: 'complete',
      ttlMs: 0,
      cacheScope: 'private',
      tools: [{ name: 'a' }],
      _meta: { 'io.modelcontextprotocol/serverInfo': { name: 's' } },
    })
  })
  test('a result keeps its own metadata', () => {
    expect(modern({ content: [], _meta: { own: 1 } }, 'tools/call')).toEqual({
      resultType: 'complete',
      content: [],
      _meta: { own: 1, 'io.modelcontextprotocol/serverInfo': { name: 's' } },
    })
  })
  test('a resource that is not found has the code of the era', () => {
    const message = { jsonrpc: '2.0', id: 1, error: { code: -32002, message: 'no' } }
    expect(JSON.parse(modernAnswer(JSON.stringify(message), message, 'resources/read', '')).error.code).toBe(
      -32602,
    )
  })
  test.each([
    ['form', {}, true],
    ['form', { form: {} }, true],
    ['form', { url: {} }, false],
    ['url', { url: {} }, true],
    ['url', { form: {} }, false],
  ])('elicitation by %s to a client with %j', (mode, elicitation, isAsked) => {
    const asked = inputRequest(
      { method: 'elicitation/create', params: { mode, elicitationId: 'e' } },
      { elicitation },
    )
    expect(asked !== null).toBe(isAsked)
    if (asked) expect(asked.params).toEqual({ mode })
  })
})

describe('towards a modern server', () => {
  test('what a client of an old revision can do', () => {
    const declared = {
      roots: { listChanged: true },
      elicitation: { url: {} },
      sampling: { tools: {} },
      tasks: {},
    }
    expect(modernCapabilities(declared, '2025-11-25')).toEqual({
      roots: {},
      elicitation: { url: {} },
      sampling: { tools: {} },
    })
    expect(modernCapabilities(declared, '2025-06-18')).toEqual({
      roots: {},
      elicitation: { form: {} },
      sampling: {},
    })
    expect(modernCapabilities(declared, '2025-03-26')).toEqual({ roots: {}, sampling: {} })
  })
  test('a request gets the envelope beside its own metadata', () => {
    const text =
      '{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"progressToken":7},"task":{"ttl":1}}}'
    const request = JSON.parse(modernRequest(text, { capabilities: {}, clientInfo: undefined }, 'info'))
    expect(request.params).toEqual({
      _meta: {
        progressToken: 7,
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientCapabilities': {},
        'io.modelcontextprotocol/logLevel': 'info',
      },
    })
  })
})

describe('from a modern server', () => {
  test('initialize is answered in the revision asked for, or the newest', () => {
    expect(initializeResult({ capabilities: { tools: {}, extensions: {} } }, '2025-03-26', 's')).toEqual({
      protocolVersion: '2025-03-26',
      capabilities: { tools: {} },
      serverInfo: { name: 's', version: '0' },
    })
    expect(initializeResult({}, '1999-01-01', 's').protocolVersion).toBe('2025-11-25')
  })
  test('what belongs to the modern result alone is gone', () => {
    expect(
      answer({ resultType: 'complete', ttlMs: 1, cacheScope: 'public', prompts: [] }, 'prompts/list'),
    ).toEqual({
      prompts: [],
    })
  })
  test('structured results that are no objects are wrapped, with their schema', () => {
    const wrapped = new Set<unknown>()
    const outputSchema = { type: 'array', items: { $ref: '#/$defs/n' }, $defs: { n: { type: 'number' } } }
    const { tools } = answer(
      { tools: [{ name: 't', outputSchema }] },
      'tools/list',
      '2025-11-25',
      't',
      wrapped,
    )
    expect(tools[0].outputSchema).toMatchObject({
      type: 'object',
      required: ['result'],
      properties: { result: { type: 'array', items: { $ref: '#/properties/result/$defs/n' } } },
    })
    const result = answer({ content: [], structuredContent: [1] }, 'tools/call', '2025-11-25', 't', wrapped)
    expect(result).toEqual({ structuredContent: { result: [1] }, content: [{ type: 'text', text: '[1]' }] })
  })
  test.each([
    ['2025-06-18', ['audio', 'resource_link'], true],
    ['2025-03-26', ['audio', 'text'], false],
    ['2024-11-05', ['text', 'text'], false],
  ])('%s: content it knows', (version, types, isStructured) => {
    const content = [
      { type: 'audio', data: '', mimeType: 'audio/wav' },
      { type: 'resource_link', uri: 'a://b', name: 'n' },
    ]
    const result = answer({ content, structuredContent: { a: 1 } }, 'tools/call', version)
    expect(result.content.map((block: { type: string }) => block.type)).toEqual(types)
    expect('structuredContent' in result).toBe(isStructured)
  })
  test('a question the client cannot answer is none', () => {
    const url = { method: 'elicitation/create', params: { mode: 'url', url: 'u' } }
    expect(legacyQuestion(url, 'q', { elicitation: { form: {} } }, () => 'e')).toBeNull()
    expect(legacyQuestion(url, 'q', { elicitation: { url: {} } }, () => 'e')).toMatchObject({
      id: 'q',
      params: { elicitationId: 'e' },
    })
    expect(legacyQuestion({ method: 'no/such' }, 'q', {}, () => 'e')).toBeNull()
  })
})
