import { classifyInboundRequest } from '@modelcontextprotocol/server'
import { describe, expect, test } from 'vitest'
import { climb, faultText, isFault, LADDER, type LadderInput } from '../../../proxy/mcp/ladder.ts'
import { MODERN_VERSION, MODERN_VERSIONS } from '../../../proxy/mcp/versions.ts'

const VERSION = 'io.modelcontextprotocol/protocolVersion'
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities'
const META = { [VERSION]: MODERN_VERSION, [CAPABILITIES]: {} }
const HEADERS = { 'mcp-protocol-version': MODERN_VERSION, 'mcp-method': 'tools/call', 'mcp-name': 'echo' }

const request = (
  params: object = { name: 'echo', _meta: META },
  method = 'tools/call',
  id: unknown = 1,
): object => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
})
const climbed = (more: Partial<LadderInput>): ReturnType<typeof climb> =>
  climb({
    http_method: 'POST',
    headers: HEADERS,
    body: request(),
    is_json: true,
    supported: MODERN_VERSIONS,
    ...more,
  })
const meta = (more: object): object => request({ name: 'echo', _meta: { ...META, ...more } })

test('a whole modern request passes every rung', () => {
  const schemaOf = (): object => ({ properties: {} })
  expect(climbed({ schemaOf, methods: new Set(['tools/call']) })).toEqual({
    era: 'modern',
    kind: 'request',
    version: MODERN_VERSION,
    method: 'tools/call',
    id: 1,
  })
})

describe('legacy requests', () => {
  const bare = request({})
  const response = { jsonrpc: '2.0', id: 1, result: {} }
  test.each([
    ['GET', { http_method: 'GET', is_json: false }, 'http_method'],
    ['DELETE with a modern header', { http_method: 'DELETE' }, 'http_method'],
    ['initialize', { body: request({}, 'initialize'), headers: {} }, 'initialize'],
    ['a request', { body: bare, headers: {} }, 'request'],
    [
      'a request with an old header',
      { body: bare, headers: { 'mcp-protocol-version': '2025-11-25' } },
      'request',
    ],
    ['a notification', { body: { jsonrpc: '2.0', method: 'notifications/x' }, headers: {} }, 'notification'],
    ['a posted result', { body: response }, 'response'],
    [
      'a posted error',
      { body: { jsonrpc: '2.0', id: 'a', error: { code: 1, message: '' } }, headers: {} },
      'response',
    ],
    ['a batch', { body: [bare, response], headers: {} }, 'batch'],
    [
      'unrelated keys in _meta',
      { body: request({ _meta: { progressToken: 1, [CAPABILITIES]: {} } }), headers: {} },
      'request',
    ],
  ])('%s', (_name, input, kind) => {
    expect(climbed(input)).toMatchObject({ era: 'legacy', kind })
  })
})

