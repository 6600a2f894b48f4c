/** What the host is started and reloaded with. Sent by the supervisor over IPC, because it holds secrets (env of the servers). */
import type { ServerConfig } from '../../config/schema.ts'
import type { LogLevel } from '../../event/log.ts'

/** What the host needs of a server's config. */
export type HostedServer = {
  /** Most legacy sessions of one caller; absent: no limit. */
  sessions_per_caller_max?: number
} & Pick<
  ServerConfig,
  | 'url'
  | 'transport'
  | 'headers'
  | 'credentials'
  | 'command'
  | 'args'
  | 'env'
  | 'cwd'
  | 'era'
  | 'isolation'
  | 'processes_max'
  | 'instances'
  | 'memory_max_bytes'
  | 'idle_timeout_ms'
  | 'timeout_ms'
  | 'timeout_max_ms'
>

export type HostOptions = {
  /** Path of the Unix domain socket; its folder must exist. Cannot change on reload. */
  socket: string
  /** By name. Streamable HTTP servers are reached directly by clients of their era; here they are for the others. */
  servers: Record<string, HostedServer>
  log_level: LogLevel
  /** How long a drain waits for calls in flight before their children are ended. Default 30 s. */
  drain_timeout_ms?: number
}

/** Header in which a worker names the caller. Opaque here; never forwarded to a child. */
export const PRINCIPAL_HEADER = 'weir-principal'
/** Header in which a worker says that a session is part of one at the roof, which is counted there. */
export const ROOF_HEADER = 'weir-roof'
/** Header on answers: microseconds a request waited for its child (spawn, initialize, full pipe) before it was forwarded. */
export const QUEUE_HEADER = 'weir-queue-us'
/** Header on answers that crossed eras: the revision spoken with the server. */
export const UPSTREAM_VERSION_HEADER = 'weir-upstream-version'
