/**
 * Promise 4 (transparent): the official suite's results through Weir equal the direct ones, check by check. Every
 * difference stands with its reason in expected-differences.json; one that is not listed fails, and so does one that is
 * listed and gone. README.md is generated from the results (UPDATE=1 writes it).
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { goServer, type Peer, startGoServer } from '../e2e/support/go-server.ts'
import { type Observed, startObserved } from '../e2e/support/observed.ts'
import { type CountingRelay, startCountingRelay } from './counting-relay.ts'
import { differences, type Results, runSuite, type SuiteName } from './suite.ts'

type Expected = { suites: SuiteName[]; upstream: string; check: string; difference: string; reason: string }

const EXPECTED = JSON.parse(
  readFileSync(new URL('expected-differences.json', import.meta.url), 'utf8'),
) as Expected[]
const README = new URL('README.md', import.meta.url)

/** Which upstreams stand behind each suite; `direct` is the era of the server asked without Weir. */
const RUNS: readonly { suite: SuiteName; direct: 'legacy' | 'modern'; through: readonly string[] }[] = [
  { suite: '0.1.16 all', direct: 'legacy', through: ['http', 'stdio'] },
  { suite: '2025-06-18', direct: 'legacy', through: ['http', 'stdio'] },
  { suite: '2025-11-25', direct: 'legacy', through: ['http', 'stdio'] },
  { suite: '2026-07-28', direct: 'modern', through: ['http', 'stdio'] },
]

const isCovered = (
  e: Expected,
  suite: string,
  upstream: string,
  check: string,
  difference: string,
): boolean =>
  (e.suites as string[]).includes(suite) &&
  e.upstream === upstream &&
  (e.check.endsWith('*') ? check.startsWith(e.check.slice(0, -1)) : e.check === check) &&
  (e.difference === 'any' || e.difference === difference)

const binary = goServer()

describe.skipIf(binary === null)('the official conformance suite', () => {
  const table: string[] = []
  /** Listed differences that occurred, as `<index> <suite>`. */
  const seen = new Set<string>()
  let legacy: Peer
  let modern: Peer
  let weir: Observed
  let relay: CountingRelay

  beforeAll(async () => {
    ;[legacy, modern] = await Promise.all([
      startGoServer(binary!, 'legacy'),
      startGoServer(binary!, 'modern'),
    ])
    weir = await startObserved({
      servers: {
        'legacy-http': { url: legacy.url },
        'modern-http': { url: modern.url },
        // One process can do both: the era is the client's to choose.
        'legacy-stdio': { command: [binary!] },
        'modern-stdio': { command: [binary!] },
      },
    })
    relay = await startCountingRelay(weir.port)
  })

  afterAll(async () => {
    await relay?.close()
    await weir?.stop()
    await Promise.all([legacy?.stop(), modern?.stop()])
  })

  for (const { suite, direct, through } of RUNS)
    describe(suite, () => {
      let before: Results
      beforeAll(async () => {
        before = await runSuite(suite, (direct === 'legacy' ? legacy : modern).url)
        expect(before.exit_code, 'the direct run itself passes').toBe(0)
      })

      for (const upstream of through)
        test(`${direct} ${upstream} server: as direct, and one event per call`, async () => {
          const endpoint = `/servers/${direct}-${upstream}/mcp`
          const recorded = await weir.events(`endpoint = '${endpoint}'`, 0)
          const earlierAsked = recorded.filter((r) => r.kind === 'server_request').length
          const earlier = recorded.length - earlierAsked
          relay.counts.clear()
          relay.questions.clear()
          const callsBefore = relay.calls
          const requestsBefore = relay.requests
          const after = await runSuite(suite, relay.url + endpoint)
          const found = differences(before, after)
          for (const [check, difference] of found)
            EXPECTED.forEach((e, i) => {
              if (!isCovered(e, suite, upstream, check, difference)) return
              found.delete(check)
              seen.add(`${i} ${suite}`)
            })
          expect([...found].map(([check, difference]) => `${check}: ${difference}`)).toEqual([])
          expect(after.exit_code).toBe(0)

          const calls = relay.calls - callsBefore
          const requests = relay.requests - requestsBefore
          const questions = [...relay.questions.values()].reduce((a, b) => a + b, 0)
          const of = (kind: string): string => `endpoint = '${endpoint}' AND kind ${kind} 'server_request'`
          const asked = (await weir.events(of('='), earlierAsked + questions)).slice(earlierAsked)
          const rows = (await weir.events(of('!='), earlier + calls)).slice(earlier)
          expect(rows.length).toBe(calls)
          expect(rows.filter((r) => r.kind === 'request').length).toBe(requests)
          const byMethod = Object.groupBy(rows, (r) => (r.outcome === 'denied' ? 'refused' : r.method))
          const countOf = (groups: Partial<Record<string, unknown[]>>): object =>
            Object.fromEntries(Object.entries(groups).map(([method, list]) => [method, list!.length]))
          expect(countOf(byMethod)).toEqual(Object.fromEntries(relay.counts))
          expect(countOf(Object.groupBy(asked, (r) => r.method))).toEqual(Object.fromEntries(relay.questions))

          const unlike = differences(before, after).size
          table.push(
            `| ${suite} | ${direct} | ${upstream} | ${before.passed}/${before.failed} | ${after.passed}/${after.failed} | ${unlike === 0 ? 'none' : unlike} |`,
          )
        })
    })

  test('every listed difference still occurs', () => {
    const listed = EXPECTED.flatMap((e, i) =>
      e.suites.map((suite) => ({ key: `${i} ${suite}`, text: `${suite}: ${e.check}` })),
    )
    expect(listed.filter((l) => !seen.has(l.key)).map((l) => l.text)).toEqual([])
  })

  test('README.md tells these results', () => {
    const text = readme(table)
    if (process.env.UPDATE === '1') writeFileSync(README, text)
    expect(readFileSync(README, 'utf8'), 'UPDATE=1 writes it anew').toBe(text)
  })
})

const readme = (table: readonly string[]): string => `# Conformance through Weir

Generated by \`conformance.test.ts\`; \`UPDATE=1\` writes it anew. Checks passed/failed of the official suite
(\`@modelcontextprotocol/conformance\` 0.1.16 for the first row, 0.2.0-alpha.12 for the others), run against the Go SDK's
everything-server v1.8.0 directly and through \`/servers/<name>/mcp\` of a \`weir up\`. For a stdio server the direct run is the
same program over HTTP. Every POST of every suite, and everything its server asked, left exactly one event, counted by a relay in
front of Weir.

| suite | era | upstream | direct | through Weir | checks that differ |
|---|---|---|---|---|---|
${table.join('\n')}

The failures at 2026-07-28 are the unscored scenarios of the tasks extension, which the server does not have.

## Differences and their reasons

${EXPECTED.map((e) => `- \`${e.check}\` (${e.suites.join(', ')}; ${e.upstream}), ${e.difference === 'any' ? 'several' : e.difference}: ${e.reason}`).join('\n')}
`
