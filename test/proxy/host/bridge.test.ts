/** Modern clients at a legacy child: what waits for users, what belongs to whom, and what cannot be forged. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Answer, fixture, type Harness, type Loose, META, modern, startHost, until } from './harness.ts'

const ELICITS = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {}, url: {} } } }

let harness: Harness
beforeEach(async () => {
  harness = await startHost({
    legacy: fixture([], { era: 'legacy' }),
    shared: fixture([], { era: 'legacy', isolation: 'shared' }),
    small: fixture([], { era: 'legacy', processes_max: 1 }),
  })
})
afterEach(() => harness.close())

type Ask = { args?: object; id?: unknown; more?: object; meta?: object; principal?: string; server?: string }

function callOf(name: string, { args = {}, id = 1, more = {}, meta = ELICITS }: Ask = {}) {
  return modern('tools/call', { name, arguments: args, ...more }, id, meta)
}
async function call(name: string, ask: Ask = {}): Promise<Answer> {
  const { body, headers } = callOf(name, ask)
  return harness.send(ask.server ?? 'legacy', body, {
    ...headers,
    'weir-principal': ask.principal ?? 'alice',
  })
}
const resultOf = (answer: Answer): Loose => answer.messages.at(-1)?.result
/** The retry of an answer that asked. */
const answering = (asked: Loose, result: object = { action: 'accept', content: {} }): object => ({
  requestState: asked.requestState,
  inputResponses: Object.fromEntries(Object.keys(asked.inputRequests).map((key) => [key, result])),
})
const metrics = (server = 'legacy') => harness.host.metrics().servers[server]!

describe('a question of the server', () => {
  test('parks the call, and the answer reaches the server under its own id', async () => {
    const asked = resultOf(await call('ask', { args: { id: 'my-own' } }))
    expect(asked).toMatchObject({
      resultType: 'input_required',
      inputRequests: { 'elicitation-1': { method: 'elicitation/create', params: { message: '?' } } },
    })
    expect(metrics().calls_parked).toBe(1)
    const done = await call('ask', { args: { id: 'my-own' }, id: 'another id', more: answering(asked) })
    expect(done.messages[0]).toMatchObject({ id: 'another id', result: { resultType: 'complete' } })
    expect(JSON.parse(resultOf(done).content[0].text)).toEqual({ action: 'accept', content: {} })
    expect(metrics()).toMatchObject({ calls_parked: 0, calls_open: 0 })
  })

  test('is asked again, under a new state, when the answer is missing or makes no sense', async () => {
    const first = resultOf(await call('ask'))
    const { requestState } = first
    const again = resultOf(
      await call('ask', { more: { requestState, inputResponses: { 'elicitation-1': 'yes' } } }),
    )
    expect(again).toMatchObject({ resultType: 'input_required', inputRequests: first.inputRequests })
    expect(again.requestState).not.toBe(requestState)
    // The state of an earlier round is spent.
    const stale = await call('ask', { more: answering(first) })
    expect(stale.messages[0]!.error.code).toBe(-32602)
    expect(resultOf(await call('ask', { more: answering(again) })).resultType).toBe('complete')
  })

  test.each([
    ['somebody else', { principal: 'mallory' }],
    ['another call', { args: { x: 1 } }],
    ['a forged state', { forge: true }],
  ])('is not answered by %s', async (_name, { forge, ...ask }: Ask & { forge?: boolean }) => {
    const asked = resultOf(await call('ask'))
    const more = answering(asked) as Loose
    if (forge) more.requestState = `${String(more.requestState).slice(0, -2)}xx`
    const refused = await call('ask', { ...ask, more })
    expect(refused.messages[0]!.error.code).toBe(-32602)
    expect(resultOf(await call('ask', { more: answering(asked) })).resultType).toBe('complete')
  })

  test('that the client did not say it can answer is refused towards the server', async () => {
    const done = resultOf(await call('ask', { args: { method: 'sampling/createMessage' } }))
    expect(done.resultType).toBe('complete')
    expect(JSON.parse(done.content[0].text)).toMatchObject({ code: -32603 })
    expect(metrics().undeliverable.requests).toBe(1)
  })

  test('belongs to its call: calls that may be asked have a child each, while there is room', async () => {
    const [a, b] = await Promise.all([call('ask', { id: 'a' }), call('ask', { id: 'b', args: { n: 2 } })])
    expect(metrics().started).toBe(2)
    const [doneB, doneA] = await Promise.all([
      call('ask', { id: 'b', args: { n: 2 }, more: answering(resultOf(b), { action: 'decline' }) }),
      call('ask', { id: 'a', more: answering(resultOf(a), { action: 'cancel' }) }),
    ])
    expect(resultOf(doneA).content[0].text).toContain('cancel')
    expect(resultOf(doneB).content[0].text).toContain('decline')
  })

  test('a full house shares, and every call still gets its answer', async () => {
    const asked = resultOf(await call('ask', { server: 'small' }))
    expect(resultOf(await call('pid', { server: 'small', id: 2 })).resultType).toBe('complete')
    const done = await call('ask', { server: 'small', more: answering(asked) })
    expect(resultOf(done).resultType).toBe('complete')
    expect(metrics('small').started).toBe(1)
  })

  test('an error that wants URLs visited becomes questions, and the retry a call of its own', async () => {
    const error = {
      code: -32042,
      message: 'sign in',
      data: {
        elicitations: [{ mode: 'url', message: 'go', url: 'https://example.com', elicitationId: 'e1' }],
      },
    }
    const text = `{"jsonrpc":"2.0","id":$ID,"error":${JSON.stringify(error)}}`
    const asked = resultOf(await call('raw', { args: { text } }))
    expect(asked.inputRequests).toEqual({
      'url-1': {
        method: 'elicitation/create',
        params: { mode: 'url', message: 'go', url: 'https://example.com' },
      },
    })
    const again = resultOf(await call('raw', { args: { text }, more: answering(asked) }))
    expect(again.resultType).toBe('input_required')
  })
})

