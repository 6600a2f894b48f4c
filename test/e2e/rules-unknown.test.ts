/**
 * What rules forbid is to its caller as if it did not exist: prompts, resources and templates as well as tools, in requests,
 * completions, subscriptions and the news of servers. The same answer, by the same way. Where only denies are written, a server
 * at its own endpoint answers for resources that it does not have: lists need not name all that may be read.
 */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, initialize, type OpenAnswer, open, send } from '../support/client.ts'
import { waitFor } from '../support/wait.ts'
import { type Library, startLibrary, updated } from './support/library-server.ts'
import { type Observed, startObserved } from './support/observed.ts'

const GUESTS = 150
const keyOf = (name: string): string => `key-of-${name}-0123456789`
const caller = (name: string) => ({
  keys: [{ sha256: createHash('sha256').update(keyOf(name)).digest('hex') }],
})
const SECRETS = {
  deny: 'secrets',
  callers: 'guest-*',
  prompts: 'secret',
  resources: ['lib://secret/*', 'book://secret/*'],
}
/** With it whatever is not named is refused. */
const OPEN = {
  allow: 'what is open',
  tools: '*',
  prompts: 'open',
  resources: ['lib://open/*', 'lib://files/*', 'book://open/*', 'book://files/*'],
}
const OTHER = { deny: 'a tool of no use', callers: 'tooling', tools: 'nothing' }

let lib: Library
let book: Library
let weir: Observed
/** The same with an allow rule. */
let strict: Observed
let config: Record<string, unknown>
beforeAll(async () => {
  lib = await startLibrary('lib', 'legacy')
  book = await startLibrary('book', 'modern')
  const guests = Array.from({ length: GUESTS }, (_, i) => `guest-${i}`)
  config = {
    servers: { lib: { url: lib.url, era: 'legacy' }, book: { url: book.url, era: 'modern' } },
    callers: Object.fromEntries(['boss', 'tooling', ...guests].map((name) => [name, caller(name)])),
    rules: [SECRETS, OTHER],
  }
  weir = await startObserved(config)
  const all = { allow: 'all', callers: 'boss', tools: '*', prompts: '*', resources: '*' }
  strict = await startObserved({ ...config, rules: [SECRETS, OPEN, all] })
  // Somebody has listed everything under the roof before: the proxy knows whose the forbidden things are.
  for (const [at, era] of [
    [weir, 'legacy'],
    [weir, 'modern'],
    [strict, 'legacy'],
    [strict, 'modern'],
  ] as const) {
    const ask = await client('boss', '/mcp', era, at)
    for (const list of ['prompts/list', 'resources/list', 'resources/templates/list'])
      expect(JSON.stringify((await ask(list)).message?.result)).toContain('secret')
  }
})
afterAll(async () => {
  await weir?.stop()
  await strict?.stop()
  await lib?.close()
  await book?.close()
})

type Era = 'legacy' | 'modern'
type Send = (method: string, params?: object) => Promise<Answer>
const VERSION = '2026-07-28'
const envelope = {
  'io.modelcontextprotocol/protocolVersion': VERSION,
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
}
function modern(who: string, method: string, params: Record<string, unknown>) {
  const name = params.name ?? params.uri
  return {
    body: { jsonrpc: '2.0', id: 'iiiii', method, params: { ...params, _meta: envelope } },
    headers: {
      authorization: `Bearer ${keyOf(who)}`,
      'mcp-protocol-version': VERSION,
      'mcp-method': method,
      ...(typeof name === 'string' && { 'mcp-name': name }),
    },
  }
}
async function session(who: string, path: string, at = weir): Promise<Record<string, string>> {
  const authorization = `Bearer ${keyOf(who)}`
  const hello = await send(at.url + path, initialize('hello'), { headers: { authorization } })
  const headers = { authorization, 'mcp-session-id': String(hello.headers['mcp-session-id']) }
  await send(at.url + path, { jsonrpc: '2.0', method: 'notifications/initialized' }, { headers })
  return headers
}
async function client(who: string, path: string, era: Era, at = weir): Promise<Send> {
  if (era === 'modern')
    return (method, params = {}) => {
      const { body, headers } = modern(who, method, params as Record<string, unknown>)
      return send(at.url + path, body, { headers })
    }
  const headers = await session(who, path, at)
  return (method, params = {}) =>
    send(at.url + path, { jsonrpc: '2.0', id: 'iiiii', method, params }, { headers })
}
let guests = 0
const nextGuest = (): string => `guest-${guests++ % GUESTS}`

