/**
 * Promise 6 where policy looks at calls: what rules, limits and validation have read of arguments, results and credentials is
 * found nowhere afterwards: no spool file, row, log line, metric, or answer of the console. Reasons name rules, keywords of
 * schemas and places the schema knows, never a value, and never a name that only the value has.
 */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { QUESTIONS } from '../../collector/api/registry.ts'
import { type Observed, startObserved } from '../e2e/support/observed.ts'
import { type Answer, initialize, send, toolCall } from '../support/client.ts'

const SECRETS = {
  key: 'weir_canaryPolicyKey5a1f09be77',
  wrongKey: 'weir_canaryPolicyWrong0042aa',
  jwt: 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnktcG9saWN5LXN1YmplY3QifQ.Y2FuYXJ5LXBvbGljeS1zaWc',
  value: 'canary-policy-value-4411',
  name: 'canary-policy-argument-name-2277',
  nested: 'canary-policy-nested-name-9931',
  result: 'canary-policy-result-1188',
  resultName: 'canary-policy-result-name-3310',
  mail: 'canary.policy@private.example',
} as const

const SERVER = new URL('../e2e/support/typed-server.ts', import.meta.url).pathname
let weir: Observed
const answers: { what: string; answer: Answer }[] = []

beforeAll(async () => {
  const caller = { keys: [{ sha256: createHash('sha256').update(SECRETS.key).digest('hex') }] }
  weir = await startObserved({
    log: { level: 'debug' },
    servers: {
      io: { command: [process.execPath, SERVER], isolation: 'shared' },
      watched: { command: [process.execPath, SERVER], isolation: 'shared' },
    },
    callers: { agent: caller },
    rules: [
      { allow: 'all', callers: 'agent' },
      { deny: 'nothing secret', when: "args.memo.startsWith('canary')", tools: 'note' },
      { deny: 'compares', when: 'args.answer > 5', tools: 'odd' },
      { deny: 'shadowed', when: 'has(args.answer)', tools: 'balance', mode: 'shadow' },
    ],
    limits: [{ name: 'few', per: ['caller'], tools: ['watched/odd'], quota: '1/day' }],
    validation: { arguments: 'enforce', results: 'enforce', servers: ['io'] },
  })
}, 120_000)
afterAll(async () => {
  await weir?.stop()
})

test('what policy has looked at is written down nowhere', async () => {
  let spool = ''
  const watch = setInterval(() => {
    spool += weir.weir.spoolText
  }, 50)
  onTestFinished(() => clearInterval(watch))
  const ids: string[] = []
  const auth = { authorization: `Bearer ${SECRETS.key}` }
  const sessions = new Map<string, Record<string, string>>()
  for (const server of ['io', 'watched']) {
    const opened = await send(`${weir.url}/servers/${server}/mcp`, initialize('canary-open'), {
      headers: auth,
    })
    sessions.set(server, { ...auth, 'mcp-session-id': String(opened.headers['mcp-session-id']) })
  }
  const call = async (server: string, tool: string, args: Record<string, unknown>): Promise<Answer> => {
    const id = `canary-policy-${ids.length}`
    ids.push(id)
    const url = `${weir.url}/servers/${server}/mcp`
    const answer = await send(url, toolCall(id, tool, args), { headers: sessions.get(server)! })
    answers.push({ what: `${server} ${tool}`, answer })
    return answer
  }
  // Validation: by value, by name, deeper, of the wrong type, too large to check; and results.
  const fine = { to: 'DE89', amount: 1 }
  for (const args of [
    { to: SECRETS.value, amount: 1 },
    { ...fine, memo: { [SECRETS.nested]: SECRETS.value } },
    { ...fine, [SECRETS.name]: SECRETS.mail },
    { ...fine, amount: SECRETS.value },
    { ...fine, memo: `<${SECRETS.value.repeat(50_000)}` },
  ])
    expect((await call('io', 'transfer', args)).message?.result?.isError).toBe(true)
  for (const answer of [{ balance: SECRETS.result }, { [SECRETS.resultName]: SECRETS.result }])
    expect((await call('io', 'balance', { answer })).text).toContain('does not fit the output schema')
  // Rules: refused by a value, an expression that fails on one, and one in shadow.
  await call('watched', 'note', { memo: SECRETS.value, text: SECRETS.value })
  await call('watched', 'odd', { answer: SECRETS.value })
  await call('watched', 'balance', { answer: { balance: SECRETS.result } })
  // A limit, with arguments.
  for (let i = 0; i < 3; i++) await call('watched', 'odd', { answer: 1, [SECRETS.name]: SECRETS.value })
  // Credentials that are none, and a key where no key belongs.
  for (const [header, secret] of [
    ['authorization', `Bearer ${SECRETS.wrongKey}`],
    ['authorization', `Bearer ${SECRETS.jwt}`],
    ['authorization', `Basic ${SECRETS.wrongKey}`],
    ['x-api-key', SECRETS.wrongKey],
  ] as const) {
    const id = `canary-policy-${ids.length}`
    ids.push(id)
    const url = `${weir.url}/servers/io/mcp?api_key=${SECRETS.wrongKey}`
    answers.push({
      what: header,
      answer: await send(url, toolCall(id, 'note', {}), { headers: { [header]: secret } }),
    })
  }

  const rows = await weir.events("method = 'tools/call' AND caller = 'agent'", 13)
  clearInterval(watch)
  spool += weir.weir.spoolText
  // The canary sang where it should: each judge has judged.
  expect(new Set(rows.map((row) => row.error_type))).toEqual(
    new Set(['arguments_invalid', 'result_invalid', 'forbidden', 'quota_exhausted', '']),
  )
  expect(rows.some((row) => (row.shadow as string[]).includes('shadowed'))).toBe(true)
  const pages = await Promise.all(
    [...Object.keys(QUESTIONS), 'session', 'nothing'].map(async (name) => {
      const answer = await fetch(`${weir.weir.addresses.collector}/api/${name}`, { headers: auth })
      return `${name} ${answer.status} ${await answer.text()}`
    }),
  )
  expect(pages.filter((page) => / 200 /.test(page)).length).toBeGreaterThan(5)
  const places = {
    spool,
    rows: await weir.store.dump(),
    log: weir.weir.output,
    metrics:
      (await weir.weir.metrics()) + (await (await fetch(`${weir.weir.addresses.collector}/metrics`)).text()),
    console: pages.join('\n'),
    // What a client has sent it may read again as a place; of values, and of what others sent, nothing.
    answers: answers
      .filter(({ what }) => what !== 'watched balance')
      .map(({ answer }) => answer.text.replaceAll(SECRETS.name, '').replaceAll(SECRETS.nested, ''))
      .join('\n'),
  }
  expect(places.rows).toContain('canary-policy-0')
  const found = Object.entries(places).flatMap(([place, text]) =>
    Object.entries(SECRETS)
      .filter(([, secret]) => text.includes(secret) || text.includes(encodeURIComponent(secret)))
      .map(([name, secret]) => {
        const at = text.indexOf(secret)
        return `${name} in ${place}: ${text.slice(Math.max(0, at - 120), at + 40)}`
      }),
  )
  expect(found).toEqual([])
}, 180_000)