describe('progress while a call is parked', () => {
  /** A call with a token that is asked something; then its server tells of progress `steps` times. */
  async function parked(steps: number): Promise<{ args: object; more: object }> {
    const args = { steps }
    const meta = { ...ELICITS, progressToken: 'first round' }
    const asked = resultOf(await call('ask_steps', { args, meta, server: 'shared' }))
    expect(asked.resultType).toBe('input_required')
    expect(resultOf(await call('release', { server: 'shared' })).content[0].text).toBe('released')
    return { args, more: answering(asked) }
  }
  const lost = (): number => metrics('shared').undeliverable.notifications

  test('comes on the stream of the request that takes it up again, under its token', async () => {
    const retry = await parked(3)
    const meta = { ...ELICITS, progressToken: 7 }
    const { messages } = await call('ask_steps', { ...retry, meta, server: 'shared' })
    expect(messages.map((m) => m.params ?? m.result.content[0].text)).toEqual([
      { progressToken: 7, progress: 1 },
      { progressToken: 7, progress: 2 },
      { progressToken: 7, progress: 3 },
      'done',
    ])
    expect(lost()).toBe(0)
  })

  test('is counted as lost when that request has no token', async () => {
    const retry = await parked(3)
    const { messages } = await call('ask_steps', { ...retry, server: 'shared' })
    expect(messages).toHaveLength(1)
    expect(lost()).toBe(3)
  })

  test('is kept within bounds: the newest stay, the others are counted', async () => {
    const retry = await parked(100)
    expect(lost()).toBe(36)
    const meta = { ...ELICITS, progressToken: 7 }
    const { messages } = await call('ask_steps', { ...retry, meta, server: 'shared' })
    expect(messages.slice(0, -1).map((m) => m.params.progress)).toEqual(
      Array.from({ length: 64 }, (_, i) => 37 + i),
    )
    expect(lost()).toBe(36)
  })
})

describe('a call', () => {
  test('is cancelled at the server when its client leaves', async () => {
    // Progress opens the stream, so that there is something to leave.
    const meta = { progressToken: 1 }
    const { body, headers } = callOf('stay', { meta: { ...META, ...meta } })
    const stream = await harness.open('legacy', body, headers)
    await stream.next()
    stream.close()
    await until(() => metrics().calls_open === 0)
    const seen = JSON.parse(resultOf(await call('seen', { meta: META })).content[0].text) as string[]
    expect(seen.filter((line) => line.includes('notifications/cancelled'))).toHaveLength(1)
  })

  test('removed methods are unknown, whatever the server would say', async () => {
    for (const method of ['ping', 'logging/setLevel', 'resources/subscribe', 'initialize']) {
      const { body, headers } = modern(method)
      const answer = await harness.send('legacy', body, headers)
      expect([answer.status, answer.messages[0]!.error.code], method).toEqual([404, -32601])
    }
  })

  test('reaches the server without what only modern ones know, its own metadata kept', async () => {
    await call('pid', { meta: { ...ELICITS, progressToken: 'p', 'com.example/own': [1], traceparent: 't' } })
    const seen = JSON.parse(resultOf(await call('seen')).content[0].text) as string[]
    const sent = JSON.parse(seen.find((line) => line.includes('"pid"'))!) as Loose
    expect(Object.keys(sent.params._meta).sort()).toEqual(['com.example/own', 'progressToken', 'traceparent'])
    expect(JSON.stringify(sent)).not.toContain(Object.keys(META)[0])
  })

  test('hears of progress under its own token, and of logs only when it asked for them', async () => {
    const meta = { ...ELICITS, progressToken: 'mine' }
    const progress = await call('progress', { meta })
    expect(progress.messages.slice(0, -1).map((m) => m.params.progressToken)).toEqual(['mine', 'mine'])
    const silent = await call('log', { args: { data: 'x' } })
    expect(silent.messages).toHaveLength(1)
    const asking = { ...ELICITS, 'io.modelcontextprotocol/logLevel': 'info' }
    const heard = await call('log', { args: { data: 'x' }, meta: asking })
    expect(heard.messages[0]).toMatchObject({ method: 'notifications/message', params: { data: 'x' } })
  })
})