type Place = { era: Era; path: string; scheme: string; prefix: string }
const PLACES: readonly Place[] = [
  { era: 'legacy', path: '/servers/lib/mcp', scheme: 'lib', prefix: '' },
  { era: 'modern', path: '/servers/book/mcp', scheme: 'book', prefix: '' },
  { era: 'legacy', path: '/mcp', scheme: 'lib', prefix: 'lib_' },
  { era: 'modern', path: '/mcp', scheme: 'book', prefix: 'book_' },
  // Over the bridge between the eras.
  { era: 'modern', path: '/mcp', scheme: 'lib', prefix: 'lib_' },
  { era: 'legacy', path: '/servers/book/mcp', scheme: 'book', prefix: '' },
]
type Way = { what: string; method: string; eras?: Era; params: (place: Place, name: string) => object }
const completion = (ref: object): object => ({ ref, argument: { name: 'a', value: 'o' } })
const WAYS: readonly Way[] = [
  { what: 'a prompt', method: 'prompts/get', params: ({ prefix }, name) => ({ name: prefix + name }) },
  {
    what: 'a resource',
    method: 'resources/read',
    params: ({ scheme }, name) => ({ uri: `${scheme}://${name}/b` }),
  },
  {
    what: 'a subscription',
    method: 'resources/subscribe',
    eras: 'legacy',
    params: ({ scheme }, name) => ({ uri: `${scheme}://${name}/b` }),
  },
  {
    what: 'the end of a subscription',
    method: 'resources/unsubscribe',
    eras: 'legacy',
    params: ({ scheme }, name) => ({ uri: `${scheme}://${name}/b` }),
  },
  {
    what: 'a completion for a prompt',
    method: 'completion/complete',
    params: ({ prefix }, name) => completion({ type: 'ref/prompt', name: prefix + name }),
  },
  {
    what: 'a completion for a resource',
    method: 'completion/complete',
    params: ({ scheme }, name) => completion({ type: 'ref/resource', uri: `${scheme}://${name}/b` }),
  },
  {
    what: 'a completion for a template',
    method: 'completion/complete',
    params: ({ scheme }, name) => completion({ type: 'ref/resource', uri: `${scheme}://${name}/{name}` }),
  },
]
const CASES = PLACES.flatMap((place) =>
  WAYS.filter(({ eras = place.era }) => eras === place.era).flatMap((way) => {
    const isServers = place.path !== '/mcp' && !/prompt/.test(way.what)
    const strictly = { ...way, place, rules: 'allow', at: () => strict }
    return isServers ? [strictly] : [strictly, { ...way, place, rules: 'deny', at: () => weir }]
  }),
)

/** All that a client gets of an answer, but for the clock, and what the servers were asked on the way. */
async function traceOf(ask: () => Promise<Answer>): Promise<string> {
  const before = [lib.seen.length, book.seen.length]
  const { status, headers, text } = await ask()
  const { date: _date, ...rest } = headers
  // Several lists are asked for at once.
  const asked = [lib.seen.slice(before[0]).sort(), book.seen.slice(before[1]).sort()]
  return JSON.stringify({ status, headers: rest, text, asked }, null, 1)
}

