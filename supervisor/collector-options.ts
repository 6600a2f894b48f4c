/** What the collector is told of a config. Pure: addresses and secrets come as arguments, for only the supervisor knows them. */
import type { CollectorOptions } from '../collector/options.ts'
import { expiryMs } from '../config/key-text.ts'
import type { ConsoleLogin, Issuer } from '../config/oauth.ts'
import { moneyOptions } from '../config/price-book.ts'
import type { Config } from '../config/schema.ts'
import { storeAccess } from './store-access.ts'

/** `store`: where the embedded store listens, '' while that is not known. */
export type Surroundings = Pick<CollectorOptions, 'listen' | 'intake_token' | 'alerts'> & {
  store: string
  store_password: string
}

export function collectorOptions(config: Config, around: Surroundings): CollectorOptions {
  const { retention, context, export: exported, callers, http, instance, env, log } = config
  return {
    listen: around.listen,
    instance,
    env,
    intake_token: around.intake_token,
    store: storeAccess(config.store, around.store, around.store_password),
    retention,
    context,
    anomalies: config.anomalies,
    export: exported,
    // A token with a scope is for some tools of some servers: it opens no console, which shows them all.
    caller_keys: Object.values(callers).flatMap(({ keys }) =>
      keys.filter(({ scope }) => scope === undefined).map(({ sha256 }) => sha256),
    ),
    has_callers: Object.keys(callers).length > 0,
    key_expiries: Object.fromEntries(
      Object.values(callers).flatMap(({ keys }) =>
        keys.filter(({ expires }) => expires !== undefined).map((key) => [key.sha256, expiryMs(key)]),
      ),
    ),
    login: {
      public_url: config.console.public_url ?? '',
      issuers: config.auth.oauth.filter(offersLogin),
      callers: Object.fromEntries(
        Object.entries(callers).map(([name, { roles, keys }]) => [
          name,
          { roles, isNarrow: keys.length > 0 && keys.every(({ scope }) => scope !== undefined) },
        ]),
      ),
    },
    allowed_hosts: http.allowed_hosts,
    allowed_origins: http.allowed_origins,
    log_level: log.level,
    money: moneyOptions(config),
    alerts: linked(around.alerts, config.console.public_url),
  }
}

const offersLogin = (issuer: Issuer): issuer is Issuer & { console: ConsoleLogin } =>
  issuer.console !== undefined

/** Links of alerts lead where browsers reach the console, unless they have a place of their own. */
const linked = (alerts: CollectorOptions['alerts'], public_url: string | undefined) =>
  public_url === undefined || alerts.alerts.console_url !== undefined
    ? alerts
    : { ...alerts, alerts: { ...alerts.alerts, console_url: public_url } }
