/**
 * Calls and three price books for the tests of money, with what each call costs by each book worked out a second time, by hand
 * and by another way (fractions of BigInt) than the product's.
 */

import { parseConfig } from '../../../config/load.ts'
import { type MoneyOptions, moneyOptions } from '../../../config/price-book.ts'
import type { CallEvent } from '../../../event/fields.ts'
import { makeEvent } from '../support/events.ts'

/** Money of a config text; servers bank, files, news and search are there. */
export function moneyOf(more: string, prices: Readonly<Record<string, string>> = {}): MoneyOptions {
  const servers = ['bank', 'files', 'news', 'search'].map(
    (name) => `  ${name}: { url: "http://localhost:1/mcp"${prices[name] ? `, price: ${prices[name]}` : ''} }`,
  )
  return moneyOptions(parseConfig(`servers:\n${servers.join('\n')}\n${more}`, 'weir.yaml', {}).config)
}

export const DAY_US = 86_400_000_000

/** Cost in nano-dollars; null: unpriced; undefined: nothing to pay for. */
export type Expected = bigint | null | undefined
export type TestBook = { money: MoneyOptions; cost(event: CallEvent): Expected }

/** n/d to the nearest, halves to even, for n >= 0. */
const near = (n: bigint, d: bigint): bigint => {
  const down = n / d
  const twice = 2n * (n - down * d)
  return twice > d || (twice === d && down % 2n === 1n) ? down + 1n : down
}
const executed = (e: CallEvent): boolean =>
  e.attempts > 0 && ['ok', 'tool_error', 'rpc_error'].includes(e.outcome)
const isCall = (e: CallEvent): boolean => e.kind === 'request' && e.method === 'tools/call'
const big = BigInt

/** Parts in 10^-24 USD: call + tokens in + tokens out + seconds. */
const rated = (e: CallEvent, call: bigint, tin: bigint, tout: bigint, second: bigint): bigint =>
  near(
    call * 10n ** 15n +
      tin * big(e.tokens_in) +
      tout * big(e.tokens_out) +
      (second * big(e.upstream_us)) / 1n,
    10n ** 15n,
  )

export function books(middle_us: number): Record<'a' | 'b' | 'c', TestBook> {
  const middle = new Date(middle_us / 1000).toISOString()
  const a = moneyOf('prices:\n  - { server: files, tool: scan, formula: "0.001 + 0.0025 * args.pages" }\n', {
    bank: '{ per_call_usd: 0.0015, per_input_token_usd: 0.000000333, per_output_token_usd: "0.0000000000123", per_second_usd: 0.0001 }',
    news: '{ reported: true, per_call_usd: 0.01, bill_on: ok }',
    search: '{ per_month_usd: 100.000000007, split_by: calls }',
  })
  // bank gets dearer from the middle on, files is priced as a whole, news is not trusted any more.
  const b = moneyOf(
    `prices:
  - { server: files, tool: scan, formula: "0.001 + 0.0025 * args.pages" }
  - { server: files, per_call_usd: 0.000000001 }
  - { server: bank, per_call_usd: 0.0015, valid_to: "${middle}" }
  - { server: bank, per_call_usd: 0.0025, valid_from: "${middle}" }
`,
    { news: '{ per_call_usd: 0.01, bill_on: ok }', search: '{ per_month_usd: 100.000000007 }' },
  )
  // bank has lost its price, files costs nothing but by a default, all calls of news count.
  const c = moneyOf(
    `prices:
  - { per_call_usd: 0.0000005 }
  - { server: bank, tool: "get_*", formula: "args.no_such_number * 1.0" }
`,
    { news: '{ reported: true, per_byte_out_usd: 0.0000000000015, bill_on: all }' },
  )
  return {
    a: {
      money: a,
      cost(e) {
        if (!isCall(e)) return undefined
        if (e.server === 'news') {
          if (e.cost_reported) return big(e.cost_reported_nano)
          return e.attempts > 0 && e.outcome === 'ok' ? 10_000_000n : undefined
        }
        if (!executed(e)) return undefined
        if (e.server === 'bank')
          return rated(
            e,
            1_500_000n,
            333_000_000_000n * 1_000_000n,
            12_300_000n * 1_000_000n,
            100_000_000_000_000n,
          )
        if (e.server === 'search') return 0n
        if (e.server === 'files' && e.tool === 'scan')
          return e.meters.pages === undefined ? null : 1_000_000n + 2_500_000n * big(e.meters.pages)
        return null
      },
    },
    b: {
      money: b,
      cost(e) {
        if (!isCall(e)) return undefined
        if (e.server === 'news') return e.attempts > 0 && e.outcome === 'ok' ? 10_000_000n : undefined
        if (!executed(e)) return undefined
        if (e.server === 'bank') return e.ts < Math.floor(middle_us / 1000) * 1000 ? 1_500_000n : 2_500_000n
        if (e.server === 'search') return 0n
        if (e.server === 'files' && e.tool === 'scan')
          return e.meters.pages === undefined ? null : 1_000_000n + 2_500_000n * big(e.meters.pages)
        return e.server === 'files' ? 1n : null
      },
    },
    c: {
      money: c,
      cost(e) {
        if (!isCall(e)) return undefined
        if (e.server === 'news')
          return e.cost_reported ? big(e.cost_reported_nano) : near(1500n * big(e.response_bytes), 1_000_000n)
        if (!executed(e)) return undefined
        if (e.server === 'bank' && e.tool.startsWith('get_')) return null
        return 500n
      },
    },
  }
}

/** A call as the proxy would record it; everything costs depend on, or are attributed to, differs. */
export function randomCall(random: () => number, ts: number): CallEvent {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const int = (max: number): number => Math.floor(random() * max)
  const team = pick(['research', 'ops', ''])
  const server = pick(['bank', 'bank', 'files', 'news', 'search', 'other'])
  const outcome =
    random() < 0.75 ? 'ok' : pick(['tool_error', 'rpc_error', 'timeout', 'denied', 'input_required'] as const)
  const isReported = server === 'news' && random() < 0.6
  return makeEvent({
    ts,
    kind: random() < 0.95 ? 'request' : pick(['notification', 'server_request'] as const),
    method: random() < 0.85 ? 'tools/call' : pick(['tools/list', 'prompts/get']),
    team,
    project: pick(['p1', 'p2', '']),
    caller: pick(['alice', 'bob', 'it\'s "quoted", \\ and, ünïcode']),
    agent: pick(['planner', 'coder', '']),
    env: pick(['prod', '']),
    tags: team === 'research' ? { cost_center: pick(['4711', '4712']), owner: 'x' } : {},
    server,
    tool:
      server === 'bank'
        ? pick(['get_balance', 'transfer'])
        : server === 'files'
          ? pick(['scan', 'read'])
          : 'q',
    outcome,
    owner: outcome === 'ok' || outcome === 'input_required' ? 'none' : 'upstream',
    attempts: outcome === 'denied' ? 0 : 1 + int(2),
    shadow: ['lid'],
    meters: server === 'files' && random() < 0.8 ? { pages: int(40) } : {},
    cost_reported: isReported,
    cost_reported_nano: isReported ? int(5_000_000) : 0,
    tokens_in: int(2000),
    tokens_out: int(20_000),
    request_bytes: int(9000),
    response_bytes: int(90_000),
    upstream_us: int(3_000_000),
    run_id: `run-${int(30)}`,
    session_id: random() < 0.3 ? '' : `session-${int(30)}`,
  })
}
