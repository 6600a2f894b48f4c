/**
 * The collector process. Started by the supervisor; options come over IPC, the address it listens on goes back.
 */
import type { LimitNote } from '../limits/messages.ts'
import { serveChild } from '../supervisor/link.ts'
import type { CollectorOptions } from './options.ts'
import { type Collector, openCollector } from './wire.ts'

let collector: Collector | null = null

serveChild<CollectorOptions>({
  async start(options) {
    collector = await openCollector(options)
    return collector.address
  },
  async reload(options) {
    collector?.reload(options)
  },
  async drain() {
    await collector?.drain()
  },
  answer(question, argument) {
    if (question === 'metrics') return collector?.metrics()
    if (question === 'limit_note') return collector?.noteLimit(argument as LimitNote)
    if (question === 'key_use') return collector?.keyUse(argument as number)
    if (question === 'spent') return collector?.spent(argument as number)
  },
})