const nothing = { headers: {} }
describe('faults, earliest rung first', () => {
  test.each<[string, Partial<LadderInput>, string, number, number]>([
    ['a body that is not JSON', { is_json: false, body: undefined }, 'json', -32700, 400],
    ['a text', { body: 'x' }, 'jsonrpc', -32600, 400],
    ['null', { body: null }, 'jsonrpc', -32600, 400],
    ['no jsonrpc member', { body: { id: 1, method: 'x' } }, 'jsonrpc', -32600, 400],
    ['an id that is null', { body: request(undefined, 'x', null) }, 'jsonrpc', -32600, 400],
    ['an id with a fraction', { body: request(undefined, 'x', 1.5) }, 'jsonrpc', -32600, 400],
    [
      'params that are a list',
      { body: { jsonrpc: '2.0', id: 1, method: 'x', params: [] } },
      'jsonrpc',
      -32600,
      400,
    ],
    ['an empty batch', { body: [], ...nothing }, 'jsonrpc', -32600, 400],
    ['a batch with a modern element', { body: [request({}), request()], ...nothing }, 'jsonrpc', -32600, 400],
    ['a batch with a broken element', { body: [request({}), 1], ...nothing }, 'jsonrpc', -32600, 400],
    ['a batch under a modern header', { body: [request({})] }, 'jsonrpc', -32600, 400],
    ['initialize under a modern header', { body: request({}, 'initialize') }, 'era', -32020, 400],
    ['a modern header without envelope', { body: request({ name: 'echo' }) }, 'envelope', -32602, 400],
    [
      'a modern header without params',
      { body: { jsonrpc: '2.0', id: 1, method: 'x' } },
      'envelope',
      -32602,
      400,
    ],
    [
      'a claim without capabilities',
      { body: request({ _meta: { [VERSION]: MODERN_VERSION } }) },
      'envelope',
      -32602,
      400,
    ],
    ['a version that is no text', { body: meta({ [VERSION]: 1 }) }, 'envelope', -32602, 400],
    ['capabilities that are a list', { body: meta({ [CAPABILITIES]: [] }) }, 'envelope', -32602, 400],
    [
      'a client without a version',
      { body: meta({ 'io.modelcontextprotocol/clientInfo': { name: 'x' } }) },
      'envelope',
      -32602,
      400,
    ],
    [
      'an unknown log level',
      { body: meta({ 'io.modelcontextprotocol/logLevel': 'loud' }) },
      'envelope',
      -32602,
      400,
    ],
    ['a progress token that is a fraction', { body: meta({ progressToken: 0.5 }) }, 'envelope', -32602, 400],
    [
      'another version in the header',
      { headers: { ...HEADERS, 'mcp-protocol-version': '2025-11-25' } },
      'envelope',
      -32020,
      400,
    ],
    [
      'another method in the header',
      { headers: { ...HEADERS, 'mcp-method': 'tools/list' } },
      'envelope',
      -32020,
      400,
    ],
    [
      'a method in other case',
      { headers: { ...HEADERS, 'mcp-method': 'Tools/Call' } },
      'envelope',
      -32020,
      400,
    ],
    [
      'initialize with an envelope',
      { body: request({ _meta: META }, 'initialize') },
      'envelope',
      -32020,
      400,
    ],
    [
      'a version from the future',
      { body: meta({ [VERSION]: '2099-01-01' }), headers: { 'mcp-protocol-version': '2099-01-01' } },
      'version',
      -32022,
      400,
    ],
    [
      'a legacy version as claim',
      { body: meta({ [VERSION]: '2025-11-25' }), ...nothing },
      'version',
      -32022,
      400,
    ],
    ['no headers', nothing, 'headers', -32020, 400],
    [
      'no method header',
      { headers: { 'mcp-protocol-version': MODERN_VERSION, 'mcp-name': 'echo' } },
      'headers',
      -32020,
      400,
    ],
    [
      'no name header',
      { headers: { 'mcp-protocol-version': MODERN_VERSION, 'mcp-method': 'tools/call' } },
      'headers',
      -32020,
      400,
    ],
    ['another name', { headers: { ...HEADERS, 'mcp-name': 'Echo' } }, 'headers', -32020, 400],
    [
      'a broken sentinel as name',
      { headers: { ...HEADERS, 'mcp-name': '=?base64?%%?=' } },
      'headers',
      -32020,
      400,
    ],
    ['an unknown method', { methods: new Set(['tools/list']) }, 'method', -32601, 404],
  ])('%s', (_name, input, rung, code, http_status) => {
    expect(climbed(input)).toMatchObject({ rung, code, http_status })
  })

  test('the missing keys are named', () => {
    expect(climbed({ body: request({}) })).toMatchObject({
      data: { envelope: { missing: [VERSION, CAPABILITIES] } },
    })
  })

  test('an unsupported version is answered with those that are', () => {
    const answer = climbed({ body: meta({ [VERSION]: '2099-01-01' }), headers: {} })
    expect(answer).toMatchObject({ data: { supported: MODERN_VERSIONS, requested: '2099-01-01' } })
  })

  test('the id is echoed whenever it could be read', () => {
    expect(climbed({ headers: {}, body: request(undefined, 'x', 'seven') })).toMatchObject({ id: 'seven' })
    expect(climbed({ body: { jsonrpc: '2.0', id: 7, method: 'x', params: 1 } })).toMatchObject({ id: 7 })
    expect(climbed({ is_json: false })).toMatchObject({ id: null })
  })

  test('texts never hold values', () => {
    const secret = 'hunter2'
    const inputs: Partial<LadderInput>[] = [
      { headers: { ...HEADERS, 'mcp-name': secret } },
      { headers: { ...HEADERS, 'mcp-method': secret } },
      { body: request({ name: secret, _meta: META }) },
    ]
    for (const input of inputs) {
      const answer = climbed(input)
      expect(isFault(answer) && faultText(answer)).toMatch(/-32020/)
      expect(isFault(answer) && faultText(answer)).not.toContain(secret)
    }
  })
})

