/** What the host is told of a config. Pure. */
import type { Config } from '../config/schema.ts'
import { isHosted } from '../config/transport.ts'
import type { HostOptions } from '../proxy/host/options.ts'

/** Sessions that the bridge may keep with one streamable HTTP server. */
const BRIDGE_SESSIONS_MAX = 1000

export function hostOptions(config: Config, socket: string): HostOptions {
  const { sessions_per_caller_max, drain_timeout_ms } = config.http
  // A streamable HTTP server is here for its bridge alone; there, what counts as a process is a mere session.
  const servers = Object.entries(config.servers).map(([name, server]) => [
    name,
    {
      ...server,
      sessions_per_caller_max,
      ...(isHosted(server) ? {} : { processes_max: BRIDGE_SESSIONS_MAX }),
    },
  ])
  return {
    socket,
    servers: Object.fromEntries(servers) as HostOptions['servers'],
    log_level: config.log.level,
    drain_timeout_ms,
  }
}
