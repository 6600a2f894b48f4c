/** What calls cost, on the call path: what one will probably cost, and what it has cost. By the prices of this config. */
import { compileBook, type Facts } from '../../config/cost-book.ts'
import type { PriceEntry } from '../../config/price-book.ts'
import type { Call } from '../call.ts'
import { wallUs } from '../telemetry/clock.ts'

/** Tools remembered; clients choose their names. */
const REMEMBERED_MAX = 5_000
/** Weight of the newest call in what one is expected to cost. */
const NEWEST = 0.3
/** Set aside for a call whose price is known only when it is over: so it counts then, and none passes where nothing is left. */
const UNKNOWN_NANO = 1

export class Spending {
  readonly #book: ReturnType<typeof compileBook>
  /** Servers that say themselves what a call has cost. */
  readonly #reporting: ReadonlySet<string>
  /** What calls of a tool have cost lately, nano-dollars. */
  readonly #recent = new Map<string, number>()

  constructor(prices: readonly PriceEntry[]) {
    this.#book = compileBook(prices)
    this.#reporting = new Set(prices.filter(({ reported }) => reported).map(({ server }) => server))
  }

  /**
   * Nano-dollars to set aside before a call: what is certain (price of a call, of its arguments), or what calls of its tool
   * have cost lately if that is more. 0: it costs nothing, or has no price. A formula that its arguments make fail is a price.
   */
  expected(call: Call): number {
    let isOpen = this.#reporting.has(call.server)
    const rated = this.#book.rate(
      {
        ...this.#known(call),
        outcome: 'ok',
        attempts: 1,
        tokens_out: 0,
        response_bytes: 0,
        upstream_us: 0,
        cost_reported: false,
        cost_reported_nano: 0,
      },
      () => {
        isOpen = true
      },
    )
    if (rated.cost_source === 'none') return 0
    if (rated.cost_source === 'formula') isOpen = true
    const recent = this.#recent.get(toolKey(call.server, call.tool)) ?? 0
    return Math.max(rated.cost_nano, Math.ceil(recent), isOpen ? UNKNOWN_NANO : 0)
  }

  /** Nano-dollars that a call has cost, as the collector will rate it. */
  cost(facts: Facts): number {
    const { cost_nano, cost_source } = this.#book.rate(facts)
    if (cost_source === 'none' || cost_source === 'unpriced') return cost_nano
    const key = toolKey(facts.server, facts.tool)
    const before = this.#recent.get(key)
    if (this.#recent.size >= REMEMBERED_MAX && before === undefined) this.#recent.clear()
    this.#recent.set(key, before === undefined ? cost_nano : before + NEWEST * (cost_nano - before))
    return cost_nano
  }

  #known(
    call: Call,
  ): Pick<Facts, 'ts' | 'kind' | 'method' | 'server' | 'tool' | 'tokens_in' | 'request_bytes' | 'meters'> {
    return {
      ts: wallUs(call.received_us),
      kind: call.kind,
      method: call.method,
      server: call.server,
      tool: call.tool,
      tokens_in: Math.ceil(call.arguments_bytes / 4),
      request_bytes: call.request_bytes || call.body.length,
      meters: call.meters,
    }
  }
}

const toolKey = (server: string, tool: string): string => `${server}/${tool}`
