/** How the collector reaches the store: the embedded one by the secrets of the installation, a server by what the config says. */
import type { StoreOptions } from '../collector/options.ts'
import type { Config } from '../config/schema.ts'

/** `embedded_url`: where the embedded store listens, '' while that is not known; `secret`: the password of its writer. */
export function storeAccess(store: Config['store'], embedded_url: string, secret: string): StoreOptions {
  const { url, user, password, database, timeout_ms, reader_password } = store
  return url === undefined
    ? {
        url: embedded_url || `http://${store.listen}`,
        user: 'weir',
        password: secret,
        database: 'weir',
        timeout_ms,
        embedded: true,
        reader_password,
      }
    : { url, user: user || 'default', password, database, timeout_ms, embedded: false, reader_password: '' }
}
