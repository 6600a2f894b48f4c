/** The literal secrets of a config, for the redactor. Apart from the wiring, so that whoever only records need not load it. */
import type { Config } from '../../config/schema.ts'

/** Values of the config that must never be seen in a text, however they got there. */
export const configSecrets = (config: Config): string[] => [
  ...Object.values(config.servers).flatMap((s) => [
    s.credentials.bearer ?? '',
    ...Object.values(s.headers),
    ...Object.values(s.env),
    ...(s.url ? passwordOf(s.url) : []),
  ]),
  ...(config.store.url ? passwordOf(config.store.url) : []),
  ...(config.limits_store.redis ? passwordOf(config.limits_store.redis.url) : []),
  config.store.password,
  config.store.reader_password,
  config.collector.token ?? '',
  ...config.export.otlp.flatMap((target) => Object.values(target.headers)),
]

/** The password in a URL, as written and as meant. */
function passwordOf(url: string): string[] {
  const { password } = new URL(url)
  return [password, decodeURIComponent(password)]
}