test.each(CASES)(
  '$what ($place.era, $place.path, $place.scheme, $rules rules) that is forbidden is told by nothing from one that is not there',
  async ({ place, method, params, at }) => {
    const [forbidden, unknown] = await Promise.all(
      [nextGuest(), nextGuest()].map((who) => client(who, place.path, place.era, at())),
    )
    for (const moment of ['first', 'again', 'once more']) {
      const one = await traceOf(() => forbidden!(method, params(place, 'secret')))
      const other = await traceOf(() => unknown!(method, params(place, 'nobody')))
      expect(one, moment).toBe(other)
      expect(one).toMatch(/Unknown (?:prompt|resource)/)
      expect(one).not.toMatch(/secret|nobody/)
    }
  },
)

test.each(PLACES)(
  'what is listed is there for whoever may use it ($era, $path, $scheme)',
  async ({ era, path, scheme, prefix }) => {
    const ask = await client(nextGuest(), path, era)
    const ok = async (method: string, params: object): Promise<void> => {
      const { message } = await ask(method, params)
      expect(message?.result, `${method} ${JSON.stringify(params)} ${JSON.stringify(message)}`).toBeDefined()
    }
    await ok('prompts/get', { name: `${prefix}open` })
    await ok('resources/read', { uri: `${scheme}://open/a` })
    await ok('resources/read', { uri: `${scheme}://files/any` })
    await ok('completion/complete', completion({ type: 'ref/prompt', name: `${prefix}open` }))
    await ok('completion/complete', completion({ type: 'ref/resource', uri: `${scheme}://files/{name}` }))
    const boss = await client('boss', path, era)
    expect((await boss('prompts/get', { name: `${prefix}secret` })).message?.result).toBeDefined()
  },
)

test('a resource that no list names is read where rules allow it, and a forbidden one reaches no server', async () => {
  for (const [at, uri] of [
    [weir, 'lib://nobody/b'],
    [strict, 'lib://open/from-a-link'],
  ] as const) {
    const ask = await client(nextGuest(), '/servers/lib/mcp', 'legacy', at)
    const before = lib.seen.length
    expect((await ask('resources/read', { uri })).message?.result).toBeDefined()
    expect((await ask('resources/read', { uri: 'lib://secret/b' })).text).toContain('Unknown resource')
    expect(lib.seen.slice(before)).toEqual([`resources/read ${uri}`])
  }
})

test('a refusal is on the record, and what is unknown is none', async () => {
  const ask = await client('guest-0', '/mcp', 'legacy')
  await ask('resources/read', { uri: 'lib://secret/b' })
  await ask('resources/read', { uri: 'lib://nobody/c' })
  const [denied] = await weir.events("target = 'lib://secret/b' AND caller = 'guest-0'")
  expect(denied).toMatchObject({
    outcome: 'denied',
    server: 'lib',
    decision: 'deny',
    decision_rule: 'secrets',
    error_type: 'forbidden',
  })
  const [unknown] = await weir.events("target = 'lib://nobody/c' AND caller = 'guest-0'")
  expect(unknown).toMatchObject({ outcome: 'invalid', error_type: 'resource_unknown' })
})

test('while the list of a server cannot be had, neither is told from the other, and none is used', async () => {
  for (const [place, library] of [
    [PLACES[0]!, lib],
    [PLACES[1]!, book],
  ] as const) {
    const asks = await Promise.all(
      [nextGuest(), nextGuest(), nextGuest()].map((who) => client(who, place.path, place.era)),
    )
    library.isBroken = true
    try {
      const [one, other, open_] = await Promise.all(
        ['secret', 'nobody', 'open'].map((name, i) => asks[i]!('prompts/get', { name })),
      )
      expect([one!.status, one!.text]).toEqual([other!.status, other!.text])
      expect(one!.text).toBe(open_!.text)
      expect(one!.message?.error?.data).toMatchObject({ weir: 'upstream_unavailable' })
    } finally {
      library.isBroken = false
    }
  }
})

