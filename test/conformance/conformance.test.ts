/**
 * Promise 4 (transparent): the official suite's results through Weir equal the direct ones, check by check, with Weir in
 * front of the suite's reference server and with Weir between the suite's server and a reference client. Every difference
 * stands with its reason in expected-differences.json; one that is not listed fails, and so does one that is listed and
 * gone. README.md is generated from the results (UPDATE=1 writes it).
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { goClient, goServer, type Peer, startGoServer } from '../e2e/support/go-server.ts'
import { type Observed, startObserved } from '../e2e/support/observed.ts'
import { type CountingRelay, startCountingRelay } from './counting-relay.ts'
import { type Door, startDoor } from './door.ts'
import { type Expected, isCovered, readme } from './report.ts'
import {
  CLIENT_SUITES,
  differences,
  type Results,
  runClientSuite,
  runSuite,
  type SuiteName,
  scenarioOf,
  tally,
} from './suite.ts'

/** `direct` is the era of the server asked without Weir; `server` the name of the one behind it. */
type Run = {
  suite: SuiteName
  direct: 'legacy' | 'modern'
  upstream: string
  server: string
  /** Modern clients of a legacy-only server: what cannot be carried over is listed, and some of it is scored. */
  isBridged?: true
}

const RUNS: readonly Run[] = [
  { suite: '0.1.16 all', direct: 'legacy', upstream: 'http', server: 'legacy-http' },
  { suite: '0.1.16 all', direct: 'legacy', upstream: 'stdio', server: 'legacy-stdio' },
  { suite: '2025-06-18', direct: 'legacy', upstream: 'http', server: 'legacy-http' },
  { suite: '2025-06-18', direct: 'legacy', upstream: 'stdio', server: 'legacy-stdio' },
  { suite: '2025-11-25', direct: 'legacy', upstream: 'http', server: 'legacy-http' },
  { suite: '2025-11-25', direct: 'legacy', upstream: 'stdio', server: 'legacy-stdio' },
  { suite: '2026-07-28', direct: 'modern', upstream: 'http', server: 'modern-http' },
  { suite: '2026-07-28', direct: 'modern', upstream: 'stdio', server: 'modern-stdio' },
  {
    suite: '2026-07-28',
    direct: 'modern',
    upstream: 'legacy-only http',
    server: 'legacy-http',
    isBridged: true,
  },
  {
    suite: '2026-07-28',
    direct: 'modern',
    upstream: 'legacy-only stdio',
    server: 'pinned-stdio',
    isBridged: true,
  },
]

const EXPECTED = JSON.parse(
  readFileSync(new URL('expected-differences.json', import.meta.url), 'utf8'),
) as Expected[]
const README = new URL('README.md', import.meta.url)
const CLIENT = fileURLToPath(new URL('client-program.ts', import.meta.url))
const isAuth = (check: string): boolean => check.startsWith('auth/')

const server = goServer()
const client = goClient()

