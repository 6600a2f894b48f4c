/** Certificates of TLS listeners: whether they can be used, and until when. Reads the files that the config names. */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Config } from '../config/schema.ts'
import { readTls } from '../net/listener-tls.ts'
import { type Check, ok, problem, warning } from './doctor-machine.ts'
import { listenSetting } from './findings.ts'
import { clean } from './terminal.ts'

const DAY_MS = 86_400_000
const SOON_DAYS = 14

export function certificates(config: Config, now_ms = Date.now()): Check[] {
  const listeners = config.listen.map(({ tls }, i) => [listenSetting(config, i), tls] as const)
  return [...listeners, ['admin', config.admin.tls] as const].flatMap(([setting, tls]) =>
    tls ? [certificate(setting, tls, now_ms)] : [],
  )
}

function certificate(
  setting: string,
  tls: NonNullable<Config['listen'][number]['tls']>,
  now_ms: number,
): Check {
  const name = `certificate ${setting}`
  try {
    readTls(tls, `${setting}.tls`)
    const { validToDate, validFromDate, issuer } = new X509Certificate(readFileSync(tls.cert))
    const until = validToDate.toISOString().slice(0, 10)
    const fix = `put a new certificate and its key at ${tls.cert} and ${tls.key}: no restart is needed`
    if (validToDate.getTime() < now_ms) return problem(name, `ended on ${until}`, fix)
    if (validFromDate.getTime() > now_ms)
      return problem(name, `begins on ${validFromDate.toISOString()}`, fix)
    if (validToDate.getTime() < now_ms + SOON_DAYS * DAY_MS) return warning(name, `ends on ${until}`, fix)
    return ok(name, clean(`until ${until}, from ${issuer.replaceAll('\n', ', ')}`))
  } catch (error) {
    return problem(name, clean((error as Error).message), `see the paths and permissions of ${setting}.tls`)
  }
}
