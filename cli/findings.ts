/** What a look at a config finds besides errors: what it refers to on this machine, and what of that is not right. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path'
import { isScalar, LineCounter, parseDocument, visit } from 'yaml'
import { hostOf, isLoopback, portOf } from '../config/address.ts'
import type { Config } from '../config/schema.ts'
import { childSpec } from '../proxy/host/command.ts'
import { holdersOf, holderText, tryListen } from './ports.ts'

/** `line` 0: about the file as a whole. */
export type Warning = { line: number; path: string; message: string; fix: string }
export type Variable = { name: string; line: number; isSet: boolean; hasDefault: boolean }
export type Listener = {
  setting: string
  address: string
  state: 'free' | 'weir' | 'taken' | 'unusable'
  detail: string
}
type Env = Readonly<Record<string, string | undefined>>

const SECRET_KEYS = /^(bearer|password|reader_password|token|secret|client_secret|authorization|x-api-key)$/i
const OTHERS = 0o077

export type References = {
  variables: Variable[]
  files: { path: string; line: number }[]
  secrets: { path: string; line: number }[]
}

/** Variables, files and literal secrets a config names, with their lines. */
export function referencesOf(text: string, file: string, env: Env): References {
  const lines = new LineCounter()
  const found: References = { variables: [], files: [], secrets: [] }
  const folder = dirname(resolve(file))
  visit(parseDocument(text, { lineCounter: lines }), {
    Scalar(key, node, ancestors) {
      if (key === 'key' || typeof node.value !== 'string') return
      const line = lines.linePos(node.range?.[0] ?? 0).line
      const references = [...node.value.matchAll(/\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}/g)]
      for (const [, name, fallback] of references)
        found.variables.push({
          name: name!,
          line,
          isSet: env[name!] !== undefined,
          hasDefault: fallback !== undefined,
        })
      if (node.value.startsWith('file:'))
        found.files.push({ path: resolve(folder, node.value.slice('file:'.length)), line })
      const pair = ancestors.at(-1) as { key?: unknown } | undefined
      const name = isScalar(pair?.key) ? String(pair.key.value) : ''
      if (
        SECRET_KEYS.test(name) &&
        references.length === 0 &&
        node.value !== '' &&
        !node.value.startsWith('file:')
      )
        found.secrets.push({ path: name, line })
    },
  })
  return found
}

const mode = (path: string): number => {
  try {
    return statSync(path).mode & 0o777
  } catch {
    return 0
  }
}

export function secretWarnings(file: string, { files, secrets }: References): Warning[] {
  const warnings: Warning[] = []
  const open = (path: string): string => `0${mode(path).toString(8)}`
  if (secrets.length > 0 && mode(file) & OTHERS)
    warnings.push({
      line: secrets[0]!.line,
      path: secrets[0]!.path,
      message: `this file holds a secret and others on this machine may read it (mode ${open(file)})`,
      fix: `chmod 600 ${file}, or write \${NAME} or file:path instead of the secret`,
    })
  for (const { path, line } of files)
    if (mode(path) & OTHERS)
      warnings.push({
        line,
        path: '',
        message: `others on this machine may read the secret in ${path} (mode ${open(path)})`,
        fix: `chmod 600 ${path}`,
      })
  return warnings
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** Lines of the servers' names, for warnings about them. */
export function serverLines(text: string): Map<string, number> {
  const lines = new LineCounter()
  const servers = parseDocument(text, { lineCounter: lines }).get('servers') as
    | { items?: { key?: unknown }[] }
    | undefined
  const found = new Map<string, number>()
  for (const { key } of servers?.items ?? [])
    if (isScalar(key)) found.set(String(key.value), lines.linePos(key.range?.[0] ?? 0).line)
  return found
}

/** Commands that this machine does not have, and folders that are not there. */
export function commandWarnings(config: Config, lines: ReadonlyMap<string, number>, env: Env): Warning[] {
  const warnings: Warning[] = []
  for (const [name, server] of Object.entries(config.servers)) {
    if (server.command === undefined) continue
    const at = { line: lines.get(name) ?? 0, path: `servers.${name}` }
    try {
      const { file, env: own, cwd = '.' } = childSpec({ ...server, command: server.command }, env)
      if (!statSync(cwd, { throwIfNoEntry: false })?.isDirectory())
        warnings.push({
          ...at,
          path: `${at.path}.cwd`,
          message: `there is no folder ${cwd}`,
          fix: 'make it, or correct cwd',
        })
      else if (
        file.includes('/')
          ? !isExecutable(isAbsolute(file) ? file : join(cwd, file))
          : !(own.PATH ?? '').split(delimiter).some((folder) => isExecutable(join(folder, file)))
      )
        warnings.push({
          ...at,
          message: file.includes('/') ? `${file} cannot be run` : `there is no ${file} on PATH`,
          fix: 'install it, or write its full path',
        })
    } catch (error) {
      warnings.push({ ...at, message: (error as Error).message, fix: 'correct the command' })
    }
  }
  return warnings
}

export function keyWarnings(config: Config, now = new Date()): Warning[] {
  return Object.entries(config.callers).flatMap(([name, { keys }]): Warning[] => {
    const expired = keys.filter((key) => key.expires !== undefined && new Date(key.expires) <= now)
    if (expired.length === 0) return []
    const message =
      expired.length === keys.length
        ? 'every key has expired: this caller is refused'
        : `${expired.length} of ${keys.length} keys have expired`
    return [{ line: 0, path: `callers.${name}`, message, fix: 'add a new key, remove the old one' }]
  })
}

/** What the setting of a listener is called. */
export const listenSetting = ({ listen }: Config, i: number): string =>
  listen.length === 1 ? 'listen' : `listen[${i}]`

/** The places Weir would listen at, and whether it could. `pid`: the Weir that runs on this config, 0 when none. */
export async function listenersOf(config: Config, pid: number): Promise<Listener[]> {
  const places: [string, string][] = [
    ...config.listen.map(({ address }, i): [string, string] => [listenSetting(config, i), address]),
    ['console.listen', config.console.listen],
    ...(config.store.url === undefined ? [['store.listen', config.store.listen] as [string, string]] : []),
    ...(config.admin.listen === undefined ? [] : [['admin.listen', config.admin.listen] as [string, string]]),
  ]
  return Promise.all(
    places.map(async ([setting, address]): Promise<Listener> => {
      if (portOf(address) === 0) return { setting, address, state: 'free', detail: 'takes any free port' }
      if (pid > 0) return { setting, address, state: 'weir', detail: `used by this Weir (process ${pid})` }
      const code = await tryListen(address)
      if (code === '')
        return {
          setting,
          address,
          state: 'free',
          detail: isLoopback(hostOf(address)) ? 'free, this machine only' : 'free, open to the network',
        }
      if (code === 'EADDRINUSE') {
        const holder = holderText(holdersOf(portOf(address)))
        return { setting, address, state: 'taken', detail: `already in use${holder ? ` by ${holder}` : ''}` }
      }
      const reasons: Record<string, string> = {
        EACCES: 'this user may not use this port',
        EADDRNOTAVAIL: 'the address is not one of this machine',
        ENOTFOUND: 'there is no such host',
      }
      return { setting, address, state: 'unusable', detail: reasons[code] ?? code }
    }),
  )
}

export const readText = (file: string): string => readFileSync(file, 'utf8')
