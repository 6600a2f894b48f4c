/** A proxy worker as a process: options in, listen, answer the supervisor, drain. */
import { withPort } from '../config/address.ts'
import type { Config } from '../config/schema.ts'
import type { Answer, Ask, Settled } from '../limits/messages.ts'
import { askSupervisor, serveChild, tellSupervisor } from '../supervisor/link.ts'
import type { Cancelled } from './open-calls.ts'
import type { WorkerOptions } from './options.ts'
import type { News } from './questions.ts'
import type { RunNews } from './telemetry/inferred-runs.ts'
import { Worker } from './wire.ts'

/** Longer than any keeper waits for its Redis. */
const LIMITS_MS = 15_000

let worker: Worker | null = null

serveChild<WorkerOptions>({
  async start(options) {
    worker = new Worker(options, {
      tell: tellSupervisor,
      askOthers: async (question, argument) => (await askSupervisor(question, argument)) === true,
      limits: {
        ask: async (asks: readonly Ask[]) =>
          (await askSupervisor('limits', asks, LIMITS_MS)) as readonly Answer[],
        settle: (settled: readonly Settled[]) => tellSupervisor('limits', settled),
      },
    })
    const ports = await worker.listen()
    const { listen } = options.config
    return listen
      .map(({ address, tls }, i) => `${tls ? 'https' : 'http'}://${withPort(address, ports[i]!)}`)
      .join(' ')
  },
  async reload(options) {
    worker?.reload((options as unknown as { config: Config }).config)
  },
  answer(question, argument) {
    if (question === 'metrics') return worker?.snapshot()
    if (question === 'spool_full') {
      if (worker) worker.isSpoolFull = argument === true
      return true
    }
    if (question === 'cancelled') {
      worker?.cancelled(argument as Cancelled)
      return true
    }
    if (question === 'runs') {
      worker?.heardOfRuns(argument as RunNews[])
      return true
    }
    if (question === 'question') return worker?.heardOfQuestion(argument as News) ?? false
    if (question === 'recall') return worker?.recallLimit(argument as string)
    throw new Error(`unknown question ${question}`)
  },
  async drain() {
    await worker?.drain()
  },
})
