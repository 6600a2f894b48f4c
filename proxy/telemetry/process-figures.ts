/** CPU, memory and event-loop delay of this process, as Prometheus names them. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Metrics } from './metrics.ts'

export class ProcessFigures {
  readonly #delay = monitorEventLoopDelay({ resolution: 20 })

  constructor() {
    this.#delay.enable()
  }

  /** Writes the figures of now; the delay starts anew. */
  into(metrics: Metrics, worker: string): void {
    const { user, system } = process.cpuUsage()
    metrics.set('process_cpu_seconds_total', (user + system) / 1e6, [worker])
    metrics.set('process_resident_memory_bytes', process.memoryUsage.rss(), [worker])
    metrics.set('nodejs_eventloop_lag_p99_seconds', this.#delay.percentile(99) / 1e9, [worker])
    this.#delay.reset()
  }
}