describe('news of servers', () => {
  const NEWS = { jsonrpc: '2.0', method: 'notifications/resources/list_changed' }
  const subscribed = (scheme: string) => ({
    notifications: { resourcesListChanged: true, resourceSubscriptions: [`${scheme}://open/a`] },
  })
  const STREAMS: readonly (Place & { library: () => Library })[] = [
    { ...PLACES[0]!, library: () => lib },
    { ...PLACES[1]!, library: () => book },
    { ...PLACES[2]!, library: () => lib },
    { ...PLACES[3]!, library: () => book },
  ]
  async function stream(who: string, { era, path, scheme }: Place): Promise<OpenAnswer> {
    if (era === 'legacy') return open(weir.url + path, { headers: await session(who, path) })
    return open(weir.url + path, {
      method: 'POST',
      ...modern(who, 'subscriptions/listen', subscribed(scheme)),
    })
  }

  test.each(STREAMS)(
    'of a forbidden resource reach no stream ($era, $path), by new rules neither',
    async ({ library, ...place }) => {
      const { scheme } = place
      const guest = await stream(nextGuest(), place)
      const boss = await stream('boss', place)
      expect([guest.status, boss.status]).toEqual([200, 200])
      await waitFor('both are heard', () => {
        library().tell(updated(`${scheme}://open/hello`))
        return [guest, boss].every((one) => one.text().includes('open/hello'))
      })
      const say = async (name: string): Promise<void> => {
        library().tell(updated(`${scheme}://secret/b`))
        // The same, as JSON lets it be written too.
        for (const [plain, other] of [
          ['/', '\\/'],
          ['u', '\\u0075'],
        ] as const)
          library().tell(JSON.stringify(updated(`${scheme}://secret/${name}`)).replaceAll(plain, other))
        library().tell(NEWS)
        library().tell(updated(`${scheme}://open/${name}`))
        await waitFor('the last is heard', () => boss.text().includes(`open/${name}`))
      }
      await say('one')
      await waitFor('the guest hears it too', () => guest.text().includes('open/one'))
      expect(guest.text()).toContain('resources/list_changed')
      expect(guest.text()).not.toContain('secret')
      expect(boss.text()).toContain('secret/b')
      const rules = [
        SECRETS,
        OTHER,
        { deny: 'nothing more', callers: 'guest-*', resources: `${scheme}://open/*` },
      ]
      weir.weir.writeConfig({ ...config, rules })
      try {
        await waitFor('the new rule is in force', async () => {
          await say('two')
          const heard = guest.text().length
          await say('two')
          return guest.text().length - heard < 200 && !guest.text().slice(heard).includes('open/two')
        })
      } finally {
        weir.weir.writeConfig(config)
        guest.close()
        boss.close()
      }
    },
  )

  test('of a forbidden resource reach no answer that comes as a stream', async () => {
    for (const [who, isGuest] of [
      [nextGuest(), true],
      ['boss', false],
    ] as const)
      for (const [path, name] of [
        ['/servers/lib/mcp', 'busy'],
        ['/mcp', 'lib_busy'],
      ] as const) {
        const ask = await client(who, path, 'legacy')
        const { text, message } = await ask('tools/call', { name, arguments: {} })
        expect(message?.result).toBeDefined()
        expect(text).toContain('lib://open/a')
        expect(text.includes('lib://secret/b')).toBe(!isGuest)
      }
  })

  test.each([
    { ...PLACES[1]!, rules: 'allow', at: () => strict },
    { ...PLACES[3]!, rules: 'allow', at: () => strict },
    { ...PLACES[3]!, rules: 'deny', at: () => weir },
  ])(
    'cannot be asked for of a forbidden resource, as of none that is there ($path, $rules rules)',
    async ({ path, at }) => {
      const [one, other] = await Promise.all(
        ['secret', 'nobody'].map(async (name) => {
          const { body, headers } = modern(nextGuest(), 'subscriptions/listen', {
            notifications: { resourceSubscriptions: [`book://${name}/b`] },
          })
          const answer = await open(at().url + path, { method: 'POST', body, headers })
          await waitFor('it says something', () => answer.text() !== '')
          const { date: _date, ...rest } = answer.res.headers
          const shape = [answer.status, rest, answer.text()]
          answer.close()
          return JSON.stringify(shape)
        }),
      )
      expect(one).toBe(other)
      expect(one).not.toContain('secret')
    },
  )
})
