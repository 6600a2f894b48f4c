/** Whether anything in a config limits what callers may do. Without it the proxy has no stage that asks. */
import { tokenIssuers } from './access-check.ts'
import type { Config } from './schema.ts'

/** Rules, keys with a scope, or authorization servers, whose tokens have scopes. */
export function hasRights(config: Config): boolean {
  if (config.rules.length > 0 || tokenIssuers(config.auth).length > 0) return true
  return Object.values(config.callers).some(({ keys }) => keys.some(({ scope }) => scope !== undefined))
}
