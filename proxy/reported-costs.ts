/** What trusted servers say their calls cost. Another currency is not converted: such a call is rated as if nothing was said. */
import type { Log } from '../event/log.ts'
import type { Call } from './call.ts'
import { readReportedCost } from './mcp/reported-cost.ts'
import type { Metrics } from './telemetry/metrics.ts'

export class ReportedCosts {
  readonly #metrics: Metrics
  readonly #log: Log
  /** What was told once of servers that report no usable cost. */
  readonly #told = new Set<string>()

  constructor(metrics: Metrics, log: Log) {
    this.#metrics = metrics
    this.#log = log
  }

  /** Takes the cost out of an answer of a trusted server. */
  take(call: Call, text: string): void {
    if (call.method !== 'tools/call' || call.kind !== 'request' || call.result_read === 'none') return
    const cost = readReportedCost(text)
    if (cost === null) return
    const result = typeof cost === 'string' ? cost : 'taken'
    this.#metrics.add('weir_cost_reports_total', 1, [call.server, result])
    if (typeof cost !== 'string') {
      call.cost_reported = true
      call.cost_reported_nano = cost.nano
    } else if (!this.#told.has(`${call.server} ${cost}`)) {
      this.#told.add(`${call.server} ${cost}`)
      this.#log.warn('a reported cost is not taken: such calls are rated by their price', {
        server: call.server,
        why: cost === 'currency' ? 'its currency is not USD' : 'it is no amount',
      })
    }
  }
}
