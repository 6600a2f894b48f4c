/** What the admin API is started with. Arrives over IPC from the supervisor; of tokens it holds digests only. */
import type { AdminConfig } from '../config/admin.ts'
import type { LogLevel } from '../event/log.ts'

export type AdminOptions = {
  /** host:port; port 0 takes a free one. */
  listen: string
  /** Path of weir.yaml. */
  file: string
  admin: AdminConfig
  log_level: LogLevel
}

/** What the supervisor says once it was asked to take over what the file says now. */
export type Reloaded = {
  /** SHA-256 of the text in force. */
  sha256: string
  /** Why it is not the text of the file; '' when it is. */
  refused: string
  /** SHA-256 of the text that was refused, '' for none. */
  refused_sha256: string
}
/** Principal (`caller#id`) and the moment of its last call, milliseconds since 1970. */
export type KeyUse = { readonly principal: string; readonly last_ms: number }
/** When keys were last used: the question, and how long a list of keys waits for its answer. */
export const KEY_USE_QUESTION = 'key_use'
export const KEY_USE_MAX_MS = 3_000

/** To take over what the file says: the question, and how long its answer may take, for every process is told. */
export const RELOAD_QUESTION = 'reload_config'
export const RELOAD_MAX_MS = 15_000