describe('headers', () => {
  test('optional whitespace around a value does not count', () => {
    const headers = {
      'mcp-protocol-version': ` ${MODERN_VERSION}\t`,
      'mcp-method': ' tools/call',
      'mcp-name': '\techo ',
    }
    expect(climbed({ headers })).toMatchObject({ era: 'modern' })
  })

  test('a name is compared decoded', () => {
    const headers = { ...HEADERS, 'mcp-name': '=?base64?ZsO8cg==?=' }
    expect(climbed({ headers, body: request({ name: 'für', _meta: META }) })).toMatchObject({ era: 'modern' })
  })

  test.each([
    ['prompts/get', 'name'],
    ['resources/read', 'uri'],
    ['tasks/get', 'taskId'],
    ['tasks/update', 'taskId'],
    ['tasks/cancel', 'taskId'],
  ])('%s repeats params.%s', (method, source) => {
    const headers = { ...HEADERS, 'mcp-method': method }
    expect(climbed({ headers, body: request({ [source]: 'echo', _meta: META }, method) })).toMatchObject({
      era: 'modern',
    })
    expect(climbed({ headers, body: request({ [source]: 'x', _meta: META }, method) })).toMatchObject({
      rung: 'headers',
    })
  })

  test('no name is needed when the body has none', () => {
    const headers = { 'mcp-protocol-version': MODERN_VERSION, 'mcp-method': 'tools/call' }
    expect(climbed({ headers, body: request({ _meta: META }) })).toMatchObject({ era: 'modern' })
  })

  test('notifications need none, but what they have must be true', () => {
    const body = {
      jsonrpc: '2.0',
      method: 'notifications/x',
      params: { _meta: { [VERSION]: MODERN_VERSION } },
    }
    expect(climbed({ body, headers: {} })).toMatchObject({ era: 'modern', kind: 'notification', id: null })
    expect(climbed({ body, headers: { 'mcp-method': 'other' } })).toMatchObject({ code: -32020 })
    const bare = { jsonrpc: '2.0', method: 'notifications/x' }
    expect(climbed({ body: bare, headers: { 'mcp-protocol-version': MODERN_VERSION } })).toMatchObject({
      kind: 'notification',
    })
  })
})

describe('Mcp-Param headers', () => {
  const inputSchema = { properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } }
  const body = request({ name: 'echo', arguments: { region: 'eu' }, _meta: META })
  test.each([
    ['missing', {}, 'params'],
    ['different', { 'mcp-param-region': 'us' }, 'params'],
    ['undecodable', { 'mcp-param-region': '=?base64?%?=' }, 'params'],
  ])('%s', (_name, more, rung) => {
    const answer = climbed({ body, headers: { ...HEADERS, ...more }, schemaOf: () => inputSchema })
    expect(answer).toMatchObject({
      rung,
      code: -32020,
      http_status: 400,
      data: { mismatch: { header: 'mcp-param-region' } },
    })
  })

  test('equal ones pass, unknown tools and unknown headers too', () => {
    const headers = { ...HEADERS, 'mcp-param-region': 'eu', 'mcp-param-other': 'x' }
    expect(climbed({ body, headers, schemaOf: () => inputSchema })).toMatchObject({ era: 'modern' })
    expect(climbed({ body, schemaOf: () => undefined })).toMatchObject({ era: 'modern' })
  })
})

