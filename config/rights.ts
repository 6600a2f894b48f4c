/** Whether anything in a config limits what callers may do. Without it the proxy has no stage that asks. */
import type { Config } from './schema.ts'

/** Rules, keys with a scope, or authorization servers, whose tokens have scopes. */
export function hasRights(config: Config): boolean {
  if (config.rules.length > 0 || config.auth.oauth.length > 0) return true
  return Object.values(config.callers).some(({ keys }) => keys.some(({ scope }) => scope !== undefined))
}
