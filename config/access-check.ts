/** What `auth`, `console.public_url`, `listen[].tls` and `callers.<name>.certificates` cannot tell each alone. */
import { hostOf, isLoopback } from './address.ts'
import type { Auth, Issuer } from './oauth.ts'
import type { Config } from './schema.ts'

type Add = (path: PropertyKey[], message: string, fix: string) => void

/** Whether anybody is known by name: then whoever is not, is refused. */
export const knowsCallers = ({ callers, auth }: Pick<Config, 'callers' | 'auth'>): boolean =>
  Object.keys(callers).length > 0 || tokenIssuers(auth).length > 0

/** Returns warnings; problems go to `add`. */
export function checkAccess(config: Config, add: Add): string[] {
  const { auth, callers, listen } = config
  const warnings: string[] = []
  const seen = new Set<string>()
  auth.oauth.forEach((server, i) => {
    const { issuer, audience } = server
    if (seen.has(issuer))
      add(['auth', 'oauth', i, 'issuer'], `${issuer} is listed twice`, 'list each authorization server once')
    seen.add(issuer)
    if (audience === undefined && auth.public_url === undefined && !isForLoginsAlone(server))
      add(
        ['auth', 'oauth', i],
        'it is not said what its tokens for Weir name as audience',
        'set auth.public_url, or audience of this server',
      )
  })
  checkLogins(config, add)
  if (auth.oauth.length === 0 && Object.keys(auth.scopes).length > 0)
    warnings.push('auth.scopes has no effect: no authorization server is configured in auth.oauth')
  const owners = new Map<string, string>()
  for (const [name, { certificates }] of Object.entries(callers))
    certificates.forEach(({ san }, i) => {
      const key = sanKey(san)
      const other = owners.get(key)
      if (other !== undefined)
        add(
          ['callers', name, 'certificates', i, 'san'],
          `the same name already belongs to ${other}`,
          'give each caller certificates of its own',
        )
      owners.set(key, name)
    })
  if (owners.size > 0 && !listen.some(({ tls }) => tls && tls.client_auth !== 'none'))
    warnings.push('callers have certificates, but no listener asks for them: set listen[].tls.client_auth')
  const isPlain = ({ address, tls }: Config['listen'][number]): boolean =>
    tls === undefined && !isLoopback(hostOf(address))
  if (auth.oauth.length > 0 && listen.some(isPlain) && !auth.public_url?.startsWith('https:'))
    warnings.push(
      'access tokens come to a listener without TLS: set listen[].tls, or auth.public_url when TLS ends before Weir',
    )
  return warnings
}

/** Whether no token of this server opens a call: it is there for logins to the console. */
const isForLoginsAlone = ({ callers, console: login }: Issuer): boolean =>
  callers.length === 0 && login !== undefined

/** The servers whose tokens open calls. */
export const tokenIssuers = ({ oauth }: Pick<Auth, 'oauth'>): Issuer[] =>
  oauth.filter((server) => !isForLoginsAlone(server))

/** Logins to the console: each at an address of its own, which browsers reach, and for somebody. */
function checkLogins({ auth, callers, console: own }: Config, add: Add): void {
  const ids = new Map<string, string>()
  auth.oauth.forEach((server, i) => {
    const { issuer, console: login } = server
    if (login === undefined) return
    const at = ['auth', 'oauth', i, 'console']
    const other = ids.get(login.id)
    if (other !== undefined)
      add(
        [...at, 'id'],
        `the login at ${other} is called ${login.id}, too`,
        'give each an id of its own, for example id: partners',
      )
    ids.set(login.id, issuer)
    if (own.public_url === undefined && !isLoopback(hostOf(own.listen)))
      add(
        at,
        'it is not said where browsers reach the console, to which the login leads back',
        'set console.public_url, for example https://weir.example.com',
      )
    if (login.callers === undefined && (Object.keys(callers).length === 0 || isForLoginsAlone(server)))
      add(
        at,
        'nobody may log in',
        isForLoginsAlone(server)
          ? 'say who with `callers` of this login, for example callers: ["*@example.com"]'
          : 'say who with `callers` of this login, for example callers: ["*@example.com"], or add callers to this file',
      )
  })
}

/** A subject alternative name as it is compared: host names know no case, addresses have one form. */
export function sanKey(san: string): string {
  if (!/^(?:DNS|email|IP):/.test(san)) return san
  const key = san.toLowerCase()
  const address = key.slice('ip:'.length)
  const isIpv6 = key.startsWith('ip:') && address.includes(':') && URL.canParse(`http://[${address}]`)
  return isIpv6 ? `ip:${new URL(`http://[${address}]`).hostname}` : key
}
