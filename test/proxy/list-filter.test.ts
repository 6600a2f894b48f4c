import { expect, test } from 'vitest'
import { parseConfig } from '../../config/load.ts'
import { RuleSet } from '../../config/ruleset.ts'
import type { Call } from '../../proxy/call.ts'
import { Definitions } from '../../proxy/definitions.ts'
import { Gate } from '../../proxy/gate.ts'
import { shownOf } from '../../proxy/list-filter.ts'
import { ListedPrompts } from '../../proxy/listed-prompts.ts'
import { ambiguityIn } from '../../proxy/mcp/ambiguity.ts'
import { frameData } from '../../proxy/mcp/frames.ts'
import type { AnswerForm } from '../../proxy/upstream/outcome.ts'
import { shownBody, shownFrame } from '../../proxy/upstream/shown.ts'

const rules = '  - { deny: d, tools: "secret*", prompts: "secret*", resources: "secret:*" }'
const { config } = parseConfig(`rules:\n${rules}`, '/w/weir.yaml', {})
const nobody = () => Promise.reject(new Error('nobody'))
const prompts = new ListedPrompts(nobody)
const gate = new Gate(new RuleSet(config.rules), new Definitions(nobody), prompts)
const identity = {
  caller: 'a',
  team: '',
  project: '',
  principal: 'a',
  auth_method: 'api_key',
  roles: [],
  scope: null,
  expires_ms: Infinity,
  tags: null,
}
const call = {
  identity,
  message: {},
  client_name: '',
  client_version: '',
  arguments_bytes: 0,
  http_status: 200,
  response_bytes: 0,
} as unknown as Call
const shown = (json: string): string => shownOf(gate, call, 'bank', json)

test('entries that stay keep every byte, and a list that hides nothing is the same text', () => {
  const kept = '{"name":"a", "inputSchema":{"maximum":12345678901234567890,"x":1.0}}'
  const list = (entries: string): string =>
    `{ "jsonrpc":"2.0","id":1, "result":{ "tools":[${entries}],"nextCursor":"n"}}`
  expect(shown(list(`${kept}, {"name":"secret_b"} ,{"name":"c"}`))).toBe(list(`${kept},{"name":"c"}`))
  expect(shown(list(` ${kept} `))).toBe(list(` ${kept} `))
  expect(shown(list('{"name":"secret"}'))).toBe(list(''))
  expect(shown('{"result":{"tools":[{"name":"\\u0073ecret"}]}}')).toBe('{"result":{"tools":[]}}')
  expect(shown('{"result":{"t\\u006fols":[{"name":"secret"}]}}')).toBe('{"result":{"t\\u006fols":[]}}')
})
test('every kind of list is filtered, in batches too, and entries without a name are not shown', () => {
  expect(shown('{"result":{"prompts":[{"name":"secret"},{"name":"p"}]}}')).toBe(
    '{"result":{"prompts":[{"name":"p"}]}}',
  )
  expect(shown('{"result":{"resources":[{"uri":"secret:1"},{"uri":"r:1"}]}}')).toBe(
    '{"result":{"resources":[{"uri":"r:1"}]}}',
  )
  expect(shown('{"result":{"resourceTemplates":[{"uriTemplate":"x:{a}"}]}}')).toBe(
    '{"result":{"resourceTemplates":[{"uriTemplate":"x:{a}"}]}}',
  )
  expect(shown('[{"result":{"tools":[{"name":"secret"}]}},{"method":"x"}]')).toBe(
    '[{"result":{"tools":[]}},{"method":"x"}]',
  )
  expect(shown('{"result":{"tools":[{"title":"secret"},null,7,{"name":7}]}}')).toBe('{"result":{"tools":[]}}')
})
test('what cannot be read is not shown', () => {
  const form: AnswerForm = { isJson: true, isCompressed: false, isHosted: false }
  const body = (text: string, more: Partial<AnswerForm> = {}) =>
    shownBody(shown, Buffer.from(text), { ...form, ...more }, call)
  expect(body('{"result":{"tools":[{"name":"secret"}')).toMatchObject({ code: 'upstream_protocol' })
  expect(body('zipped', { isCompressed: true })).toMatchObject({ code: 'upstream_protocol' })
  expect(body('<html>', { isJson: false })).toMatchObject({ code: 'upstream_protocol' })
  expect(String(body('{"result":{"tools":[{"name":"secret"}]}}'))).toBe('{"result":{"tools":[]}}')
})
test('frames of a stream keep their id and name, whatever their line ends and however their data is cut', () => {
  for (const end of ['\n', '\r\n', '\r']) {
    const frame = Buffer.from(
      ['id: 7', 'event: message', 'data: {"result":', 'data: {"tools":[{"name":"secret"}]}}', '', ''].join(
        end,
      ),
    )
    const out = shownFrame(shown, frame) as Buffer
    expect(frameData(out)!.replaceAll(/\s/g, '')).toBe('{"result":{"tools":[]}}')
    expect(out.toString()).toMatch(/^id: 7\nevent: message\n/)
    expect(out.toString()).not.toContain('secret')
  }
  expect(shownFrame(shown, Buffer.from('data: {"result":{"tools":[{"name":"sec\n\n'))).toMatchObject({
    code: 'upstream_protocol',
  })
  expect(shownFrame(shown, Buffer.from(': ping\n\n')).toString()).toBe(': ping\n\n')
})

test('a message is ambiguous when a key is there twice or in another case, however it is written', () => {
  const told = (text: string) => ambiguityIn(text, JSON.parse(text))
  for (const text of [
    '{"id":1,"id":2}',
    '{"id":1,"\\u0069d":2}',
    '{"params":{"arguments":{"a":{"b":[{"c":1,"c":2}]}}}}',
    '{"params":{"arguments":{"a":"\\\\","a":1}}}',
    '{"params":{"name":"a","NAME":"b"}}',
    '{"param\u017f":{}}',
    '{"params":{"arguments":{"k":1,"\u212a":2}}}',
  ])
    expect(told(text), text).not.toBe(null)
  for (const text of [
    '{"jsonrpc":"2.0", "id":1,\n"method":"tools/call","params":{"name":"a","arguments":{"id":1,"x":{"id":2,"a":"\\"a\\":1"}}}}',
    '{"id":1.0,"params":{"arguments":{"list":[{"a":1},{"a":1}],"A":"{\\"a\\":1,\\"a\\":2}","2":1,"1":2}}}',
    '{"id":1,"params":{"_meta":{"progressToken":1},"arguments":{}}}',
  ])
    expect(told(text), text).toBe(null)
})