test('every rung has a reason, and the order is what it is', () => {
  expect(LADDER.map((rung) => rung.name)).toEqual([
    'http_method',
    'json',
    'jsonrpc',
    'era',
    'envelope',
    'version',
    'headers',
    'params',
    'method',
  ])
  for (const rung of LADDER) expect(rung.why.length).toBeGreaterThan(20)
})

describe('the SDK decides alike', () => {
  const bodies: Record<string, unknown> = {
    modern: request(),
    'modern list': request({ _meta: META }, 'tools/list'),
    'no envelope': request({ name: 'echo' }),
    'no params': { jsonrpc: '2.0', id: 1, method: 'tools/call' },
    'half an envelope': request({ _meta: { [VERSION]: MODERN_VERSION } }),
    'wrong capabilities': meta({ [CAPABILITIES]: 'x' }),
    'wrong version type': meta({ [VERSION]: 7 }),
    'wrong level': meta({ 'io.modelcontextprotocol/logLevel': 'loud' }),
    initialize: request(
      { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } },
      'initialize',
    ),
    'initialize with envelope': request({ _meta: META }, 'initialize'),
    notification: { jsonrpc: '2.0', method: 'notifications/x' },
    'modern notification': {
      jsonrpc: '2.0',
      method: 'notifications/x',
      params: { _meta: { [VERSION]: MODERN_VERSION } },
    },
    result: { jsonrpc: '2.0', id: 1, result: {} },
    error: { jsonrpc: '2.0', id: 1, error: { code: 1, message: 'x' } },
    batch: [request({})],
    'empty batch': [],
    'modern batch': [request()],
    'broken batch': [{}],
    number: 5,
    'null id': request({}, 'x', null),
  }
  const headers: Record<string, Record<string, string>> = {
    none: {},
    modern: { 'mcp-protocol-version': MODERN_VERSION, 'mcp-method': 'tools/call' },
    'wrong method': { 'mcp-protocol-version': MODERN_VERSION, 'mcp-method': 'other' },
    legacy: { 'mcp-protocol-version': '2025-06-18' },
  }
  // The body decides that a batch is legacy; with a header that rules legacy out the SDK still says so, we refuse.
  const stricter = new Set(['batch / modern', 'batch / wrong method'])
  const cases = Object.keys(bodies).flatMap((body) =>
    Object.keys(headers).map((header) => `${body} / ${header}`),
  )
  test.each(cases.filter((name) => !stricter.has(name)))('%s', (name) => {
    const [body, header] = name.split(' / ') as [string, string]
    const given = headers[header]!
    const oracle = classifyInboundRequest({
      httpMethod: 'POST',
      body: bodies[body],
      ...(given['mcp-protocol-version'] && { protocolVersionHeader: given['mcp-protocol-version'] }),
      ...(given['mcp-method'] && { mcpMethodHeader: given['mcp-method'] }),
    })
    const ours = climbed({ body: bodies[body], headers: given })
    if (oracle.kind === 'reject')
      expect(ours).toMatchObject({ code: oracle.code, http_status: oracle.httpStatus })
    else if (oracle.kind === 'legacy') expect(ours).toMatchObject({ era: 'legacy' })
    // The oracle looks at the edge only; later rungs may still refuse what it calls modern.
    else if (isFault(ours)) expect(['version', 'headers', 'params', 'method']).toContain(ours.rung)
    else
      expect(ours).toMatchObject({
        era: 'modern',
        kind: 'id' in (bodies[body] as object) ? 'request' : 'notification',
      })
  })
})
