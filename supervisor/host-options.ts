/** What the host of servers is told of a config. Pure: where its socket is comes as an argument. */
import type { Config } from '../config/schema.ts'
import { isHosted } from '../config/transport.ts'
import type { HostOptions } from '../proxy/host/options.ts'

/** Sessions that the bridge may keep with one streamable HTTP server. */
const BRIDGE_SESSIONS_MAX = 1000

export function hostOptions({ http, servers, log }: Config, socket: string): HostOptions {
  const { sessions_per_caller_max } = http
  // A streamable HTTP server is here for its bridge alone; there, what counts as a process is a mere session.
  const all = Object.entries(servers).map(([name, server]) => [
    name,
    {
      ...server,
      sessions_per_caller_max,
      ...(isHosted(server) ? {} : { processes_max: BRIDGE_SESSIONS_MAX }),
    },
  ])
  return {
    socket,
    servers: Object.fromEntries(all) as HostOptions['servers'],
    log_level: log.level,
    drain_timeout_ms: http.drain_timeout_ms,
  }
}
