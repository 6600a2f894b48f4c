/**
 * The host process: wires the host to its supervisor. Nothing here but the wiring.
 */
import { serveChild } from '../../supervisor/link.ts'
import { Host } from './host.ts'
import type { HostOptions } from './options.ts'

const host = new Host(process.env)

serveChild<HostOptions>({
  start: (options) => host.start(options),
  reload: async (options) => host.reload(options),
  drain: () => host.drain(),
  beat: async () => {},
  answer: (question) => {
    if (question === 'metrics') return host.metrics()
    if (question === 'status') return host.status()
    throw new Error(`the host knows no answer to "${question}"`)
  },
})