describe.skipIf(server === null || client === null)('the official conformance suite', () => {
  const table: string[] = []
  /** Listed differences that occurred, as `<index> <suite>`. */
  const seen = new Set<string>()
  let legacy: Peer
  let modern: Peer
  let weir: Observed
  let relay: CountingRelay
  let door: Door

  const servers = (): Record<string, object> => ({
    'legacy-http': { url: legacy.url },
    'modern-http': { url: modern.url },
    // One process can do both: the era is the client's to choose, unless it is said here.
    'legacy-stdio': { command: [server!] },
    'modern-stdio': { command: [server!] },
    'pinned-stdio': { command: [server!], era: 'legacy' },
  })

  beforeAll(async () => {
    ;[legacy, modern] = await Promise.all([
      startGoServer(server!, 'legacy'),
      startGoServer(server!, 'modern'),
    ])
    weir = await startObserved({ servers: servers() })
    relay = await startCountingRelay(weir.port)
    door = await startDoor({
      configure: (more) => weir.weir.writeConfig({ servers: { ...servers(), ...more } }),
      weir_url: weir.url,
      public_url: relay.url,
    })
  })

  afterAll(async () => {
    await door?.close()
    await relay?.close()
    await weir?.stop()
    await Promise.all([legacy?.stop(), modern?.stop()])
  })

  /** What differs and is not listed. */
  function unlisted(found: ReadonlyMap<string, string>, suite: string, upstream: string): string[] {
    const rest = new Map(found)
    for (const [check, difference] of found)
      EXPECTED.forEach((e, i) => {
        if (!isCovered(e, suite, upstream, check, difference)) return
        rest.delete(check)
        seen.add(`${i} ${suite}`)
      })
    return [...rest].map(([check, difference]) => `${check}: ${difference}`)
  }

  /** Runs `act` and proves that each call in it, and all that was asked, left one event. `where`: their rows. */
  async function counted(where: string, act: () => Promise<Results>): Promise<Results> {
    const recordedBefore = await weir.events(where, 0)
    const askedBefore = recordedBefore.filter((r) => r.kind === 'server_request').length
    const earlier = recordedBefore.length - askedBefore
    relay.counts.clear()
    relay.questions.clear()
    const callsBefore = relay.calls
    const requestsBefore = relay.requests
    const results = await act()
    const calls = relay.calls - callsBefore
    const questions = [...relay.questions.values()].reduce((a, b) => a + b, 0)
    const of = (kind: string): string => `(${where}) AND kind ${kind} 'server_request'`
    const asked = (await weir.events(of('='), askedBefore + questions)).slice(askedBefore)
    const rows = (await weir.events(of('!='), earlier + calls)).slice(earlier)
    expect(rows.length).toBe(calls)
    expect(rows.filter((r) => r.kind === 'request').length).toBe(relay.requests - requestsBefore)
    const countOf = (groups: Partial<Record<string, unknown[]>>): object =>
      Object.fromEntries(Object.entries(groups).map(([method, list]) => [method, list!.length]))
    const byMethod = Object.groupBy(rows, (r) => (r.outcome === 'denied' ? 'refused' : r.method))
    expect(countOf(byMethod)).toEqual(Object.fromEntries(relay.counts))
    expect(countOf(Object.groupBy(asked, (r) => r.method))).toEqual(Object.fromEntries(relay.questions))
    return results
  }

  const directly = new Map<string, Promise<Results>>()
  /** The suite against the server itself, once. */
  function direct({ suite, direct: era }: Run): Promise<Results> {
    let results = directly.get(suite)
    if (!results) {
      results = runSuite(suite, (era === 'legacy' ? legacy : modern).url)
      directly.set(suite, results)
    }
    return results
  }

  const tell = (suite: string, era: string, upstream: string, before: Results, after: Results): void => {
    const unlike = differences(before, after).size
    table.push(
      `| ${suite} | ${era} | ${upstream} | ${tally(before)} | ${tally(after)} | ${unlike === 0 ? 'none' : unlike} |`,
    )
  }

  test.for(RUNS)('$suite, $direct, $upstream server: as direct, and one event per call', async (run) => {
    const { suite, upstream, server: name, isBridged } = run
    const before = await direct(run)
    expect(before.exit_code, 'the direct run itself passes').toBe(0)
    const endpoint = `/servers/${name}/mcp`
    const after = await counted(`endpoint = '${endpoint}'`, () => runSuite(suite, relay.url + endpoint))
    expect(unlisted(differences(before, after), suite, upstream)).toEqual([])
    if (!isBridged) expect(after.exit_code).toBe(0)
    tell(suite, run.direct, upstream, before, after)
  })

  test.for(CLIENT_SUITES)('$name: as direct, and one event per call', async ({ name, era }) => {
    const before = await runClientSuite(name, [client!])
    expect(before.exit_code, 'the direct run itself passes').toBe(0)
    const others = Object.keys(servers())
      .concat([...door.names.keys()])
      .map((s) => `'${s}'`)
    const after = await counted(`server NOT IN (${others.join(', ')})`, () =>
      runClientSuite(name, [process.execPath, CLIENT, door.url, client!]),
    )
    expect(unlisted(differences(before, after), name, 'http')).toEqual([])
    const required = (results: Results): Results => results.only((check) => !isAuth(check))
    tell(name, era, 'http', required(before), required(after))

    // Listed as a whole: so it must be as a whole that these do not get through.
    const auth = after.only(isAuth)
    const passing = new Set([...auth.checks.keys()].map(scenarioOf))
    for (const [check, status] of auth.checks) if (status === 'FAILURE') passing.delete(scenarioOf(check))
    expect([...passing], 'a token of the client has gone to the server').toEqual([])
    table.push(`| ${name}, auth/* | ${era} | http | ${tally(before.only(isAuth))} | ${tally(auth)} | all |`)
  })

  test('every listed difference still occurs', () => {
    const listed = EXPECTED.flatMap((e, i) =>
      e.suites.map((suite) => ({ key: `${i} ${suite}`, text: `${suite}: ${e.check}` })),
    )
    expect(listed.filter((l) => !seen.has(l.key)).map((l) => l.text)).toEqual([])
  })

  test('README.md tells these results', () => {
    const text = readme(table, EXPECTED)
    if (process.env.UPDATE === '1') writeFileSync(README, text)
    expect(readFileSync(README, 'utf8'), 'UPDATE=1 writes it anew').toBe(text)
  })
})
